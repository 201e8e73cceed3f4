"""What of a face is covered: its looks, laid into the texture of the mesh, against what they mostly are in the clip.

Networks guess what they do not see and stay as sure as before; colours do not.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm

PARTS = ("face", "mouth", "right_eye", "left_eye")
TEXTURE_PX = 32
FINE = 2
"""Samples a texel across, averaged."""
KNOWN_FRAMES, CHUNK = 600, 256
"""Frames, evenly spread, that tell how the face mostly looks; frames compared with that at once."""
EVEN_LEVEL = 128.0
LEVELS, SPREADS = 8.0, 2.0
"""A texel differs by one step where it is off by so many grey levels and so many of its own usual deviations."""
SHOWN_STEPS, COVERED_STEPS = (0.9, 1.7, 1.7, 1.7), (1.9, 2.9, 2.9, 2.9)
"""Mean steps of a part that still is shown, and that is covered. On three people shown parts are off by .1 to .9 (.95
quantile; a grimace's eyes by 1.6), a mouth covered by skin or by grey is by 3.3 to 4.6, an eye by 2.7, brows
and forehead by 1.6 to 2.4."""


@cache
def _texels() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For a texture of ``TEXTURE_PX * FINE``: vertices (n, 3) of the triangle of every sample, and their barycentric
    weights, which are 0 outside the face."""
    side = TEXTURE_PX * FINE
    y, x = np.mgrid[:side, :side]
    at = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / side
    vertices, weights = np.zeros((len(at), 3), np.int64), np.zeros((len(at), 3))
    for corners in lm.triangles():
        a, b, c = lm.canonical_uv().astype(np.float64)[corners]
        m = np.array([b - a, c - a]).T
        if abs(np.linalg.det(m)) < 1e-12:
            continue
        v, w = np.linalg.solve(m, (at - a).T)
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        vertices[inside] = corners
        weights[inside] = np.stack([1 - v - w, v, w], 1)[inside]
    return vertices, weights


@cache
def part_masks() -> NDArray[np.bool_]:
    """(4, 32, 32) texels of the upper face, the mouth, the person's right and left eye."""
    uv = lm.canonical_uv() * TEXTURE_PX - 0.5
    hulls = (list(lm.OUTER_LIPS), *(list(c[:48]) for c in lm.IRIS_CONTOURS))
    masks = np.zeros((len(PARTS), TEXTURE_PX, TEXTURE_PX), np.uint8)
    for mask, hull in zip(masks[1:], hulls, strict=True):
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(uv[hull]).astype(np.int32)), 1)
    vertices, weights = _texels()
    upper = (weights.sum(1) > 0) & (lm.canonical_xyz()[vertices, 1].mean(1) < 2.0)
    shown = upper.reshape(TEXTURE_PX, FINE, TEXTURE_PX, FINE)
    masks[0] = shown.all((1, 3))
    return masks.astype(bool)


def texture_of(image: NDArray[np.uint8], mesh: NDArray) -> NDArray[np.uint8]:
    """(32, 32, 3) the face of a picture in the texture of its mesh (468, 2 or 3), in pixels of the picture."""
    vertices, weights = _texels()
    at = np.einsum("nkx,nk->nx", mesh[vertices, :2], weights).astype(np.float32)
    side = TEXTURE_PX * FINE
    fine = cv2.remap(image, at[:, 0].reshape(side, side), at[:, 1].reshape(side, side), cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(fine, (TEXTURE_PX, TEXTURE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def uncovered(textures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 4) how far each of ``PARTS`` is shown, 0..1, from the textures (n, 32, 32, 3) of a clip's frames.

    What a clip mostly shows counts as the face: something that hides a part for more than half of it is not noticed.
    """
    known = _evenly_bright(textures[np.linspace(0, len(textures) - 1, min(len(textures), KNOWN_FRAMES)).astype(int)])
    usual = np.median(known, axis=0)
    spread = np.median(np.abs(known - usual).mean(-1), axis=0)
    means = np.empty((len(textures), len(PARTS)))
    for at in range(0, len(textures), CHUNK):
        off = np.abs(_evenly_bright(textures[at : at + CHUNK]) - usual).mean(-1)
        steps = off / (LEVELS + SPREADS * spread)
        means[at : at + CHUNK] = np.stack([steps[:, mask].mean(1) for mask in part_masks()], 1)
    shown, covered = np.array(SHOWN_STEPS), np.array(COVERED_STEPS)
    return np.clip((covered - means) / (covered - shown), 0, 1).astype(np.float32)


def _evenly_bright(textures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Textures (n, 32, 32, 3) whose upper faces are all equally bright: light that changes covers nothing."""
    looks = textures.astype(np.float32)
    bright = np.median(looks[:, part_masks()[0]].mean(-1), axis=1)
    return looks * (EVEN_LEVEL / np.maximum(bright, 1))[:, None, None, None]
