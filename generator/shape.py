"""Changing the shape of a face by named directions: smooth fields over the neutral mesh, in parts of the named
measure."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Identity

SHAPES = {
    "face_width": "the face wider",
    "jaw_width": "the jaw wider",
    "chin_length": "the lower face longer",
    "forehead_height": "the forehead higher",
    "nose_length": "the nose longer",
    "nose_width": "the nose wider",
    "eye_size": "the eyes larger",
    "eye_distance": "the eyes further apart",
    "lip_fullness": "the lips fuller",
}
"""Name and meaning of each direction; a value of 0.1 makes the measure a tenth larger."""
LIMITS = {"nose_length": (-0.2, 0.15)}
"""How far a direction convinces, where that is less than by ``MOST`` both ways: nostrils cannot be drawn out."""
MOST = 0.3


def reshaped(identity: Identity, amounts: Mapping[str, float]) -> Identity:
    """The same person with another shape; ``amounts`` in parts of each measure (0.1 is a tenth more), zero changes
    nothing."""
    neutral = identity.neutral.astype(np.float64)
    moved = neutral + sum(amount * field(name, neutral) for name, amount in amounts.items())
    eyeballs = identity.eyeballs.astype(np.float64).copy()
    for side, corners in enumerate(lm.EYE_CORNERS):
        eyeballs[side, :3] += (moved - neutral)[list(corners)].mean(0)
    return replace(identity, neutral=moved.astype(np.float32), eyeballs=eyeballs.astype(np.float32))


def field(name: str, neutral: NDArray[np.float64]) -> NDArray[np.float64]:
    """(468, 3) movement in centimetres that doubles the named measure of ``neutral`` (468, 3)."""
    x, y = neutral[:, 0], neutral[:, 1]
    out = np.zeros_like(neutral)
    middle = float(neutral[list(lm.NOSE_BRIDGE), 0].mean())
    brow = float(neutral[[*lm.RIGHT_BROW, *lm.LEFT_BROW], 1].mean())
    nose = float(neutral[lm.NOSE_BASE, 1])
    chin = float(neutral[lm.CHIN, 1])
    low = _ramp((y - nose) / max(chin - nose, 1e-6))
    if name == "face_width":
        out[:, 0] = x - middle
    elif name == "jaw_width":
        out[:, 0] = (x - middle) * low
    elif name == "chin_length":
        out[:, 1] = np.maximum(y - nose, 0) * low
    elif name == "forehead_height":
        out[:, 1] = np.minimum(y - brow, 0)
    elif name == "nose_length":
        root, tip = (float(neutral[lm.GLABELLA, 1]) + nose) / 2, nose  # the bridge between the eyes stays
        bell = _near(neutral, (*lm.NOSE_BRIDGE, lm.NOSE_BASE, lm.NOSE_RIGHT, lm.NOSE_LEFT), 0.6, 2.2)
        out[:, 1] = (np.clip(y, root, tip) - root) * bell
    elif name == "nose_width":
        bell = _near(neutral, (lm.NOSE_TIP, lm.NOSE_BASE, lm.NOSE_RIGHT, lm.NOSE_LEFT), 0.6, 2.0)
        out[:, 0] = (x - middle) * bell
    elif name in ("eye_size", "eye_distance"):
        for eye in lm.EYES:
            centre = neutral[list(eye)].mean(0)
            bell = _near(neutral, eye, 0.3, 1.8)[:, None]
            away = neutral - centre if name == "eye_size" else np.array([centre[0] - middle, 0, 0])
            out[:, :2] += (bell * away)[:, :2]
    elif name == "lip_fullness":
        line = float(neutral[list(lm.INNER_LIPS), 1].mean())
        bell = _near(neutral, lm.OUTER_LIPS, 0.2, 1.4)
        out[:, 1] = (y - line) * bell
    else:
        raise KeyError(name)
    return out


def _ramp(value: NDArray[np.float64]) -> NDArray[np.float64]:
    v = np.clip(value, 0, 1)
    return v * v * (3 - 2 * v)


def _near(neutral: NDArray[np.float64], points: tuple[int, ...], inner: float, outer: float) -> NDArray[np.float64]:
    """(468,) 1 within ``inner`` centimetres of ``points``, 0 beyond ``outer``."""
    gap = np.linalg.norm(neutral[:, None] - neutral[list(points)][None], axis=-1).min(1)
    return _ramp((outer - gap) / (outer - inner))
