"""The rasteriser draws what a camera sees."""

import numpy as np
import pytest

from facewitness.generator.render import interpolate, rasterise, sample_texture, vertex_normals

SQUARE = np.array([[2, 2, 0], [2, 20, 0], [20, 20, 0], [20, 2, 0]], np.float32)
HALVES = [[0, 1, 2], [0, 2, 3]]


def test_every_pixel_inside_is_drawn_once_and_none_outside():
    covered = rasterise(SQUARE, HALVES, 24, 24).covered
    assert covered[2:21, 2:21].all()
    assert covered.sum() == 19 * 19


def test_a_quantity_that_is_linear_over_the_mesh_is_linear_in_the_picture():
    raster = rasterise(SQUARE, HALVES, 24, 24)
    drawn = interpolate(raster, HALVES, SQUARE[:, :2])
    y, x = np.mgrid[:24, :24]
    assert np.abs(drawn[..., 0] - x)[raster.covered].max() < 1e-4
    assert np.abs(drawn[..., 1] - y)[raster.covered].max() < 1e-4


def test_the_nearer_surface_hides_the_farther_whatever_the_order():
    both = np.concatenate([SQUARE, SQUARE - [0, 0, 5]]).astype(np.float32)
    far, near = np.array(HALVES), np.array(HALVES) + 4
    for triangles, first_near in ((np.concatenate([far, near]), 2), (np.concatenate([near, far]), 0)):
        raster = rasterise(both, triangles, 24, 24)
        assert set(np.unique(raster.triangle[raster.covered])) == {first_near, first_near + 1}
        assert np.allclose(raster.depth[raster.covered], -5)


def test_corners_that_are_not_known_or_far_away_do_no_harm():
    vertices = np.concatenate([SQUARE, [[np.nan, 1, 1], [1e7, -1e7, 0]]]).astype(np.float32)
    raster = rasterise(vertices, [*HALVES, [0, 1, 4], [0, 5, 2]], 24, 24)
    assert raster.covered[2:21, 2:21].all()


def test_the_front_of_the_face_mesh_faces_the_camera():
    from facewitness.faces import landmarks as lm

    normals = vertex_normals(lm.canonical_xyz(), lm.triangles())
    assert normals[lm.NOSE_TIP, 2] < -0.5
    both = rasterise(lm.canonical_xyz() * 8 + [100, 100, 0], lm.triangles(), 200, 200)
    front = rasterise(lm.canonical_xyz() * 8 + [100, 100, 0], lm.triangles(), 200, 200, cull_back=True)
    assert front.covered.sum() > 0.95 * both.covered.sum()


def test_textures_are_looked_up_between_texels_and_held_at_the_border():
    texture = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    uv = np.array([[[0, 0], [1, 1], [0.5, 0.5], [9, -9]]], np.float32)
    got = sample_texture(texture, uv)[0]
    assert got[0] == pytest.approx(texture[0, 0])
    assert got[1] == pytest.approx(texture[1, 1])
    assert got[2] == pytest.approx(texture.mean((0, 1)))
    assert got[3] == pytest.approx(texture[0, 1])
