"""Signing what was found: a ``ClipReport`` or an ``Audit`` becomes a signed sheet, bound by hash to its clip.

The sheet (SVG: every browser shows it, both validators read it) states the verdict and holds the report's JSON byte for
byte. Its manifest keeps the clip, with the clip's own manifest, as the input the report was made from, and states the
clip's SHA-256 and the verdict.
"""

import html
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.files import sha256_file
from facewitness.provenance.audit import Audit, Code
from facewitness.provenance.explain import explain
from facewitness.provenance.formats import media_type
from facewitness.provenance.inert import visible
from facewitness.provenance.keys import SigningMaterial
from facewitness.provenance.manifest import REPORT, REPORT_ASSERTION, Ingredient, ManifestSpec
from facewitness.provenance.sign import Signed, sign_file

MAX_REPORT_BYTES = 64 << 20
MAX_REASONS = 8
SUFFIX = ".svg"
SCHEMAS = ("facewitness.scan/", "facewitness.verify/")
MATCH, MISMATCH = "org.facewitness.report.clip.match", "org.facewitness.report.clip.mismatch"
_OPEN, _CLOSE = '<desc id="facewitness-report">', "</desc>"


def sign_report(report: Path, out: Path, *, signer: SigningMaterial | None = None, clip: Path | None = None) -> Signed:
    """Sign a ``ClipReport`` or an ``Audit`` (JSON) into the sheet ``out`` (``.svg``).

    ``clip`` names the clip where it is no longer where the report says. Raises UsageError where it is another clip.
    """
    row = read_report(report)
    subject = clip or next((p for p in (Path(row["path"]), report.parent / row["path"]) if p.is_file()), None)
    if subject is None:
        raise UsageError(f"the clip {row['path']} of this report is not there; name it with --clip.")
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"a signed report is a sheet that browsers show; let its name end in {SUFFIX}.")
    digest = sha256_file(subject)
    if row.get("sha256") != digest:
        raise UsageError(f"{subject} is not the clip this report speaks of: its SHA-256 is another one.")
    readable = media_type(subject) is not None
    spec = ManifestSpec(
        kind=REPORT,
        title=report.name,
        training=None,
        ingredients=(Ingredient(path=subject, role="report subject"),) if readable else (),
        assertions={REPORT_ASSERTION: statement(report, row)},
    )
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "report.svg"
        plain.write_text(sheet(report, row), encoding="utf-8", newline="")
        return sign_file(plain, out, manifest=spec, signer=signer)


def sheet(report: Path, row: dict[str, Any]) -> str:
    """The page of a report: verdict, clip and reasons to read, and the whole JSON inside."""
    about = _of_audit(row) if is_audit(row) else _of_clip(row)
    lines = [
        about[0],
        f"Clip: {Path(row['path']).name}",
        f"SHA-256 of the clip: {row.get('sha256')}",
        *about[1:],
    ]
    text = "".join(
        f'<text x="24" y="{84 + 26 * n}" font-size="14">{html.escape(visible(line, 110))}</text>'
        for n, line in enumerate(lines)
    )
    body = html.escape(report.read_text(encoding="utf-8")).replace("\r", "&#13;")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{110 + 26 * len(lines)}" '
        f'font-family="system-ui, sans-serif"><title>facewitness report</title>{_OPEN}{body}{_CLOSE}'
        '<rect width="100%" height="100%" fill="#fff"/><text x="24" y="44" font-size="22">facewitness report</text>'
        f"{text}</svg>"
    )


def is_audit(row: dict[str, Any]) -> bool:
    """Whether a report is of a file's manifest, and not of what a scan found in its pictures."""
    return str(row.get("schema", "")).startswith("facewitness.verify/")


def _of_clip(row: dict[str, Any]) -> list[str]:
    score = "" if row.get("p_fake") is None else f", {100 * float(row['p_fake']):.0f} % likely manipulated"
    reasons = [f"{r.get('cue')}: {r.get('text')}" for r in (row.get("reasons") or [])[:MAX_REASONS]]
    return [f"Verdict: {row.get('verdict') or row.get('status')}{score}", *reasons]


def _of_audit(row: dict[str, Any]) -> list[str]:
    signer = (row.get("signer") or {}).get("common_name") or "nobody"
    failed = [c for c in row.get("codes") or [] if not c.get("success")]
    return [
        f"Provenance: {row.get('state')}; AI: {row.get('ai')}",
        f"Signed by: {signer}; vouched for by: {row.get('trust_list') or 'no list'}",
        f"Checked at: {row.get('validated_at')}",
        *(f"failed: {c.get('code')}: {c.get('explanation')}" for c in failed[:MAX_REASONS]),
    ]


def report_inside(path: Path) -> str:
    """The report's JSON text as it was signed; raises UnreadableInputError where the file is no signed report."""
    text = path.read_text(encoding="utf-8", errors="replace")
    start, end = text.find(_OPEN), text.find(_CLOSE)
    if not 0 <= start < end:
        raise UnreadableInputError(f"{path} is no signed report of facewitness.")
    return html.unescape(text[start + len(_OPEN) : end])


def speaks_of(audit: Audit, clip: Path) -> Audit:
    """The audit of a signed report, held against ``clip``: if it speaks of another one, its state becomes invalid."""
    if audit.state not in ("trusted", "untrusted"):
        return audit
    said = (audit.claims or {}).get("report") or {}
    try:
        fits = bool(said) and said.get("sha256") == sha256_file(clip)
    except OSError as e:
        raise UnreadableInputError(f"{clip} cannot be read ({e.strerror}).") from e
    name, kind = (MATCH, "success") if fits else (MISMATCH, "failure")
    code = Code(code=name, url=str(clip), explanation=explain(name), success=fits, kind=kind)
    return replace(audit, state=audit.state if fits else "invalid", codes=(*audit.codes, code))


def statement(report: Path, row: dict[str, Any]) -> dict[str, Any]:
    """The assertion on a report: its verdict (or state) in brief, the clip's SHA-256 and that of the report's file."""
    whole: dict[str, Any] = {"report_sha256": sha256_file(report), "clip": Path(row["path"]).name}
    if is_audit(row):
        failed = [str(c.get("code")) for c in row.get("codes") or [] if not c.get("success")]
        keys = ("schema", "sha256", "state", "ai", "trust_list", "manifest_id", "validated_at")
        return {**whole, **{k: row.get(k) for k in keys}, "failed": failed[:MAX_REASONS]}
    faces = [{k: f.get(k) for k in ("track", "p_fake", "verdict")} for f in row.get("faces") or []]
    brief = {k: row.get(k) for k in ("schema", "sha256", "status", "verdict", "p_fake", "reasons", "model")}
    return {**whole, **brief, "faces": faces}


def read_report(path: Path) -> dict[str, Any]:
    """One row of a scan or an audit from a JSON file; raises UnreadableInputError for anything else."""
    try:
        if path.stat().st_size > MAX_REPORT_BYTES:
            raise UnreadableInputError(f"{path} is larger than any report.")
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UnreadableInputError(f"{path} is no readable JSON ({type(e).__name__}).") from e
    rows = row.get("rows") if isinstance(row, dict) else None
    if isinstance(rows, list) and len(rows) == 1:
        row = rows[0]
    known = isinstance(row, dict) and str(row.get("schema", "")).startswith(SCHEMAS) and "path" in row
    if not known:
        raise UnreadableInputError(f"{path} is no report of `facewitness scan` or `verify` on one clip.")
    return row
