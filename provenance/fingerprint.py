"""A perceptual fingerprint of video: one small vector a second that stays nearly the same when the video is
re-encoded or edited.

    print_ = of_video(path)                       # Fingerprint: (S, 128) int8, one row a second; goes into the ledger
    sketch = sketch_of(path)                      # what a search needs: it can also be cropped and mirrored in thought
    fingerprint_search.compare(sketch, print_)    # FingerprintMatch(distance, offset_s, mirrored, ...) | None

A row describes two seconds of brightness, sampled five times a second: 74 low spatial frequencies of their mean, and
54 of how they change (three temporal cosines of 18 spatial frequencies each), so that two videos of one person in one
room still differ. Uniform borders are cut off first, so letterboxing does not matter; times count, not frames, so a
change of frame rate does not; brightness and contrast cancel by normalisation; a mirror image is a change of signs; a
crop is undone by guessing it: the query is laid on a grey canvas at the place where it may have been. Kin to the DCT
hashes of Coskun, Sankur and Memon, "Spatio-Temporal Transform Based Video Hashing" (2006), kept as signed bytes
instead of bits because that survives crops better.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ALGORITHM = "org.facewitness.fingerprint.1"
"""Name of this scheme in soft-binding assertions and in the ledger."""

SAMPLES_PER_S = 5
WINDOW = 10
"""Samples described by one row: two seconds."""
STEP = 5
"""Samples from one stored row to the next: one second."""
SPATIAL, TEMPORAL, RATES = 74, 18, 3
"""Spatial frequencies of the mean; spatial frequencies of each change; temporal cosines."""
DIMENSIONS = SPATIAL + RATES * TEMPORAL
SIDE = 32
"""Samples of a picture's side, whatever its shape."""
QUANTUM = 0.45 / 127
"""One step of a stored signed byte; components of a unit vector of 128 rarely pass 0.45."""
TEMPORAL_WEIGHT = 0.7
"""Share of the change's length in a lively row; a still row has next to none."""
STILL_LEVELS = 0.6
"""Change (grey levels) at which the temporal part has half its weight: below it is encoder noise."""
CHUNK_SAMPLES = 100
"""Borders are judged over so many samples (20 s), so that memory does not grow with the video."""
BORDER_LEVELS = 6.0
"""A row or column that differs by less than this from its own mean, over a whole chunk, is border."""
LARGEST_BORDER = 0.3
"""More than this share of a side is never cut off."""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """A video reduced to what its fingerprint is made of: (T, 32, 32) brightness, five samples a second, borders cut
    off."""

    luma: NDArray[np.float32]
    start_s: float

    @property
    def duration_s(self) -> float:
        """Seconds covered."""
        return len(self.luma) / SAMPLES_PER_S


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """(S, 128) int8 rows, one a second, each describing the two seconds from its start (S, seconds)."""

    vectors: NDArray[np.int8]
    starts_s: NDArray[np.float64]
    duration_s: float
    algorithm: str = ALGORITHM

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.vectors)


def of_video(source: Path | str | Iterable[NDArray[np.uint8]], *, frame_rate: Fraction | float = 25) -> Fingerprint:
    """The fingerprint of a video file, or of RGB frames of ``frame_rate``.

    Raises UnreadableInputError for a file that cannot be decoded. A video under half a second has no row.
    """
    return of_sketch(sketch_of(source, frame_rate=frame_rate))


def sketch_of(
    source: Path | str | Iterable[NDArray[np.uint8]],
    *,
    frame_rate: Fraction | float = 25,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Sketch:
    """Reduce a video file (from ``start_s`` to ``end_s``), or RGB frames of ``frame_rate``, to five small pictures a
    second."""
    return sketch_of_timed(_timed(source, float(frame_rate), start_s, end_s))


def sketch_of_timed(frames: Iterable[tuple[float, NDArray[np.uint8]]], *, borders: bool = True) -> Sketch:
    """Reduce (seconds, RGB frame) pairs in order; ``borders`` are looked for and cut off."""
    chunks, pending, first = [], [], None
    reduce = _without_borders if borders else _resized
    for slot, luma in _sampled(frames):
        first = slot if first is None else first
        pending.append(luma)
        if len(pending) == CHUNK_SAMPLES:
            chunks.append(reduce(np.stack(pending)))
            pending = []
    if pending:
        chunks.append(reduce(np.stack(pending)))
    luma = np.concatenate(chunks) if chunks else np.zeros((0, SIDE, SIDE), np.float32)
    return Sketch(luma=luma, start_s=(first or 0) / SAMPLES_PER_S)


def of_sketch(sketch: Sketch) -> Fingerprint:
    """The stored rows of a sketch."""
    vectors = describe(sketch.luma)[::STEP]
    starts = np.arange(len(vectors), dtype=np.float64) * (STEP / SAMPLES_PER_S) + sketch.start_s
    return Fingerprint(vectors=quantise(vectors), starts_s=starts, duration_s=sketch.duration_s)


def quantise(vectors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Unit vectors as signed bytes."""
    return np.clip(np.rint(vectors / QUANTUM), -127, 127).astype(np.int8)


def unit(vectors: NDArray[np.generic]) -> NDArray[np.float32]:
    """Rows of any length as float32 rows of length one."""
    out = np.asarray(vectors, np.float32)
    return out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-9)


def describe(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 32, 32) samples to (W, 128) unit vectors, one for every window start, that is five a second.

    Shorter than a window: the last sample is repeated. Under three samples there is no row.
    """
    return describe_coefficients(luma.reshape(-1, SIDE * SIDE) @ _spatial_basis()[0].T)


def describe_coefficients(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 74) spatial frequencies, five times a second, to (W, 128) unit vectors; see describe."""
    if len(coefficients) < 3:
        return np.zeros((0, DIMENSIONS), np.float32)
    if len(coefficients) < WINDOW:
        coefficients = np.concatenate([coefficients, np.repeat(coefficients[-1:], WINDOW - len(coefficients), axis=0)])
    weights = _spatial_basis()[1]
    windows = np.lib.stride_tricks.sliding_window_view(coefficients, WINDOW, axis=0)
    spatial = _soft_clip(windows.mean(axis=2) * weights)
    change = np.einsum("wfn,kn->wkf", windows[:, :TEMPORAL], _temporal_basis(), optimize=True)
    level = np.sqrt((change**2).sum(axis=(1, 2), keepdims=True)) / SIDE
    change = _soft_clip((change * weights[:TEMPORAL]).reshape(len(change), -1))
    share = TEMPORAL_WEIGHT * (level / (level + STILL_LEVELS)).reshape(-1, 1)
    return np.concatenate([spatial * np.sqrt(1 - share**2), change * share], axis=1).astype(np.float32)


def mirrored(vectors: NDArray[np.generic]) -> NDArray[np.float32]:
    """The rows of the mirror image: frequencies that are odd across the picture change sign."""
    return np.asarray(vectors, np.float32) * _mirror_signs()


def _soft_clip(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Unit length with no component far above the others, so that one caption or flash does not decide alone."""
    rows = unit(vectors)
    limit = 2.5 / np.sqrt(rows.shape[1])
    return unit(np.clip(rows, -limit, limit))


@cache
def _spatial_basis() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(F, 32*32) cosines from low to high without the mean, (F,) weights that level a picture's 1/f spectrum, (F,)
    signs of mirroring."""
    n = np.arange(SIDE)
    cosines = np.cos(np.pi * (n[None] + 0.5) * n[:, None] / SIDE) * np.sqrt(2 / SIDE)
    cosines[0] /= np.sqrt(2)
    v, u = np.divmod(np.arange(SIDE * SIDE), SIDE)
    radius = np.hypot(u, v)
    order = np.lexsort((u, radius))[1 : SPATIAL + 1]
    basis = np.stack([np.outer(cosines[v[i]], cosines[u[i]]).ravel() for i in order]).astype(np.float32)
    return basis, radius[order].astype(np.float32), np.where(u[order] % 2, -1.0, 1.0).astype(np.float32)


@cache
def _temporal_basis() -> NDArray[np.float32]:
    """(3, 10) cosines over a window."""
    n = np.arange(WINDOW)
    rates = np.arange(1, RATES + 1)[:, None]
    return (np.cos(np.pi * (n + 0.5) * rates / WINDOW) * np.sqrt(2 / WINDOW)).astype(np.float32)


@cache
def _mirror_signs() -> NDArray[np.float32]:
    signs = _spatial_basis()[2]
    return np.concatenate([signs, np.tile(signs[:TEMPORAL], RATES)])


def _timed(
    source: Path | str | Iterable[NDArray[np.uint8]], frame_rate: float, start_s: float, end_s: float | None
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    if isinstance(source, str | Path):
        from facewitness.media import read_frames

        for frame in read_frames(Path(source), start_s=start_s, end_s=end_s):
            yield frame.time_s, frame.image
    else:
        for index, image in enumerate(source):
            yield index / frame_rate, image


def _sampled(frames: Iterable[tuple[float, NDArray[np.uint8]]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(slot, 96x96 brightness): the mean of each fifth of a second; an empty slot repeats the one before."""
    current: int | None = None
    total, count = np.zeros((3 * SIDE, 3 * SIDE), np.float32), 0
    for time_s, image in frames:
        slot = int(np.floor(time_s * SAMPLES_PER_S + 1e-6))
        if current is None:
            current = slot
        if slot > current and count:
            luma = total / np.float32(count)
            for passed in range(current, slot):
                yield passed, luma
            current, total, count = slot, np.zeros_like(total), 0
        small = cv2.resize(image, (3 * SIDE, 3 * SIDE), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        total += grey
        count += 1
    if current is not None and count:
        yield current, total / np.float32(count)


def _without_borders(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 96, 96) to (T, 32, 32) with uniform, unmoving borders cut off."""
    size = luma.shape[1]
    most = int(size * LARGEST_BORDER)
    spread = luma.max(axis=0) - luma.min(axis=0)
    middle = luma.mean(axis=0)

    def border(lines: NDArray[np.float32], moves: NDArray[np.float32]) -> int:
        for n in range(most):
            if np.abs(lines[n] - lines[0].mean()).max() > BORDER_LEVELS or moves[n].max() > BORDER_LEVELS:
                return n
        return 0

    top, bottom = border(middle, spread), border(middle[::-1], spread[::-1])
    left, right = border(middle.T, spread.T), border(middle.T[::-1], spread.T[::-1])
    if min(top, bottom) < 2:
        top = bottom = 0
    if min(left, right) < 2:
        left = right = 0
    return _resized(luma[:, top : size - bottom, left : size - right])


def _resized(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, h, w) to (T, 32, 32)."""
    return np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in luma])
