"""An outside watermark beside our own: TrustMark (Adobe, MIT licence), where its package and its weights are here.

    FACEWITNESS_WATERMARK=trustmark facewitness reenact ...      # and the same for verify --recover

It is added to what ``watermark`` puts in, never instead of it. Variant P, the one with the least visible mark, works
on the centre square of each frame; its scheme BCH_4 carries 68 bits and mends 4 wrong ones. Ours: the 64-bit payload
whole, then the first 4 bits of its keyed check. Every frame is marked; a reader samples frames and lets them vote.

False readings: TrustMark has no key, so anyone can read a payload and write it elsewhere. The keyed 4 bits stop 15 in
16 strangers' marks and no attacker. Of 3,000 random words the package's decoder took 8 for BCH_4 and the keyed bits
let one through; like frames may err alike. So two frames must agree and the ledger must know the payload. What is
found is a possible match, as with every soft binding.

Not run with the published weights in development: they could not be fetched there. Calls, schemes and file names were
read in the source of trustmark 0.9.2, and its error correction gave our bits back with 4 wrong (100 words tried);
the rest is tested with a stand-in for the network. Robustness, picture quality and speed are therefore the authors'
to state, not ours; expect one network's time for each frame made and for each frame read.
"""

import contextlib
import hashlib
import importlib
import os
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import MissingPieceError, UsageError
from facewitness.files import whole_file
from facewitness.provenance import watermark as wm
from facewitness.provenance.manifest import SoftBinding

if TYPE_CHECKING:
    from PIL.Image import Image

CHOICE = "FACEWITNESS_WATERMARK"
"""The environment variable that chooses an outside watermark."""
NAME = "trustmark"
VARIANT = "P"
ALGORITHM = f"com.adobe.trustmark.{VARIANT}"
"""Its name in the C2PA soft binding algorithm list (entry 13)."""
SCHEME = 2
"""``TrustMark.Encoding.BCH_4``."""
CAPACITY = 68
"""Bits that BCH_4 carries."""
PAYLOAD_BITS = 8 * wm.PAYLOAD_BYTES
EVERY_S = 0.5
"""A frame is read so often."""
VOTES = 2
"""Frames that must agree."""
ENOUGH = 6
"""Votes after which no more frames are read."""
FETCH_TIMEOUT_S = 20


class Coder(Protocol):
    """The two methods of ``trustmark.TrustMark`` that are used; ``MODE="binary"`` takes and gives a text of 0 and 1."""

    def encode(self, in_cover_image: "Image", string_secret: str, MODE: str = ...) -> "Image":
        """The RGB picture with the bits in it, of the same size."""

    def decode(self, in_stego_image: "Image", MODE: str = ...) -> tuple[str, bool, int]:
        """The bits, whether there were any, and the scheme they were written in."""


@dataclass(frozen=True, kw_only=True)
class TrustmarkMatch:
    """A payload that sampled frames agreed on."""

    payload: bytes
    """8 bytes."""
    votes: int
    frames: int
    """How many of how many frames that were read said so."""

    @property
    def distance(self) -> float:
        """Share of frames that did not say so, 0..1."""
        return 1 - self.votes / self.frames


def chosen() -> Coder | None:
    """The coder where ``FACEWITNESS_WATERMARK`` is ``trustmark``, None where it is unset or empty.

    Raises UsageError for another value, MissingPieceError where the package or its weights are not here.
    """
    choice = os.environ.get(CHOICE, "").strip()
    if not choice:
        return None
    if choice != NAME:
        raise UsageError(f"{CHOICE} is {choice!r}, which names no outside watermark; set it to {NAME} or unset it.")
    return load()


def load() -> Coder:
    """TrustMark with verified weights, fetched into the package's own folder on first use.

    Raises MissingPieceError where that cannot be.
    """
    try:
        module = importlib.import_module("trustmark.trustmark")
    except (ImportError, RuntimeError) as e:  # RuntimeError: a torchvision that does not fit torch
        raise MissingPieceError(
            f"the watermark TrustMark cannot be loaded ({_line(e)}); "
            f"run pip install 'facewitness[trustmark]' or unset {CHOICE}."
        ) from e
    folder = Path(str(module.__file__)).parent / "models"
    for name in (f"trustmark_{VARIANT}.yaml", f"encoder_{VARIANT}.ckpt", f"decoder_{VARIANT}.ckpt"):
        _ensure(folder / name, module.MODEL_CHECKSUMS[name], module.MODEL_REMOTE_HOST + name)
    with contextlib.redirect_stdout(sys.stderr):  # the package prints, and our output may be JSON
        coder: Any = module.TrustMark(
            verbose=False, model_type=VARIANT, encoding_type=SCHEME, loadRemover=False, loadBBoxDetector=False
        )
    if coder.encoder is None or coder.decoder is None or coder.schemaCapacity() != CAPACITY:
        raise MissingPieceError(
            f"this TrustMark package does not load variant {VARIANT} with {CAPACITY} bits; "
            f"run pip install -U 'facewitness[trustmark]' or unset {CHOICE}."
        )
    return coder


def _ensure(path: Path, md5: str, url: str) -> None:
    """Have the file with this MD5 (the package gives no other hash) at ``path``, before anything unpickles it."""

    def fits(data: bytes) -> bool:
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == md5

    if path.is_file() and fits(path.read_bytes()):
        return
    problem = "FACEWITNESS_OFFLINE is set"
    if not os.environ.get("FACEWITNESS_OFFLINE"):
        try:
            with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as answer:
                data = answer.read()
            if fits(data):
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(path) as part:
                    part.write_bytes(data)
                return
            problem = "what came has another hash"
        except OSError as e:
            problem = _line(e)
    raise MissingPieceError(
        f"TrustMark's weights {path.name} are not here ({problem}); fetch {url} into {path.parent} or unset {CHOICE}."
    )


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def pack(payload: bytes, key: bytes) -> str:
    """The 68 bits that stand for 8 bytes, as text of 0 and 1: the payload, then 4 bits of its keyed check."""
    if len(payload) != wm.PAYLOAD_BYTES:
        raise ValueError(f"a watermark payload has {wm.PAYLOAD_BYTES} bytes, not {len(payload)}")
    both = payload + wm.check_of(payload, key)
    return "".join(f"{byte:08b}" for byte in both)[:CAPACITY]


def unpack(bits: str, key: bytes) -> bytes | None:
    """The payload of 68 bits, None where they are not that or the keyed check does not hold."""
    if len(bits) != CAPACITY or set(bits) - {"0", "1"}:
        return None
    payload = int(bits[:PAYLOAD_BITS], 2).to_bytes(wm.PAYLOAD_BYTES, "big")
    return payload if pack(payload, key) == bits else None


def soft_binding(payload: bytes, key: bytes) -> SoftBinding:
    """The assertion of a marked video; its value is written as Adobe's own tools do: scheme, ``*``, the bits."""
    return SoftBinding(alg=ALGORITHM, value=f"{SCHEME}*{pack(payload, key)}")


def embed(frame: NDArray[np.uint8], coder: Coder, bits: str) -> NDArray[np.uint8]:
    """The marked copy of an HxWx3 RGB uint8 frame; ``bits`` are those of ``pack``."""
    from PIL import Image

    marked = np.asarray(coder.encode(Image.fromarray(frame), bits, MODE="binary").convert("RGB"), np.uint8)
    if marked.shape != frame.shape:
        raise ValueError(f"TrustMark gave a frame of {marked.shape} for one of {frame.shape}")
    return marked


def detect(
    source: Path | str | Iterable[NDArray[np.uint8]],
    key: bytes,
    coder: Coder,
    *,
    frame_rate: Fraction | float = 25,
    seconds: float = 60.0,
) -> TrustmarkMatch | None:
    """Read two frames a second of a video file, or of RGB frames of ``frame_rate``, and let them vote.

    None where fewer than two agree or two payloads are level. Raises UnreadableInputError for a file that cannot be
    decoded.
    """
    from PIL import Image

    votes: Counter[bytes] = Counter()
    read = 0
    for frame in _sampled(source, float(frame_rate), seconds):
        bits, present, scheme = coder.decode(Image.fromarray(frame), MODE="binary")
        read += 1
        if present and scheme == SCHEME and (payload := unpack(bits, key)):
            votes[payload] += 1
            if votes[payload] >= ENOUGH:
                break
    first, *rest = [*votes.most_common(2), (b"", 0)]
    if first[1] < VOTES or first[1] == rest[0][1]:
        return None
    return TrustmarkMatch(payload=first[0], votes=first[1], frames=read)


def _sampled(
    source: Path | str | Iterable[NDArray[np.uint8]], frame_rate: float, seconds: float
) -> Iterator[NDArray[np.uint8]]:
    """One frame in every ``EVERY_S`` of the first ``seconds``."""
    timed: Iterable[tuple[float, NDArray[np.uint8]]]
    if isinstance(source, Path | str):
        from facewitness.media import read_frames

        timed = ((f.time_s, f.image) for f in read_frames(Path(source), end_s=seconds))
    else:
        timed = ((n / frame_rate, image) for n, image in enumerate(source))
    start: float | None = None
    due = 0.0
    for at, image in timed:
        start = at if start is None else start
        if at - start >= seconds:
            return
        if at - start >= due - 1e-6:
            due = (int((at - start + 1e-6) / EVERY_S) + 1) * EVERY_S
            yield image
