"""Whether a certificate chain leads to an anchor, decided by us as well.

The library lets a root that is trusted for time stamps alone vouch for signers.
"""

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facewitness.provenance.policy import Policy

MAX_CHAIN = 10
READABLE_USAGES = tuple(
    x509.ObjectIdentifier(oid)
    for oid in (
        "1.3.6.1.5.5.7.3.4",  # emailProtection
        "1.3.6.1.5.5.7.3.36",  # documentSigning
        "1.3.6.1.4.1.62558.2.1",  # c2pa-kp-claimSigning
        "1.3.6.1.4.1.311.76.59.1.9",  # claim signing of one vendor, on the public trust list
    )
)
"""Extended key usages with which a certificate may sign claims (C2PA 2.2, 14.5.1; public trust configuration)."""


def read_chain(ders: Iterable[bytes]) -> list[x509.Certificate]:
    """Certificates from DER; raises ValueError at the first that is malformed."""
    return [_certificate(der) for der in ders]


def voucher(chain: Sequence[x509.Certificate], policy: Policy, at: datetime.datetime) -> str | None:
    """The name of the signers' list that vouches for ``chain`` (leaf first) at a time, or None.

    ``allowed`` stands for the policy's allowed certificates. Lists for time stamps are never asked.
    """
    if not chain:
        return None
    if chain[0] in _certificates(policy.allowed_pem) and _valid(chain[0], at):
        return "allowed"
    for anchors in policy.anchors:
        if anchors.kind == "signers" and _leads_to(chain, _certificates(anchors.pem), at):
            return anchors.name
    return None


def valid_at(chain: Sequence[x509.Certificate], at: datetime.datetime) -> bool:
    """Whether every certificate that was sent along is within its validity."""
    return all(_valid(c, at) for c in chain)


def may_sign(leaf: x509.Certificate) -> bool:
    """Whether a certificate's extended key usage is for claims; the library also accepts one for time stamps."""
    try:
        usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, ValueError):
        return False
    barred = {ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.TIME_STAMPING}
    return bool(usages & set(READABLE_USAGES)) and not usages & barred


@lru_cache(maxsize=1024)
def describe(cert: x509.Certificate) -> dict[str, Any]:
    """A certificate in plain values: names, serial, validity, SHA-256."""
    return {
        "common_name": _attribute(cert.subject, NameOID.COMMON_NAME),
        "organisation": _attribute(cert.subject, NameOID.ORGANIZATION_NAME),
        "issuer": _attribute(cert.issuer, NameOID.COMMON_NAME) or cert.issuer.rfc4514_string(),
        "serial": f"{cert.serial_number:x}",
        "not_before": cert.not_valid_before_utc.isoformat(),
        "not_after": cert.not_valid_after_utc.isoformat(),
        "sha256": hashlib.sha256(cert.public_bytes(serialization.Encoding.DER)).hexdigest(),
    }


def _leads_to(chain: Sequence[x509.Certificate], anchors: tuple[x509.Certificate, ...], at: datetime.datetime) -> bool:
    current, rest = chain[0], list(chain[1:])
    for depth in range(MAX_CHAIN):
        if not _valid(current, at):
            return False
        if any(current == a or (_valid(a, at) and _issued(current, a, depth)) for a in anchors):
            return True
        following = next((c for c in rest if _issued(current, c, depth)), None)
        if following is None:
            return False
        rest.remove(following)
        current = following
    return False


@lru_cache(maxsize=1024)
def _certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=4096)
def _issued(cert: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Whether ``issuer`` is an authority that issued ``cert``, with ``below`` authorities allowed under it."""
    if cert.issuer != issuer.subject:
        return False
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        cert.verify_directly_issued_by(issuer)
    except Exception:
        return False
    return basic.ca and (basic.path_length is None or basic.path_length >= below)


def _valid(cert: x509.Certificate, at: datetime.datetime) -> bool:
    return cert.not_valid_before_utc <= at <= cert.not_valid_after_utc


@lru_cache(maxsize=64)
def _certificates(pem: str) -> tuple[x509.Certificate, ...]:
    return tuple(x509.load_pem_x509_certificates(pem.encode())) if pem.strip() else ()


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""
