"""How one person's skin moves with expression, learnt from where warped frames miss the real ones.

Landmarks tell where lips, brows and outline are, and the modes of expression were learnt from many people's landmarks.
What lies between them slides, bulges and folds in each face in its own way, and landmarks do not stick to skin. Pairs
of stored frames are warped onto each other; what optical flow still finds there, at each point of the mesh, is
explained in the least squares by how the expression differs between the two.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Performance, Skin
from facewitness.generator.reconstruct.rotation import to_matrix
from facewitness.generator.retrieve import costs, features
from facewitness.generator.shapes import shapes_of
from facewitness.generator.square import FaceSquare
from facewitness.generator.surround import missed, regressed
from facewitness.generator.warp import shells

RIDGE = 0.1
"""Of the regression on standardised expression, in parts of the number of pairs."""
ROUNDS = 2
LEAST_FRAMES = 60
LEAST_SPREAD = 0.5
"""Standard deviations of expression among people: a mode that this person uses less tells no more than if it were so
much, so that what is learnt of small movements does not run wild in large ones."""
SHOWN = (0.5, 99.5)
"""Percentiles of each coefficient of the expression between which the skin is known to move."""
LAGS = (1, 2, 4, 8, 16)
"""Frames between the two of a pair, in half of them."""
AWAY_S, NEAREST = 1.0, 4
"""In the other half: the frames so many seconds away or more between which the head moves least, one of so many."""
MOST_PX = 320
"""Larger squares are looked at in half the size, which shows as much of it in a quarter of the time."""
BLUR = 1 / 128
"""Of the square's side: so far around a point of the mesh its miss is looked for."""
EYES_CM = (0.1, 0.7)
"""So near to a lid's edge nothing is learnt, and so far from it all of it: lids and irises have parameters of their
own, and flow takes one for the other."""


def with_skin(
    performance: Performance, frames: NDArray[np.uint8], square: FaceSquare, *, pairs: int, rate: float,
    rng: np.random.Generator,
) -> Performance:  # fmt: skip
    """The performance of one person with ``Identity.skin`` learnt from ``pairs`` of its first ``frames`` (N, S, S, 3;
    RGB), which show ``square`` at ``rate`` frames a second; unchanged with fewer than 60 frames or 20 pairs."""
    count = len(frames)
    if count < LEAST_FRAMES or pairs < 20:
        return performance
    if square.size > MOST_PX:
        square = replace(square, size=square.size // 2)
        frames = np.stack([cv2.resize(f, (square.size, square.size), interpolation=cv2.INTER_AREA) for f in frames])
    shown = performance.expression[:count].astype(np.float64)
    spread = np.maximum(shown.std(0), LEAST_SPREAD)
    turn = to_matrix(performance.rotation[:count].astype(np.float64))
    cm_of_px = performance.translation[:count, 2] / performance.camera.focal_px / square.scale
    low, high = np.percentile(shown, SHOWN, axis=0)
    shown, modes = np.clip(shown, low, high), np.zeros((shown.shape[1], lm.POINTS, 3), np.float32)
    for _ in range(ROUNDS):
        shapes = square.shapes(shapes_of(performance))[slice(count)]
        place = features(shapes, "canvas")
        around = shells(shapes)
        chosen = _pairs(place, pairs // ROUNDS, max(1, round(AWAY_S * rate)), rng)
        found = np.stack([missed(frames, around, int(i), int(j), blur=BLUR)[: lm.POINTS] for i, j in chosen])
        flat = np.concatenate([found[..., :2], 0 * found[..., :1]], axis=-1)
        to = chosen[:, 1]
        in_head = (flat * cm_of_px[to, None, None]) @ turn[to]
        differs = (shown[to] - shown[chosen[:, 0]]) / spread
        learnt = regressed(differs, in_head, found[..., 2], ridge=RIDGE).transpose(1, 0, 2)
        modes += (learnt / spread[:, None, None] * _beside_eyes()[:, None]).astype(np.float32)
        skin = Skin(modes=modes.copy(), low=low.astype(np.float32), high=high.astype(np.float32))
        performance = replace(performance, identity=replace(performance.identity, skin=skin))
    return performance


def _pairs(place: NDArray[np.float32], count: int, away: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count, 2) frames to be warped from and to: half of them shortly after each other, half alike in ``place``."""
    frames, half = len(place), count // 2
    lag = np.minimum(rng.choice(LAGS, half), frames - 1)
    first = (rng.random(half) * (frames - lag)).astype(np.int64)
    to = rng.integers(0, frames, count - half)
    apart = costs(place[to], place)
    apart[np.abs(np.arange(frames) - to[:, None]) < away] = np.inf
    nearest = np.argpartition(apart, NEAREST - 1, axis=1)[:, :NEAREST]
    alike = nearest[np.arange(len(to)), rng.integers(0, NEAREST, len(to))]
    return np.concatenate([np.stack([first, first + lag], 1), np.stack([alike, to], 1)])


@cache
def _beside_eyes() -> NDArray[np.float32]:
    """(468,) 0 at the eyes to 1 away from them, see ``EYES_CM``."""
    gap = lm.gap_cm((*lm.RIGHT_EYE, *lm.LEFT_EYE))
    soft = np.clip((gap - EYES_CM[0]) / (EYES_CM[1] - EYES_CM[0]), 0, 1)
    return np.asarray(soft * soft * (3 - 2 * soft), np.float32)
