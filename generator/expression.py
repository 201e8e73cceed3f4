"""Expressions with a name, each as what it does to the whole face at full strength, found in the basis by constrained
least squares: what an expression does not name stays where it is.

Full strength is what people can do, not what they do while they talk: in a full smile the corners of the mouth go up
and out by about 1 cm (7 to 22 mm between people; Paletz et al., Plast. Reconstr. Surg. 1994), brows rise by 1.2 cm, a
mouth opens by several.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.reconstruct import basis

Anchors = dict[int, tuple[float, float, float]]
"""Landmark to its movement in centimetres: out to the person's left, down, away from the camera."""
RIGHT, LEFT, BOTH = (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)
BELIEF = 0.006
"""Weight of a standard deviation of every mode against a centimetre of misfit at every point."""
STILL_WEIGHT = 0.35
"""Weight of a point that must stay, against one that must move; there are many more of the former."""
SPREAD_CM = 1.7
"""Points so near to one that moves are free: skin goes along."""


@dataclass(frozen=True)
class Expression:
    """What one expression does at full strength."""

    meaning: str
    left: Anchors = field(default_factory=dict)
    """Of the person's left half; its mirror image holds for the right one."""
    sides: tuple[float, float] = BOTH
    """How far the person's right and left half take part."""
    middle: Anchors = field(default_factory=dict)
    """Of the middle of the face, and of what is not mirrored."""
    low: float = -1.0
    """How far it can be turned round: a face's rest is nearer to one end of some movements than to the other."""
    upper: bool = False
    """Whether the mouth has no part in it."""


_SMILE: Anchors = {
    291: (0.75, -0.94, 0.56), 308: (0.65, -0.83, 0.50), 409: (0.60, -0.69, 0.40), 375: (0.60, -0.69, 0.45),
    270: (0.38, -0.38, 0.20), 321: (0.40, -0.40, 0.28), 269: (0.22, -0.22, 0.12), 405: (0.22, -0.20, 0.15),
    415: (0.50, -0.56, 0.35), 324: (0.50, -0.56, 0.38), 310: (0.35, -0.34, 0.20), 318: (0.35, -0.34, 0.25),
    311: (0.18, -0.20, 0.12), 402: (0.18, -0.15, 0.12),
    287: (0.78, -0.94, 0.53), 432: (0.56, -0.69, 0.28), 436: (0.56, -0.75, 0.25), 426: (0.31, -0.56, 0.00),
    425: (0.31, -0.53, -0.15), 280: (0.19, -0.38, -0.12), 411: (0.38, -0.56, 0.00), 427: (0.47, -0.62, 0.10),
    327: (0.12, -0.12, 0.04), 374: (0.00, -0.09, 0.00), 380: (0.00, -0.07, 0.00), 373: (0.00, -0.07, 0.00),
}  # fmt: skip
_BROW: Anchors = {
    300: (0.0, -1.01, 0.05), 293: (0.0, -1.14, 0.05), 334: (0.0, -1.21, 0.08), 296: (0.0, -1.21, 0.10),
    336: (0.0, -1.08, 0.10), 276: (0.0, -0.87, 0.05), 283: (0.0, -1.01, 0.05), 282: (0.0, -1.08, 0.08),
    295: (0.0, -1.08, 0.10), 285: (0.0, -0.96, 0.10), 333: (0.0, -0.74, 0.05), 299: (0.0, -0.81, 0.08),
    337: (0.0, -0.47, 0.05),
}  # fmt: skip
_LOWER = (17, 84, 314, 14, 87, 317, 152, 175, 199, 200)

EXPRESSIONS = {
    "smile": Expression("corners of the mouth up and apart, cheeks raised (negative: down)", _SMILE,
                        middle={0: (0, -0.06, 0.06), 13: (0, -0.06, 0.06), 14: (0, -0.03, 0.06), 17: (0, 0.0, 0.05)},
                        low=-0.5),
    "smile_right": Expression("the person's right corner of the mouth", _SMILE, RIGHT, low=-0.5),
    "smile_left": Expression("the person's left corner of the mouth", _SMILE, LEFT, low=-0.5),
    "frown": Expression("corners of the mouth down", {
        291: (0.10, 0.55, 0.10), 308: (0.08, 0.48, 0.08), 375: (0.08, 0.40, 0.06), 409: (0.06, 0.35, 0.06),
        321: (0.05, 0.18, 0.0), 270: (0.04, 0.12, 0.0), 287: (0.10, 0.50, 0.05), 432: (0.05, 0.35, 0.0)},
        middle={17: (0, -0.10, -0.05), 14: (0, -0.06, 0), 13: (0, -0.06, 0)}),
    "pucker": Expression("lips drawn together", {
        291: (-0.70, 0.0, -0.15), 308: (-0.65, 0.0, -0.20), 409: (-0.50, -0.05, -0.30), 375: (-0.50, 0.05, -0.30),
        270: (-0.30, -0.06, -0.45), 321: (-0.30, 0.06, -0.45), 269: (-0.15, -0.08, -0.55), 405: (-0.15, 0.08, -0.55)},
        middle={0: (0, -0.08, -0.60), 17: (0, 0.08, -0.60), 13: (0, 0, -0.5), 14: (0, 0, -0.5)}),
    "jaw_open": Expression("mouth opened by the jaw", {
        291: (-0.05, 0.55, 0.08), 308: (-0.05, 0.55, 0.08), 375: (-0.02, 0.95, 0.10), 321: (0, 1.35, 0.15),
        405: (0, 1.60, 0.18), 324: (-0.02, 0.85, 0.1), 318: (0, 1.25, 0.15), 402: (0, 1.55, 0.18),
        409: (-0.05, 0.30, 0.05), 270: (0, 0.10, 0)},
        middle={13: (0, 0, 0), 0: (0, 0, 0), 14: (0, 1.7, 0.2), 17: (0, 1.75, 0.22), 199: (0, 1.75, 0.3),
                175: (0, 1.75, 0.35), 152: (0, 1.75, 0.38), 200: (0, 1.75, 0.3)}),
    "jaw_left": Expression("jaw to the person's left", middle=dict.fromkeys(
        _LOWER, (0.55, 0.0, 0.0)) | {291: (0.3, 0, 0), 61: (0.3, 0, 0), 0: (0.1, 0, 0), 13: (0.1, 0, 0)}),
    "upper_lip_raise": Expression("upper lip up", {
        267: (0, -0.42, 0), 269: (0.02, -0.36, 0), 270: (0.03, -0.22, 0), 312: (0, -0.42, 0), 311: (0.02, -0.34, 0),
        327: (0.03, -0.12, 0)}, middle={0: (0, -0.42, 0), 13: (0, -0.42, 0), 14: (0, 0, 0)}),
    "lower_lip_drop": Expression("lower lip down", {
        314: (0, 0.42, 0), 405: (0.02, 0.36, 0), 321: (0.03, 0.2, 0), 317: (0, 0.42, 0), 402: (0.02, 0.34, 0)},
        middle={17: (0, 0.42, 0), 14: (0, 0.42, 0), 13: (0, 0, 0), 152: (0, 0, 0)}),
    "brow_up": Expression("both brows up", _BROW, low=-0.4, upper=True),
    "brow_up_right": Expression("the person's right brow up", _BROW, RIGHT, low=-0.4, upper=True),
    "brow_up_left": Expression("the person's left brow up", _BROW, LEFT, low=-0.4, upper=True),
    "brow_down": Expression("brows down and together", {
        300: (0, 0.15, 0), 293: (-0.05, 0.25, 0), 334: (-0.12, 0.40, 0), 296: (-0.20, 0.50, 0), 336: (-0.28, 0.55, 0),
        276: (0, 0.12, 0), 283: (-0.05, 0.20, 0), 282: (-0.1, 0.32, 0), 295: (-0.18, 0.42, 0), 285: (-0.25, 0.48, 0)},
        upper=True),
    "eye_wide": Expression("eyes opened wide", {
        386: (0, -0.16, 0), 385: (0, -0.15, 0), 387: (0, -0.14, 0), 384: (0, -0.10, 0), 388: (0, -0.09, 0),
        374: (0, 0.06, 0), 380: (0, 0.05, 0), 373: (0, 0.05, 0)}, upper=True),
    "nose_sneer": Expression("wings of the nose up", {
        294: (0.02, -0.32, 0.02), 327: (0.02, -0.30, 0.02), 331: (0.02, -0.30, 0), 278: (0.03, -0.30, 0),
        269: (0, -0.14, 0), 270: (0.02, -0.10, 0)}, middle={0: (0, -0.12, 0), 13: (0, -0.12, 0)}),
}  # fmt: skip


@cache
def direction(name: str) -> NDArray[np.float32]:
    """(K,) coefficients of an expression at full strength, in standard deviations of the basis's modes.

    Raises UsageError for an unknown name.
    """
    if name not in EXPRESSIONS:
        raise UsageError(f"there is no expression {name!r}; choose one of {', '.join(EXPRESSIONS)}.")
    moves = _moves(EXPRESSIONS[name])
    at = list(moves)
    wanted = np.zeros((lm.POINTS, 3))
    wanted[at] = list(moves.values())
    weight = np.where(lm.gap_cm(at) > SPREAD_CM, STILL_WEIGHT, 0.05)
    weight[at] = 1.0
    modes = basis().modes.astype(np.float64).reshape(-1, lm.POINTS * 3)
    w = np.repeat(weight**2, 3)
    normal = (modes * w) @ modes.T + BELIEF * np.eye(len(modes))
    return np.linalg.solve(normal, (modes * w) @ wanted.reshape(-1)).astype(np.float32)


def _moves(of: Expression) -> Anchors:
    """Every landmark that is said to move, on both sides."""
    right, left = of.sides
    out = dict(of.middle)
    for k, (x, y, z) in of.left.items():
        out[k] = (left * x, left * y, left * z)
        out[int(lm.mirror()[k])] = (-right * x, right * y, right * z)
    return out
