"""Frames bend with the mesh, and only where the head is."""

import cv2
import numpy as np
import pytest

from facewitness.faces import landmarks as lm
from facewitness.generator.shapes import Shapes
from facewitness.generator.surround import background_moves, learn_follow
from facewitness.generator.warp import grid, pull, shells, surround_of, usual_follow, warp_map

SIZE = 192


def test_the_same_shape_leaves_every_pixel_where_it_is(shape):
    shell = shells(shape())[0]
    where = warp_map(shell, shell, SIZE, SIZE)
    assert np.abs(where - grid(SIZE, SIZE)).max() < 1e-3
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    assert (pull(picture, where) == picture).mean() > 0.999


def test_the_face_moves_exactly_and_the_hair_with_it_while_far_corners_stay(shape):
    around = surround_of(shape())
    source, target = (shells(s, around)[0] for s in (shape(), shape(shift=(6, -4))))
    where = warp_map(target, source, SIZE, SIZE)
    motion = grid(SIZE, SIZE) - where
    nose = target[lm.NOSE_TIP, :2].round().astype(int)
    assert motion[nose[1], nose[0]] == pytest.approx([6, -4], abs=0.2)
    top = target[lm.FOREHEAD, :2].round().astype(int)
    assert motion[top[1] - 8, top[0]] == pytest.approx([6, -4], abs=1.0)
    assert np.abs(motion[-1, :]).max() < 2.5
    assert np.abs(motion[0, 0]).max() < 0.5


def test_pose_is_taken_out_of_local_shapes(shape):
    turned = shape(shift=(11, 5), grow=1.3)
    assert np.allclose(turned.local, shape().local, atol=1e-3)
    assert np.allclose(turned.local_irises, 0, atol=1e-3)


def test_hair_that_does_not_go_with_the_head_is_learnt_from_the_footage(shape):
    """A ring of stripes around the face that moves half as far as the face does."""
    rng, shapes, frames = np.random.default_rng(4), [], []
    stripes = cv2.GaussianBlur(rng.uniform(0, 255, (3 * SIZE, 3 * SIZE)).astype(np.float32), (0, 0), 2.0)
    stripes = np.clip((stripes - stripes.mean()) * 4 + 128, 0, 255).astype(np.uint8)
    for shift in rng.uniform(-8, 8, (40, 2)):
        x, y = np.round(SIZE - shift / 2).astype(int)
        shapes.append(shape(shift=shift))
        frames.append(np.repeat(stripes[y : y + SIZE, x : x + SIZE, None], 3, axis=2))
    joined = Shapes(**{n: np.concatenate([getattr(s, n) for s in shapes]) for n in ("mesh", "irises")})
    learnt = learn_follow(np.stack(frames), joined, pairs=60, rng=rng)

    def missed(follow):
        moved = shells(joined, surround_of(joined, follow))[:, 468:, :2][:, :36]
        real = moved[:1] + 0.5 * (joined.head[:, None, :2, 3] - joined.head[:1, None, :2, 3])
        return float(np.abs(moved - real).mean())

    assert missed(learnt) < 0.5 * missed(usual_follow())


def test_a_background_that_moves_is_told_from_light_that_changes(shape):
    rng = np.random.default_rng(5)
    scene = cv2.GaussianBlur(rng.uniform(0, 255, (SIZE, 3 * SIZE, 3)).astype(np.float32), (0, 0), 6.0) * 4 - 384
    still = [np.clip(scene[:, :SIZE] + 10 * np.sin(k), 0, 255).astype(np.uint8) for k in range(20)]
    moving = [np.clip(scene[:, 8 * k : 8 * k + SIZE], 0, 255).astype(np.uint8) for k in range(20)]
    one = shape()
    shapes = Shapes(mesh=np.repeat(one.mesh, 20, 0), irises=np.repeat(one.irises, 20, 0))
    assert not background_moves(np.stack(still), shapes)
    assert background_moves(np.stack(moving), shapes)
