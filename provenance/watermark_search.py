"""Finding a watermark: demodulate at 1 Hz, search scale, mirror and position with the known waves, read the bits,
check them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from facewitness.provenance import convolution
from facewitness.provenance.watermark import (
    CHECK_BYTES,
    PAYLOAD_BYTES,
    PERIOD_S,
    WatermarkMatch,
    Waves,
    check_of,
    waves_of,
)

GRID = 48
"""Samples of the shorter side at which frames are kept: four a cycle of the finest wave."""
RGB_TO_CB = (-0.168736, -0.331264, 0.5)
"""BT.601, full range."""
BINS_PER_S = 10
"""Frames are averaged to so many samples a second."""
WINDOW_S = 10.0
"""One reading takes this much video; longer ones are read window by window until one succeeds."""
SHORTEST_S = 1.5
"""Less video than this cannot be told from its own motion."""
CLIP_LEVELS = 4.0
"""Changes beyond this many grey levels of Cb are motion, not the mark (its peaks are about 5)."""
STEP = 0.022
"""Sizes tried differ by this share: a quarter of the finest wave over half a picture."""
SHAPES = ((3 / 4, 1), (1, 3 / 4), (9 / 16, 1), (1, 9 / 16), (4 / 3, 1), (1, 4 / 3), (16 / 9, 1), (1, 16 / 9))
"""Pictures pressed from one usual shape into another: height and width of the pattern."""
SYNC_GROUPS = (4, 6, 8, 10)
"""Rings of frequencies (their lower edges) whose reliability is judged apart, by the known waves among them."""
SYNC_POWER = 18.0
"""Least power of the known waves over the chance mean: noise passes once in e^18 positions."""
CANDIDATES = 4
"""So many of the strongest positions are read before giving up."""


@dataclass(frozen=True)
class _Window:
    """A stretch of video: (T, h, w) Cb averaged to the grid and to bins, and its place in time."""

    cb: NDArray[np.float32]
    start_s: float
    end_s: float


@dataclass(frozen=True, order=True)
class _Position:
    power: float
    scale: tuple[float, float]
    """Height and width of the pattern relative to an untouched video."""
    mirrored: bool
    y: float
    x: float


def search(
    source: Path | str | Iterable[NDArray[np.uint8]], key: bytes, *, frame_rate: float, seconds: float
) -> WatermarkMatch | None:
    """The first window's reading that passes its keyed check, or None."""
    waves = waves_of(key)
    for window in _windows(_timed(source, frame_rate, seconds)):
        if match := _read_window(window, waves, key):
            return match
    return None


def _timed(
    source: Path | str | Iterable[NDArray[np.uint8]], frame_rate: float, seconds: float
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    if isinstance(source, str | Path):
        from facewitness.media import read_frames

        for frame in read_frames(Path(source), end_s=seconds):
            yield frame.time_s, frame.image
    else:
        for index, image in enumerate(source):
            if index / frame_rate >= seconds:
                return
            yield index / frame_rate, image


def _windows(frames: Iterable[tuple[float, NDArray[np.uint8]]]) -> Iterator[_Window]:
    """Average frames into bins of 0.1 s (an empty bin repeats its neighbour) and cut them into windows; a short rest
    joins none."""
    sums: dict[int, NDArray[np.float32]] = {}
    counts: dict[int, int] = {}
    size: tuple[int, int] | None = None
    origin: int | None = None
    for time_s, image in frames:
        height, width = image.shape[:2]
        side = min(height, width)
        if size is None:
            size = max(1, round(GRID * width / side)), max(1, round(GRID * height / side))
        slot = int(np.floor(time_s * BINS_PER_S + 1e-6))
        origin = slot if origin is None else origin
        if slot - origin >= WINDOW_S * BINS_PER_S:
            yield _window(sums, counts, origin)
            sums, counts, origin = {}, {}, slot
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        cb = np.asarray(cv2.transform(small, np.array([RGB_TO_CB], np.float32)), np.float32)
        sums[slot] = sums[slot] + cb if slot in sums else cb
        counts[slot] = counts.get(slot, 0) + 1
    if sums and origin is not None and (max(sums) - origin + 1) / BINS_PER_S >= SHORTEST_S:
        yield _window(sums, counts, origin)


def _window(sums: dict[int, NDArray[np.float32]], counts: dict[int, int], origin: int) -> _Window:
    slots = sorted(sums)
    every = np.arange(origin, slots[-1] + 1)
    nearest = np.array(slots)[np.clip(np.searchsorted(slots, every), 0, len(slots) - 1)]
    cb = np.stack([sums[s] / np.float32(counts[s]) for s in nearest.tolist()])
    return _Window(cb, origin / BINS_PER_S, (slots[-1] + 1) / BINS_PER_S)


def _demodulate(window: _Window) -> NDArray[np.complex64]:
    """(h, w) complex: what oscillates once a second, with the loudest changes clipped and restless places turned
    down."""
    period = round(PERIOD_S * BINS_PER_S)
    cb = window.cb
    padded = np.concatenate([cb[period // 2 : 0 : -1], cb, cb[-2 : -2 - (period - period // 2) : -1]])
    sums = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0, dtype=np.float64)
    moving = (sums[period:] - sums[:-period])[: len(cb)] / period
    still = np.clip(cb - moving, -CLIP_LEVELS, CLIP_LEVELS).astype(np.float32)
    times = (np.arange(len(cb)) + 0.5) / BINS_PER_S + window.start_s
    carrier = np.exp(-2j * np.pi * times / PERIOD_S).astype(np.complex64)
    z = np.tensordot(carrier, still, 1) * np.float32(2 / len(cb))
    unrest = cv2.blur((still**2).mean(axis=0), (5, 5))
    return z / (unrest + 0.05 + np.median(unrest))


@cache
def _scales() -> tuple[tuple[float, float], ...]:
    """Sizes of the pattern to try: both sides alike from 0.5 to 1.62, one side alone from 0.66 to 1.52, and usual
    shapes."""
    both = np.exp(np.arange(-0.69, 0.485, STEP)).tolist()
    one = np.exp(np.arange(-0.416, 0.417, STEP)).tolist()
    return tuple([(s, s) for s in both] + [(s, 1.0) for s in one] + [(1.0, s) for s in one] + list(SHAPES))


def _fold(z: NDArray[np.complex64], scale: tuple[float, float], mirrored: bool) -> NDArray[np.complex64]:
    """Resample so that a pattern of this size gets its nominal period, and add up all periods: (48, 48) complex."""
    parts = np.ascontiguousarray(z[:, ::-1] if mirrored else z).view(np.float32).reshape(*z.shape, 2)
    height, width = (max(8, round(n / s)) for n, s in zip(z.shape, scale, strict=True))
    sy, sx = (1 / s for s in scale)
    matrix = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]])
    parts = np.asarray(cv2.warpAffine(parts, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float32)
    out = np.zeros((GRID, GRID, 2), np.float32)
    for top in range(0, height, GRID):
        for left in range(0, width, GRID):
            part = parts[top : top + GRID, left : left + GRID]
            out[: part.shape[0], : part.shape[1]] += part
    return out.view(np.complex64)[..., 0]


def _spectrum(
    z: NDArray[np.complex64], waves: Waves, scale: tuple[float, float], mirrored: bool
) -> NDArray[np.complex64]:
    """(N,) the waves' coefficients over what is usual at their frequency: noise has a mean square of one."""
    values = fft.fft2(_fold(z, scale, mirrored))[waves.fy, waves.fx]
    power = np.bincount(waves.ring, np.abs(values) ** 2) / np.maximum(np.bincount(waves.ring), 1)
    return (values / np.sqrt(power[waves.ring] + 1e-12)).astype(np.complex64)


def _peak(z: NDArray[np.complex64], waves: Waves, scale: tuple[float, float], mirrored: bool) -> _Position:
    """The best position of the known waves at one size."""
    values = _spectrum(z, waves, scale, mirrored)
    known = waves.known
    plane = np.zeros((GRID, GRID), np.complex64)
    plane[waves.fy[known], waves.fx[known]] = values[known] * waves.phase[known].conj()
    power = np.abs(fft.ifft2(plane)) ** 2 * (GRID**4 / known.sum())
    y, x = np.unravel_index(int(power.argmax()), power.shape)
    return _Position(float(power[y, x]), scale, mirrored, float(y), float(x))


def _aligned(values: NDArray[np.complex64], waves: Waves, at: _Position) -> NDArray[np.complex64]:
    """(N,) the coefficients turned back to the position and freed of the key's phases."""
    ramp = np.exp(2j * np.pi * (waves.fy * at.y + waves.fx * at.x) / GRID)
    return (values * waves.phase.conj() * ramp).astype(np.complex64)


def _refine(z: NDArray[np.complex64], waves: Waves, at: _Position) -> tuple[_Position, NDArray[np.complex64]]:
    """Climb to the exact size and position; the position and the coefficients there."""
    values = _spectrum(z, waves, at.scale, at.mirrored)
    best = _climb(values, waves, at)
    for step in (STEP / 2, STEP / 4, STEP / 8):
        for fy, fx in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
            factors = 1 + fy * step, 1 + fx * step
            scale = best.scale[0] * factors[0], best.scale[1] * factors[1]
            other = _spectrum(z, waves, scale, at.mirrored)
            start = _Position(0.0, scale, at.mirrored, best.y / factors[0], best.x / factors[1])
            there = _climb(other, waves, start)
            if there.power > best.power:
                best, values = there, other
    return best, values


def _climb(values: NDArray[np.complex64], waves: Waves, at: _Position) -> _Position:
    """The strongest position within three quarters of a sample."""
    known = waves.known
    turned = values[known] * waves.phase[known].conj()
    fy, fx = waves.fy[known] * (2j * np.pi / GRID), waves.fx[known] * (2j * np.pi / GRID)
    best = at
    for step in (0.5, 0.25, 0.125):
        offsets = np.array([-step, 0.0, step])
        rows, columns = np.exp(np.outer(at.y + offsets, fy)), np.exp(np.outer(at.x + offsets, fx))
        power = np.abs((rows * turned) @ columns.T) ** 2 / known.sum()
        i, j = np.unravel_index(int(power.argmax()), power.shape)
        if power[i, j] > best.power:
            best = _Position(float(power[i, j]), at.scale, at.mirrored, at.y + offsets[i], at.x + offsets[j])
        at = best
    return best


def _read_window(window: _Window, waves: Waves, key: bytes) -> WatermarkMatch | None:
    """Try the untouched geometry first, then all sizes and both sides."""
    z = _demodulate(window)
    plain = _peak(z, waves, (1.0, 1.0), False)
    if plain.power >= SYNC_POWER and (match := _read(z, waves, key, plain, window)):
        return match
    found = [_peak(z, waves, scale, mirrored) for scale in _scales() for mirrored in (False, True)]
    for position in sorted(found, reverse=True)[:CANDIDATES]:
        if position.power >= SYNC_POWER and (match := _read(z, waves, key, position, window)):
            return match
    return None


def _read(z: NDArray[np.complex64], waves: Waves, key: bytes, at: _Position, window: _Window) -> WatermarkMatch | None:
    """Add up the votes for each coded bit, decode, and check."""
    at, values = _refine(z, waves, at)
    aligned = _aligned(values, waves, at)
    total = aligned[waves.known].sum()
    votes = (aligned * (np.conj(total) / abs(total))).real * _reliability(aligned, waves, total)
    data = ~waves.known
    soft = np.bincount(waves.bit[data], votes[data]).astype(np.float64)
    bits = convolution.decode(soft)
    message = np.packbits(bits).tobytes()
    payload, check = message[:PAYLOAD_BYTES], message[PAYLOAD_BYTES : PAYLOAD_BYTES + CHECK_BYTES]
    if check != check_of(payload, key):
        return None
    wrong = float(((soft < 0) != convolution.encode(bits).astype(bool)).mean())
    return WatermarkMatch(
        payload=payload, distance=wrong, strength=at.power, scale=at.scale, mirrored=at.mirrored,
        start_s=window.start_s, end_s=window.end_s,
    )  # fmt: skip


def _reliability(aligned: NDArray[np.complex64], waves: Waves, total: complex) -> NDArray[np.float64]:
    """(N,) weight of each wave's vote: signal over noise of the known waves in its group of rings (maximum ratio
    combining)."""
    group = np.searchsorted(SYNC_GROUPS, waves.ring, side="right") - 1
    known = waves.known
    agreement = (aligned[known] * (np.conj(total) / abs(total))).real
    count = np.bincount(group[known], minlength=len(SYNC_GROUPS))
    coherence = np.clip(np.bincount(group[known], agreement, len(SYNC_GROUPS)) / np.maximum(count, 1), 0.05, 0.97)
    return (coherence / (1 - coherence**2))[group]
