"""Each controlled factor changes one thing, by degree, and leaves its input and everything else as they were."""

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest

from facewitness.datasets.factors import FACTORS, find_blinks
from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Camera, Identity, Performance
from facewitness.generator.reconstruct.model import basis

RATE = 25
CHANGES = {
    "blinks_removed": {"lids"}, "blinks_added": {"lids"}, "eye_delay": {"lids"}, "lid_jitter": {"lids"},
    "gaze_frozen": {"gaze"}, "gaze_decoupled": {"gaze"}, "saccades_smoothed": {"gaze"},
    "head_jitter": {"rotation", "translation"}, "expression_scaled": {"expression"}, "mouth_delay": {"expression"},
    "frames_repeated": {"lids", "gaze", "rotation", "translation", "expression"},
    "frames_dropped": {"lids", "gaze", "rotation", "translation", "expression"},
}  # fmt: skip


@pytest.fixture
def performance() -> Performance:
    """Eight seconds with three blinks, jumping gaze, and everything else in slow motion."""
    count = 8 * RATE
    rng = np.random.default_rng(0)
    t = np.arange(count) / RATE
    lids = np.full((count, 2), 0.05, np.float32)
    for at in (50, 110, 160):
        lids[at - 2 : at + 5] += np.array([0.3, 0.7, 0.9, 0.7, 0.4, 0.2, 0.1], np.float32)[:, None]
    gaze = np.repeat(rng.normal(0, 0.15, (16, 1, 2)).repeat(13, 0)[:count], 2, axis=1).astype(np.float32)
    k = len(basis().modes)
    return Performance(
        time_base=Fraction(1, RATE), pts=np.arange(count), lids=lids, gaze=gaze,
        rotation=np.stack([0.1 * np.sin(t), 0.2 * np.sin(0.7 * t), 0.05 * np.cos(t)], 1).astype(np.float32),
        translation=np.stack([np.sin(t), np.cos(t), 60 + np.sin(t)], 1).astype(np.float32),
        expression=np.cumsum(rng.normal(0, 0.1, (count, k)), 0).astype(np.float32),
        confidence=np.ones(count, np.float32),
        identity=Identity(neutral=lm.canonical_xyz().copy(), eyeballs=np.zeros((2, 4), np.float32), ranges={}),
        camera=Camera(focal_px=500, width=256, height=256),
    )  # fmt: skip


def changed_fields(before: Performance, after: Performance) -> set[str]:
    return {
        f.name for f in fields(before)
        if isinstance(getattr(before, f.name), np.ndarray) and not np.array_equal(getattr(before, f.name),
        getattr(after, f.name))
    }  # fmt: skip


def test_every_factor_is_described_here():
    assert set(CHANGES) == set(FACTORS)


@pytest.mark.parametrize("name", sorted(FACTORS))
def test_degree_zero_changes_nothing_and_other_degrees_only_their_own_thing(name: str, performance: Performance):
    factor = FACTORS[name]
    copy = {f.name: np.copy(getattr(performance, f.name)) for f in fields(performance) if f.name in CHANGES[name]}
    assert factor.apply(performance, 0, np.random.default_rng(1)) is performance
    for degree in factor.degrees:
        after = factor.apply(performance, degree, np.random.default_rng(1))
        assert changed_fields(performance, after) - {"confidence"} <= CHANGES[name]
        assert changed_fields(performance, after)
        assert len(after) == len(performance)
        again = factor.apply(performance, degree, np.random.default_rng(1))
        assert not changed_fields(after, again)
    assert all(np.array_equal(v, getattr(performance, k)) for k, v in copy.items())


def test_a_larger_degree_changes_more(performance: Performance):
    for name in (
        "blinks_removed",
        "eye_delay",
        "gaze_frozen",
        "gaze_decoupled",
        "saccades_smoothed",
        "head_jitter",
        "lid_jitter",
    ):
        low, high = FACTORS[name].degrees
        moved = []
        for degree in (low, high):
            after = FACTORS[name].apply(performance, degree, np.random.default_rng(2))
            moved.append(sum(float(np.abs(getattr(after, f) - getattr(performance, f)).mean()) for f in CHANGES[name]))
        assert moved[1] > moved[0], name


@pytest.mark.parametrize("name", sorted(FACTORS))
def test_a_degree_out_of_range_is_refused(name: str, performance: Performance):
    with pytest.raises(UsageError, match=name):
        FACTORS[name].apply(performance, FACTORS[name].range[1] + 1, np.random.default_rng(0))


def test_blinks_are_found_removed_and_doubled(performance: Performance):
    assert len(find_blinks(performance)) == 3
    assert not find_blinks(FACTORS["blinks_removed"].apply(performance, 1.0, np.random.default_rng(0)))
    assert len(find_blinks(FACTORS["blinks_added"].apply(performance, 1.0, np.random.default_rng(0)))) == 6


def test_one_eye_blinks_later(performance: Performance):
    after = FACTORS["eye_delay"].apply(performance, 0.16, np.random.default_rng(0))
    late = [e for e in (0, 1) if not np.array_equal(after.lids[:, e], performance.lids[:, e])]
    assert len(late) == 1
    assert np.argmax(after.lids[:80, late[0]]) - np.argmax(performance.lids[:80, late[0]]) == round(0.16 * RATE)


def test_eyes_look_apart_by_the_degrees_asked_for(performance: Performance):
    after = FACTORS["gaze_decoupled"].apply(performance, 10.0, np.random.default_rng(0))
    apart = np.degrees((after.gaze - performance.gaze)[:, 1, 0] - (after.gaze - performance.gaze)[:, 0, 0])
    assert np.allclose(apart, 10, atol=1e-3)


def test_a_frozen_gaze_does_not_move(performance: Performance):
    assert np.ptp(FACTORS["gaze_frozen"].apply(performance, 1.0, np.random.default_rng(0)).gaze, axis=0).max() < 1e-6


def test_repeated_frames_show_the_one_before(performance: Performance):
    after = FACTORS["frames_repeated"].apply(performance, 0.3, np.random.default_rng(0))
    still = (np.diff(after.rotation, axis=0) == 0).all(1).mean()
    assert 0.2 < still < 0.4


def test_the_mouth_comes_later_and_the_brows_do_not(performance: Performance):
    from facewitness.generator.recombine import mouth_share

    lower = mouth_share()
    after = FACTORS["mouth_delay"].apply(performance, 0.2, np.random.default_rng(0))
    before_mouth, after_mouth = performance.expression @ lower, after.expression @ lower
    lag = round(0.2 * RATE)
    here = np.corrcoef(after_mouth[lag:, 0], before_mouth[:-lag, 0])[0, 1]
    assert here > 0.97
