"""Second looks at lips and eyes, where they agree with the picture."""

import cv2
import numpy as np
import pytest

from facewitness.faces import landmarks as lm
from facewitness.faces.attention import AttentionNetwork, CarefulMesh
from facewitness.faces.networks import MESH_PX, Detector, MeshNetwork, Roi, apply, as_input, crop, roi_of_mesh


@pytest.fixture(scope="module")
def looked(portrait):
    """The portrait, where its face is, and what the attention network sees there, in the picture."""
    roi = Detector().find(portrait)[0].roi
    for _ in range(2):
        roi = roi_of_mesh(MeshNetwork()(portrait, roi).mesh)
    network = AttentionNetwork()

    def see(image, roi: Roi):
        seen = network(as_input(crop(image, roi, MESH_PX)))
        affine = roi.to_picture(MESH_PX)
        return [apply(affine, p.astype(np.float64) - 0.5) for p in (seen.mesh[:, :2], seen.eyes, seen.irises)]

    return portrait, roi, see


def test_what_is_cut_out_and_carried_back_turns_and_grows_with_the_picture(looked):
    """The regions are found, cut and carried back by us: were one of these wrong, a turned and larger crop would move
    lips and eyes away from where an upright one has them."""
    image, roi, see = looked
    across = np.linalg.norm(np.subtract(*see(image, roi)[0][[33, 263]]))
    for other in (Roi(roi.x, roi.y, roi.side, roi.turn + 0.25), Roi(roi.x + 6, roi.y - 5, roi.side * 1.1, roi.turn)):
        for a, b in zip(see(image, roi), see(image, other), strict=True):
            assert np.linalg.norm(a - b, axis=-1).mean() / across < 0.03


def test_second_looks_lie_on_the_first_and_irises_in_their_eyes(looked):
    image, roi, see = looked
    mesh, eyes, irises = see(image, roi)
    first = MeshNetwork()(image, roi).mesh[:, :2]
    across = np.linalg.norm(first[33] - first[263])
    assert np.linalg.norm(mesh - first, axis=1).mean() / across < 0.03
    for side, contour in enumerate(lm.IRIS_CONTOURS):
        assert np.linalg.norm(eyes[side] - first[list(contour)], axis=1).mean() / across < 0.05
        outline = eyes[side, list(range(9)) + list(range(15, 8, -1))].astype(np.float32)
        assert cv2.pointPolygonTest(outline, tuple(map(float, irises[side, 0])), False) > 0
        right, top, left, bottom = irises[side, 1:]
        assert right[0] > left[0] and bottom[1] > top[1]


def test_a_careful_look_gives_one_mesh_with_its_eyes(looked):
    image, roi, _ = looked
    seen = CarefulMesh()(image, roi)
    assert seen.mesh.shape == (468, 3) and seen.irises.shape == (2, 5, 2)
    for side, contour in enumerate(lm.IRIS_CONTOURS):
        np.testing.assert_allclose(seen.mesh[list(contour), :2], seen.eyes[side], atol=1e-3)
    assert seen.irises[0, 0, 0] < seen.irises[1, 0, 0], "the person's right comes first"
