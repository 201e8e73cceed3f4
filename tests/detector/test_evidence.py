"""Signals of the eyes and the head, on tracks whose truth is known because they are drawn here."""

from fractions import Fraction

import numpy as np
import pytest

from facewitness.detector.cues import Abstained, Measured, get_cue, list_cues, run_cue
from facewitness.detector.evidence import Evidence
from facewitness.detector.texture import QUANTITIES, REGIONS
from facewitness.faces import FaceTrack
from facewitness.faces import landmarks as lm

FPS = 12.5


def drawn(
    seconds=8.0, *, px_per_cm=20.0, yaw=lambda t: 0 * t, gaze=lambda t: 0 * t, shut=lambda t: 0 * t, fps=FPS, left=None
):
    """Evidence of a canonical head that turns, looks and blinks as told; angles in radians, gaze in eye widths."""
    t = np.arange(round(seconds * fps)) / fps
    xyz = lm.canonical_xyz().astype(np.float64)
    c, s = np.cos(yaw(t)), np.sin(yaw(t))
    turned = np.stack(
        [xyz[None, :, 0] * c[:, None] - xyz[None, :, 2] * s[:, None],
         np.repeat(xyz[None, :, 1], len(t), 0),
         xyz[None, :, 0] * s[:, None] + xyz[None, :, 2] * c[:, None]], -1)  # fmt: skip
    mesh = turned * px_per_cm + [320, 320, 0]
    eyes = np.empty((len(t), 2, 71, 2))
    irises = np.empty((len(t), 2, 5, 2))
    for side in (0, 1):
        eyes[:, side] = mesh[:, lm.IRIS_CONTOURS[side], :2]
        middle = eyes[:, side, [0, 8]].mean(1, keepdims=True)
        lids = eyes[:, side, :16] - middle
        lids[..., 1] *= (1 - shut(t))[:, None]
        eyes[:, side, :16] = middle + lids
        width = np.linalg.norm(eyes[:, side, 0] - eyes[:, side, 8], axis=-1)
        look = (left or gaze)(t) if side == 1 else gaze(t)
        irises[:, side, 0] = middle[:, 0] + np.stack([look * width, 0 * t], -1)
        radius = px_per_cm * lm.IRIS_DIAMETER_CM / 2
        for k, (dx, dy) in enumerate(((1, 0), (0, -1), (-1, 0), (0, 1)), start=1):
            irises[:, side, k] = irises[:, side, 0] + [dx * radius, dy * radius]
    boxes = np.concatenate([mesh[..., :2].min(1), mesh[..., :2].max(1)], 1)
    track = FaceTrack(
        face_id=0, tracker="mesh",
        width=640, height=640, time_base=Fraction(1, 1000), pts=np.round(t * 1000).astype(np.int64),
        boxes=boxes.astype(np.float32), mesh=mesh.astype(np.float32), eyes=eyes.astype(np.float32),
        irises=irises.astype(np.float32), confidence=np.ones(len(t), np.float32),
    )  # fmt: skip
    texture = np.zeros((len(t), len(REGIONS), len(QUANTITIES)), np.float32)
    return Evidence(track=track, fps=fps, texture=texture, flow=np.ones((len(t), 2), np.float32), brightness=120.0)


def value(name, evidence):
    found = run_cue(get_cue(name), evidence)
    assert isinstance(found, Measured), found
    return found.value


def blink(at):
    return lambda t: sum((np.clip(1 - np.abs(t - a) / 0.15, 0, 1) for a in at), start=0 * t)


def test_yaw_comes_back_in_degrees():
    e = drawn(yaw=lambda t: np.deg2rad(20) * np.sin(t))
    assert np.rad2deg(np.abs(e.angles[:, 0]).max()) == pytest.approx(20, abs=1.5)
    assert np.rad2deg(np.abs(e.angles[:, 1]).max()) < 2


def test_blinks_are_counted():
    assert len(drawn(shut=blink([1.6, 4.0, 6.4])).blinks) == 3
    assert len(drawn().blinks) == 0


def test_more_blinks_give_a_higher_rate_and_none_is_not_zero():
    often, never = (drawn(shut=blink(at)) for at in ([1.6, 3.2, 4.8, 6.4], []))
    assert value("blink_rate", often) > value("blink_rate", never) > 0


def test_eyes_that_stand_still_have_little_spread_and_few_jumps():
    rng = np.random.default_rng(0)
    steps = np.repeat(rng.uniform(-0.15, 0.15, 20), 5)
    lively = drawn(gaze=lambda t: steps[: len(t)])
    frozen = drawn()
    assert value("gaze_spread", lively) > 20 * max(value("gaze_spread", frozen), 1e-6)
    assert value("gaze_jumps", lively) > value("gaze_jumps", frozen)


def test_eyes_that_turn_together_are_conjugate_and_others_are_not():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 0.05, (2, 200))
    assert value("gaze_conjugacy", drawn(gaze=lambda t: a[: len(t)])) > 0.99
    assert abs(value("gaze_conjugacy", drawn(gaze=lambda t: a[: len(t)], left=lambda t: b[: len(t)]))) < 0.4


def test_eyes_that_hold_their_aim_turn_against_the_head():
    turn = lambda t: np.deg2rad(15) * np.sin(2 * t)  # noqa: E731
    held = drawn(yaw=turn, gaze=lambda t: -0.3 * np.sin(2 * t))
    tied = drawn(yaw=turn, gaze=lambda t: 0.3 * np.sin(2 * t))
    assert value("gaze_head", held) * value("gaze_head", tied) < 0


@pytest.mark.parametrize("name", [c.name for c in list_cues() if c.needs.iris_px])
def test_a_cue_abstains_below_the_iris_size_it_needs(name):
    found = run_cue(get_cue(name), drawn(px_per_cm=3.0))
    assert isinstance(found, Abstained)
    assert "pixels wide" in found.why


def test_a_cue_abstains_when_the_clip_is_too_short():
    found = run_cue(get_cue("blink_rate"), drawn(seconds=2.0))
    assert isinstance(found, Abstained)
    assert "needs 5 s" in found.why


def test_every_cue_names_its_source_unit_and_both_tails():
    for cue in list_cues():
        assert cue.source and cue.unit and cue.low != cue.high, cue.name
        assert cue.family in ("eyes", "motion", "surface"), cue.name
