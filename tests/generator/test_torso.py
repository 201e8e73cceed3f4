"""The torso has a motion of its own: read below the chin, kept in files, given on, and put where it is wanted."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facewitness.faces import landmarks as lm
from facewitness.generator.compose import Composer, anchor_of
from facewitness.generator.recombine import transfer
from facewitness.generator.reconstruct import load_performance, save_performance
from facewitness.generator.shapes import Shapes
from facewitness.generator.surround import learn_parts
from facewitness.generator.synthesis import steadied
from facewitness.generator.torso import read_torso
from facewitness.generator.warp import grid, usual_follow

from .test_recombine import performance

SIZE = 192


def cloth(seed: int, big: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(rng.uniform(0, 255, (big, big)).astype(np.float32), (0, 0), 2.0)
    return np.clip((soft - soft.mean()) * 5 + 128, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def footage(shape):
    """A head that wanders before a wall, over a torso that wanders otherwise: frames, shapes, and the torso's truth."""
    rng, shirt, wall, skin = np.random.default_rng(1), cloth(2, 3 * SIZE), cloth(3, SIZE), cloth(4, 3 * SIZE)
    time = np.linspace(0, 6, 60)
    truth = np.column_stack([7 * np.sin(time), 3 * np.cos(1.7 * time), 0.04 * np.sin(2.3 * time)])
    shapes, frames = [], []
    chin, anchor = shape().mesh[0, lm.CHIN, :2], anchor_of(shape()) + SIZE
    for shift, turn in zip(truth[:, :2], truth[:, 2], strict=True):
        head = rng.uniform(-4, 4, 2)
        one = shape(shift=head)
        frame = wall.copy()
        move = cv2.getRotationMatrix2D((float(anchor[0]), float(anchor[1])), -float(np.degrees(turn)), 1.0)
        move[:, 2] += shift - SIZE
        worn = cv2.warpAffine(shirt, move, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        edge = int(chin[1] + 6)
        frame[edge:] = worn[edge:]
        face = cv2.fillConvexPoly(np.zeros_like(frame), cv2.convexHull(one.mesh[0, :, :2].astype(np.int32)), 1) > 0
        x, y = (SIZE - np.round(head)).astype(int)
        frame[face] = skin[y : y + SIZE, x : x + SIZE][face]
        shapes.append(one)
        frames.append(np.repeat(frame[..., None], 3, axis=2))
    joined = Shapes(**{n: np.concatenate([getattr(s, n) for s in shapes]) for n in ("mesh", "irises")})
    return np.stack(frames), joined, truth


def test_shift_and_turn_are_read_whatever_the_head_does(footage):
    frames, shapes, truth = footage
    read = read_torso(iter(frames), shapes.mesh)
    assert read is not None
    missed = read - (truth - np.median(truth, axis=0))
    missed -= missed.mean(0)
    assert np.abs(missed[:, :2]).mean() < 0.4
    assert np.degrees(np.abs(missed[:, 2]).mean()) < 0.3


def test_nothing_is_said_of_a_torso_that_is_not_seen(footage):
    frames, shapes, _ = footage
    assert read_torso(iter(np.full_like(frames, 90)), shapes.mesh) is None
    out_of_frame = shapes.mesh + np.array([0, SIZE, 0], np.float32)
    assert read_torso(iter(frames), out_of_frame) is None


def test_the_shirt_goes_with_the_torso_the_face_with_the_head_and_a_frame_of_itself_stays(footage):
    frames, shapes, truth = footage
    shapes = replace(shapes, torso=truth.astype(np.float32))
    parts = learn_parts(frames, shapes, usual_follow(), anchor_of(shapes), pairs=40, rng=np.random.default_rng(0))
    assert parts is not None
    chin = np.median(shapes.mesh[:, lm.CHIN, :2], axis=0).astype(int)
    assert parts[chin[1] + 20 : -5, 30:-30, 1].mean() > 190
    assert parts[: chin[1] - 60, :, 1].max() < 20
    composer = Composer(frames, shapes, None, parts)
    source, wanted = int(truth[:, 0].argmin()), int(truth[:, 0].argmax())
    target = composer.shell_of(shapes.mesh[wanted], shapes.irises[wanted])
    where = composer.map(target, source, shapes.torso[wanted])
    moved = (where - grid(SIZE, SIZE))[chin[1] + 20 : -5, 60:-60].mean((0, 1))
    assert moved[0] == pytest.approx(truth[source, 0] - truth[wanted, 0], abs=2.5)
    itself = composer.shell_of(shapes.mesh[source], shapes.irises[source])
    assert np.abs(composer.map(itself, source, shapes.torso[source]) - grid(SIZE, SIZE)).max() < 1e-3


def test_another_person_gives_the_departure_from_rest_and_old_files_hold_still(tmp_path):
    driver, target = performance(1, 20, 1.0), performance(2, 30, 1.0)
    sway = np.column_stack([np.linspace(-1, 1, 20), np.zeros(20), np.zeros(20)]).astype(np.float32)
    told = np.tile(np.float32([0.3, -0.2, 0.01]), (30, 1))
    target = replace(target, torso=told)
    given = transfer(replace(driver, torso=sway + 5), target)
    assert given.torso == pytest.approx(told[0] + sway, abs=1e-5)
    assert transfer(driver, target).torso == pytest.approx(np.tile(told[0], (20, 1)), abs=1e-6)
    assert transfer(driver, replace(target, torso=None)).torso is None
    kept = load_performance(save_performance(target, tmp_path / "now.npz"))
    assert np.array_equal(kept.torso, told)
    with np.load(save_performance(driver, tmp_path / "old.npz")) as stored:
        assert "torso" not in stored
        np.savez(tmp_path / "first.npz", **{**stored, "format": np.array("facewitness.performance/1")})
    assert load_performance(tmp_path / "first.npz").torso is None


def test_noise_is_averaged_over_time_and_what_changes_is_shown_at_once():
    rng = np.random.default_rng(0)
    still = np.full((64, 64, 3), 120, np.float32)
    shown = still + rng.normal(0, 4, still.shape).astype(np.float32)
    for _ in range(6):
        fresh = still + rng.normal(0, 4, still.shape).astype(np.float32)
        shown = steadied(fresh, shown, grid(64, 64))
    assert np.abs(shown - still).std() < 0.75 * np.abs(fresh - still).std()
    changed = still.copy()
    changed[20:40, 20:40] += 80
    assert steadied(changed, shown, grid(64, 64))[25:35, 25:35].mean() == pytest.approx(200, abs=0.5)
