"""Which frames of the footage to show: chosen per region by dynamic programming, so that choices hold still or play on.

The canvas (hair, torso, skin) is chosen by the head's place in the picture, mouth and eyes by their own shape.
Playing on,
holding and playing back are nearly free; a jump to another moment costs, and is cross-faded when it happens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.shapes import Shapes

REGIONS = ("canvas", "mouth", "right_eye", "left_eye")
JUMP = {"canvas": 1.2, "mouth": 0.05, "right_eye": 3.0, "left_eye": 3.0}
"""Price of a jump, in the units of each region's cost (squared distances of ``features``)."""
FADE = {"canvas": 5, "mouth": 2, "right_eye": 2, "left_eye": 2}
"""Frames a jump is faded over, before and after it."""
LIDS_WEIGHT = 20.0
"""Millimetres that a wholly closed eye is away from an open one, in the cost of an eye."""
GAP_WEIGHT = 0.5
"""Weight of the gap between the lips beside their outline."""
GAZE_WEIGHT = 20.0
"""Millimetres that a radian of gaze counts for."""
TORSO_WEIGHT, TORSO_LEVER = 0.6, 100.0
"""Weight of the torso's place beside the face's, and the pixels that a radian of its turn counts for (at a face 100 px
wide)."""
UNLIKE = 4.0
"""Price of a canvas whose surroundings are like those of the footage it is set into as two frames at random are."""
LEAST_MIX = 0.05
"""A smaller share of the other frame is not worth its time."""
NEVER = np.float32(1e9)
CHUNK = 512
"""Frames decided at once; a look ahead of the same order keeps seams from showing."""
LOOK_AHEAD = 64

_CANVAS = sorted(
    {*lm.FACE_OVAL, *lm.NOSE_BRIDGE, *lm.RIGHT_BROW, *lm.LEFT_BROW, lm.NOSE_BASE, lm.NOSE_RIGHT, lm.NOSE_LEFT}
)
_MOUTH = sorted({*lm.OUTER_LIPS, *lm.INNER_LIPS, lm.CHIN, lm.RIGHT_JAW, lm.LEFT_JAW})


def features(shapes: Shapes, region: str, *, like: Shapes | None = None) -> NDArray[np.float32]:
    """(T, F) coordinates whose squared distance says how unlike two frames are for ``region``.

    For the canvas, mean squared pixels of motion at a face 100 px wide; for the others mean squared millimetres in the
    head's own frame, with the head's turn mixed in weakly, because light and perspective follow it. The face's
    width is that
    of ``like`` where it is given: features that are compared must be measured alike.
    """
    of = like or shapes
    width = np.linalg.norm(of.mesh[:, lm.LEFT_EAR, :2] - of.mesh[:, lm.RIGHT_EAR, :2], axis=-1)
    at_100 = np.float32(100 / np.median(width))
    place = shapes.mesh[:, _CANVAS, :2] * at_100 / np.sqrt(len(_CANVAS))
    flat = [place.reshape(len(shapes), -1)]
    if region != "canvas":
        flat[0] = flat[0] * 0.05
    elif shapes.torso is not None and of.torso is not None:
        flat.append(shapes.torso * np.float32(np.sqrt(TORSO_WEIGHT)) * [at_100, at_100, TORSO_LEVER])
    if region == "mouth":
        lips = shapes.local[:, _MOUTH] * (10 / np.sqrt(len(_MOUTH))) * [1, 1, 0.3]
        gap = shapes.mouth[:, None] * 10 * GAP_WEIGHT
        flat += [lips.reshape(len(shapes), -1) * 0.5, gap]
    elif region != "canvas":
        flat += _eye(shapes, REGIONS.index(region) - 2)
    return np.ascontiguousarray(np.concatenate(flat, axis=1), np.float32)


def _eye(shapes: Shapes, side: int) -> list[NDArray[np.float32]]:
    """Outline of the lids, closure and gaze of one eye; the last two from the performance where it is known.

    The mesh network hardly closes its lids; the closure that the performance knows comes from the eye network.
    """
    lids = list(lm.EYES[side])
    outline = shapes.local[:, lids, :2] * (10 / np.sqrt(len(lids)))
    outline = outline - outline.mean(1, keepdims=True)
    parts = [outline.reshape(len(shapes), -1) * 0.3]
    if shapes.lids is None or shapes.gaze is None:
        return [*parts, shapes.local_irises[:, side] * 30, shapes.openings[:, side, None] * 15]
    return [*parts, shapes.lids[:, side, None] * LIDS_WEIGHT, shapes.gaze[:, side] * GAZE_WEIGHT]


def costs(wanted: NDArray[np.float32], stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, N) squared distances between wanted (T, F) and stored (N, F) features."""
    cross = wanted @ stored.T
    return np.maximum((wanted**2).sum(1)[:, None] + (stored**2).sum(1)[None] - 2 * cross, 0).astype(np.float32)


def choose(
    cost: Callable[[int, int], NDArray[np.float32]], frames: int, jump: float, looks: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """(frames,) the cheapest way through the costs, where leaving the neighbourhood of the last choice costs ``jump``.

    With ``looks`` (N, F) a jump between frames that look alike costs less, one between unlike ones more. ``cost(start,
    stop)`` gives (stop - start, N). Decided in chunks with a look ahead, so that memory stays bounded.
    """
    chosen: list[NDArray[np.int64]] = []
    start, last = 0, -1
    while start < frames:
        stop = min(start + CHUNK + LOOK_AHEAD, frames)
        window = np.ascontiguousarray(cost(start, stop))
        if looks is None:
            path = _viterbi(window, float(jump), last)
        else:
            path = _viterbi_linked(window, float(jump), last, looks)
        keep = path if stop == frames else path[:CHUNK]
        chosen.append(keep)
        start, last = start + len(keep), int(keep[-1])
    return np.concatenate(chosen)


@njit(cache=True)
def _viterbi(cost, jump, last):  # pragma: no cover - compiled
    frames, stored = cost.shape
    hold = 0.02 * jump
    back = np.zeros((frames, stored), np.int32)
    total = cost[0].copy()
    if last >= 0:
        for i in range(stored):
            if abs(i - last) > 2:
                total[i] += jump
    for t in range(1, frames):
        cheapest = np.argmin(total)
        floor = total[cheapest] + jump
        fresh = np.empty_like(total)
        for i in range(stored):
            best, source = floor, int(cheapest)
            for step in (-1, 0, 1, 2):  # played back, held, played on, one frame dropped
                j = i - step
                if 0 <= j < stored:
                    price = total[j] + (0.0 if step == 1 else hold)
                    if price < best:
                        best, source = price, j
            fresh[i] = best + cost[t, i]
            back[t, i] = source
        total = fresh
    path = np.empty(frames, np.int64)
    path[-1] = np.argmin(total)
    for t in range(frames - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


KEPT = 160
"""Stored frames considered for each wanted one where looks count: the cheapest."""


def looks_of(frames: NDArray[np.uint8], shapes: Shapes) -> NDArray[np.float32]:
    """(N, F) a tiny picture of what surrounds the face in each frame; mean squared distance of two at random is 1.

    A jump between frames whose shoulders and background look alike is not seen, however it is faded.
    """
    side = 12
    size = frames.shape[1]
    x0, y0 = np.median(shapes.mesh[..., :2].min(1), axis=0) * side / size
    x1, y1 = np.median(shapes.mesh[..., :2].max(1), axis=0) * side / size
    around = np.ones((side, side), bool)
    around[max(int(np.ceil(y0)), 0) : max(int(y1), 0), max(int(np.ceil(x0)), 0) : max(int(x1), 0)] = False
    small = np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames])
    flat = small[:, around].reshape(len(frames), -1).astype(np.float32)
    spread = 2 * flat.var(0).sum()
    return np.ascontiguousarray((flat - flat.mean(0)) / np.sqrt(max(float(spread), 1e-6)))


@njit(cache=True)
def _viterbi_linked(cost, jump, last, looks):  # pragma: no cover - compiled
    frames, stored = cost.shape
    count = min(KEPT, stored)
    hold = 0.02 * jump
    features = looks.shape[1]
    kept = np.empty((frames, count), np.int32)
    back = np.zeros((frames, count), np.int32)
    total = np.empty(count, np.float64)
    for t in range(frames):
        kept[t] = np.argsort(cost[t])[:count].astype(np.int32)
        fresh = np.empty(count, np.float64)
        for b in range(count):
            i = kept[t, b]
            best, source = 1e18, 0
            if t == 0:
                best = 0.0
                if last >= 0 and abs(i - last) > 2:
                    best = jump
            else:
                for a in range(count):
                    j = kept[t - 1, a]
                    price = total[a]
                    if price >= best:
                        continue
                    step = i - j
                    if step == 1:
                        pass
                    elif -1 <= step <= 2:
                        price += hold
                    else:
                        apart = 0.0
                        for f in range(features):
                            gap = looks[i, f] - looks[j, f]
                            apart += gap * gap
                        price += jump * (0.3 + 2.0 * min(apart, 1.5))
                    if price < best:
                        best, source = price, a
            fresh[b] = best + cost[t, i]
            back[t, b] = source
        total = fresh
    path = np.empty(frames, np.int64)
    at = np.argmin(total)
    for t in range(frames - 1, -1, -1):
        path[t] = kept[t, at]
        at = back[t, at]
    return path


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is shown in one region over T frames: mostly one stored frame, two while a jump is faded over."""

    first: NDArray[np.int64]
    """(T,) index of the stored frame shown."""
    second: NDArray[np.int64]
    """(T,) index of the one it is mixed with."""
    mix: NDArray[np.float32]
    """(T,) share of ``second``, 0 to 0.5."""


def faded(
    path: NDArray[np.int64], frames: int, worse: Callable[[int, int, int], float] = lambda t, first, second: 0.0
) -> Choice:
    """Spread each jump of ``path`` over ``frames`` on either side; while fading, the other side's frame holds.

    ``worse(t, first, second)`` says by how many prices of a jump the second frame fits worse than the first at frame
    ``t``: what does not fit (a closed eye beside an open one) is not faded in.
    """
    first, second = path.copy(), path.copy()
    mix = np.zeros(len(path), np.float32)
    jumps = np.flatnonzero(np.abs(np.diff(path)) > 2) + 1
    for k, at in enumerate(jumps):
        before = jumps[k - 1] if k else 0
        after = jumps[k + 1] if k + 1 < len(jumps) else len(path)
        for d in range(1, frames + 1):
            weight = 0.5 * (1 - (d - 0.5) / frames)
            for t, other, inside in (
                (at - d, path[at], at - d >= before),
                (at + d - 1, path[at - 1], at + d - 1 < after),
            ):
                if not inside:
                    continue
                share = weight / (1 + max(worse(int(t), int(path[t]), int(other)), 0.0))
                if share > max(mix[t], LEAST_MIX):
                    second[t], mix[t] = other, share
    return Choice(first=first, second=second, mix=mix)


def plan(
    wanted: Shapes, stored: Shapes, *, allowed: NDArray[np.bool_] | None = None, away: NDArray[np.int64] | None = None,
    away_by: int = 0, looks: NDArray[np.float32] | None = None, regions: Sequence[str] = REGIONS,
    footage: NDArray[np.int64] | None = None,
) -> dict[str, Choice]:  # fmt: skip
    """Choose the stored frames for every region of every wanted frame.

    ``allowed`` (N,) leaves stored frames out; with ``away`` (T,), the stored frame each wanted one *is* (in
    training), all
    within ``away_by`` frames of it are left out. ``looks`` (see ``looks_of``) guides the jumps of the canvas. Where the
    result is set into the frames ``footage`` (T,), a canvas costs more that does not look like them.
    """
    out = {}
    for region in regions:
        have, want = features(stored, region), features(wanted, region, like=stored)

        def cost(start: int, stop: int, have: NDArray = have, want: NDArray = want) -> NDArray[np.float32]:
            price = costs(want[start:stop], have)
            if allowed is not None:
                price[:, ~allowed] = NEVER
            if away is not None:
                price[np.abs(np.arange(price.shape[1])[None] - away[start:stop, None]) <= away_by] = NEVER
            if footage is not None and looks is not None:
                price += UNLIKE * costs(looks[footage[start:stop]], looks)
            return price

        def worse(
            t: int, first: int, second: int, have: NDArray = have, want: NDArray = want, jump: float = JUMP[region]
        ) -> float:
            a, b = (float(np.square(want[t] - have[i]).sum()) for i in (first, second))
            return (b - a) / jump

        path = choose(cost, len(wanted), JUMP[region], looks if region == "canvas" else None)
        out[region] = faded(path, FADE[region], worse)
    return out
