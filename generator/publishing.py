"""The one way from generated frames to a file: watermarked, encoded, fingerprinted, signed, labelled, written in
the ledger.

There is no switch that leaves any of it out. What is made here can be recognised as made. Real footage that stands
beside it in a data set goes through the same encoder and carries the same kind of mark. An outside watermark
(``FACEWITNESS_WATERMARK=trustmark``) comes beside our own, never instead of it.
"""

import contextlib
import dataclasses
import itertools
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness import __version__
from facewitness.errors import MissingPieceError, UsageError
from facewitness.files import sha256_file, to_json, whole_file, write_text
from facewitness.generator.label import Label

if TYPE_CHECKING:
    from facewitness.provenance.fingerprint import Fingerprint
    from facewitness.provenance.manifest import Ingredient, SoftBinding

SCHEMA = "facewitness.label/1"
KINDS = ("ai-generated", "ai-edited", "animated")
SAMPLE_METHOD = "sample footage"
"""The one method that no trained model has a part in; it alone may be called animated."""
THUMBNAIL_PX = 320
PRESET = "fast"
"""Of x264, for everything that leaves here."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A made video and what proves it."""

    path: Path
    label: Label
    label_path: Path
    manifest_id: str
    watermark_payload: str
    """16 hexadecimal digits."""
    frames: int
    seconds: float
    """Length of the video."""
    sha256: str = ""
    manifest_sha256: str = ""
    ledger_entry: int = 0
    notes: tuple[str, ...] = ()
    """What was limited while making it, one sentence each."""


def label_path(video: Path) -> Path:
    """Where the label of a made video lies: beside it."""
    return video.with_name(video.name + ".label.json")


def publish(
    frames: Iterable[NDArray[np.uint8]],
    out: Path,
    *,
    frame_rate: Fraction,
    label: Label,
    ingredients: Sequence["Ingredient"] = (),
    pts: Iterable[int] | None = None,
    time_base: Fraction | None = None,
    audio_from: Path | None = None,
    digital_source_type: str = "ai-generated",
    crf: float = 16,
    description: str = "",
) -> Made:
    """Write generated frames as a labelled, watermarked, signed video with an entry in the ledger.

    ``frames`` are HxWx3 RGB uint8 of one size, in order, as many as there may be; ``pts`` are their times in ticks of
    ``time_base`` (constant ``frame_rate`` where not given). ``digital_source_type`` is ``ai-generated``,
    ``ai-edited`` (then an ingredient is the ``parentOf``) or, for sample footage alone, ``animated``.
    Raises UsageError for a label without rights or no frames, MissingPieceError where a part of the provenance room,
    or an outside watermark that was chosen, is not there; then nothing is left under the final name.
    """
    check_label(label, digital_source_type)
    try:
        from facewitness.provenance import ledger
        from facewitness.provenance.manifest import ManifestSpec
        from facewitness.provenance.sign import sign_file
    except ImportError as e:
        raise MissingPieceError(
            f"a made video cannot be marked and signed because {e.name} is missing, so none is written; "
            "install facewitness with all its dependencies."
        ) from e
    label = label if label.generator_version else dataclasses.replace(label, generator_version=__version__)
    with ledger.Ledger() as book, whole_file(out) as signed_part, _unsigned(out) as encoded:
        marked = _encode(
            frames, encoded, frame_rate=frame_rate, pts=pts, time_base=time_base, audio_from=audio_from, crf=crf
        )
        spec = ManifestSpec(
            kind=digital_source_type,
            title=out.name,
            label=label,
            ingredients=tuple(ingredients),
            soft_bindings=marked.soft_bindings,
            thumbnail=marked.thumbnail,
            description=description or f"{label.method} of {label.target_id}",
        )
        signed = sign_file(encoded, signed_part, manifest=spec)
        digest = sha256_file(signed_part)
        entry = book.append(
            ledger.Record(
                kind="made", name=out.name, sha256=digest, manifest_id=signed.manifest_id, manifest=signed.manifest,
                label=dataclasses.asdict(label), watermark=marked.payload, fingerprint=marked.fingerprint,
            )
        )  # fmt: skip
        # the label is there before the video takes its name, so that no made video stands without one
        about = {"video": out.name, "sha256": digest, "manifest_id": signed.manifest_id}
        write_text(label_path(out), to_json({"schema": SCHEMA, **dataclasses.asdict(label), **about}, indent=2))
    return Made(
        path=out, label=label, label_path=label_path(out), manifest_id=signed.manifest_id,
        watermark_payload=marked.payload.hex(), frames=marked.frames, seconds=marked.seconds, sha256=digest,
        manifest_sha256=signed.manifest_sha256, ledger_entry=entry.seq,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reissued:
    """Filmed footage that was cut and encoded again, as a made video is."""

    path: Path
    sha256: str
    manifest_id: str
    manifest_sha256: str
    frames: int


def publish_footage(
    frames: Iterable[NDArray[np.uint8]], out: Path, *, frame_rate: Fraction, footage: "Ingredient", crf: float = 16,
    audio_from: Path | None = None, description: str = "", assertions: Mapping[str, Any] | None = None,
) -> Reissued:  # fmt: skip
    """Write frames of filmed ``footage``, cut or resized and nothing else, as a watermarked, signed video.

    The real clips of a data set: the same watermark, encoder, fingerprint and ledger as ``publish``, so that none of
    them tells the label. The manifest calls it transcoded and names the footage as its parent.
    Raises UsageError without a frame, MissingPieceError where an outside watermark was chosen and is not here.
    """
    from facewitness.provenance import ledger
    from facewitness.provenance.manifest import TRANSCODED, ManifestSpec
    from facewitness.provenance.sign import sign_file

    with ledger.Ledger() as book, whole_file(out) as signed_part, _unsigned(out) as encoded:
        marked = _encode(frames, encoded, frame_rate=frame_rate, audio_from=audio_from, crf=crf)
        spec = ManifestSpec(
            kind=TRANSCODED, title=out.name, ingredients=(footage,), soft_bindings=marked.soft_bindings,
            thumbnail=marked.thumbnail, description=description, assertions=dict(assertions or {}),
        )  # fmt: skip
        signed = sign_file(encoded, signed_part, manifest=spec)
        digest = sha256_file(signed_part)
        book.append(
            ledger.Record(
                kind="signed", name=out.name, sha256=digest, manifest_id=signed.manifest_id, manifest=signed.manifest,
                watermark=marked.payload, fingerprint=marked.fingerprint,
            )
        )  # fmt: skip
    return Reissued(
        path=out, sha256=digest, manifest_id=signed.manifest_id, manifest_sha256=signed.manifest_sha256,
        frames=marked.frames,
    )  # fmt: skip


def check_label(label: Label, digital_source_type: str) -> None:
    """Raise UsageError for a label that may not go out."""
    if not re.search(r"\w", label.rights):
        raise UsageError(
            "a made video needs a statement of rights; say with --rights who licensed or consented to the footage."
        )
    if digital_source_type not in KINDS:
        raise UsageError(
            f"{digital_source_type!r} is not what a made video can be called; choose {' or '.join(KINDS)}."
        )
    if digital_source_type == "animated" and label.method != SAMPLE_METHOD:
        raise UsageError("only sample footage is called animated; what a model had a part in says so.")


@contextlib.contextmanager
def _unsigned(out: Path) -> Iterator[Path]:
    """A hidden path for the video before it is signed; removed whatever happens."""
    path = out.with_name(f".{out.stem}.{secrets.token_hex(4)}.unsigned{out.suffix}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class _Marked:
    """A watermarked video that is not signed yet, and what its manifest and its ledger entry must say of it."""

    payload: bytes
    """8 bytes: what the watermark says."""
    fingerprint: "Fingerprint"
    soft_bindings: tuple["SoftBinding", ...]
    """Of the watermark, of an outside one where it was chosen, and of the fingerprint."""
    thumbnail: bytes
    """JPEG of the first frame, at most ``THUMBNAIL_PX`` wide."""
    frames: int
    seconds: float


def _encode(
    frames: Iterable[NDArray[np.uint8]], path: Path, *, frame_rate: Fraction, pts: Iterable[int] | None = None,
    time_base: Fraction | None = None, audio_from: Path | None = None, crf: float = 16,
) -> _Marked:  # fmt: skip
    """Watermark ``frames`` (HxWx3 RGB uint8) with a new payload, encode them to ``path``, and take the fingerprint.

    The one encoder of everything that leaves here, made or filmed: neither mark nor codec tells them apart.
    Raises UsageError without a frame, MissingPieceError where an outside watermark was chosen and is not here.
    """
    from facewitness.media import VideoWriter
    from facewitness.provenance import fingerprint, trustmark
    from facewitness.provenance.bindings import soft_bindings
    from facewitness.provenance.watermark import Embedder, installation_key, new_payload

    outside, payload, key = trustmark.chosen(), new_payload(), installation_key()
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise UsageError("there is no frame to write; the driver shows no usable face.")
    height, width = first.shape[:2]
    embedder = Embedder(payload, key, width=width, height=height, frame_rate=frame_rate)
    bits = trustmark.pack(payload, key)
    times = None if pts is None else iter(pts)
    base = time_base or 1 / frame_rate
    with VideoWriter(
        path, width=width, height=height, frame_rate=frame_rate, time_base=base, crf=crf, preset=PRESET,
        audio_from=audio_from,
    ) as video:  # fmt: skip
        start: int | None = None
        for image in itertools.chain([first], stream):
            at = None if times is None else next(times)
            start = at if start is None else start
            time_s = None if at is None or start is None else float((at - start) * base)
            marked = trustmark.embed(image, outside, bits) if outside else image
            video.write(embedder.embed(marked, time_s), at)
    print_ = fingerprint.of_video(path)
    bindings = soft_bindings(watermark=payload, fingerprint=print_)
    if outside:
        bindings += (trustmark.soft_binding(payload, key),)
    return _Marked(
        payload=payload, fingerprint=print_, soft_bindings=bindings, thumbnail=_thumbnail(first), frames=video.frames,
        seconds=video.duration_s,
    )  # fmt: skip


def _thumbnail(picture: NDArray[np.uint8]) -> bytes:
    scale = THUMBNAIL_PX / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes() if done else b""
