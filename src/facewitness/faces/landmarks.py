"""The one table of landmarks: anatomical names for the 468 points of the face mesh and the 71 of the iris model.

Sides are the *person's*: the right eye is on the left of the picture. Index sequences run from the person's right to
left for lips and brows, and from the outer to the inner corner for lids. The canonical mesh comes from
``canonical_face.npz``, made by ``python -m facewitness.faces.geometry`` (MediaPipe, Apache-2.0).
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

POINTS = 468

RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER = 33, 133, 362, 263
RIGHT_LID_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LID_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_LID_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LID_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_EYE = RIGHT_LID_UPPER + RIGHT_LID_LOWER[-2:0:-1]
"""Closed outline of the right eye, 16 points."""
LEFT_EYE = LEFT_LID_UPPER + LEFT_LID_LOWER[-2:0:-1]
EYES = (RIGHT_EYE, LEFT_EYE)
EYE_CORNERS = ((RIGHT_EYE_OUTER, RIGHT_EYE_INNER), (LEFT_EYE_OUTER, LEFT_EYE_INNER))
"""Per eye: outer corner, inner corner."""
LIDS_UPPER = (RIGHT_LID_UPPER, LEFT_LID_UPPER)
LIDS_LOWER = (RIGHT_LID_LOWER, LEFT_LID_LOWER)

RIGHT_BROW = (70, 63, 105, 66, 107)
"""Upper edge, outer to inner."""
LEFT_BROW = (300, 293, 334, 296, 336)
RIGHT_BROW_LOWER = (46, 53, 52, 65, 55)
LEFT_BROW_LOWER = (276, 283, 282, 295, 285)

MOUTH_RIGHT, MOUTH_LEFT = 61, 291
"""Outer corners of the mouth."""
MOUTH_INNER_RIGHT, MOUTH_INNER_LEFT = 78, 308
LIP_UPPER_OUTER, LIP_UPPER_INNER, LIP_LOWER_INNER, LIP_LOWER_OUTER = 0, 13, 14, 17
"""Middle of the upper lip's outer and inner edge, and of the lower lip's."""
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_LIPS = LIPS_OUTER_UPPER + LIPS_OUTER_LOWER[-2:0:-1]
"""Closed outline of the lips."""
INNER_LIPS = LIPS_INNER_UPPER + LIPS_INNER_LOWER[-2:0:-1]
"""Closed outline of the mouth opening."""

NOSE_BRIDGE = (168, 6, 197, 195, 5, 4)
NOSE_TIP, NOSE_BASE = 4, 2
NOSE_RIGHT, NOSE_LEFT = 64, 294
"""Wings of the nose."""
CHIN, FOREHEAD, GLABELLA = 152, 10, 9
RIGHT_CHEEK, LEFT_CHEEK = 50, 280
RIGHT_TEMPLE, LEFT_TEMPLE = 127, 356
RIGHT_JAW, LEFT_JAW = 172, 397
RIGHT_EAR, LEFT_EAR = 234, 454
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Closed outline of the face, from the middle of the forehead over the person's left."""

IRIS_CENTRE, IRIS_RIM = 0, (1, 2, 3, 4)
"""Of the five iris points: the centre; the rim at the picture's right, top, left and bottom."""
IRIS_DIAMETER_CM = 1.17
"""Horizontal visible diameter of the human iris, nearly the same in everyone (11.7 mm; Ruefer et al., Cornea 2005)."""

IRIS_CONTOUR_RIGHT = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245,
    156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
"""Mesh index of each of the 71 points that the iris model gives for the right eye: lower lid, upper lid, halo, brow."""
IRIS_CONTOUR_LEFT = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465,
    383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip
IRIS_CONTOURS = (IRIS_CONTOUR_RIGHT, IRIS_CONTOUR_LEFT)
EYE_OUTLINE_POINTS = 16
"""How many of the 71 are the outline of the eye opening; the rest are lid folds and brow."""


@cache
def _canonical() -> dict[str, NDArray]:
    with np.load(Path(__file__).parent / "canonical_face.npz", allow_pickle=False) as stored:
        return {name: _frozen(stored[name]) for name in stored.files}


def _frozen(array: NDArray) -> NDArray:
    array.setflags(write=False)
    return array


def canonical_xyz() -> NDArray[np.float32]:
    """Canonical face, (468, 3) float32 centimetres, x right in the picture, y down, z away; read-only."""
    return _canonical()["xyz"]


def gap_cm(points: Iterable[int]) -> NDArray[np.float32]:
    """(468,) centimetres on the canonical face from each landmark to the nearest of ``points``."""
    xyz = canonical_xyz()
    return np.asarray(np.linalg.norm(xyz[:, None] - xyz[list(points)][None], axis=-1).min(1), np.float32)


def canonical_uv() -> NDArray[np.float32]:
    """Texture coordinates of the canonical face, (468, 2) float32 in 0..1, u right and v down; read-only."""
    return _canonical()["uv"]


def triangles() -> NDArray[np.int32]:
    """Triangles of the mesh, (898, 3) int32 indices; eye openings are covered, the mouth opening is covered too."""
    return _frozen(_canonical()["triangles"].astype(np.int32))


def rigid_points() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Landmarks that move least with expression: their (n,) indices and (n,) weights (MediaPipe's Procrustes basis)."""
    return _canonical()["rigid"].astype(np.int64), _canonical()["rigid_weights"].astype(np.float64)


@cache
def mirror() -> NDArray[np.int64]:
    """(468,) index of each point's mirror image on the other side of the face; its own where it lies in the middle."""
    xyz = canonical_xyz().astype(np.float64)
    gaps = np.linalg.norm((xyz * [-1, 1, 1])[:, None] - xyz[None], axis=-1)
    return _frozen(gaps.argmin(1))
