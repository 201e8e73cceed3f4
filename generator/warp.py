"""Bending a frame from one face shape to another: the mesh moves, hair and neck follow it, the rest of the picture
stays."""

import itertools
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.render import interpolate, rasterise
from facewitness.generator.shapes import Shapes

RINGS = ((1.28, 1.0, 1.5), (1.62, 1.0, 4.0), (2.3, 0.0, 6.0))
"""Rings around the face's outline that carry hair and ears: distance from the face's middle as a multiple of the
outline's,
how far they follow the head (1 wholly), and how many centimetres they lie behind the outline."""
NECK = (0.75, 0.4, 0.0)
"""How far the same rings follow below the chin, where neck and shoulders are."""


@cache
def shell_triangles() -> NDArray[np.int32]:
    """(n, 3) the mesh's triangles and those of the rings around it; the rings' points are numbered from 468 on."""
    oval = np.asarray(lm.FACE_OVAL)
    rings = [oval, *(lm.POINTS + k * len(oval) + np.arange(len(oval)) for k in range(len(RINGS)))]
    bands = []
    for inner, outer in itertools.pairwise(rings):
        nxt, far = np.roll(inner, -1), np.roll(outer, -1)
        bands += [np.stack([inner, outer, nxt], 1), np.stack([nxt, outer, far], 1)]
    return np.concatenate([lm.triangles(), *bands]).astype(np.int32)


@cache
def lowness() -> NDArray[np.float32]:
    """(n,) of each point of the face's outline: 1 at the chin, 0 above the middle."""
    y = lm.canonical_xyz()[list(lm.FACE_OVAL), 1]
    low = np.clip((y - y.mean()) / (y.max() - y.mean()), 0, 1)
    return np.asarray(low * low * (3 - 2 * low), np.float32)


@cache
def _rings() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(R, 4) homogeneous canonical points of the rings, and (R, 1) how far each follows the head."""
    oval = lm.canonical_xyz()[list(lm.FACE_OVAL)]
    middle = np.array([0.0, oval[:, 1].mean(), 0.0], np.float32)
    low = lowness()
    points, follow = [], []
    for (reach, whole, behind), neck in zip(RINGS, NECK, strict=True):
        ring = middle + (oval - middle) * [reach, reach, 1]
        ring[:, 2] = oval[:, 2] + behind
        points.append(ring)
        follow.append(whole + (neck - whole) * low)
    homogeneous = np.concatenate([np.concatenate(points), np.ones((len(RINGS) * len(oval), 1))], axis=1)
    return homogeneous.astype(np.float32), np.concatenate(follow)[:, None].astype(np.float32)


def usual_follow() -> NDArray[np.float32]:
    """(R, 2, 8) how each ring's point moves in the picture, x and y, with the first two rows of ``Shapes.head``: as if
    it were fixed to the head, as far as it follows."""
    rings, follow = _rings()
    out = np.zeros((len(rings), 2, 8), np.float32)
    out[:, 0, :4] = out[:, 1, 4:] = follow * rings
    return out


@dataclass(frozen=True)
class Surround:
    """Where the rings around one person's face are, and how they follow the head, in the pixels of some picture."""

    rest: NDArray[np.float32]
    """(R, 2) where the rings are while the head is as it mostly is."""
    head: NDArray[np.float32]
    """(8,) how the head mostly is: the first two rows of ``Shapes.head``."""
    follow: NDArray[np.float32]
    """(R, 2, 8) see ``usual_follow``; learnt for a person by ``surround.learn_follow``."""


def surround_of(shapes: Shapes, follow: NDArray[np.float32] | None = None) -> Surround:
    """The rings around the face of some footage."""
    head = np.median(shapes.head, axis=0)
    return Surround(_rings()[0] @ head[:2].T, head[:2].reshape(8), usual_follow() if follow is None else follow)


def shells(shapes: Shapes, surround: Surround | None = None) -> NDArray[np.float32]:
    """(T, 468 + R, 3) each frame's mesh with the rings around it, in the pixels of ``shapes``.

    Shells that are compared need the same ``surround``; that of the shapes themselves where none is given.
    """
    surround = surround or surround_of(shapes)
    moved = shapes.head[:, :2].reshape(-1, 8) - surround.head
    around = surround.rest + np.einsum("rck,tk->trc", surround.follow, moved)
    depth = np.einsum("tj,rj->tr", shapes.head[:, 2], _rings()[0])
    rings = np.concatenate([around, depth[..., None]], axis=-1)
    return np.concatenate([shapes.mesh, rings], axis=1).astype(np.float32)


def warp_map(
    target: NDArray[np.float32], source: NDArray[np.float32], height: int, width: int, *, smooth_px: float = 4.0
) -> NDArray[np.float32]:
    """(H, W, 2) for each pixel of the new picture, where in the source frame it comes from.

    ``target`` and ``source`` are shells (468 + R, 3). Inside the face the map follows the mesh exactly; around it,
    it is
    smoothed by ``smooth_px``; beyond the outermost ring nothing moves.
    """
    raster = rasterise(target, shell_triangles(), height, width)
    motion = interpolate(raster, shell_triangles(), source[:, :2] - target[:, :2])
    face = (raster.triangle >= 0) & (raster.triangle < len(lm.triangles()))
    soft = cv2.GaussianBlur(motion, (0, 0), smooth_px)
    keep = cv2.GaussianBlur(cv2.erode(face.astype(np.float32), np.ones((3, 3))), (0, 0), 1.5)[..., None]
    motion = keep * motion + (1 - keep) * soft
    return motion + grid(height, width)


def torso_share(surround: Surround, size: int) -> NDArray[np.float32]:
    """(S, S) 0..1 how far each pixel usually goes with the torso: not at all on the face and beside it, wholly well
    below the chin, the less the more it goes with the head."""
    oval = lm.canonical_xyz()[list(lm.FACE_OVAL)]
    middle = oval[:, 1].mean()
    across, down = np.abs(oval[:, 0]).max(), oval[:, 1].max() - middle
    head = surround.head.reshape(2, 4).astype(np.float64)
    at = grid(size, size) - head[:, 3] - head[:, 2] * oval[:, 2].mean()
    x, y = np.moveaxis(at @ np.linalg.inv(head[:, :2]).T - [0, middle], -1, 0)
    reach = np.maximum(np.hypot(x / across, y / down), 1e-6)
    low = np.clip(y / down / reach, 0, 1)
    left = 1 - np.interp(reach, [1.0, *(r for r, _, _ in RINGS)], [1.0, *NECK])
    return (left * low * low * (3 - 2 * low)).astype(np.float32)


def torso_motion(
    size: int, anchor: NDArray[np.float32], target: NDArray[np.float32], source: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(S, S, 2) by how many pixels a torso wanted at ``target`` (3,) lies elsewhere in a frame where it is at
    ``source`` (see ``Shapes.torso``); ``anchor`` (2,) is the pixel whose place they tell, with the torso at rest."""
    shift, turn = (source - target)[:2], float(source[2] - target[2])
    x, y = anchor + target[:2]
    moved = cv2.transform(grid(size, size), np.array([[0, -turn, shift[0] + turn * y], [turn, 0, shift[1] - turn * x]]))
    return np.asarray(moved, np.float32)


@cache
def grid(height: int, width: int) -> NDArray[np.float32]:
    """(H, W, 2) x and y of each pixel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], axis=-1).astype(np.float32)


def pull(image: NDArray, where: NDArray[np.float32], *, sharp: bool = True) -> NDArray:
    """The picture whose pixel p shows ``image`` at ``where[p]``; ``sharp`` keeps 97 % of the detail (Lanczos), else
    bilinear."""
    how = cv2.INTER_LANCZOS4 if sharp else cv2.INTER_LINEAR
    return cv2.remap(image, where[..., 0], where[..., 1], how, borderMode=cv2.BORDER_REPLICATE)
