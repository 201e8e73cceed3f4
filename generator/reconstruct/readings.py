"""Readings: what a performance shows, in the words and on the scale of ARKit's blendshapes, 0 at rest towards 1.

Expression modes are good for drawing and poor for reading; these few numbers are what a person or another tracker
would say of a frame. A blendshape is never negative and stays at 0 while nothing happens, so a reading is a measure
of the mesh above what is usual for this person at rest, through a soft corner at 0.
"""

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.model import head_mesh
from facewitness.generator.reconstruct.rotation import angles_deg

RESTING_PERCENTILE = 10
"""A mouth is at rest where its measure is at this percentile over the clip."""
CORNER = 0.05
"""How soft the corner at 0 is, in units of the reading."""
JAW_PER_CM = {"gap": 0.16, "chin": 0.056}
SMILE_PER_CM, PUCKER_PER_CM = 0.21, -0.48
JAW_OFFSET, SMILE_OFFSET, PUCKER_OFFSET = -0.04, 0.02, 0.106
"""Least squares against another tracker's jawOpen, mouthSmile and mouthPucker on 57 clips of people other than the six
that agreement is measured on; the two measures of the jaw, and the width alone for the smile, because more measures
read those people no better when people were left out in turn."""
LOOK_DOWN_BY_LIDS_RAD = 0.54
"""ARKit's eyeLookDown carries the upper lid's way down along; so many radians for a closed eye, fitted likewise."""
SURE = 0.2


def readings(performance: Performance) -> dict[str, NDArray[np.float64]]:
    """Named readings, (T,) each.

    ``blink``, ``jaw``, ``smile`` and ``pucker`` 0 at rest towards 1, means of both sides; ``brow`` centimetres up from
    neutral; ``look_right`` (in the picture) and ``look_down`` radians, the latter as ARKit counts it, lids included;
    ``yaw``, ``pitch``, ``roll`` degrees as in ``angles_deg``.
    """
    p = performance
    sure = p.confidence >= SURE
    mesh = head_mesh(p.identity, p.expression, np.zeros_like(p.lids)).astype(np.float64)
    gap = mesh[:, lm.LIP_LOWER_INNER, 1] - mesh[:, lm.LIP_UPPER_INNER, 1]
    chin = mesh[:, lm.CHIN, 1] - mesh[:, lm.NOSE_BASE, 1]
    width = mesh[:, lm.MOUTH_LEFT, 0] - mesh[:, lm.MOUTH_RIGHT, 0]
    inner = mesh[:, lm.MOUTH_INNER_LEFT, 0] - mesh[:, lm.MOUTH_INNER_RIGHT, 0]
    brows, corners = list(lm.RIGHT_BROW + lm.LEFT_BROW), np.ravel(lm.EYE_CORNERS)
    height = mesh[:, corners, 1].mean(1) - mesh[:, brows, 1].mean(1)
    usual = p.identity.neutral[corners, 1].mean() - p.identity.neutral[brows, 1].mean()

    def above_rest(measure: NDArray) -> NDArray:
        return measure - np.percentile(measure[sure] if sure.any() else measure, RESTING_PERCENTILE)

    lids, gaze, turned = p.lids.mean(1), p.gaze.mean(1), angles_deg(p.rotation)
    jaw = JAW_PER_CM["gap"] * above_rest(gap) + JAW_PER_CM["chin"] * above_rest(chin)
    return {
        "blink": lids.astype(np.float64),
        "jaw": _from_zero(jaw + JAW_OFFSET),
        "smile": _from_zero(SMILE_PER_CM * above_rest(width) + SMILE_OFFSET),
        "pucker": _from_zero(PUCKER_PER_CM * above_rest(inner) + PUCKER_OFFSET),
        "brow": height - usual,
        "look_right": gaze[:, 0].astype(np.float64),
        "look_down": gaze[:, 1] + LOOK_DOWN_BY_LIDS_RAD * lids.astype(np.float64),
        "yaw": turned[:, 0],
        "pitch": turned[:, 1],
        "roll": turned[:, 2],
    }


def _from_zero(value: NDArray) -> NDArray[np.float64]:
    """Softplus: 0 far below zero, the value itself far above."""
    return np.asarray(np.logaddexp(0, value / CORNER) * CORNER, np.float64)
