"""The face's square is cut and pasted back without a trace."""

import numpy as np
import pytest

from facewitness.errors import UsageError
from facewitness.generator.square import FaceSquare, find_square


def frame(height=270, width=480):
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)


def test_pasting_what_was_cut_changes_nothing():
    square = FaceSquare(x=100, y=20, side=192, size=192)
    picture = square.cut(frame()).astype(np.float32)
    assert (square.paste(frame(), picture, np.ones((192, 192), np.float32)) == frame()).all()


def test_there_is_no_seam_at_the_border_of_the_square():
    square = FaceSquare(x=100, y=20, side=192, size=96)
    grey = np.full((270, 480, 3), 100, np.uint8)
    out = square.paste(grey, np.full((96, 96, 3), 200, np.float32), np.ones((96, 96), np.float32)).astype(int)
    assert out[116, 196, 0] == 200
    assert np.abs(np.diff(out[..., 0], axis=0)).max() <= 12 and np.abs(np.diff(out[..., 0], axis=1)).max() <= 12
    outside = np.ones((270, 480), bool)
    outside[20:212, 100:292] = False
    assert (out[outside] == 100).all()


def test_the_square_lies_inside_the_frame_around_the_head(shape):
    mesh = shape(grow=1.6)
    square = find_square(mesh.moved((-150, -40), 1.0), 640, 360, 256)
    assert square.x >= 0 and square.y >= 0 and square.x + square.side <= 640 and square.y + square.side <= 360
    inside = square.shapes(mesh.moved((-150, -40), 1.0)).mesh[0, :, :2]
    assert (inside > 0).all() and (inside < square.size).all()
    assert square.size % 16 == 0


def test_a_face_under_96_px_is_refused_with_the_reason(shape):
    with pytest.raises(UsageError, match="96 px"):
        find_square(shape(grow=0.6), 192, 192, 256)


def test_detail_finer_than_the_model_comes_back_where_the_footage_is_shown_unbent():
    from facewitness.generator.metrics import psnr
    from facewitness.generator.warp import grid

    noisy = np.random.default_rng(0).integers(0, 256, (192, 192, 3)).astype(np.uint8)
    square = FaceSquare(x=0, y=0, side=192, size=96)
    picture, all_of_it = square.cut(noisy).astype(np.float32), np.ones((96, 96), np.float32)
    detail = square.detail(noisy, grid(96, 96), all_of_it)
    blank = np.zeros_like(noisy)
    assert psnr(square.paste(blank, picture, all_of_it), noisy) < 16
    assert psnr(square.paste(blank, picture, all_of_it, detail=detail), noisy) > 30
    assert FaceSquare(x=0, y=0, side=96, size=96).detail(noisy, grid(96, 96), all_of_it) is None
