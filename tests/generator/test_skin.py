"""Skin that moves in its own way is learnt from the footage."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Camera, Identity, Performance, Skin
from facewitness.generator.reconstruct import basis, from_angles_deg, load_performance, project, save_performance
from facewitness.generator.reconstruct.model import skin_moved
from facewitness.generator.shapes import shapes_of
from facewitness.generator.skin import with_skin
from facewitness.generator.square import FaceSquare
from facewitness.generator.warp import pull, shells, surround_of, warp_map

SIZE, FRAMES = 192, 90
SQUARE = FaceSquare(x=0, y=0, side=SIZE, size=SIZE)


@pytest.fixture(scope="module")
def acting() -> Performance:
    """Somebody who raises the brows and speaks, and turns the head a little."""
    rng = np.random.default_rng(3)
    expression = np.zeros((FRAMES, len(basis().modes)), np.float32)
    expression[:, :2] = 2 * np.sin(np.arange(FRAMES)[:, None] * [0.31, 0.23])
    return Performance(
        time_base=Fraction(1, 25), pts=np.arange(FRAMES), rotation=from_angles_deg(rng.normal(0, 2, (FRAMES, 3))),
        translation=np.tile(np.float32([0, 0, 50]), (FRAMES, 1)), expression=expression,
        lids=np.zeros((FRAMES, 2), np.float32), gaze=np.zeros((FRAMES, 2, 2), np.float32),
        confidence=np.ones(FRAMES, np.float32), camera=Camera(focal_px=1.5 * SIZE, width=SIZE, height=SIZE),
        identity=Identity(neutral=lm.canonical_xyz(), eyeballs=np.ones((2, 4), np.float32), ranges={}),
    )  # fmt: skip


def skin_of(modes) -> Skin:
    return Skin(modes=modes, low=np.full(len(modes), -3, np.float32), high=np.full(len(modes), 3, np.float32))


@pytest.mark.parametrize("most_px", [320, 100])
def test_skin_beyond_the_basis_is_learnt_from_what_warps_miss(acting, most_px, monkeypatch):
    """Cheeks that sink with the first mode and slide aside with the second, which no landmark tells."""
    xyz = lm.canonical_xyz()
    cheeks = np.exp(-np.square(np.linalg.norm(np.abs(xyz) - [5, 3, 0], axis=1) / 4))
    skin = np.zeros_like(basis().modes)
    skin[0, :, 1], skin[1, :, 0] = 0.3 * cheeks, 0.2 * cheeks
    real = replace(acting, identity=replace(acting.identity, skin=skin_of(skin)))
    noise = np.random.default_rng(1).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)
    picture = np.clip((cv2.GaussianBlur(noise, (0, 0), 1.5) - 128) * 4 + 128, 0, 255).astype(np.uint8)
    shapes = SQUARE.shapes(shapes_of(real))
    around = shells(shapes, surround_of(shapes))
    frames = np.stack([pull(picture, warp_map(shell, around[0], SIZE, SIZE)) for shell in around])
    monkeypatch.setattr("facewitness.generator.skin.MOST_PX", most_px)
    learnt = with_skin(acting, frames, SQUARE, pairs=200, rate=25, rng=np.random.default_rng(2))

    def wrong(performance):
        return float(np.abs((project(performance) - project(real))[:, cheeks > 0.5, :2]).mean())

    assert wrong(learnt) < 0.4 * wrong(acting)
    assert np.abs(learnt.identity.skin.modes[:, list(lm.RIGHT_EYE)]).max() == 0


def test_too_little_footage_teaches_nothing(acting):
    few = np.zeros((30, SIZE, SIZE, 3), np.uint8)
    assert with_skin(acting, few, SQUARE, pairs=200, rate=25, rng=np.random.default_rng(0)) is acting


def test_beyond_what_the_footage_shows_skin_moves_no_further(acting):
    skin = skin_of(np.random.default_rng(0).normal(size=basis().modes.shape).astype(np.float32))
    known = replace(acting, identity=replace(acting.identity, skin=skin))
    most, more = (skin_moved(replace(known, expression=0 * known.expression + by)) for by in (3, 9))
    assert np.abs(most).max() > 1 and np.array_equal(most, more)


def test_skin_is_kept_with_the_performance(acting, tmp_path):
    skin = np.random.default_rng(0).normal(size=basis().modes.shape).astype(np.float32)
    kept = replace(acting, identity=replace(acting.identity, skin=skin_of(skin)))
    again = load_performance(save_performance(kept, tmp_path / "p.npz"))
    assert np.array_equal(project(again), project(kept))
    assert load_performance(save_performance(acting, tmp_path / "q.npz")).identity.skin is None
