"""A home of its own, a small video, an authority that can also make what no honest one would, and a forger."""

import datetime
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from facewitness.provenance import cose
from facewitness.provenance.keys import SigningMaterial, new_key, raw_signature
from facewitness.provenance.manifest import ManifestSpec
from facewitness.provenance.policy import Anchors, Policy
from facewitness.provenance.sign import Signed, sign_file
from facewitness.provenance.trust import issue

LABEL = {
    "method": "reenactment",
    "target_id": "sample-a",
    "driver_id": "sample-b",
    "seed": 7,
    "rights": "sample footage",
}


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing in these tests touches the user's own keys."""
    folder = tmp_path_factory.mktemp("home")
    before = os.environ.get("FACEWITNESS_HOME")
    os.environ["FACEWITNESS_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["FACEWITNESS_HOME"]
    else:
        os.environ["FACEWITNESS_HOME"] = before


def make_video(path: Path, *, seed: int = 0, frames: int = 20, size: tuple[int, int] = (128, 96)) -> Path:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for n in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(base, n, axis=1), "rgb24")))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "plain.mp4")


@pytest.fixture(scope="session")
def other_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "other.mp4", seed=1)


@pytest.fixture(scope="session")
def signed(video: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The video signed by the development authority as generated, with a label."""
    spec = ManifestSpec(kind="ai-generated", label=LABEL)
    return sign_file(video, tmp_path_factory.mktemp("signed") / "made.mp4", manifest=spec)


@dataclass(frozen=True)
class Authority:
    """A root and an issuer outside the development ones; issues whatever it is asked for."""

    root: x509.Certificate
    issuer: x509.Certificate
    issuer_key: ec.EllipticCurvePrivateKey

    @property
    def anchors(self) -> Anchors:
        return Anchors(name="elsewhere", kind="signers", pem=pem(self.root), added_at="2026-01-01")

    @property
    def policy(self) -> Policy:
        return Policy(anchors=(self.anchors,))

    def material(self, algorithm: str = "es256", **certificate) -> SigningMaterial:
        key = new_key(algorithm)
        leaf = issue("A signer", key, (self.issuer, self.issuer_key), **certificate)
        return SigningMaterial(
            algorithm=algorithm, chain=(leaf, self.issuer), sign=lambda data: raw_signature(key, data)
        )


def pem(*certificates: x509.Certificate) -> str:
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="session")
def authority() -> Authority:
    root_key, issuer_key = new_key("es256"), new_key("es256")
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1000)
    root = issue("Another root", root_key, ca=True, days=3000, not_before=past)
    issuer = issue("Another issuer", issuer_key, (root, root_key), ca=True, path_length=0, days=2500, not_before=past)
    return Authority(root, issuer, issuer_key)


@dataclass(frozen=True)
class Forger:
    """Puts another certificate, or a chain in another order, into a signed file and signs the claim again.

    The library refuses to sign with such certificates, so the readers' side is tested with files made here. Sizes must
    not change: the certificate is padded in its name until its DER is as long as the one it replaces.
    """

    file: Path
    authority: Authority
    original: SigningMaterial
    manifest: str

    def with_leaf(self, out: Path, *, issuer=None, **certificate) -> Path:
        """The file with a leaf issued as told (see ``trust.issue``) and a signature by that leaf's key."""
        old = der(self.original.leaf)
        key = new_key("es256")
        given = {"days": 90.0, **certificate}
        for name in range(1, 64):
            for _ in range(40):
                leaf = issue("x" * name, key, issuer or (self.authority.issuer, self.authority.issuer_key), **given)
                if len(der(leaf)) == len(old):
                    return self.rewrite(out, [(old, der(leaf))], lambda data: raw_signature(key, data))
        raise AssertionError("no certificate of the right length")

    def rewrite(self, out: Path, changes: list[tuple[bytes, bytes]], sign) -> Path:
        """Replace bytes in the signature's headers and sign the claim again with ``sign``."""
        data = self.file.read_bytes()
        store = self.store(data)
        protected, _, _, signature = cose.signature_of(store, self.manifest)
        renewed = protected
        for old, new in changes:
            assert old in renewed and len(old) == len(new)
            renewed = renewed.replace(old, new)
        claim = self.claim(store)
        structure = b"\x84\x6aSignature1" + bstr(renewed) + b"\x40" + bstr(claim)
        data = data.replace(protected, renewed).replace(signature, sign(structure))
        out.write_bytes(data)
        return out

    def store(self, data: bytes) -> bytes:
        at = data.index(b"jumb") - 4
        return data[at : at + struct.unpack_from(">I", data, at)[0]]

    def claim(self, store: bytes) -> bytes:
        for label, content in cose._superboxes(store, 0, len(store), 0):
            assert label == "c2pa"
            for name, inside in cose._superboxes(*content, 1):
                if name == self.manifest:
                    for part, body in cose._superboxes(*inside, 2):
                        if part == "c2pa.claim.v2":
                            kind, start, end = next(iter(cose._boxes(*body)))
                            assert kind == b"cbor"
                            return store[start:end]
        raise AssertionError("no claim")


def bstr(data: bytes) -> bytes:
    n = len(data)
    head = bytes([0x40 + n]) if n < 24 else b"\x58" + bytes([n]) if n < 256 else b"\x59" + struct.pack(">H", n)
    return head + data


@pytest.fixture(scope="session")
def forger(video: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Forger:
    material = authority.material(days=90)
    out = tmp_path_factory.mktemp("forge") / "honest.mp4"
    made = sign_file(video, out, manifest=ManifestSpec(kind="captured"), signer=material)
    return Forger(out, authority, material, made.manifest_id)
