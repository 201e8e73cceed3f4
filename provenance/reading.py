"""One file's manifest read with the library and put into an ``Audit``; runs in a worker: the file may be hostile."""

import contextlib
import datetime
import hashlib
import io
import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from facewitness.provenance import chains, cose
from facewitness.provenance.audit import Audit, Code
from facewitness.provenance.boxes import TooManyBoxesError, check_boxes, extra_boxes
from facewitness.provenance.explain import explain
from facewitness.provenance.formats import BMFF, FOREIGN, HEAD_BYTES, sniff
from facewitness.provenance.policy import Policy, moment
from facewitness.provenance.statements import claims_of, inherited

MAX_INGREDIENT_DEPTH = 16
MAX_INGREDIENTS = 256
MAX_CODES = 400
"""Checks kept of one manifest; failures come first."""
UNTRUSTED = "signingCredential.untrusted"
TRUSTED = "signingCredential.trusted"
_TRUST_CODES = {UNTRUSTED, TRUSTED}
_BROKEN_FILE = ("Other: asset could not be parsed", "Io:", "NotSupported", "FileNotFound", "Failed to create reader")
"""How the library's errors begin that speak of the file; all others speak of its manifest."""
_TIMELY = {"claimSignature.insideValidity", "claimSignature.outsideValidity", "signingCredential.expired"}


def examine(path: Path, policy: Policy, context: Any, *, sidecar: Path | None = None) -> Audit:
    """Audit one file under ``policy`` with the library's ``context``; what is wrong with the file is in the audit."""
    now = datetime.datetime.now(datetime.UTC)
    audit = Audit(
        path=str(path), sha256=None, state="unreadable", validated_at=policy.at or now.isoformat(timespec="seconds")
    )
    try:
        if not path.is_file():
            return replace(audit, error="there is no such file" if not path.exists() else "this is not a file")
        return _examine(audit, path, _Content(path), policy, context, sidecar)
    except OSError as e:
        return replace(audit, error=f"the file cannot be read ({e.strerror})")


def _examine(
    audit: Audit, path: Path, content: "_Content", policy: Policy, context: Any, sidecar: Path | None
) -> Audit:
    with content.open() as f:
        kind = sniff(f.read(HEAD_BYTES), path.suffix.lower())
        fault = _fault(f, content.size, kind, path)
        if kind is None or fault:
            return replace(audit, sha256=content.sha256(), error=fault)
        audit = replace(audit, media_type=kind)
        found = _read(audit, content, kind, policy, context, sidecar)
        beside = None if sidecar else _sidecar(path)
        if beside and found.state == "absent":
            found = _read(audit, content, kind, policy, context, beside)
        found = replace(found, sha256=content.sha256())
        if kind in BMFF and found.state in ("trusted", "untrusted", "invalid"):
            found = replace(found, extra_boxes=(*found.extra_boxes, *extra_boxes(f, content.size)))
    return found


def _fault(f: BinaryIO, size: int, kind: str | None, path: Path) -> str | None:
    """Why a file is not even given to the library."""
    if size == 0:
        return "the file is empty"
    if kind is None:
        what = FOREIGN.get(path.suffix.lower(), "files of this kind")
        return f"manifests in {what} cannot be read"
    try:
        if kind in BMFF:
            check_boxes(f, size)
    except TooManyBoxesError as e:
        return str(e)
    return None


def _read(audit: Audit, content: "_Content", kind: str, policy: Policy, context: Any, sidecar: Path | None) -> Audit:
    from c2pa import C2paError, Reader

    try:
        store = sidecar.read_bytes() if sidecar else None
        with content.open() as f, Reader(kind, f, store, context=context) as reader:
            report = json.loads(reader.json())
            raw = _store(reader, report["active_manifest"])
            remote = reader.get_remote_url()
        found = _judge(audit, report, raw, policy)
    except C2paError as e:
        return _refused(audit, str(e))
    except (OSError, KeyError, ValueError, RecursionError) as e:
        return replace(audit, state="invalid", error=f"the manifest cannot be made sense of ({type(e).__name__})")
    return replace(found, claims={**(found.claims or {}), "remote_url": remote}) if remote else found


def _judge(audit: Audit, report: dict[str, Any], raw: bytes, policy: Policy) -> Audit:
    """Turn the library's report into an audit: trust is taken over only where our own look at the chain agrees."""
    active = report["active_manifest"]
    manifest = report["manifests"][active]
    results = report.get("validation_results") or {}
    codes = _codes(results.get("activeManifest") or {})
    state = {"Trusted": "trusted", "Valid": "untrusted"}.get(report.get("validation_state", ""), "invalid")
    signer, chain, padding = _signer(raw, active, manifest)
    stamped = _has(codes, "timeStamp.validated") and _has(codes, "timeStamp.trusted")
    signed_at = (manifest.get("signature_info") or {}).get("time")
    when = moment(signed_at) if stamped and signed_at else moment(audit.validated_at)
    url = f"self#jumbf=/c2pa/{active}/c2pa.signature"
    listed = chains.voucher(chain, policy, when)
    if policy.at and not stamped:
        state, codes = _as_of(state, codes, chain, when, listed, url)
    if chain and not chains.may_sign(chain[0]) and state != "invalid":
        state, codes = "invalid", [*codes, _code("signingCredential.invalid", url, "failure")]
    state, codes = _trust(state, codes, listed, signer, policy, url)
    claims = claims_of(manifest, raw, active)
    ingredients = tuple(_ingredients(report, raw, active, results.get("ingredientDeltas") or [], policy, when))
    return replace(
        audit,
        state=state,
        ai=inherited(claims["ai"], ingredients) if state == "trusted" else "unknown",
        signer=signer,
        signed_at=signed_at if stamped else None,
        trust_list=_list_line(listed, policy) if state == "trusted" else None,
        codes=tuple(codes[:MAX_CODES]),
        missing=_missing(codes),
        ingredients=ingredients,
        label=claims["label"] if state == "trusted" else None,
        claims=claims,
        extra_boxes=padding,
        manifest_id=active,
    )


def _trust(
    state: str, codes: list[Code], listed: str | None, signer: dict[str, Any] | None, policy: Policy, url: str
) -> tuple[str, list[Code]]:
    """Take trust back where no list of signers vouches, give it where the policy allows the certificate itself."""
    if state == "trusted" and listed is None:
        wrong = [_code(UNTRUSTED, url, "failure"), _code("org.facewitness.trust.wrongKind", url, "failure")]
        state, codes = "untrusted", [*_without(codes, _TRUST_CODES), *wrong]
    elif state == "untrusted" and listed == "allowed" and _failures(codes) <= {UNTRUSTED}:
        state, codes = "trusted", [*_without(codes, _TRUST_CODES), _code(TRUSTED, url, "success")]
    if state == "trusted" and policy.only_signers:
        names = {(signer or {}).get(k) for k in ("sha256", "common_name", "organisation")}
        if not names & set(policy.only_signers):
            state, codes = "untrusted", [*codes, _code("signingCredential.notOnList", url, "failure")]
    return state, codes


def _as_of(
    state: str, codes: list[Code], chain: list[Any], when: datetime.datetime, listed: str | None, url: str
) -> tuple[str, list[Code]]:
    """Replace what the library said of validity and trust now by what holds at the stated time."""
    others = _without(codes, _TIMELY)
    if not chain or not chains.valid_at(chain, when):
        return "invalid", [*others, _code("signingCredential.expired", url, "failure")]
    others.append(_code("claimSignature.insideValidity", url, "success"))
    if state != "invalid" or not _failures(others) <= _TRUST_CODES:
        return state, others
    kept = _without(others, _TRUST_CODES)
    if listed is None:
        return "untrusted", [*kept, _code(UNTRUSTED, url, "failure")]
    return "trusted", [*kept, _code(TRUSTED, url, "success")]


def _refused(audit: Audit, said: str) -> Audit:
    """What the library refused to read: no manifest, a damaged one, or a file it does not understand."""
    if said.startswith("ManifestNotFound"):
        return replace(audit, state="absent", ai="unknown")
    brief = said.splitlines()[0][:200]
    if said.startswith("Remote"):
        url = brief.partition(" url ")[2].strip()
        elsewhere = _code("manifest.inaccessible", url, "failure", brief)
        return replace(audit, state="absent", codes=(elsewhere,), claims={"remote_url": url})
    if said.startswith(_BROKEN_FILE):
        return replace(audit, state="unreadable", error=f"the file is damaged, or not what it seems ({brief})")
    damaged = _code("org.facewitness.store.malformed", "", "failure", brief)
    return replace(audit, state="invalid", codes=(damaged,))


def _signer(
    raw: bytes, label: str, manifest: dict[str, Any]
) -> tuple[dict[str, Any] | None, list[Any], tuple[dict[str, Any], ...]]:
    """Who signed, with which chain, and what the signature's padding, which no hash covers, carries."""
    info = manifest.get("signature_info") or {}
    try:
        signature = cose.signature_of(raw, label)
        chain = chains.read_chain(cose.certificate_chain(signature))
        hidden = cose.carried_in_padding(signature)
    except (ValueError, RecursionError, IndexError, TypeError):
        chain, hidden = [], 0
    padding = ({"type": "signature padding", "offset": None, "bytes": hidden},) if hidden else ()
    if not chain:
        named = {"common_name": info.get("common_name") or "", "organisation": info.get("issuer") or ""}
        return (named if any(named.values()) else None), [], padding
    described = [chains.describe(c) for c in chain]
    signer = {**described[0], "algorithm": str(info.get("alg", "")).lower(), "chain": described[1:]}
    return signer, chain, padding


@dataclass(frozen=True)
class Ingredient:
    """One place of a manifest store's tree of ingredients (C2PA 2.2, section 9)."""

    uri: str
    """Of its assertion."""
    entry: dict[str, Any]
    """What the library reports of it."""
    manifest: str | None
    """Label of the ingredient's own manifest, if it names one."""
    known: dict[str, Any] | None
    """That manifest, if it is in the store."""
    inside: tuple["Ingredient", ...]


def ingredients_of(report: dict[str, Any], label: str) -> tuple[Ingredient, ...]:
    """The tree of ingredients under the manifest ``label`` of the library's ``report``.

    A hostile store may be deep, wide or circular: at most MAX_INGREDIENTS are listed, MAX_INGREDIENT_DEPTH deep, and
    no manifest inside itself.
    """
    seen = 0

    def branch(of: str, depth: int, path: frozenset[str]) -> tuple[Ingredient, ...]:
        nonlocal seen
        made = []
        for i in (report["manifests"].get(of) or {}).get("ingredients") or []:
            seen += 1
            if seen > MAX_INGREDIENTS:
                break
            uri = f"self#jumbf=/c2pa/{of}/c2pa.assertions/{i.get('label')}"
            manifest = i.get("active_manifest")
            known = report["manifests"].get(manifest) if manifest else None
            deeper = known and manifest not in path and depth < MAX_INGREDIENT_DEPTH
            inside = branch(str(manifest), depth + 1, path | {str(manifest)}) if deeper else ()
            made.append(Ingredient(uri, i, manifest, known, inside))
        return tuple(made)

    return branch(label, 0, frozenset({label}))


def _ingredients(
    report: dict[str, Any],
    raw: bytes,
    label: str,
    deltas: list[dict[str, Any]],
    policy: Policy,
    when: datetime.datetime,
) -> list[dict[str, Any]]:
    """The tree of ingredients, each with its own result: what its signer recorded, overruled by what holds now."""
    live: dict[str, list[Code]] = {}
    for delta in deltas:
        live[delta.get("ingredientAssertionURI", "")] = _codes(delta.get("validationDeltas") or {})

    def one(node: Ingredient) -> dict[str, Any]:
        i, manifest, known = node.entry, node.manifest, node.known
        recorded = _codes((i.get("validation_results") or {}).get("activeManifest") or {})
        recorded += [_code(s.get("code", ""), s.get("url", ""), "failure") for s in i.get("validation_status") or []]
        now = live.get(node.uri, [])
        failures = [c for c in (*_without(recorded, _TRUST_CODES), *now) if c.kind == "failure"]
        signer, chain, _ = _signer(raw, manifest, known) if manifest and known else (None, [], ())
        inside = [one(n) for n in node.inside]
        claims = claims_of(known, raw, str(manifest)) if known else None
        state = _ingredient_state(bool(known), bool(manifest), failures, chain, policy, when)
        return {
            "title": i.get("title"), "format": i.get("format"), "relationship": i.get("relationship"),
            "manifest": manifest, "state": state, "signer": signer,
            "ai": inherited(claims["ai"], inside) if claims and state == "trusted" else "unknown", "claims": claims,
            "failures": [vars(c) for c in failures], "ingredients": inside,
        }  # fmt: skip

    return [one(node) for node in ingredients_of(report, label)]


def _ingredient_state(
    known: bool, named: bool, failures: list[Code], chain: list[Any], policy: Policy, when: datetime.datetime
) -> str:
    if not known:
        return "invalid" if named else "absent"
    if {c.code for c in failures} - _TRUST_CODES:
        return "invalid"
    if failures or chains.voucher(chain, policy, when) is None:
        return "untrusted"
    return "trusted"


def _codes(group: dict[str, Any]) -> list[Code]:
    return [
        _code(str(c.get("code", "")), str(c.get("url") or ""), kind, str(c.get("explanation") or ""))
        for kind in ("failure", "informational", "success")
        for c in group.get(kind) or []
    ]


def _code(code: str, url: str, kind: str, detail: str = "") -> Code:
    return Code(code=code, url=url, explanation=explain(code), success=kind != "failure", detail=detail, kind=kind)


def _without(codes: list[Code], names: set[str]) -> list[Code]:
    return [c for c in codes if c.code not in names]


def _failures(codes: list[Code]) -> set[str]:
    return {c.code for c in codes if c.kind == "failure"}


def _has(codes: list[Code], code: str) -> bool:
    return any(c.code == code for c in codes)


def _missing(codes: list[Code]) -> tuple[str, ...]:
    missing = []
    if not (_has(codes, "timeStamp.validated") and _has(codes, "timeStamp.trusted")):
        missing.append("time_stamp")
    if not (_has(codes, "signingCredential.ocsp.notRevoked") or _has(codes, "signingCredential.ocsp.revoked")):
        missing.append("revocation")
    return tuple(missing)


def _list_line(listed: str | None, policy: Policy) -> str | None:
    if listed is None:
        return None
    added = next((a.added_at for a in policy.anchors if a.name == listed and a.kind == "signers"), "")
    return f"{listed} ({added})" if added else listed


def _store(reader: Any, label: str) -> bytes:
    out = io.BytesIO()
    try:
        reader.resource_to_stream(f"self#jumbf=/c2pa/{label}", out)
    except Exception:
        return b""
    return out.getvalue()


def _sidecar(path: Path) -> Path | None:
    beside = path.with_suffix(".c2pa")
    return beside if path.suffix != ".c2pa" and beside.is_file() else None


class _Content:
    """A file's bytes and their SHA-256: a small file is read once, a large one is hashed beside its validation."""

    SMALL_BYTES = 4 << 20

    def __init__(self, path: Path):
        self.size = path.stat().st_size
        self._path, self._bytes, self._digest = path, b"", ""
        self._thread: threading.Thread | None = None
        if self.size <= self.SMALL_BYTES:
            self._bytes = path.read_bytes()
            self.size = len(self._bytes)
        else:
            self._thread = threading.Thread(target=self._hash, daemon=True)
            self._thread.start()

    def open(self) -> BinaryIO:
        return self._path.open("rb") if self._thread else io.BytesIO(self._bytes)

    def sha256(self) -> str | None:
        if self._thread is None:
            return hashlib.sha256(self._bytes).hexdigest()
        self._thread.join()
        return self._digest or None

    def _hash(self) -> None:
        with contextlib.suppress(OSError), self._path.open("rb") as f:
            self._digest = hashlib.file_digest(f, "sha256").hexdigest()
