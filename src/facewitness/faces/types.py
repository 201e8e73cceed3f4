"""One face through a clip, as arrays over time.

Sides are the *person's*: index 0 is their right eye, which is left in the picture.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

RIGHT, LEFT = 0, 1
"""Index of the person's right and left eye in every array that has one entry per eye."""
PER_FRAME = ("pts", "boxes", "mesh", "eyes", "irises", "confidence", "parts", "blendshapes")
"""Names of what a track holds for every frame; the last two may be None."""


@dataclass(frozen=True, kw_only=True)
class FaceTrack:
    """One face through a clip of T frames; a frame in which it was not seen is a gap: NaN landmarks, confidence 0.

    All positions are pixels of the upright picture, x right and y down; the z of the mesh has the scale of x and
    grows away from the camera.
    """

    face_id: int
    """0 for the face most present and largest, then 1, 2, ..."""
    tracker: str
    """``mesh``, ``fan`` or ``landmarker``."""
    width: int
    height: int
    time_base: Fraction
    pts: NDArray[np.int64]
    """(T,) presentation times in ticks of ``time_base``, every frame of the clip, gaps included."""
    boxes: NDArray[np.float32]
    """(T, 4) x0, y0, x1, y1 in pixels."""
    mesh: NDArray[np.float32]
    """(T, 468, 3) points of the MediaPipe face mesh."""
    eyes: NDArray[np.float32]
    """(T, 2, 71, 2) eye contour, lids and brows as the iris model gives them, per eye."""
    irises: NDArray[np.float32]
    """(T, 2, 5, 2) centre, then four points of the rim, per eye."""
    confidence: NDArray[np.float32]
    """(T,) 0..1; 0 is a gap."""
    parts: NDArray[np.float32] | None = None
    """(T, 4) how far the upper face, the mouth, the right and the left eye are shown, 0 covered to 1 and in a gap; with
    careful looks only (``looks`` above 1)."""
    blendshapes: NDArray[np.float32] | None = None
    """(T, 52) ARKit-style coefficients 0..1, with the ``landmarker`` tracker only."""

    def at(self, frames: slice | NDArray[np.int64]) -> "FaceTrack":
        """The same for some of the frames."""
        values = {name: getattr(self, name) for name in PER_FRAME}
        return replace(self, **{k: v[frames] for k, v in values.items() if v is not None})

    @property
    def present(self) -> NDArray[np.bool_]:
        """(T,) whether the face was seen in the frame."""
        return self.confidence > 0

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(T,) presentation times in seconds."""
        return self.pts.astype(np.float64) * float(self.time_base)

    @property
    def iris_px(self) -> float:
        """Median diameter of the irises in pixels; NaN where none was seen."""
        across = np.linalg.norm(self.irises[:, :, 1] - self.irises[:, :, 3], axis=-1)
        return float(np.nanmedian(across)) if np.isfinite(across).any() else float("nan")
