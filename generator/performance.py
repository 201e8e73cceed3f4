"""The parameters of a clip over time.

Pure functions recombine performances (``take=``, recombine.py) and edit them (editing.py).
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

PER_FRAME = ("rotation", "translation", "expression", "lids", "gaze", "confidence", "parts", "illumination", "torso")
"""Names of what a performance holds for every frame, beside its times; the last three may be None."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera with square pixels and its principal point in the middle."""

    focal_px: float
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What stays the same of one person: neutral shape, eyeballs, and the personal ranges that transfer needs."""

    neutral: NDArray[np.float32]
    """(468, 3) neutral mesh, centimetres, head frame: origin between the eyeballs, x right, y down, z away."""
    eyeballs: NDArray[np.float32]
    """(2, 4) centre x, y, z and radius of the person's right and left eyeball, centimetres, head frame."""
    ranges: dict[str, tuple[float, float]]
    """Personal range (5th, 95th percentile) of each calibrated quantity: ``lids_right``, ``mouth``, ``gaze_yaw`` ..."""
    skin: "Skin | None" = None
    """How this person's skin moves beyond what everybody's does; None: not known, taken to be nothing."""


@dataclass(frozen=True, kw_only=True)
class Skin:
    """What expression moves of one person's skin beyond the basis's modes; learnt by ``skin.py``."""

    modes: NDArray[np.float32]
    """(K, 468, 3) centimetres for one standard deviation of each coefficient, head frame."""
    low: NDArray[np.float32]
    """(K,) the least of each coefficient that the footage shows; beyond it nothing more is known to move."""
    high: NDArray[np.float32]
    """(K,) likewise the most."""


@dataclass(frozen=True, kw_only=True)
class Performance:
    """What one face does over T frames, with the person and the scene it was taken from."""

    time_base: Fraction
    pts: NDArray[np.int64]
    """(T,) presentation times in ticks of ``time_base``."""
    rotation: NDArray[np.float32]
    """(T, 3) head to camera rotation vector, radians; zero looks into the camera."""
    translation: NDArray[np.float32]
    """(T, 3) head origin in the camera frame, centimetres (x right, y down, z away)."""
    expression: NDArray[np.float32]
    """(T, K) coefficients of the expression basis, in standard deviations."""
    lids: NDArray[np.float32]
    """(T, 2) closure of the person's right and left eye, 0 open to 1 closed."""
    gaze: NDArray[np.float32]
    """(T, 2, 2) yaw (positive: right in the picture) and pitch (positive: down) of each eye, head frame, radians."""
    confidence: NDArray[np.float32]
    """(T,) 0..1; 0 is a gap that was filled in by interpolation."""
    identity: Identity
    camera: Camera
    parts: NDArray[np.float32] | None = None
    """(T, 4) how far the upper face, the mouth, the right and the left eye are shown, 0 covered to 1; None where the
    tracker does not say."""
    illumination: NDArray[np.float32] | None = None
    """(T, 9, 3) spherical-harmonics coefficients, order 2, RGB."""
    torso: NDArray[np.float32] | None = None
    """(T, 3) how far the torso is from where it rests: right and down in centimetres, as seen at the head's distance,
    and its turn in the picture in radians (clockwise); see ``torso.py``. None: not known, taken to be at rest."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(T,) presentation times in seconds."""
        return self.pts.astype(np.float64) * float(self.time_base)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pts)
