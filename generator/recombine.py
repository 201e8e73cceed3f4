"""Pure functions on performances: cut, join, resample, ease in and out, and give one person's performance to another
(``transfer``)."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.performance import PER_FRAME, Performance
from facewitness.generator.reconstruct.model import basis, pick
from facewitness.generator.reconstruct.rotation import to_matrix, to_vector
from facewitness.generator.resting import resting_expression

TAKE = ("head", "expression", "gaze", "lids", "mouth")
"""What a reenactment may take from its driver; ``mouth`` is the lower half of ``expression``, for dubbing."""
HOLD = ("head", "expression", "gaze", "lids")
"""What may stand still as the target rests, where it is not taken from the driver."""
MODES = ("relative", "absolute")
GAIN_LIMITS = (0.8, 1.25)
"""However different two people's ranges are, a movement is scaled by no more than this."""
SEEN_EXPRESSION = 0.87
"""Of somebody else's expression, drawn from frames of one's own, so much is read off the pictures again by the
project's tracker (p15 and p01 driving p12: .78 to .97 for eight measures of mouth and brows); more is asked for."""
SURE = 0.2
"""Frames below this confidence do not tell how somebody rests."""
GAZE_LIMIT_RAD = 0.7


def cut(performance: Performance, start_s: float = 0.0, end_s: float | None = None) -> Performance:
    """The frames from ``start_s`` up to, not including, ``end_s`` seconds; times stay as they are.

    Raises UsageError if no frame lies in between.
    """
    times = performance.times_s
    keep = (times >= start_s - 1e-9) & (times < (np.inf if end_s is None else end_s - 1e-9))
    if not keep.any():
        raise UsageError(f"no frame lies between {start_s} and {end_s} seconds.")
    return pick(performance, keep)


def join(performances: Sequence[Performance]) -> Performance:
    """One performance after the other, with the identity and camera of the first; each starts one frame after the last.

    Raises UsageError for an empty list.
    """
    if not performances:
        raise UsageError("there is nothing to join.")
    first = performances[0]
    ticks: list[NDArray[np.int64]] = []
    for p in performances:
        own = np.round((p.pts - p.pts[0]) * float(p.time_base / first.time_base)).astype(np.int64)
        if ticks:
            step = _step(ticks[-1]) if len(ticks[-1]) > 1 else _step(own)
            own = own + ticks[-1][-1] + step
        else:
            own = own + first.pts[0]
        ticks.append(own)
    arrays = {}
    for name in PER_FRAME:
        parts = [getattr(p, name) for p in performances]
        arrays[name] = None if any(x is None for x in parts) else np.concatenate(parts)
    return replace(first, pts=np.concatenate(ticks), **arrays)  # type: ignore[arg-type]


def _step(pts: NDArray[np.int64]) -> int:
    return max(round(float(np.median(np.diff(pts)))), 1) if len(pts) > 1 else 1


def resample(performance: Performance, frame_rate: Fraction | float) -> Performance:
    """The same movement at another, constant frame rate; rotations turn along the shortest way.

    Raises UsageError for a rate that is not positive.
    """
    rate = Fraction(frame_rate).limit_denominator(100_000)
    if rate <= 0:
        raise UsageError("the frame rate must be positive.")
    times = performance.times_s
    count = max(int(np.floor((times[-1] - times[0]) * float(rate) + 1e-6)) + 1, 1)
    at = times[0] + np.arange(count) / float(rate)
    pts = np.arange(count, dtype=np.int64) + round(times[0] * float(rate))
    return replace(at_times(performance, at), time_base=1 / rate, pts=pts)


def at_times(performance: Performance, times_s: NDArray[np.float64]) -> Performance:
    """The performance at given times in seconds, interpolated, held at both ends; pts in microseconds."""
    p, times = performance, performance.times_s
    right = np.clip(np.searchsorted(times, times_s, side="right"), 1, max(len(p) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(p) - 1)
    span = np.maximum(times[right] - times[left], 1e-12)
    share = np.clip((times_s - times[left]) / span, 0, 1) * (right > left)
    arrays: dict[str, NDArray | None] = {}
    for name in PER_FRAME:
        values = getattr(p, name)
        if values is None:
            arrays[name] = None
            continue
        s = share.reshape(-1, *(1,) * (values.ndim - 1))
        arrays[name] = ((1 - s) * values[left] + s * values[right]).astype(np.float32)
    # a frame between a seen one and a gap is a gap
    arrays["confidence"] = np.where(
        share == 0, p.confidence[left], np.minimum(p.confidence[left], p.confidence[right])
    ).astype(np.float32)
    start, end = to_matrix(p.rotation[left]), to_matrix(p.rotation[right])
    turn = to_vector(np.swapaxes(start, 1, 2) @ end) * share[:, None]
    arrays["rotation"] = to_vector(start @ to_matrix(turn)).astype(np.float32)
    pts = np.round(times_s * 1e6).astype(np.int64)
    return replace(p, time_base=Fraction(1, 1_000_000), pts=pts, **arrays)  # type: ignore[arg-type]


def last(performance: Performance, times_s: NDArray[np.float64]) -> Performance:
    """The performance played forwards and backwards for as long as ``times_s`` (seconds from its start) asks."""
    return at_times(performance, _to_and_fro(performance, times_s))


def last_frames(performance: Performance, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """(T,) which of its frames ``last`` shows, or is nearest to."""
    own, at = performance.times_s, _to_and_fro(performance, times_s)
    after = np.clip(np.searchsorted(own, at), 1, max(len(own) - 1, 1))
    nearer = np.abs(own[np.minimum(after, len(own) - 1)] - at) < np.abs(own[after - 1] - at)
    return np.where(nearer, np.minimum(after, len(own) - 1), after - 1).astype(np.int64)


def _to_and_fro(performance: Performance, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    start, length = float(performance.times_s[0]), float(performance.times_s[-1] - performance.times_s[0])
    if length <= 0:
        return np.full(len(times_s), start)
    phase = np.mod(times_s, 2 * length)
    return start + np.where(phase > length, 2 * length - phase, phase)


def transfer(
    driver: Performance,
    target: Performance,
    take: Collection[str] = ("head", "expression", "gaze", "lids"),
    mode: str = "relative",
    hold: Collection[str] = (),
) -> Performance:
    """The target doing what the driver does, for as long as the driver does it.

    The result has the target's identity, camera and illumination, and the driver's times and confidence. What is not in
    ``take`` stays the target's own performance, played forwards and backwards; of that, what is in ``hold`` stands
    still as the target rests (``hold=("head",)`` is the head still with everything else moving). ``relative`` adds the
    driver's departure from how the driver rests to how the target rests, within personal ranges; ``absolute`` copies
    the values. Raises UsageError for an unknown name in ``take``, ``hold`` or ``mode``, and for one in both.
    """
    unknown = sorted(set(take) - set(TAKE))
    if unknown or not take:
        raise UsageError(f"cannot take {', '.join(unknown) or 'nothing'}; choose from {', '.join(TAKE)}.")
    if wrong := sorted(set(hold) - set(HOLD)):
        raise UsageError(f"cannot hold {', '.join(wrong)}; choose from {', '.join(HOLD)}.")
    if both := sorted(set(hold) & set(take)):
        raise UsageError(f"{', '.join(both)} cannot be taken from the driver and held still at once.")
    if mode not in MODES:
        raise UsageError(f"there is no mode {mode!r}; choose one of {', '.join(MODES)}.")
    relative = mode == "relative"
    own = _held(last(target, driver.times_s - driver.times_s[0]), rest(target), hold)
    out = replace(own, time_base=driver.time_base, pts=driver.pts, confidence=driver.confidence, parts=driver.parts)
    if "head" in take:
        rotation, translation = _head(driver, target, relative)
        out = replace(out, rotation=rotation, translation=translation, torso=_torso(driver, target))
    if "expression" in take or "mouth" in take:
        out = replace(out, expression=_expression(driver, target, own, take, relative))
    if "gaze" in take:
        out = replace(out, gaze=_gaze(driver, target, relative))
    if "lids" in take:
        out = replace(out, lids=driver.lids.copy())
    return out


def rest(performance: Performance) -> dict[str, NDArray[np.float64]]:
    """How somebody rests: the median of every parameter over the frames that are sure."""
    sure = performance.confidence >= SURE
    if not sure.any():
        sure = np.ones(len(performance), bool)
    p = performance
    names = ("rotation", "translation", "expression", "lids", "gaze", *["torso"] * (p.torso is not None))
    return {n: np.median(getattr(p, n)[sure], axis=0) for n in names}


def _held(own: Performance, at_rest: dict[str, NDArray[np.float64]], hold: Collection[str]) -> Performance:
    names = [n for part in hold for n in (("rotation", "translation", "torso") if part == "head" else (part,))]
    names = [n for n in names if n in at_rest]
    still = {n: np.broadcast_to(at_rest[n], getattr(own, n).shape).astype(np.float32) for n in names}
    return replace(own, **still)  # type: ignore[arg-type]


def eased(performance: Performance, at_rest: dict[str, NDArray[np.float64]], seconds: float) -> Performance:
    """The performance rising out of ``at_rest`` (see ``rest``) in its first ``seconds`` and sinking back in its last.

    A clip shorter than twice ``seconds`` takes half of its length for each. The head turns along the shortest way; the
    first and last frame are at rest. Raises UsageError for a negative time; zero changes nothing.
    """
    if seconds < 0:
        raise UsageError("the time to ease in and out must not be negative.")
    times = performance.times_s
    span = min(seconds, float(times[-1] - times[0]) / 2)
    if span <= 0:
        return performance
    inside = np.minimum(times - times[0], times[-1] - times)
    share = np.clip(inside / span, 0, 1)
    share = share * share * (3 - 2 * share)
    arrays = {}
    for name in ("translation", "expression", "lids", "gaze", "torso"):
        values = getattr(performance, name)
        if values is None or name not in at_rest:
            continue
        s = share.reshape(-1, *(1,) * (values.ndim - 1))
        arrays[name] = (at_rest[name] + s * (values - at_rest[name])).astype(np.float32)
    start = to_matrix(at_rest["rotation"])
    turn = to_vector(start.T @ to_matrix(performance.rotation)) * share[:, None]
    return replace(performance, rotation=to_vector(start @ to_matrix(turn)).astype(np.float32), **arrays)


def _head(driver: Performance, target: Performance, relative: bool) -> tuple[NDArray, NDArray]:
    if not relative:
        # the same place in the picture, whatever the two cameras are
        k = target.camera.focal_px / driver.camera.focal_px * driver.camera.height / target.camera.height
        z = driver.translation[:, 2:] * k
        return driver.rotation.copy(), np.concatenate([driver.translation[:, :2], z], 1).astype(np.float32)
    a, b = rest(driver), rest(target)
    turned = to_matrix(driver.rotation) @ to_matrix(a["rotation"]).T @ to_matrix(b["rotation"])
    moved = driver.translation - a["translation"]
    # a step towards the camera counts by how much larger it makes the face
    nearer = driver.translation[:, 2] / a["translation"][2]
    place = b["translation"] + np.column_stack([moved[:, :2], b["translation"][2] * (nearer - 1)])
    return to_vector(turned).astype(np.float32), place.astype(np.float32)


def _torso(driver: Performance, target: Performance) -> NDArray[np.float32] | None:
    """Departures from how the driver's torso rests, in either mode: where a torso is at all, each clip says for itself.

    Of a driver whose torso is not known, rest.
    """
    if target.torso is None:
        return None
    moved = np.zeros((len(driver), 3)) if driver.torso is None else driver.torso - rest(driver)["torso"]
    return np.asarray(rest(target)["torso"] + moved, np.float32)


def lower_face() -> NDArray[np.float32]:
    """(468,) of each point of the mesh: 1 in the lower face, falling to 0 at the height of the nose."""
    return np.asarray(np.clip((lm.canonical_xyz()[:, 1] - 0.5) / 1.5, 0, 1), np.float32)


def mouth_share() -> NDArray[np.float32]:
    """(K, K) projection of expression coefficients onto what moves the lower face only, in the least squares."""
    b = basis()
    lower = lower_face().astype(np.float64)[:, None]
    modes = b.modes.astype(np.float64)
    flat = modes.reshape(len(modes), -1)
    wanted = (modes * lower).reshape(len(modes), -1)
    ridge = np.eye(len(modes)) * 1e-3 * np.trace(flat @ flat.T) / len(modes)
    return (wanted @ flat.T @ np.linalg.inv(flat @ flat.T + ridge)).astype(np.float32)


def _expression(
    driver: Performance, target: Performance, own: Performance, take: Collection[str], relative: bool
) -> NDArray[np.float32]:
    taken: NDArray = driver.expression
    if relative:
        # coefficients count from each person's own neutral face; one who rests on a smile gives it on
        lower = mouth_share()
        mouth = taken @ lower
        rested = resting_expression(driver.identity) - resting_expression(target.identity)
        taken = rested + (taken - mouth) + mouth * _gain(driver, target, "mouth")
        if not np.array_equal(driver.identity.neutral, target.identity.neutral):
            taken = taken / SEEN_EXPRESSION
    if "expression" in take:
        return taken.astype(np.float32)
    lower = mouth_share()
    return (own.expression - own.expression @ lower + taken @ lower).astype(np.float32)


def _gain(driver: Performance, target: Performance, name: str) -> float:
    """How much further the target's range of ``name`` goes than the driver's, within limits; towards 1 by half, for a
    range seen in one clip tells as much of the clip as of the person."""
    if any(name not in p.identity.ranges for p in (driver, target)):
        return 1.0
    ranges = [p.identity.ranges[name] for p in (driver, target)]
    widths = [max(high - low, 1e-3) for low, high in ranges]
    return float(np.clip(np.sqrt(widths[1] / widths[0]), *GAIN_LIMITS))


def _gaze(driver: Performance, target: Performance, relative: bool) -> NDArray[np.float32]:
    gaze: NDArray = driver.gaze
    if relative:
        # where both eyes look together is relative to rest; how far they turn towards each other is not
        a, b = (rest(p)["gaze"].mean(0) for p in (driver, target))
        gaze = gaze + (b - a)
    return np.clip(gaze, -GAZE_LIMIT_RAD, GAZE_LIMIT_RAD).astype(np.float32)
