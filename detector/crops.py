"""The pictures the detector looks at: a chip of the face near native scale, and what is cut from it upright:

the square the network reads, and the atlas of face, eyes and mouth whose statistics the surface model reads.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm

CHIP_FACE_PX = 256
"""A chip holds the face (longer side of its box) at native scale up to this size; larger faces are shrunk, none is
enlarged."""
CHIP_MARGIN = 1.8
"""Side of a chip over the longer side of the face's box."""
FACE_PX = 224
"""Side of the square the network reads: 20 cm of the canonical face, so that the seam of a swapped face is inside."""
ATLAS_HEIGHT, ATLAS_WIDTH = 128, 192
"""The atlas: the whole face (128x128), beside it the eyes and the mouth at about twice its scale."""


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A cut-out of the picture around one face.

    ``image`` is HxWx3 uint8 RGB; ``mesh`` (468, 2) float32 landmarks in pixels of the chip; ``scale`` chip pixels per
    pixel
    of the picture, at most 1.
    """

    image: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    scale: float


@dataclass(frozen=True)
class Patch:
    """One part of the atlas: where it lies there, the anatomy it centres on, and its scale."""

    x: int
    y: int
    width: int
    height: int
    centre: tuple[int, ...]
    """Landmarks whose mean is the patch's centre; empty for the face as a whole."""
    px_per_cm: float
    """Pixels per centimetre of the canonical face."""


PATCHES = (
    Patch(0, 0, 128, 128, (), 6.0),
    Patch(128, 0, 64, 48, lm.EYE_CORNERS[0], 11.0),
    Patch(128, 48, 64, 48, lm.EYE_CORNERS[1], 11.0),
    Patch(128, 96, 64, 32, (lm.MOUTH_RIGHT, lm.MOUTH_LEFT), 8.0),
)
WHOLE_FACE = Patch(0, 0, FACE_PX, FACE_PX, (), FACE_PX / 20)
FACE_CENTRE_CM = (0.0, 0.8)
"""Centre of the face patch on the canonical face (x right, y down): between nose tip and lips."""


def face_size(mesh: NDArray) -> float:
    """Longer side in pixels of the box around a (468, 2 or 3) mesh."""
    return float((mesh[:, :2].max(0) - mesh[:, :2].min(0)).max())


def cut_chip(
    image: NDArray[np.uint8],
    mesh: NDArray,
    *,
    box: tuple[float, float, float] | None = None,
    face_px: int = CHIP_FACE_PX,
    tight: bool = False,
) -> Chip:
    """Cut the chip of the face with ``mesh`` (468, 2 or 3) out of ``image`` (HxWx3 uint8); edges are repeated outside.

    ``box`` is (centre x, centre y, side of the face) where a fixed cut is wanted over several frames. ``tight`` cuts
    no more than ``face_square`` and ``atlas`` look at, which is less than half.
    """
    xy = mesh[:, :2]
    if box is None:
        low, high = xy.min(0), xy.max(0)
        box = (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2, float((high - low).max()))
    cx, cy, size = box
    if tight:
        (cx, cy), half = _looked_at(similarity(mesh))
    else:
        half = max(size, 8.0) * CHIP_MARGIN / 2
    x0, y0, x1, y1 = (int(np.floor(v)) for v in (cx - half, cy - half, cx + half + 1, cy + half + 1))
    h, w = image.shape[:2]
    part: NDArray = image[max(y0, 0) : max(min(y1, h), 1), max(x0, 0) : max(min(x1, w), 1)]
    if part.size == 0:
        part = image[:1, :1]
    pads = [max(-y0, 0), max(y1 - h, 0), max(-x0, 0), max(x1 - w, 0)]
    scale = min(1.0, face_px / max(size, 1.0))
    if scale < 1:
        part = _shrunk(part, scale)
        pads = [round(p * scale) for p in pads]
    if any(pads):
        part = np.pad(part, ((pads[0], pads[1]), (pads[2], pads[3]), (0, 0)), mode="edge")
    at = (xy - np.array([x0, y0]) + 0.5) * scale - 0.5
    return Chip(image=np.ascontiguousarray(part), mesh=at.astype(np.float32), scale=scale)


@cache
def _rigid() -> tuple[NDArray, NDArray, NDArray]:
    index, weights = lm.rigid_points()
    template = lm.canonical_xyz()[index, :2].astype(np.float64)
    return index, weights / weights.sum(), template


def similarity(mesh: NDArray) -> NDArray[np.float64]:
    """(2, 3) similarity from canonical centimetres to pixels that fits the points of ``mesh`` that move least with
    expression."""
    index, weights, template = _rigid()
    to = mesh[index, :2].astype(np.float64)
    a0, b0 = weights @ template, weights @ to
    a, b = template - a0, to - b0
    norm = (weights * (a**2).sum(1)).sum()
    c = (weights * (a * b).sum(1)).sum() / norm
    s = (weights * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum() / norm
    m = np.array([[c, -s], [s, c]])
    return np.concatenate([m, (b0 - m @ a0)[:, None]], 1)


def patch_matrix(patch: Patch, mesh: NDArray, pose: NDArray) -> NDArray[np.float64]:
    """(2, 3) affine from pixels of the patch to pixels of the picture in which ``mesh`` has the ``pose`` that
    ``similarity`` finds."""
    turn = pose[:, :2] / patch.px_per_cm
    centre = mesh[list(patch.centre), :2].mean(0) if patch.centre else pose @ [*FACE_CENTRE_CM, 1]
    return np.concatenate([turn, (centre - turn @ [(patch.width - 1) / 2, (patch.height - 1) / 2])[:, None]], 1)


def _looked_at(pose: NDArray) -> tuple[NDArray[np.float64], float]:
    """Centre, and half the side, of the upright square of the picture that holds the whole face's patch under ``pose``,
    and the pixels around it that shrinking reads."""
    patch = PATCHES[0]
    c, s = np.abs(pose[:, 0])
    return pose @ [*FACE_CENTRE_CM, 1], float((c + s) * patch.width / patch.px_per_cm / 2 * 1.04 + 4)


def _shrunk(image: NDArray, scale: float) -> NDArray:
    """``image`` at ``scale`` below 1: halved while it can be, then bilinear.

    Bilinear between half size and whole keeps fine detail as a mean over areas does (its power at the new limit is
    .67 of the old on average, theirs .65), and takes a sixth of the time.
    """
    out = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    while scale <= 0.5 and min(image.shape[:2]) >= 4:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
        scale *= 2
    return cv2.resize(image, out, interpolation=cv2.INTER_LINEAR)


def _pyramid(image: NDArray, levels: int) -> list[NDArray]:
    out = [image]
    while len(out) <= levels and min(out[-1].shape[:2]) >= 4:
        h, w = out[-1].shape[0] // 2 * 2, out[-1].shape[1] // 2 * 2
        out.append(cv2.resize(out[-1][:h, :w], (w // 2, h // 2), interpolation=cv2.INTER_AREA))
    return out


def face_square(image: NDArray[np.uint8], mesh: NDArray) -> NDArray[np.uint8]:
    """The upright square (224, 224, 3) around the face with ``mesh`` (468, 2 or 3) in ``image``, 11.2 pixels a
    centimetre.

    Also for one-channel pictures (a mask), then (224, 224).
    """
    return _cut(image, mesh, (WHOLE_FACE,), (FACE_PX, FACE_PX))


def atlas(image: NDArray[np.uint8], mesh: NDArray) -> NDArray[np.uint8]:
    """The aligned atlas (128, 192, 3) of a face with ``mesh`` (468, 2 or 3) in ``image``."""
    return _cut(image, mesh, PATCHES, (ATLAS_HEIGHT, ATLAS_WIDTH))


def _cut(image: NDArray, mesh: NDArray, patches: tuple[Patch, ...], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Patches of the face side by side in one picture of ``size`` (height, width); shrinks without aliasing."""
    pose = similarity(mesh)
    out = np.zeros((*size, *image.shape[2:]), np.uint8)
    matrices = [patch_matrix(p, mesh, pose) for p in patches]
    steps = [float(np.sqrt(abs(np.linalg.det(m[:, :2])))) for m in matrices]
    levels = [max(int(np.floor(np.log2(max(s, 1e-6)) + 0.35)), 0) for s in steps]
    pyramid = _pyramid(image, min(max(levels), 5))
    for patch, matrix, level in zip(patches, matrices, levels, strict=True):
        level = min(level, len(pyramid) - 1)
        m = matrix / 2**level
        m[:, 2] -= (2**level - 1) / (2 * 2**level)
        out[patch.y : patch.y + patch.height, patch.x : patch.x + patch.width] = cv2.warpAffine(
            pyramid[level], m, (patch.width, patch.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return out
