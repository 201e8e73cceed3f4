"""The development authority and the trust lists, in ``home_dir()/trust``: folders 0700, keys 0600, made on first use.

::

    trust/authority/root.{pem,key}  intermediate.{pem,key}  leaf.{pem,key}
    trust/lists/<name>.pem          anchors somebody added, described in lists.json
"""

import contextlib
import datetime
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facewitness.errors import UsageError
from facewitness.files import home_dir, to_json, whole_file
from facewitness.provenance.keys import (
    CLAIM_SIGNING,
    PrivateKey,
    SigningMaterial,
    check_material,
    load_chain,
    load_key,
    new_key,
    raw_signature,
)

ROOT_DAYS, INTERMEDIATE_DAYS, LEAF_DAYS = 3650, 1825, 90
MAX_LEAF_DAYS = 366
"""C2PA conformance, assurance level 1."""
RENEW_DAYS = 14
"""A leaf with less than this to live is replaced before it signs."""
BACKDATE = datetime.timedelta(minutes=5)
"""Certificates begin a little in the past, for readers whose clocks lag."""
ORGANISATION = "facewitness development"
COUNTRY = "ZZ"
"""ISO 3166 user-assigned: this authority belongs to no country."""
KINDS = ("signers", "time-stamps")
DEVELOPMENT_LIST = "development"


@dataclass(frozen=True, kw_only=True)
class TrustList:
    """A named set of anchors: for ``signers`` or for ``time-stamps``, since when, and its PEM."""

    name: str
    kind: str
    pem: str
    added_at: str
    """ISO 8601, UTC."""
    source: str = ""

    @property
    def uri(self) -> str:
        """The name under which the validator says that this list vouched."""
        return f"urn:facewitness:{self.kind}:{self.name}"


def trust_dir(home: Path | None = None) -> Path:
    """The folder of keys and trust lists below ``home`` (default: the user's facewitness home)."""
    return (home or home_dir()) / "trust"


def init_trust(
    home: Path | None = None, *, algorithm: str = "es256", days: int = LEAF_DAYS, force: bool = False
) -> Path:
    """Make the development authority: a root, an intermediate and a leaf that lives ``days``; return its folder.

    Raises UsageError if there is one already and ``force`` is false (``force`` keeps the old one beside it).
    """
    if not 1 <= days <= MAX_LEAF_DAYS:
        raise UsageError(f"a leaf may live 1 to {MAX_LEAF_DAYS} days, not {days}.")
    folder = trust_dir(home) / "authority"
    with _locked(home):
        if (folder / "root.pem").exists():
            if not force:
                raise UsageError(
                    f"there is an authority in {folder} already; --force sets it aside and makes a new one."
                )
            folder.rename(folder.with_name(f"authority.until-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S%f}"))
        _make_authority(folder, algorithm, days)
    return folder


def ensure_signer(
    home: Path | None = None, *, algorithm: str = "es256", time_stamp_url: str | None = None
) -> SigningMaterial:
    """The development signer: the authority is made on first use and the leaf renewed before it runs out.

    Signatures are time-stamped by ``time_stamp_url``, else by the service that ``FACEWITNESS_TIME_STAMP_URL`` names,
    else not at all; without a time stamp they hold no longer than their certificate.
    """
    folder = trust_dir(home) / "authority"
    with _locked(home):
        if not (folder / "root.pem").exists():
            _make_authority(folder, algorithm, LEAF_DAYS)
        leaf = load_chain(folder / "leaf.pem")[0]
        left = leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        fits = _fits(folder / "leaf.key", leaf)  # a crash between the two files leaves an old certificate to a new key
        if not fits or left < min(datetime.timedelta(days=RENEW_DAYS), _lifetime(leaf) / 4):
            issuer = load_chain(folder / "intermediate.pem")[0], load_key(folder / "intermediate.key")
            _issue_leaf(folder, issuer, _lifetime(leaf).days)
        key = load_key(folder / "leaf.key")
        chain = (*load_chain(folder / "leaf.pem")[:1], *load_chain(folder / "intermediate.pem")[:1])
    material = SigningMaterial(
        algorithm=_algorithm(key),
        chain=chain,
        sign=lambda data: raw_signature(key, data),
        time_stamp_url=time_stamp_url or os.environ.get("FACEWITNESS_TIME_STAMP_URL") or None,
    )
    check_material(material)
    return material


def trust_lists(home: Path | None = None) -> tuple[TrustList, ...]:
    """Every list this installation trusts: the development root, if there is one, then those that were added."""
    folder = trust_dir(home)
    lists = []
    root = folder / "authority" / "root.pem"
    if root.exists():
        made = load_chain(root)[0].not_valid_before_utc
        lists.append(
            TrustList(
                name=DEVELOPMENT_LIST,
                kind="signers",
                pem=root.read_text(),
                added_at=made.isoformat(),
                source="trust init",
            )
        )
    for name, entry in sorted(_read_index(folder).items()):
        pem = (folder / "lists" / f"{name}.pem").read_text()
        lists.append(
            TrustList(name=name, kind=entry["kind"], pem=pem, added_at=entry["added_at"], source=entry["source"])
        )
    return tuple(lists)


def add_trust_list(pem: Path, *, name: str, kind: str = "signers", home: Path | None = None) -> TrustList:
    """Trust the certificates of ``pem`` as ``kind`` (``signers | time-stamps``) under ``name``, from now on.

    Raises UsageError for a bad name, a name in use, an unknown kind or a file without certificates.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of trust list; choose one of {', '.join(KINDS)}.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,63}", name) or name == DEVELOPMENT_LIST:
        raise UsageError(f"{name!r} cannot name a trust list; use lower-case letters, digits, dots and dashes.")
    certificates = load_chain(pem)
    if not certificates:
        raise UsageError(f"{pem} holds no certificates.")
    text = "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with _locked(home):
        folder = trust_dir(home)
        index = _read_index(folder)
        if name in index:
            raise UsageError(f"there is a trust list named {name!r} already; choose another name.")
        _private_dir(folder / "lists")
        _write(folder / "lists" / f"{name}.pem", text.encode())
        index[name] = {"kind": kind, "added_at": now, "source": pem.name}
        _write(folder / "lists.json", to_json(index, indent=1).encode())
    return TrustList(name=name, kind=kind, pem=text, added_at=now, source=pem.name)


def issue(
    common_name: str,
    key: PrivateKey,
    issuer: tuple[x509.Certificate, PrivateKey] | None = None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    days: float = LEAF_DAYS,
    usages: tuple[x509.ObjectIdentifier, ...] = (CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
    not_before: datetime.datetime | None = None,
    organisation: str = ORGANISATION,
) -> x509.Certificate:
    """A certificate for ``key`` signed by ``issuer`` (itself where None), after the C2PA profile for leaves."""
    begin = not_before or datetime.datetime.now(datetime.UTC) - BACKDATE
    signing_key = issuer[1] if issuer else key
    public, issuer_public = key.public_key(), signing_key.public_key()
    end = begin + datetime.timedelta(days=days)
    if issuer:
        end = min(end, issuer[0].not_valid_after_utc)
    builder = (
        x509.CertificateBuilder(
            subject_name=_subject(common_name, organisation),
            issuer_name=issuer[0].subject if issuer else _subject(common_name, organisation),
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=begin,
            not_valid_after=end,
        )
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
        .add_extension(_key_usage(ca), critical=True)
    )
    if not ca:
        critical = ExtendedKeyUsageOID.TIME_STAMPING in usages
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    digest = None if isinstance(signing_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signing_key, digest)


def write_certificates(path: Path, *certificates: x509.Certificate) -> None:
    """Write certificates as PEM, whole or not at all."""
    _write(path, b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates))


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a private key as PKCS#8 PEM that only its owner can read (0600 from its first byte on)."""
    form = serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def _make_authority(folder: Path, algorithm: str, days: int) -> None:
    root_key, intermediate_key = new_key(algorithm), new_key(algorithm)
    root = issue("facewitness development root", root_key, ca=True, days=ROOT_DAYS)
    intermediate = issue(
        "facewitness development issuer",
        intermediate_key,
        (root, root_key),
        ca=True,
        path_length=0,
        days=INTERMEDIATE_DAYS,
    )
    _private_dir(folder)
    write_key(folder / "intermediate.key", intermediate_key)
    write_certificates(folder / "intermediate.pem", intermediate)
    _issue_leaf(folder, (intermediate, intermediate_key), days)
    write_key(folder / "root.key", root_key)
    write_certificates(folder / "root.pem", root)


def _issue_leaf(folder: Path, issuer: tuple[x509.Certificate, PrivateKey], days: int) -> None:
    key = new_key(_algorithm(issuer[1]))
    write_key(folder / "leaf.key", key)
    write_certificates(folder / "leaf.pem", issue("facewitness development signer", key, issuer, days=days))


def _algorithm(key: Any) -> str:
    from facewitness.provenance.keys import algorithm_of

    return algorithm_of(key)


def _fits(key: Path, cert: x509.Certificate) -> bool:
    return load_key(key).public_key() == cert.public_key()


def _lifetime(cert: x509.Certificate) -> datetime.timedelta:
    return cert.not_valid_after_utc - cert.not_valid_before_utc


def _subject(common_name: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, COUNTRY),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=not ca, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _read_index(folder: Path) -> dict[str, dict[str, str]]:
    try:
        return json.loads((folder / "lists.json").read_text())
    except FileNotFoundError:
        return {}


def _private_dir(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def _write(path: Path, data: bytes) -> None:
    with whole_file(path) as part, os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        f.write(data)


@contextlib.contextmanager
def _locked(home: Path | None) -> Iterator[None]:
    """Let one process at a time make or renew keys."""
    folder = trust_dir(home)
    try:
        _private_dir(folder)
        lock = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as e:
        raise UsageError(
            f"the folder {folder} cannot be written ({e.strerror}); set FACEWITNESS_HOME to a place you may write."
        ) from e
    with os.fdopen(lock, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def describe_trust(home: Path | None = None) -> dict[str, Any]:
    """What is trusted for what, since when, and who signs here, in plain values; makes nothing."""
    from facewitness.provenance.chains import describe

    lists = []
    for entry in trust_lists(home):
        certificates = x509.load_pem_x509_certificates(entry.pem.encode())
        lists.append(
            {
                "name": entry.name, "kind": entry.kind, "added_at": entry.added_at, "source": entry.source,
                "certificates": [describe(c) for c in certificates],
            }
        )  # fmt: skip
    leaf = trust_dir(home) / "authority" / "leaf.pem"
    signer = None
    if leaf.exists():
        cert = load_chain(leaf)[0]
        signer = {**describe(cert), "algorithm": _algorithm(cert.public_key())}
    return {"schema": "facewitness.trust/1", "folder": str(trust_dir(home)), "lists": lists, "signer": signer}
