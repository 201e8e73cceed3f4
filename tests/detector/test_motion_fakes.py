"""Made motion on landmarks alone: what it changes is what its name says."""

import numpy as np
import pytest

from facewitness.detector import motion_fakes
from facewitness.detector.cues import Measured, get_cue, run_cue


@pytest.fixture(scope="module")
def lively(drawn, blink):
    rng = np.random.default_rng(0)
    looks = np.repeat(rng.uniform(-0.12, 0.12, 25), 4)
    return drawn(
        gaze=lambda t: looks[: len(t)] + rng.normal(0, 0.004, len(t)), shut=blink([1.6, 4.0, 6.4]),
        yaw=lambda t: 0.2 * np.sin(1.7 * t),
    )  # fmt: skip


def value(name, evidence):
    found = run_cue(get_cue(name), evidence)
    assert isinstance(found, Measured), found
    return found.value


@pytest.mark.parametrize(
    ("kind", "cue", "sign"),
    [
        ("gaze_frozen", "gaze_spread", -1),
        ("gaze_frozen", "gaze_together", -1),
        ("gaze_damped", "gaze_spread", -1),
        ("gaze_smooth", "gaze_jumps", -1),
        ("lids_suppressed", "blink_depth", -1),
        ("blinks_removed", "blink_contrast", -1),
        ("eyes_apart", "gaze_conjugacy", -1),
        ("motion_jitter", "landmark_jitter", +1),
        ("still_head", "head_range", -1),
    ],
)
def test_a_made_motion_moves_its_cue(lively, kind, cue, sign):
    made = motion_fakes.make(lively, kind, np.random.default_rng(1))
    assert sign * (value(cue, made) - value(cue, lively)) > 0


def test_frozen_gaze_leaves_the_lids_alone(lively):
    made = motion_fakes.make(lively, "gaze_frozen", np.random.default_rng(1))
    assert value("blink_depth", made) == value("blink_depth", lively)
    assert len(made.blinks) == len(lively.blinks) == 3


def test_an_unknown_kind_is_refused(lively):
    with pytest.raises(ValueError, match="no motion fake"):
        motion_fakes.make(lively, "winking", np.random.default_rng(0))
