"""The table of landmarks names the same anatomy on both sides of the face."""

import numpy as np
import pytest

from facewitness.faces import landmarks as lm


def test_canonical_face_is_upright_and_looks_at_the_camera():
    xyz = lm.canonical_xyz()
    assert xyz.shape == (468, 3)
    assert xyz[lm.FOREHEAD, 1] < xyz[lm.NOSE_TIP, 1] < xyz[lm.CHIN, 1], "y points down"
    assert xyz[lm.RIGHT_EYE_OUTER, 0] < 0 < xyz[lm.LEFT_EYE_OUTER, 0], "the person's right is on the picture's left"
    assert xyz[lm.NOSE_TIP, 2] < xyz[lm.RIGHT_EAR, 2], "z points away from the camera"


def test_triangles_face_the_camera_and_close_the_face_up_to_its_outline():
    t, xyz = lm.triangles(), lm.canonical_xyz()
    edges = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    border = np.unique(np.unique(edges, axis=0)[counts == 1])
    assert set(border) == set(lm.FACE_OVAL)
    towards = np.cross(xyz[t[:, 1]] - xyz[t[:, 0]], xyz[t[:, 2]] - xyz[t[:, 0]])[:, 2]
    assert (towards < 0).mean() > 0.95


@pytest.mark.parametrize(
    "name", ["EYE", "LID_UPPER", "LID_LOWER", "BROW", "BROW_LOWER", "EYE_OUTER", "EYE_INNER", "EAR", "JAW", "CHEEK"]
)
def test_left_is_the_mirror_of_right(name):
    mirror = lm.mirror()
    right, left = getattr(lm, f"RIGHT_{name}"), getattr(lm, f"LEFT_{name}")
    assert np.array_equal(mirror[np.atleast_1d(right)], np.atleast_1d(left))


def test_iris_model_points_are_mirrored_too_and_begin_with_the_eye_outline():
    assert np.array_equal(lm.mirror()[list(lm.IRIS_CONTOUR_RIGHT)], lm.IRIS_CONTOUR_LEFT)
    for contour, eye in zip(lm.IRIS_CONTOURS, lm.EYES, strict=True):
        assert set(contour[: lm.EYE_OUTLINE_POINTS]) == set(eye)


def test_shared_arrays_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        lm.canonical_xyz()[0] = 0
