"""How one person's hair, ears and neck follow the head, learnt from where warped frames miss the real ones.

A silhouette does not move like a point fixed to the skull: it slides over the head as that turns, and each haircut does
so in its own way. Pairs of stored frames are warped onto each other; what optical flow still finds there, at each point
of the rings around the face, is explained in the least squares by how the head moved between the two.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.shapes import Shapes
from facewitness.generator.warp import (
    RINGS,
    grid,
    pull,
    shells,
    surround_of,
    torso_motion,
    torso_share,
    usual_follow,
    warp_map,
)

RIDGE = 0.1
"""Of the regression on standardised head movement, in parts of the number of pairs."""
FLOW_PX = 12.0
"""A larger miss (at a face 100 px wide it would be a seventh of it) is a mistake of the flow."""
ROUNDS = 2
MOST_GAP, GAP_BLUR, PART_BLUR = 60.0, 1.5, 3.0
"""Grey levels, and pixels: a pixel's miss counts up to here, is told by its neighbours too, and so soft are borders."""
LEVELS_USUAL = 1.0
"""A miss smaller by so many grey levels tells as much of what a pixel goes with as what is usual does."""
BACKGROUND_FRAMES, LEAST_BACKGROUND = 40, 0.01
MOVED_LEVELS, MOVED_SHARE = 8.0, 0.25
"""A background moves where more than this share of it varies by more than so many grey levels."""


def learn_follow(
    frames: NDArray[np.uint8], shapes: Shapes, *, pairs: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(R, 2, 8) how the rings of this person follow the head (see ``warp.usual_follow``), from ``pairs`` of frames.

    ``frames`` (N, S, S, 3) RGB with their ``shapes`` in the same pixels. With fewer than 20 pairs or frames, what is
    usual.
    """
    follow = usual_follow()
    if pairs < 20 or len(frames) < 20:
        return follow
    of_head = shapes.head[:, :2].reshape(-1, 8).astype(np.float64)
    spread = np.maximum(of_head.std(0), 1e-9)
    for _ in range(ROUNDS):
        chosen = rng.integers(0, len(frames), (pairs // ROUNDS, 2))
        around = shells(shapes, surround_of(shapes, follow))
        found = np.stack([missed(frames, around, int(i), int(j))[lm.POINTS :] for i, j in chosen])
        moved = (of_head[chosen[:, 1]] - of_head[chosen[:, 0]]) / spread
        follow = follow + _regressed(moved, found) / spread.astype(np.float32)
    return follow


def learn_parts(
    frames: NDArray[np.uint8], shapes: Shapes, follow: NDArray[np.float32], anchor: NDArray[np.float32], *, pairs: int,
    rng: np.random.Generator, edge: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8] | None:  # fmt: skip
    """(S, S, 2) what of the square goes with the head and what with the torso, 0 to 255; what is left stands still.

    ``pairs`` of frames whose torsos are far apart are warped onto each other as if all of it went with the one, the
    other or neither; whichever comes nearest to the frame at a pixel wins it, by as much as it is nearer. Where little
    tells them apart, what is usual counts. With the torso at rest; ``anchor`` as in ``warp.torso_motion``. Where
    ``edge`` (S, S; 0..1) falls to 0 the torso is held, as it is outside the square. None where nothing is known of the
    torso.
    """
    if shapes.torso is None or len(frames) < 20:
        return None
    size, torso = frames.shape[1], shapes.torso
    surround = surround_of(shapes, follow)
    around, still = shells(shapes, surround), grid(size, size)
    error = np.zeros((3, size, size), np.float32)
    for _ in range(pairs):
        here, *others = (int(k) for k in rng.integers(0, len(frames), 9))
        source = max(others, key=lambda k: float(np.abs(torso[k, :2] - torso[here, :2]).sum()))
        moves = (
            warp_map(around[here], around[source], size, size),
            still + torso_motion(size, anchor, torso[here], torso[source]),
            still,
        )
        to_rest = np.array([[1, 0, -torso[here, 0]], [0, 1, -torso[here, 1]]], np.float32)
        for k, where in enumerate(moves):
            gap = cv2.absdiff(pull(frames[source], where, sharp=False), frames[here]).astype(np.float32).mean(-1)
            gap = cv2.GaussianBlur(np.minimum(gap, MOST_GAP), (0, 0), GAP_BLUR)
            error[k] += cv2.warpAffine(gap, to_rest, (size, size), borderMode=cv2.BORDER_REPLICATE) / max(pairs, 1)
    usual = torso_share(surround, size)
    below = np.clip(usual / 0.05, 0, 1)  # above, hair and ears go with the head whatever this says
    told = (error.max(0) - error.min(0)) * below
    votes = [told * (error[k] == error.min(0)) for k in range(3)]
    shares = np.stack([
        cv2.GaussianBlur(vote, (0, 0), PART_BLUR) + LEVELS_USUAL * prior
        for vote, prior in zip(votes, (1 - usual, usual, 0 * usual), strict=True)
    ])  # fmt: skip
    shares /= shares.sum(0)
    if edge is not None:
        shares[1] *= edge
    return np.asarray(np.moveaxis(shares[:2], 0, -1) * 255 + 0.5, np.uint8)


def background_moves(frames: NDArray[np.uint8], shapes: Shapes) -> bool:
    """Whether what is seen beside and above the head changes through the footage, by more than light and noise do.

    ``frames`` (N, S, S, 3) RGB with their ``shapes``. Looks only where no frame shows the head; False where there is
    no such place.
    """
    size, some = frames.shape[1], np.unique(np.linspace(0, len(frames) - 1, BACKGROUND_FRAMES).astype(int))
    around = shells(shapes[some], surround_of(shapes))[:, lm.POINTS : lm.POINTS + 2 * len(lm.FACE_OVAL), :2]
    behind = np.zeros((size, size), bool)
    behind[: max(int(np.median(shapes.mesh[:, lm.CHIN, 1])), 0)] = True  # below the chin there are shoulders
    for hull in around:
        head = cv2.fillConvexPoly(np.zeros((size, size), np.uint8), cv2.convexHull(hull.astype(np.int32)), 1)
        behind &= head == 0
    if behind.sum() < LEAST_BACKGROUND * size * size:
        return False
    seen = np.stack([cv2.GaussianBlur(frames[k], (0, 0), 1.5)[behind] for k in some]).astype(np.float32)
    seen -= np.median(seen, axis=1, keepdims=True)  # the whole picture growing lighter is no movement
    return bool((seen.std(0).max(-1) > MOVED_LEVELS).mean() > MOVED_SHARE)


def missed(
    frames: NDArray[np.uint8], around: NDArray[np.float32], source: int, target: int, *, blur: float = 1 / 64
) -> NDArray[np.float32]:
    """(468 + R, 3) by how many pixels, x and y, each point of the shells ``around`` of frame ``target`` lies beside
    where warping ``source`` puts it, and how much there is to see there; told by what lies around it within ``blur``
    of the picture's side."""
    size = frames.shape[1]
    warped = pull(frames[source], warp_map(around[target], around[source], size, size), sharp=False)
    real, made = (cv2.cvtColor(np.ascontiguousarray(x), cv2.COLOR_RGB2GRAY) for x in (frames[target], warped))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(real, made, None)  # type: ignore[call-overload]
    edge = np.hypot(cv2.Sobel(real, cv2.CV_32F, 1, 0), cv2.Sobel(real, cv2.CV_32F, 0, 1))
    edge[np.linalg.norm(flow, axis=-1) > FLOW_PX] = 0
    sigma = size * blur
    weight = cv2.GaussianBlur(edge, (0, 0), sigma)
    mean = cv2.GaussianBlur(flow * edge[..., None], (0, 0), sigma) / np.maximum(weight, 1e-3)[..., None]
    points = around[target, :, :2]
    x, y = np.clip(points.round().astype(int), 0, size - 1).T
    inside = (points > 0).all(1) & (points < size - 1).all(1)
    return np.column_stack([-mean[y, x], weight[y, x] * inside]).astype(np.float32)


def regressed(
    moved: NDArray[np.float64], found: NDArray[np.floating], weight: NDArray[np.float32], *, ridge: float
) -> NDArray[np.float64]:
    """(R, K, C) slopes of what was missed at each point (P, R, C) in movement (P, K): least squares over the pairs,
    weighted by how much there was to see (P, R), with a ridge in parts of the number of pairs."""
    seen = weight.astype(np.float64)
    seen = seen / np.maximum(seen.mean(0), 1e-6)
    normal = np.einsum("pk,pr,pl->rkl", moved, seen, moved, optimize=True) / len(moved)
    right = np.einsum("pk,pr,prc->rkc", moved, seen, found.astype(np.float64), optimize=True) / len(moved)
    return np.asarray(np.linalg.solve(normal + ridge * np.eye(moved.shape[1]), right))


def _regressed(moved: NDArray[np.float64], found: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R, 2, 8) from movement (P, 8) and misses (P, R, 3), each ring smoothed along itself; the last one stays."""
    slopes = regressed(moved, found[..., :2], found[..., 2], ridge=RIDGE).transpose(0, 2, 1).reshape(len(RINGS), -1, 16)
    smooth = 0.5 * slopes + 0.25 * (np.roll(slopes, -1, axis=1) + np.roll(slopes, 1, axis=1))
    smooth[-1] = 0
    return np.asarray(smooth.reshape(-1, 2, 8), np.float32)
