"""Who signs: a key with its certificate chain, in our process or behind a command, checked before it signs."""

import datetime
import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from facewitness.errors import UsageError

ALGORITHMS = ("es256", "es384", "ed25519", "ps256")
"""Signature algorithms that C2PA allows and we make keys for (C2PA 2.2, 13.2.1)."""

CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""The extended key usage c2pa-kp-claimSigning."""
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
ALLOWED_USAGES = (ExtendedKeyUsageOID.EMAIL_PROTECTION, DOCUMENT_SIGNING, CLAIM_SIGNING)

COMMAND_TIMEOUT_S = 60.0
"""How long a signing command may take: long enough for a touch on a token."""
RSA_BITS = 3072
MIN_RSA_BITS = 2048
_CURVE_BYTES = {"secp256r1": 32, "secp384r1": 48}
_EC_ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384"}
_EC_HASHES: dict[str, hashes.HashAlgorithm] = {"es256": hashes.SHA256(), "es384": hashes.SHA384()}

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, kw_only=True)
class SigningMaterial:
    """Everything a signature needs: the algorithm, the chain (leaf first, without the root) and what signs bytes."""

    algorithm: str
    chain: tuple[x509.Certificate, ...]
    sign: Callable[[bytes], bytes] = field(repr=False)
    """Bytes to signature in the COSE form: r||s for ECDSA (RFC 9053), never DER."""
    time_stamp_url: str | None = None
    """An RFC 3161 service that is asked for a time stamp of each signature."""

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of the key itself."""
        return self.chain[0]

    @property
    def chain_pem(self) -> str:
        """The chain as PEM text, leaf first."""
        return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in self.chain)


def new_key(algorithm: str) -> PrivateKey:
    """A fresh private key for ``es256 | es384 | ed25519 | ps256``; raises UsageError for any other word."""
    match algorithm:
        case "es256":
            return ec.generate_private_key(ec.SECP256R1())
        case "es384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ps256":
            return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    raise UsageError(f"{algorithm!r} is no signature algorithm we know; choose one of {', '.join(ALGORITHMS)}.")


def algorithm_of(key: Any) -> str:
    """The C2PA algorithm that goes with a private or public key; raises UsageError where none does."""
    public = key.public_key() if hasattr(key, "public_key") else key
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _EC_ALGORITHMS:
        return _EC_ALGORITHMS[public.curve.name]
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= MIN_RSA_BITS:
        return "ps256"
    raise UsageError("the key is of a kind C2PA does not allow; use P-256, P-384, Ed25519 or RSA of 2048 bits or more.")


def raw_signature(key: PrivateKey, data: bytes) -> bytes:
    """Sign ``data`` with ``key`` in the COSE form of its algorithm (RFC 9053, 8230)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
        return key.sign(data, pss, hashes.SHA256())
    return _der_to_raw(key.sign(data, ec.ECDSA(_EC_HASHES[algorithm_of(key)])), _CURVE_BYTES[key.curve.name])


def signature_fits(public: Any, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` (COSE form) over ``data`` was made by the private half of ``public``."""
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, data)
        elif isinstance(public, rsa.RSAPublicKey):
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
            public.verify(signature, data, pss, hashes.SHA256())
        else:
            size = _CURVE_BYTES[public.curve.name]
            if len(signature) != 2 * size:
                return False
            r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            public.verify(encode_dss_signature(r, s), data, ec.ECDSA(_EC_HASHES[algorithm_of(public)]))
    except InvalidSignature:
        return False
    return True


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file in the order they stand there; raises UsageError if there are none."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as e:
        raise UsageError(f"{path} holds no readable PEM certificates ({e}).") from e


def load_key(path: Path, password: bytes | None = None) -> PrivateKey:
    """A private key from a PEM file; raises UsageError if it cannot be read or its password is wrong."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password)
    except TypeError as e:
        raise UsageError(f"{path} is locked: give its password in FACEWITNESS_KEY_PASSWORD ({e}).") from e
    except (OSError, ValueError) as e:
        raise UsageError(f"{path} holds no readable PEM private key ({e}).") from e
    algorithm_of(key)
    return key  # type: ignore[return-value]


def key_signer(key: Path, cert: Path, *, time_stamp_url: str | None = None) -> SigningMaterial:
    """The signer of a key file and a chain file (leaf first); checked, see ``check_material``.

    A locked key takes its password from the environment variable ``FACEWITNESS_KEY_PASSWORD``.
    """
    password = os.environ.get("FACEWITNESS_KEY_PASSWORD")
    private, chain = load_key(key, password.encode() if password else None), load_chain(cert)
    if _spki(private.public_key()) != _spki(chain[0].public_key()):
        raise UsageError(f"the key {key} does not belong to the first certificate of {cert}.")
    material = SigningMaterial(
        algorithm=algorithm_of(private), chain=_without_root(chain), time_stamp_url=time_stamp_url,
        sign=lambda data: raw_signature(private, data),
    )  # fmt: skip
    check_material(material)
    return material


def command_signer(command: str, cert: Path, *, time_stamp_url: str | None = None) -> SigningMaterial:
    """A signer whose key stays elsewhere: ``command`` reads the bytes to sign on stdin, writes the signature to stdout.

    The command is split like a shell would but run without one. It may answer an ECDSA signature as DER or as r||s.
    ``FACEWITNESS_ALGORITHM`` in its environment names the algorithm expected.
    """
    argv = shlex.split(command)
    if not argv:
        raise UsageError("the signing command is empty.")
    chain = load_chain(cert)
    public = chain[0].public_key()
    algorithm = algorithm_of(public)

    def sign(data: bytes) -> bytes:
        try:
            done = subprocess.run(
                argv, input=data, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False,
                env={**os.environ, "FACEWITNESS_ALGORITHM": algorithm},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as e:
            raise UsageError(f"the signing command could not run to its end: {e}.") from e
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            raise UsageError(f"the signing command ended with {done.returncode}: {said!r}.")
        return _cose_form(public, done.stdout)

    material = SigningMaterial(
        algorithm=algorithm, chain=_without_root(chain), sign=sign, time_stamp_url=time_stamp_url
    )
    check_material(material)
    return material


def check_material(material: SigningMaterial, at: datetime.datetime | None = None) -> None:
    """Refuse, with the reason, a chain that no reader would accept (C2PA 2.2, 14.5); ``at`` is the time of signing.

    Raises UsageError naming the first thing wrong: order, validity, self-signed, CA flag, missing key identifiers,
    key usage, extended key usage.
    """
    at = at or datetime.datetime.now(datetime.UTC)
    leaf = material.leaf
    if leaf.subject == leaf.issuer:
        raise UsageError("the signing certificate is self-signed; C2PA asks for one issued by an authority.")
    for cert, issuer in zip(material.chain, material.chain[1:], strict=False):
        try:
            cert.verify_directly_issued_by(issuer)
        except Exception as e:
            raise UsageError(
                f"the chain is broken or in the wrong order: {_name(cert)} was not issued by {_name(issuer)}, "
                "which follows it; put the signing certificate first and each issuer after it."
            ) from e
    for cert in material.chain:
        if at < cert.not_valid_before_utc:
            raise UsageError(
                f"the certificate of {_name(cert)} is not valid before {cert.not_valid_before_utc:%F %T} UTC."
            )
        if at > cert.not_valid_after_utc:
            raise UsageError(f"the certificate of {_name(cert)} expired on {cert.not_valid_after_utc:%F %T} UTC.")
    for reason in leaf_faults(leaf):
        raise UsageError(f"the certificate of {_name(leaf)} cannot sign C2PA claims: {reason}.")


def leaf_faults(leaf: x509.Certificate) -> list[str]:
    """What keeps a certificate from signing claims, one phrase each; empty where nothing does (C2PA 2.2, 14.5.1)."""
    faults = []
    basic = _extension(leaf, x509.BasicConstraints)
    if basic and basic.value.ca:
        faults.append("it is the certificate of an authority (CA=true)")
    if not _extension(leaf, x509.AuthorityKeyIdentifier):
        faults.append("it names no authority key identifier")
    usage = _extension(leaf, x509.KeyUsage)
    if not usage or not usage.value.digital_signature or usage.value.key_cert_sign:
        faults.append("its key usage is not digitalSignature")
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    usages = set(extended.value) if extended else set()
    if not usages & set(ALLOWED_USAGES):
        faults.append("its extended key usage is none of emailProtection, documentSigning, claimSigning")
    if usages & {ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}:
        faults.append("its extended key usage allows anything")
    if ExtendedKeyUsageOID.TIME_STAMPING in usages:
        faults.append("it mixes timeStamping with other usages")
    return faults


def c2pa_signer(material: SigningMaterial, failures: list[Exception]) -> Any:
    """The library's signer for ``material``; what goes wrong inside its callback is appended to ``failures``.

    Every signature is checked against the leaf before it is handed over, so that a wrong key never yields a file.
    """
    from c2pa import C2paSigningAlg, Signer

    public = material.leaf.public_key()

    def sign(data: bytes) -> bytes:
        try:
            signature = material.sign(data)
            if not signature_fits(public, signature, data):
                raise UsageError("the signature does not fit the signing certificate: the key is another one.")
        except Exception as e:
            failures.append(e)
            return b""
        return signature

    algorithm = C2paSigningAlg[material.algorithm.upper()]
    return Signer.from_callback(sign, algorithm, material.chain_pem, material.time_stamp_url)


def _extension(cert: x509.Certificate, kind: Any) -> Any:
    try:
        return cert.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _name(cert: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return repr(str(names[0].value) if names else cert.subject.rfc4514_string())


def _spki(public: Any) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _without_root(chain: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """A root at the end of a chain is the reader's to know; it is not carried in the signature (C2PA 2.2, 14.5)."""
    return tuple(chain[:-1]) if len(chain) > 1 and chain[-1].subject == chain[-1].issuer else tuple(chain)


def _der_to_raw(signature: bytes, size: int) -> bytes:
    r, s = decode_dss_signature(signature)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _cose_form(public: Any, signature: bytes) -> bytes:
    """A command's answer in COSE form: DER of an ECDSA signature is taken apart, anything else is passed on."""
    if isinstance(public, ec.EllipticCurvePublicKey) and len(signature) != 2 * _CURVE_BYTES[public.curve.name]:
        try:
            return _der_to_raw(signature, _CURVE_BYTES[public.curve.name])
        except (ValueError, OverflowError) as e:
            raise UsageError("the signing command answered neither a DER nor an r||s signature.") from e
    return signature
