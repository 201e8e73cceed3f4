"""Tracks are files that anybody can read and nobody can hide code in."""

import numpy as np
import pytest

from facewitness.errors import UnreadableInputError
from facewitness.faces import FaceTracker, load_tracks, save_tracks


def test_what_is_saved_comes_back(portrait, moved, tmp_path):
    tracker = FaceTracker()
    for frame in moved(portrait, 6, lambda i: None if i == 3 else (i, 0)):
        tracker.update(frame)
    tracks = tracker.finish()
    (back,) = load_tracks(save_tracks(tracks, tmp_path / "t.npz"))
    assert back.time_base == tracks[0].time_base and back.tracker == "mesh"
    for name in ("pts", "boxes", "mesh", "eyes", "irises", "confidence"):
        assert np.array_equal(getattr(back, name), getattr(tracks[0], name), equal_nan=True), name
    assert back.blendshapes is None
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"], "nothing half-written stays"


def test_an_empty_list_is_a_file_too(tmp_path):
    assert load_tracks(save_tracks([], tmp_path / "none.npz")) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"hello"])
def test_other_files_are_refused_with_a_sentence(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UnreadableInputError, match="facewitness track"):
        load_tracks(path)


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, format=np.array("facewitness.track/1"), count=np.array([{}], dtype=object))
    with pytest.raises(UnreadableInputError):
        load_tracks(path)


def test_another_version_is_named(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, format=np.array("facewitness.track/99"))
    with pytest.raises(UnreadableInputError, match="another version"):
        load_tracks(path)
