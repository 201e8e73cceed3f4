"""Signals of the eyes and the head, on tracks whose truth is known because they are drawn here."""

import numpy as np
import pytest

from facewitness.detector.cues import Abstained, Measured, get_cue, list_cues, run_cue


def value(name, evidence):
    found = run_cue(get_cue(name), evidence)
    assert isinstance(found, Measured), found
    return found.value


def test_yaw_comes_back_in_degrees(drawn):
    e = drawn(yaw=lambda t: np.deg2rad(20) * np.sin(t))
    assert np.rad2deg(np.abs(e.angles[:, 0]).max()) == pytest.approx(20, abs=1.5)
    assert np.rad2deg(np.abs(e.angles[:, 1]).max()) < 2


def test_blinks_are_counted(drawn, blink):
    assert len(drawn(shut=blink([1.6, 4.0, 6.4])).blinks) == 3
    assert len(drawn().blinks) == 0


def test_more_blinks_give_a_higher_rate_and_none_is_not_zero(drawn, blink):
    often, never = (drawn(shut=blink(at)) for at in ([1.6, 3.2, 4.8, 6.4], []))
    assert value("blink_rate", often) > value("blink_rate", never) > 0


def test_eyes_that_stand_still_have_little_spread_and_few_jumps(drawn):
    rng = np.random.default_rng(0)
    steps = np.repeat(rng.uniform(-0.15, 0.15, 20), 5)
    lively = drawn(gaze=lambda t: steps[: len(t)])
    frozen = drawn()
    assert value("gaze_spread", lively) > 20 * max(value("gaze_spread", frozen), 1e-6)
    assert value("gaze_jumps", lively) > value("gaze_jumps", frozen)


def test_eyes_that_turn_together_are_conjugate_and_others_are_not(drawn):
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 0.05, (2, 200))
    assert value("gaze_conjugacy", drawn(gaze=lambda t: a[: len(t)])) > 0.99
    assert abs(value("gaze_conjugacy", drawn(gaze=lambda t: a[: len(t)], left=lambda t: b[: len(t)]))) < 0.4


def test_eyes_that_hold_their_aim_turn_against_the_head(drawn):
    turn = lambda t: np.deg2rad(15) * np.sin(2 * t)  # noqa: E731
    held = drawn(yaw=turn, gaze=lambda t: -0.3 * np.sin(2 * t))
    tied = drawn(yaw=turn, gaze=lambda t: 0.3 * np.sin(2 * t))
    assert value("gaze_head", held) * value("gaze_head", tied) < 0


@pytest.mark.parametrize("name", [c.name for c in list_cues() if c.needs.iris_px])
def test_a_cue_abstains_below_the_iris_size_it_needs(name, drawn):
    found = run_cue(get_cue(name), drawn(px_per_cm=3.0))
    assert isinstance(found, Abstained)
    assert "pixels wide" in found.why


def test_a_cue_abstains_when_the_clip_is_too_short(drawn):
    found = run_cue(get_cue("blink_rate"), drawn(seconds=2.0))
    assert isinstance(found, Abstained)
    assert "needs 3 s" in found.why


def test_every_cue_names_its_source_unit_and_both_tails():
    for cue in list_cues():
        assert cue.source and cue.unit and cue.low != cue.high, cue.name
        assert cue.family in ("eyes", "motion", "surface"), cue.name
