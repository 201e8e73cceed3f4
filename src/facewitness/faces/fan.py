"""``--tracker fan``: the 68 points of face-alignment (Bulat and Tzimiropoulos, ICCV 2017), spread over the mesh.

The package fetches its weights (100 MB) from its author's site at first use. They see 68 points; the rest of the mesh
is the canonical face bent to them (a thin-plate spline), so between the points it is a guess.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import MissingPieceError
from facewitness.faces import landmarks as lm
from facewitness.faces.networks import IRIS_PX, MESH_PX, ROI_SCALE, Roi, Seen, crop, patch_of

MESH_OF_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 71, 63, 105, 66, 107, 336, 296,
    334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61,
    39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""Mesh index of each of the 68 points of Multi-PIE (jaw, brows, nose, eyes, lips)."""
CROP_PX = 4 * IRIS_PX
WEIGHTS = "https://www.adrianbulat.com/downloads/python-fan/"


class FanNetwork:
    """face-alignment on one crop. Raises MissingPieceError where the package or its weights are not to be had."""

    def __init__(self) -> None:
        try:
            import face_alignment
        except ImportError as e:
            raise MissingPieceError("the package face-alignment is missing; pip install face-alignment.") from e
        try:
            self._fan: Any = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_HALF_D, device="cpu", face_detector="folder", flip_input=False,
                compile=False,
            )  # fmt: skip
        except (OSError, RuntimeError) as e:
            raise MissingPieceError(
                f"the weights of face-alignment are not here and {WEIGHTS} cannot be reached; put "
                "3DFAN4-7835d9f11d.pth.tar into ~/.cache/torch/hub/checkpoints, or use --tracker mesh."
            ) from e

    def __call__(self, image: NDArray[np.uint8], roi: Roi) -> Seen:
        """Look at one crop of the picture; always sure of itself, for the network gives no confidence for a face."""
        cut = crop(image, roi, CROP_PX)
        margin = CROP_PX * (1 - 1 / ROI_SCALE) / 2
        box = [margin, margin, CROP_PX - margin, CROP_PX - margin]
        points, scores, _ = self._fan.get_landmarks_from_image(cut, [box], return_landmark_score=True)
        affine = roi.to_picture(CROP_PX)
        found = points[0][:, :2] @ affine[:, :2].T + affine[:, 2]
        mesh = bend_to_68(found)
        return Seen(mesh, float(np.clip(np.mean(scores[0]) * 2, 0, 1)), patch_of(cv2.resize(cut, (MESH_PX, MESH_PX))))


def bend_to_68(points: NDArray) -> NDArray[np.float32]:
    """The (468, 3) mesh whose 68 named points lie at ``points`` (68, 2): canonical face, posed, then bent."""
    from scipy.interpolate import RBFInterpolator

    canonical = lm.canonical_xyz().astype(np.float64)
    known = list(MESH_OF_68)
    posed = _weak_perspective(canonical, canonical[known], np.asarray(points, np.float64))
    bend = RBFInterpolator(posed[known, :2], points - posed[known, :2], kernel="thin_plate_spline", smoothing=1.0)
    posed[:, :2] += bend(posed[:, :2])
    return posed.astype(np.float32)


def _weak_perspective(every: NDArray, known: NDArray, seen: NDArray) -> NDArray:
    """Turn, scale and shift ``every`` (n, 3) so that ``known`` (m, 3) falls on ``seen`` (m, 2) in the least squares."""
    middle, target = known.mean(0), seen.mean(0)
    m, *_ = np.linalg.lstsq(known - middle, seen - target, rcond=None)
    scale = np.sqrt(np.linalg.norm(m[:, 0]) * np.linalg.norm(m[:, 1]))
    u, _, vt = np.linalg.svd(np.column_stack([m, np.cross(m[:, 0], m[:, 1]) / scale]))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    out = (every - middle) @ rotation * scale
    out[:, :2] += target
    return out
