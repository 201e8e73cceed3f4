"""Performances recombine: what is taken is taken, the rest stays, and nobody turns into somebody else."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Camera, Identity, Performance
from facewitness.generator.recombine import cut, join, mouth_share, resample, rest, transfer
from facewitness.generator.reconstruct import angles_deg, basis, from_angles_deg, head_mesh
from facewitness.generator.reconstruct.identity import eye_centres, template
from facewitness.generator.resting import resting_expression


def performance(seed: int, frames: int, scale: float, rate: int = 25) -> Performance:
    rng = np.random.default_rng(seed)
    shape = (template() * scale).astype(np.float32)
    balls = np.concatenate([eye_centres(shape), np.full((2, 1), 1.2)], 1).astype(np.float32)
    t = np.arange(frames)[:, None] / rate
    swing = np.sin(t * rng.uniform(1, 6, (1, 48)) + rng.uniform(0, 6, (1, 48)))
    return Performance(
        time_base=Fraction(1, rate), pts=np.arange(frames),
        rotation=from_angles_deg(swing[:, :3] * [15, 8, 5] + [seed, 2 * seed, 0]).astype(np.float32),
        translation=(swing[:, 3:6] + [0, 0, 50 + seed]).astype(np.float32),
        expression=(swing[:, :40] * 0.5 + 0.1 * seed).astype(np.float32),
        lids=np.clip(swing[:, 6:8], 0, 1).astype(np.float32),
        gaze=np.repeat(swing[:, None, 8:10] * 0.2 + 0.02 * seed, 2, 1).astype(np.float32),
        confidence=np.ones(frames, np.float32),
        identity=Identity(neutral=shape, eyeballs=balls, ranges={"mouth": (0.0, 0.5 + seed)}),
        camera=Camera(focal_px=768, width=512, height=512),
    )  # fmt: skip


DRIVER, TARGET = performance(1, 75, 1.0), performance(3, 40, 1.1)


def test_the_target_stays_itself_for_as_long_as_the_driver_plays():
    out = transfer(DRIVER, TARGET)
    assert out.identity is TARGET.identity and out.camera == TARGET.camera
    assert np.array_equal(out.pts, DRIVER.pts) and out.time_base == DRIVER.time_base
    still = replace(DRIVER, expression=np.zeros_like(DRIVER.expression), identity=TARGET.identity)
    calm = transfer(still, TARGET)
    shape = head_mesh(calm.identity, calm.expression[0], np.zeros(2)) - TARGET.identity.neutral
    assert np.abs(shape).mean() < 0.02, "a neutral face is the target's own"


def test_absolute_copies_and_relative_departs_from_how_the_target_rests():
    copied = transfer(DRIVER, TARGET, mode="absolute")
    assert np.allclose(copied.rotation, DRIVER.rotation) and np.allclose(copied.expression, DRIVER.expression)
    assert np.allclose(copied.gaze, DRIVER.gaze)
    moved = transfer(DRIVER, TARGET, mode="relative")
    where = rest(moved)["gaze"].mean(0), rest(TARGET)["gaze"].mean(0)
    assert np.allclose(*where, atol=1e-3), "at rest both look where the target does"
    crossed = [p.gaze[:, 1] - p.gaze[:, 0] for p in (moved, DRIVER)]
    assert np.allclose(*crossed, atol=1e-3), "eyes turn towards each other as the driver's do"
    yaw = np.corrcoef(angles_deg(moved.rotation)[:, 0], angles_deg(DRIVER.rotation)[:, 0])[0, 1]
    assert yaw > 0.99


def test_gaze_keeps_its_degrees_between_people():
    out = transfer(DRIVER, TARGET, take=("gaze",))
    assert np.std(out.gaze[..., 0]) == pytest.approx(np.std(DRIVER.gaze[..., 0]), rel=1e-3)


@pytest.mark.parametrize("part", ["head", "expression", "gaze", "lids"])
def test_only_what_is_taken_changes(part):
    own = transfer(TARGET, TARGET, take=("lids",), mode="absolute")
    out = transfer(performance(2, 40, 1.0), TARGET, take=(part,))
    names = {"head": ("rotation", "translation")}.get(part, (part,))
    for name in ("rotation", "translation", "expression", "gaze", "lids"):
        same = np.allclose(getattr(out, name), getattr(own, name), atol=1e-5)
        assert same == (name not in names), name


def test_dubbing_moves_the_mouth_and_leaves_the_brows():
    out = transfer(DRIVER, TARGET, take=("mouth",))
    own = transfer(DRIVER, TARGET, take=("lids",))
    still = np.zeros((len(out), 2))
    moved = np.abs(
        head_mesh(out.identity, out.expression, still) - head_mesh(own.identity, own.expression, still)
    ).mean((0, 2))
    from facewitness.faces import landmarks as lm

    assert moved[list(lm.INNER_LIPS)].mean() > 5 * moved[list(lm.RIGHT_BROW + lm.LEFT_BROW)].mean()
    again = mouth_share() @ mouth_share()
    assert np.abs(again - mouth_share()).mean() < 0.1, "nearly a projection"


def test_wrong_words_are_usage_errors():
    for options in ({"take": ("hair",)}, {"take": ()}, {"mode": "sideways"}):
        with pytest.raises(UsageError):
            transfer(DRIVER, TARGET, **options)


def test_inputs_are_not_changed():
    before = DRIVER.expression.copy(), TARGET.gaze.copy()
    transfer(DRIVER, TARGET)
    assert np.array_equal(before[0], DRIVER.expression) and np.array_equal(before[1], TARGET.gaze)


def test_cut_and_join_give_the_whole_back():
    first, second = cut(DRIVER, 0, 1.2), cut(DRIVER, 1.2)
    assert len(first) == 30 and first.times_s[-1] < 1.2 <= second.times_s[0]
    whole = join([first, second])
    assert np.array_equal(whole.pts, DRIVER.pts) and np.array_equal(whole.gaze, DRIVER.gaze)
    with pytest.raises(UsageError):
        cut(DRIVER, 99)
    with pytest.raises(UsageError):
        join([])


def test_resampling_keeps_the_movement_and_turns_the_short_way():
    p = resample(DRIVER, 50)
    assert p.time_base == Fraction(1, 50) and len(p) == 149
    assert np.allclose(p.rotation[::2], DRIVER.rotation, atol=1e-5)
    turned = np.linalg.norm(np.diff(p.rotation, axis=0), axis=1)
    assert turned.max() < 1.05 * np.linalg.norm(np.diff(DRIVER.rotation, axis=0), axis=1).max() / 2 + 0.01
    with pytest.raises(UsageError):
        resample(DRIVER, 0)


def test_a_resampled_gap_stays_a_gap():
    confidence = np.ones(len(DRIVER), np.float32)
    confidence[10:20] = 0
    p = resample(replace(DRIVER, confidence=confidence), 100)
    inside = (p.times_s > 9.5 / 25) & (p.times_s < 19.9 / 25)
    assert (p.confidence[inside] == 0).all()


def test_the_basis_names_what_edits_use():
    assert len(basis().names) == len(set(basis().names)) == len(basis().directions)


def test_who_rests_on_a_smile_gives_it_on_and_lips_that_meet_still_meet():
    smile = basis().direction("smile")
    smiling = replace(TARGET.identity, neutral=head_mesh(TARGET.identity, 1.5 * smile, np.zeros(2)))
    more = resting_expression(smiling) - resting_expression(TARGET.identity)
    assert 0.2 < more @ smile / (smile @ smile) < 1.5, "part of it may be the shape of the face"
    parted = replace(TARGET.identity, neutral=head_mesh(TARGET.identity, basis().direction("mouth_open"), np.zeros(2)),
                     ranges={"mouth": (0.1, 1.0)})  # fmt: skip
    gap = float(parted.neutral[lm.LIP_LOWER_INNER, 1] - parted.neutral[lm.LIP_UPPER_INNER, 1])
    lifted = head_mesh(parted, resting_expression(parted), np.zeros(2)) - parted.neutral
    wider = float(lifted[lm.LIP_LOWER_INNER, 1] - lifted[lm.LIP_UPPER_INNER, 1])
    assert wider == pytest.approx(gap - 0.1, abs=0.02)


def test_a_resting_smile_and_brows_are_given_on_without_the_chin():
    neutral = TARGET.identity.neutral.copy()
    neutral[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT]] += np.array([[0.4, -0.3, 0.0], [-0.4, -0.3, 0.0]], np.float32)
    smiling = replace(TARGET.identity, neutral=neutral)
    given = resting_expression(smiling) - resting_expression(TARGET.identity)
    moved = head_mesh(TARGET.identity, given, np.zeros(2)) - TARGET.identity.neutral
    corners = moved[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT]]
    assert corners[:, 1].max() < -0.05 and corners[0, 0] > 0.03 > -0.03 > corners[1, 0], "up and apart"
    assert np.abs(moved[lm.CHIN, :2]).max() < 0.05
