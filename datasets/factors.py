"""Controlled forgeries: the same performance with exactly one thing changed, by degree. Pure functions over
performances.

Degree 0 changes nothing. What a detector answers, plotted over the degree, tells what it responds to.

    changed = FACTORS["gaze_frozen"].apply(performance, 1.0, rng)
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.generator.performance import PER_FRAME, Performance

BLINK_DEPTH = 0.35
"""A rise of the lids' closure above its surroundings that counts as a blink."""
LONGEST_BLINK_S = 0.6
QUIET_S = 0.8
"""Closure against the median of this window is what a blink adds."""
BLINK_CLOSING_S, BLINK_OPENING_S = 0.09, 0.19
"""Used where a performance holds no blink to copy (VanderWerf et al. 2003)."""

Change = Callable[[Performance, float, np.random.Generator], Performance]


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that can be changed by degree."""

    name: str
    unit: str
    range: tuple[float, float]
    """Least and largest degree; 0 is no change."""
    degrees: tuple[float, ...]
    """What a recipe takes where it names none."""
    meaning: str
    change: Change | None = None
    order: Callable[[int, float, np.random.Generator], NDArray[np.int64]] | None = None
    """For frames dropped and repeated: the performance's frames to show, one for each frame of the clip; they may
    reach beyond the clip's length."""

    def apply(self, performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
        """``performance`` changed by ``degree``, of the same length and times; raises UsageError out of range.

        Where frames are dropped, what would come after the end is the last frame.
        """
        low, high = self.range
        if not low <= degree <= high:
            raise UsageError(f"{self.name} takes {low:g} to {high:g} {self.unit}, not {degree:g}.")
        if degree == 0 or len(performance) == 0:
            return performance
        if self.order is not None:
            return _reordered(performance, self.order(len(performance), degree, rng))
        assert self.change is not None
        return self.change(performance, degree, rng)


FACTORS: dict[str, Factor] = {}


def _factor(name: str, unit: str, range_: tuple[float, float], degrees: tuple[float, ...], meaning: str):
    def register(change: Change) -> Change:
        FACTORS[name] = Factor(
            name=name, unit=unit, range=range_, degrees=degrees, meaning=meaning, change=change
        )  # fmt: skip
        return change

    return register


def _step_s(performance: Performance) -> float:
    times = performance.times_s
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.04


def quiet_lids(performance: Performance) -> NDArray[np.float32]:
    """(T, 2) closure of the lids without blinks: the running median."""
    from scipy.ndimage import median_filter

    window = max(3, round(QUIET_S / _step_s(performance)) | 1)
    return median_filter(performance.lids, size=(min(window, len(performance) | 1), 1), mode="nearest")


def find_blinks(performance: Performance) -> list[tuple[int, int]]:
    """Blinks as (first, one past the last) frame, by the rise of both lids above what is usual around them."""
    rise = (performance.lids - quiet_lids(performance)).mean(1)
    inside = rise > 0.12
    edges = np.flatnonzero(np.diff(np.r_[0, inside.astype(np.int8), 0]))
    longest = LONGEST_BLINK_S / _step_s(performance)
    return [
        (int(a), int(b))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if rise[a:b].max() > BLINK_DEPTH and b - a <= longest
    ]


@_factor("blinks_removed", "share of depth", (0, 1), (0.5, 1.0), "every blink is made shallower; 1 leaves none")
def _blinks_removed(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    lids, quiet = performance.lids.copy(), quiet_lids(performance)
    for start, end in find_blinks(performance):
        near = slice(max(start - 1, 0), end + 1)
        lids[near] = quiet[near] + (1 - degree) * (lids[near] - quiet[near])
    return dataclasses.replace(performance, lids=lids)


@_factor(
    "blinks_added", "blinks per blink", (0, 3), (1.0, 2.0), "more blinks between those that are there; 1 doubles them"
)
def _blinks_added(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    blinks, lids = find_blinks(performance), performance.lids.copy()
    rise = lids - quiet_lids(performance)
    shapes = [rise[max(a - 1, 0) : b + 1] for a, b in blinks] or [_model_blink(_step_s(performance))]
    count = max(1, round(degree * max(len(blinks), 1)))
    length = max(len(s) for s in shapes)
    busy = np.zeros(len(lids), bool)
    for a, b in blinks:
        busy[max(a - length, 0) : b + length] = True
    for _ in range(count):
        free = np.flatnonzero(~busy[: max(len(lids) - length, 0)])
        if not len(free):
            break
        at = int(rng.choice(free))
        shape = shapes[int(rng.integers(len(shapes)))]
        lids[at : at + len(shape)] = np.clip(lids[at : at + len(shape)] + shape, 0, 1)
        busy[max(at - length, 0) : at + 2 * length] = True
    return dataclasses.replace(performance, lids=lids.astype(np.float32))


def _model_blink(step_s: float) -> NDArray[np.float32]:
    t = np.arange(0, BLINK_CLOSING_S + BLINK_OPENING_S + step_s, step_s)
    closing, opening = np.clip(t / BLINK_CLOSING_S, 0, 1), np.clip((t - BLINK_CLOSING_S) / BLINK_OPENING_S, 0, 1)
    shape = closing * (1 - opening) ** 1.5
    return np.repeat(shape[:, None], 2, axis=1).astype(np.float32)


@_factor("eye_delay", "seconds", (0, 0.5), (0.08, 0.16), "one eye blinks later than the other")
def _eye_delay(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    lids, eye = performance.lids.copy(), int(rng.integers(2))
    lids[:, eye] = _delayed(performance, lids[:, eye], degree)
    return dataclasses.replace(performance, lids=lids)


def _delayed(performance: Performance, values: NDArray, delay_s: float) -> NDArray[np.float32]:
    times = performance.times_s
    flat = values.reshape(len(values), -1)
    moved = np.stack([np.interp(times - delay_s, times, column) for column in flat.T], axis=1)
    return moved.reshape(values.shape).astype(np.float32)


@_factor("gaze_frozen", "share", (0, 1), (0.5, 1.0), "the eyes move less; 1 stares")
def _gaze_frozen(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    rest = np.median(performance.gaze, axis=0)
    return dataclasses.replace(
        performance, gaze=(rest + (1 - degree) * (performance.gaze - rest)).astype(np.float32)
    )  # fmt: skip


@_factor("gaze_decoupled", "degrees", (0, 20), (4.0, 10.0), "the eyes look apart by so many degrees, left and right")
def _gaze_decoupled(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    gaze = performance.gaze.copy()
    apart = np.float32(np.radians(degree) / 2)
    gaze[:, 0, 0] -= apart  # the person's right eye to the left of the picture: outwards
    gaze[:, 1, 0] += apart
    return dataclasses.replace(performance, gaze=gaze)


@_factor("saccades_smoothed", "seconds", (0, 1), (0.1, 0.3), "gaze is smoothed over so many seconds (sigma)")
def _saccades_smoothed(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    from scipy.ndimage import gaussian_filter1d

    gaze = gaussian_filter1d(performance.gaze, degree / _step_s(performance), axis=0, mode="nearest")
    return dataclasses.replace(performance, gaze=gaze.astype(np.float32))


@_factor(
    "head_jitter", "degrees", (0, 5), (0.4, 1.2), "the head trembles by so many degrees (deviation, frame by frame)"
)
def _head_jitter(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    noise = rng.normal(0, np.radians(degree), performance.rotation.shape)
    shake = rng.normal(0, 0.05 * degree, performance.translation.shape) * [1, 1, 0]
    return dataclasses.replace(
        performance,
        rotation=(performance.rotation + noise).astype(np.float32),
        translation=(performance.translation + shake).astype(np.float32),
    )


@_factor("lid_jitter", "share of closure", (0, 0.5), (0.1, 0.25), "the lids flutter by so much (deviation)")
def _lid_jitter(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    noise = rng.normal(0, degree, (len(performance), 1))
    return dataclasses.replace(performance, lids=np.clip(performance.lids + noise, 0, 1).astype(np.float32))


@_factor("expression_scaled", "change of strength", (-1, 1.5), (-0.6, 0.6), "expression weaker (-1: none) or stronger")
def _expression_scaled(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    rest = np.median(performance.expression, axis=0)
    return dataclasses.replace(
        performance, expression=(rest + (1 + degree) * (performance.expression - rest)).astype(np.float32)
    )


@_factor(
    "mouth_delay", "seconds", (-1, 1), (0.12, 0.36), "the mouth comes later than the sound (earlier where negative)"
)
def _mouth_delay(performance: Performance, degree: float, rng: np.random.Generator) -> Performance:
    from facewitness.generator.recombine import mouth_share

    lower = mouth_share()
    mouth = performance.expression @ lower
    later = _delayed(performance, mouth, degree)
    return dataclasses.replace(performance, expression=(performance.expression - mouth + later).astype(np.float32))


def _repeated(count: int, degree: float, rng: np.random.Generator) -> NDArray[np.int64]:
    held = rng.random(count) < degree
    held[0] = False
    return np.maximum.accumulate(np.where(held, 0, np.arange(count)))


def _dropped(count: int, degree: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Frames left out at random; what follows moves up, so that more of the performance is shown than ``count``."""
    most = int(np.ceil((count + 8) / (1 - degree) * 2)) + 40
    return np.flatnonzero(rng.random(most) >= degree)[:count]


for _name, _order, _meaning in (
    ("frames_repeated", _repeated, "so many of the frames show the one before again"),
    ("frames_dropped", _dropped, "so many of the frames are left out"),
):
    FACTORS[_name] = Factor(
        name=_name, unit="share of frames", range=(0, 0.8), degrees=(0.1, 0.3), meaning=_meaning, order=_order
    )  # fmt: skip


def _reordered(performance: Performance, order: NDArray[np.int64]) -> Performance:
    order = np.minimum(order, len(performance) - 1)
    values = {name: getattr(performance, name) for name in PER_FRAME}
    return dataclasses.replace(performance, **{k: v[order] for k, v in values.items() if v is not None})
