"""Frames bend with the mesh, and only where the head is."""

import numpy as np
import pytest

from facewitness.faces import landmarks as lm
from facewitness.generator.warp import grid, pull, shells, warp_map

SIZE = 192


def test_the_same_shape_leaves_every_pixel_where_it_is(shape):
    shell = shells(shape())[0]
    where = warp_map(shell, shell, SIZE, SIZE)
    assert np.abs(where - grid(SIZE, SIZE)).max() < 1e-3
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    assert (pull(picture, where) == picture).mean() > 0.999


def test_the_face_moves_exactly_and_the_hair_with_it_while_far_corners_stay(shape):
    source, target = shells(shape())[0], shells(shape(shift=(6, -4)))[0]
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
