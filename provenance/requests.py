"""What ``facewitness sign`` is asked for, turned into a specification, a signer and a signed file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewitness.errors import UsageError
from facewitness.provenance.keys import SigningMaterial, command_signer, key_signer
from facewitness.provenance.manifest import KINDS, Ingredient, ManifestSpec
from facewitness.provenance.sign import Signed, readable_type, sign_file
from facewitness.provenance.trust import ensure_signer

MAX_THUMBNAIL_SOURCE_BYTES = 256 << 20
THUMBNAIL_PX = 320
"""Longer side of a thumbnail."""


@dataclass(frozen=True, kw_only=True)
class SignRequest:
    """One call of ``facewitness sign``; see its options."""

    file: Path
    out: Path
    kind: str = ""
    parent: Path | None = None
    ingredients: tuple[Path, ...] = ()
    clip: Path | None = None
    key: Path | None = None
    cert: Path | None = None
    sign_command: str = ""
    time_stamp_url: str | None = None
    sidecar: Path | None = None
    title: str = ""
    description: str = ""
    training: str = "notAllowed"
    assertions: tuple[str, ...] = ()
    """``LABEL=JSONFILE``."""
    thumbnail: bool = True
    force: bool = False


def sign(request: SignRequest) -> Signed:
    """Do what was asked; raises UsageError or UnreadableInputError with one sentence, and then nothing was written."""
    for path in (request.out, request.sidecar):
        if path and path.exists() and not request.force:
            raise UsageError(f"{path} is there already; give another name or --force.")
    if request.file.suffix.lower() == ".json":
        from facewitness.provenance.reports import sign_report

        return sign_report(request.file, request.out, signer=signer_of(request), clip=request.clip)
    if not request.kind:
        raise UsageError(f"say what the file is: --kind {' | '.join(KINDS)}.")
    kind = readable_type(request.file)
    signed_already = has_manifest(request.file, kind)
    if request.sidecar and signed_already:
        raise UsageError(
            f"{request.file} carries a manifest already, to which one beside it cannot be added; embed it."
        )
    inputs = [Ingredient(path=p, relationship="componentOf") for p in request.ingredients]
    parent = request.parent or (request.file if signed_already else None)
    if parent:
        if request.kind == "captured":
            raise UsageError(
                f"{parent} has a history already; what was opened from another file was not captured: "
                "sign it as ai-edited, or sign the original."
            )
        inputs.insert(0, Ingredient(path=parent, relationship="parentOf"))
    spec = ManifestSpec(
        kind=request.kind, title=request.title, description=request.description, training=request.training,
        ingredients=tuple(inputs), assertions=dict(_assertion(a) for a in request.assertions),
        thumbnail=thumbnail_of(request.file, kind) if request.thumbnail else None,
    )  # fmt: skip
    return sign_file(request.file, request.out, manifest=spec, signer=signer_of(request), sidecar=request.sidecar)


def signer_of(request: SignRequest) -> SigningMaterial:
    """The signer a request names: a key file, a command, or the development authority."""
    if request.key and request.sign_command:
        raise UsageError("give --key or --sign-command, not both.")
    if (request.key or request.sign_command) and not request.cert:
        raise UsageError("your key needs its certificate chain: --cert CHAIN.pem, signing certificate first.")
    if request.key and request.cert:
        return key_signer(request.key, request.cert, time_stamp_url=request.time_stamp_url)
    if request.sign_command and request.cert:
        return command_signer(request.sign_command, request.cert, time_stamp_url=request.time_stamp_url)
    if request.cert:
        raise UsageError("--cert needs the key that goes with it: --key or --sign-command.")
    return ensure_signer(time_stamp_url=request.time_stamp_url)


def has_manifest(path: Path, kind: str) -> bool:
    """Whether a file carries a manifest, whatever that is worth."""
    from c2pa import C2paError, Reader

    try:
        with path.open("rb") as f, Reader(kind, f):
            return True
    except C2paError as e:
        return not str(e).startswith("ManifestNotFound")


def thumbnail_of(path: Path, kind: str) -> bytes | None:
    """A JPEG of at most 320 pixels of an image or of a video's first frame; None where there is no picture in it."""
    import cv2
    import numpy as np

    from facewitness.errors import FacewitnessError

    image = None
    if kind.startswith("video/"):
        from facewitness.media import read_frames

        try:
            frame = next(iter(read_frames(path)), None)
        except FacewitnessError:
            return None
        image = None if frame is None else frame.image[..., ::-1]
    elif kind.startswith("image/") and path.stat().st_size <= MAX_THUMBNAIL_SOURCE_BYTES:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    scale = min(1.0, THUMBNAIL_PX / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    ok, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return jpeg.tobytes() if ok else None


def _assertion(text: str) -> tuple[str, Any]:
    label, _, name = text.partition("=")
    try:
        return label, json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UsageError(f"--assertion {text!r}: write LABEL=FILE with a JSON file ({type(e).__name__}).") from e
