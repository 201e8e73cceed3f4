"""``facewitness track``: what it writes, what it says, and how it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest

from facewitness.faces import load_tracks


def track(*arguments, **options):
    command = [sys.executable, "-m", "facewitness", "track", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def test_two_faces_are_written_plotted_and_reported(portrait, other_portrait, moved, as_video, tmp_path):
    both = np.concatenate([portrait, other_portrait], axis=1)
    video = as_video(moved(both, 30, lambda i: (i * 0.3, 0)))
    done = track(video, "-o", tmp_path / "t.npz", "--plot", tmp_path / "t.png", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["schema"] == "facewitness.track/1" and said["frames"] == 30
    assert [f["face"] for f in said["faces"]] == [0, 1]
    assert all(f["share_seen"] > 0.9 and f["iris_px"] > 4 for f in said["faces"])
    assert len(load_tracks(tmp_path / "t.npz")) == 2
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["no face", "missing", "empty", "text"])
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(kind, moved, as_video, tmp_path):
    path = tmp_path / "video.mp4"
    if kind == "no face":
        path = as_video(moved(np.full((120, 160, 3), 80, np.uint8), 10, lambda i: (0, 0)))
    elif kind != "missing":
        path.write_bytes(b"" if kind == "empty" else b"not a video at all\n" * 50)
    done = track(path, "-o", tmp_path / "t.npz", "--json")
    assert done.returncode == 3 and done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("facewitness:")]
    assert len(lines) == 1 and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.npz"))


def test_a_tenth_of_a_second_is_tracked_too(portrait, moved, as_video, tmp_path):
    video = as_video(moved(portrait, 3, lambda i: (0, 0)))
    done = track(video, "-o", tmp_path / "t.npz", "--plot", tmp_path / "t.png")
    assert done.returncode == 0, done.stderr
    assert "seen in 3 of 3 frames" in done.stdout


def test_an_unknown_tracker_is_a_usage_error(portrait, moved, as_video, tmp_path):
    video = as_video(moved(portrait, 3, lambda i: (0, 0)))
    done = track(video, "-o", tmp_path / "t.npz", "--tracker", "magic")
    assert done.returncode == 2 and "mesh, fan, landmarker" in done.stderr
