"""Readings are 0 at rest and rise with what they name; what a frame does not show is not trusted."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from facewitness.generator.performance import Camera, Identity, Performance
from facewitness.generator.reconstruct import basis, certainty, from_angles_deg, readings
from facewitness.generator.reconstruct.identity import eye_centres, template

FRAMES = 60
ACTS = slice(40, 60)


@pytest.fixture(scope="module")
def still() -> Performance:
    shape = template()
    balls = np.concatenate([eye_centres(shape), np.full((2, 1), 1.2)], 1)
    return Performance(
        time_base=Fraction(1, 25), pts=np.arange(FRAMES), rotation=np.zeros((FRAMES, 3), np.float32),
        translation=np.tile(np.float32([0, 0, 60]), (FRAMES, 1)),
        expression=np.zeros((FRAMES, len(basis().modes)), np.float32), lids=np.zeros((FRAMES, 2), np.float32),
        gaze=np.zeros((FRAMES, 2, 2), np.float32), confidence=np.ones(FRAMES, np.float32),
        identity=Identity(neutral=shape.astype(np.float32), eyeballs=balls.astype(np.float32), ranges={}),
        camera=Camera(focal_px=900, width=600, height=600),
    )  # fmt: skip


def acting(still: Performance, direction: str, strength: float = 1.0) -> Performance:
    expression = still.expression.copy()
    expression[ACTS] = strength * basis().direction(direction)
    return replace(still, expression=expression)


@pytest.mark.parametrize(("direction", "reading"), [("jaw_open", "jaw"), ("pucker", "pucker"), ("brow_up", "brow")])
def test_a_named_movement_raises_the_reading_of_that_name(still, direction, reading):
    read = readings(acting(still, direction, 2.0))[reading]
    assert read[ACTS].min() > read[:40].max() + 0.1
    assert abs(read[:40]).max() < 0.15


def test_a_wide_mouth_reads_as_a_smile_and_a_narrow_one_as_none(still):
    wide = readings(acting(still, "pucker", -2.0))["smile"]
    narrow = readings(acting(still, "pucker", 2.0))["smile"]
    assert wide[ACTS].min() > wide[:40].max() + 0.1
    assert (narrow >= 0).all() and narrow[ACTS].max() <= narrow[:40].max() + 1e-6


def test_readings_of_the_mouth_are_never_negative(still):
    for direction in ("jaw_open", "smile", "pucker"):
        read = readings(acting(still, direction, -3.0))
        assert min(read[name].min() for name in ("jaw", "smile", "pucker")) >= 0


def test_looking_down_counts_the_lids_as_arkit_does(still):
    shut = readings(replace(still, lids=np.ones_like(still.lids)))
    assert shut["look_down"].min() > 0.3 and np.allclose(shut["look_right"], 0)
    assert np.allclose(readings(still)["look_down"], 0)


def test_what_a_frame_does_not_show_is_not_trusted(still):
    angles, lids, confidence = np.zeros((FRAMES, 3)), np.zeros((FRAMES, 2)), np.ones(FRAMES)
    angles[10:20, 0] = -60.0  # the face turns to the picture's left, which hides its half on the picture's left
    lids[30:35, 0] = 1.0
    confidence[50:] = 0.0
    p = replace(
        still, rotation=from_angles_deg(angles).astype(np.float32), lids=lids.astype(np.float32),
        confidence=confidence.astype(np.float32),
    )  # fmt: skip
    sure = certainty(p)
    assert (sure["lids"][:10] == 1).all() and (sure["gaze"][:10] == 1).all() and (sure["expression"][:10] == 1).all()
    assert sure["lids"][15, 0] < 0.3 and sure["lids"][15, 1] == 1, "only the eye that is turned away"
    assert sure["expression"][15] < 0.8 and sure["rotation"][15] == 1
    assert sure["gaze"][32].tolist() == [0, 1] and sure["lids"][32].tolist() == [1, 1], "a shut eye shows its lid"
    assert all((values[50:] == 0).all() for values in sure.values()), "a gap is no measurement"
