"""How somebody's face rests: the expression that is part of a neutral face, told apart from the shape of the bones.

A clip's neutral face is where its owner mostly is; of someone who smiles throughout, a smiling one. How far the lips
are parted in it is known from the clip, in which they close. What else of it is expression is estimated from measures
against the population, each with how much neutral faces differ between people (68 studio portraits with a neutral
face: Face Research Lab London, CC-BY, doi 10.6084/m9.figshare.5047666) and how much more the neutral faces of 24
talking-head clips do: the conditional mean of two Gaussians.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.expression import direction
from facewitness.generator.performance import Identity
from facewitness.generator.reconstruct.identity import template
from facewitness.generator.reconstruct.learn import measured
from facewitness.generator.reconstruct.model import basis

MEASURES = ("smile", "frown", "pucker", "mouth_open", "brow_up")
"""Names of ``reconstruct.learn.measured``, centimetres."""
POPULATION_CM = (0.348, 0.083, 0.011, -0.377, -0.108)
"""Mean of each measure of a neutral face over the canonical face's."""
PEOPLE_CM = (0.321, 0.084, 0.214, 0.131, 0.269)
"""Standard deviation of each between people whose faces are at rest."""
PEOPLE_CORRELATION = (
    (1.00, -0.42, -0.76, 0.12, 0.16),
    (-0.42, 1.00, 0.66, -0.50, -0.53),
    (-0.76, 0.66, 1.00, -0.20, -0.14),
    (0.12, -0.50, -0.20, 1.00, 0.23),
    (0.16, -0.53, -0.14, 0.23, 1.00),
)
CLIPS_CM = (0.227, 0.163, 0.259, 0.172, 0.273)
"""Standard deviation that the neutral faces of clips have beyond that: how differently people hold their faces."""

WHOLE, LIPS_MEET = ("smile", "brow_up", "jaw_open"), 10.0
"""Expressions that somebody may rest in, and how much more exact than the other measures the lips' gap must be."""


def resting_expression(identity: Identity) -> NDArray[np.float32]:
    """(K,) coefficients of what is expression in a person's neutral face: a resting smile, raised brows, parted lips.

    Expression coefficients count from the neutral face; with these added, they count from the population's.
    """
    from_template = (identity.neutral.astype(np.float64) - template())[None]
    values = measured(from_template)
    away = np.array([float(values[name][0]) for name in MEASURES]) - POPULATION_CM
    resting = _share() @ away
    gap = float(identity.neutral[lm.LIP_LOWER_INNER, 1] - identity.neutral[lm.LIP_UPPER_INNER, 1])
    if "mouth" in identity.ranges:  # lips that meet must meet
        resting[MEASURES.index("mouth_open")] = max(gap - identity.ranges["mouth"][0], 0.0)
    return np.asarray(_lift() @ resting, np.float32)


@cache
def _slopes() -> NDArray[np.float64]:
    """(5, K) centimetres of each measure per standard deviation of each mode."""
    per_mode = measured(basis().modes.astype(np.float64))
    return np.stack([per_mode[name] for name in MEASURES])


@cache
def _lift() -> NDArray[np.float64]:
    """(K, 5) coefficients of the smile, the risen brows and the jaw that give the measures best: whole expressions,
    which leave the rest of the face as it is."""
    whole = np.stack([direction(name) for name in WHOLE], 1).astype(np.float64)
    weights = 1 / np.array(CLIPS_CM)
    weights[MEASURES.index("mouth_open")] *= LIPS_MEET
    return np.asarray(whole @ np.linalg.pinv(weights[:, None] * (_slopes() @ whole)) * weights, np.float64)


@cache
def _share() -> NDArray[np.float64]:
    """(5, 5) how much of a departure from the population is expression; measures go together as in movement."""
    moving = _slopes() @ _slopes().T
    spread = np.sqrt(np.diag(moving))
    resting = moving / np.outer(spread, spread) * np.outer(CLIPS_CM, CLIPS_CM)
    people = np.array(PEOPLE_CORRELATION) * np.outer(PEOPLE_CM, PEOPLE_CM)
    return np.asarray(resting @ np.linalg.inv(resting + people), np.float64)
