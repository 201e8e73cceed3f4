"""What is put together from moments of the footage holds together."""

import numpy as np
import pytest

from facewitness.faces import landmarks as lm
from facewitness.generator.compose import Composer
from facewitness.generator.shapes import Shapes

SIZE = 192


def with_gap(shape, gap_px: float) -> Shapes:
    """The canonical face with its inner lips so far apart, upper lip in place."""
    one = shape()
    mesh = one.mesh.copy()
    for upper, lower in zip(lm.LIPS_INNER_UPPER[1:-1], lm.LIPS_INNER_LOWER[1:-1], strict=True):
        mesh[0, lower, :2] = mesh[0, upper, :2] + [0, gap_px]
    return Shapes(mesh=mesh, irises=one.irises)


def mouth_column(shape, source_px: float, target_px: float) -> np.ndarray:
    """Brightness down the middle of a mouth whose source has white teeth on both sides of a grey middle."""
    source, target = with_gap(shape, source_px), with_gap(shape, target_px)
    x, top = source.mesh[0, lm.LIP_UPPER_INNER, :2]
    frame = np.full((SIZE, SIZE, 3), 90, np.uint8)
    inside = np.arange(SIZE)[:, None] - top
    teeth = (inside >= 0) & (inside <= source_px) & (np.abs(inside - source_px / 2) > source_px / 6)
    frame[np.broadcast_to(teeth, (SIZE, SIZE))] = 240
    composer = Composer(frame[None], source)
    choice = dict.fromkeys(("canvas", "mouth", "right_eye", "left_eye"), (0, 0, 0.0))
    made = composer.compose(target.mesh[0], target.irises[0], choice)
    rows = slice(round(float(top)), round(float(top + target_px)) + 1)
    return made[rows, round(float(x)), 0]


def test_a_mouth_as_open_as_its_source_is_left_as_it_is(shape):
    column = mouth_column(shape, 18, 18)
    assert (column > 200).sum() == pytest.approx(12, abs=2) and column.min() > 70


def test_teeth_keep_their_size_and_the_gap_between_them_is_dark(shape):
    column = mouth_column(shape, 18, 36)
    assert (column > 200).sum() == pytest.approx(12, abs=4), "not drawn out to twice their height"
    assert column[len(column) // 2] < 60
