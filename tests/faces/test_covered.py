"""A covered part of a face is noticed, and nothing else is."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from facewitness.faces import FaceTracker, load_tracks, save_tracks
from facewitness.faces.covered import PARTS, part_masks, uncovered
from facewitness.media.types import Frame

COVERED = {"mouth": ((14,), 0.4), "right_eye": ((33, 133), 0.24)}


@pytest.fixture(scope="module")
def track(portrait):
    """A talking head of 36 frames: the mouth is covered in 10 to 15, the right eye in 22 to 27."""
    still = FaceTracker(max_faces=1)
    still.update(Frame(index=0, pts=0, time_base=Fraction(1, 25), image=portrait))
    mesh = still.seen[0][1]
    across = float(np.linalg.norm(mesh[33, :2] - mesh[263, :2]))
    tracker = FaceTracker(max_faces=1, looks=2)
    for i in range(36):
        image = portrait.copy()
        part = "mouth" if 10 <= i < 16 else "right_eye" if 22 <= i < 28 else None
        if part:
            points, wide = COVERED[part]
            x, y = mesh[list(points), :2].mean(0)
            grown = 0.7 if i in (10, 15, 22, 27) else 1.0  # what covers a face comes and goes
            axes = (int(across * wide * grown), int(across * wide * 0.7 * grown))
            cv2.ellipse(image, (int(x), int(y)), axes, 0, 0, 360, (90, 70, 60), -1)
        light = np.clip(image * (1 + 0.04 * np.sin(i / 4)), 0, 255).astype(np.uint8)
        tracker.update(Frame(index=i, pts=i, time_base=Fraction(1, 25), image=light))
    return tracker.finish()[0]


def test_the_covered_part_and_only_that_loses_its_certainty(track):
    from facewitness.generator.reconstruct import certainty, reconstruct

    assert track.parts.shape == (36, len(PARTS))
    clear = np.r_[2:9, 17:21, 29:36]
    assert track.parts[clear].min() > 0.8, "changing light covers nothing"
    assert track.parts[11:15, 1].max() < 0.3 and track.parts[11:15, 2:].min() > 0.8
    assert track.parts[23:27, 2].max() < 0.3 and track.parts[23:27][:, [1, 3]].min() > 0.6
    assert track.confidence[11:15].max() < track.confidence[clear].min(), "and the track says so as a whole"
    sure = certainty(reconstruct(track))
    assert sure["expression"][11:15].max() < 0.3 * sure["expression"][clear].min()
    assert sure["gaze"][23:27, 0].max() < 0.3 * sure["gaze"][23:27, 1].min()
    assert sure["rotation"][11:15].min() > 0.5, "the head is seen while the mouth is not"


def test_parts_are_kept_in_files(track, tmp_path):
    (back,) = load_tracks(save_tracks([track], tmp_path / "t.npz"))
    np.testing.assert_array_equal(back.parts, track.parts)


def test_one_look_says_nothing_of_parts(portrait, moved):
    tracker = FaceTracker(max_faces=1)
    for frame in moved(portrait, 4, lambda i: (0, 0)):
        tracker.update(frame)
    assert tracker.finish()[0].parts is None, "the detector's tracks are what they were"


def test_a_texture_that_never_changes_is_shown_throughout():
    rng = np.random.default_rng(0)
    still = np.repeat(rng.integers(60, 200, (1, 32, 32, 3), np.uint8), 20, axis=0)
    assert (uncovered(still) == 1).all()
    assert all(mask.sum() > 10 for mask in part_masks())
