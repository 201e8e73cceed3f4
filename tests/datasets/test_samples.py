"""Sample footage is nobody's, is the same from the same seed, and does what its ground truth says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facewitness.datasets import SAMPLES, make_sample
from facewitness.datasets.samples import sample_frames, sample_truth
from facewitness.errors import UsageError
from facewitness.faces import FaceTrack, track_video
from facewitness.media import probe

SECONDS = 5.0


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[FaceTrack, dict]]:
    folder = tmp_path_factory.mktemp("samples")
    found = {}
    for name in SAMPLES[:2]:
        path = make_sample(name, folder / f"{name}.mp4", seconds=SECONDS, seed=3, truth=folder / f"{name}.npz")
        tracks = track_video(path)
        assert len(tracks) == 1
        found[name] = (tracks[0], dict(np.load(folder / f"{name}.npz")))
    return found


def test_there_are_at_least_three_sample_actors():
    assert len(SAMPLES) >= 3


def test_the_same_seed_gives_the_same_pictures_and_another_seed_does_not():
    first, again, other = (
        np.stack([f for _, f in zip(range(3), sample_frames("cedar", seconds=1, seed=s), strict=False)])
        for s in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_clip_has_the_size_rate_and_length_asked_for(tmp_path: Path):
    info = probe(make_sample("dune", tmp_path / "a.mp4", seconds=1.2, seed=1, fps=30, size=(320, 400)))
    assert (info.width, info.height, info.frames, info.frame_rate) == (320, 400, 36, 30)


def test_a_sample_is_a_made_video_and_says_so(tmp_path: Path):
    from facewitness.provenance import verify_file

    path = make_sample("dune", tmp_path / "a.mp4", seconds=1, seed=1, size=128)
    audit = verify_file(path)
    assert audit.state == "trusted" and audit.ai == "none"
    assert audit.label and audit.label["method"] == "sample footage" and "no real person" in audit.label["rights"]


def test_a_tracker_sees_the_face_in_every_frame(tracked):
    for track, _ in tracked.values():
        assert track.present.all()
        assert track.iris_px > 8


def _correlation(a, b) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("name", SAMPLES[:2])
def test_blinks_gaze_mouth_and_head_are_measured_as_they_were_made(tracked, name: str):
    track, truth = tracked[name]
    mesh = track.mesh[..., :2].astype(float)
    lids = np.linalg.norm(track.eyes[:, :, 11:14].mean(2) - track.eyes[:, :, 3:6].mean(2), axis=-1)
    assert _correlation(-lids[:, 0], truth["lids"][:, 0]) > 0.85
    assert _correlation(-lids[:, 1], truth["lids"][:, 1]) > 0.85
    shut, wide = truth["lids"][:, 0] > 0.8, truth["lids"][:, 0] < 0.2
    assert shut.any()
    assert np.median(lids[shut, 0]) < 0.5 * np.median(lids[wide, 0])
    assert _correlation(np.linalg.norm(mesh[:, 13] - mesh[:, 14], axis=-1), truth["mouth"]) > 0.8
    across = np.concatenate([mesh[:, [33]] - mesh[:, [133]], mesh[:, [362]] - mesh[:, [263]]], 1)
    middle = np.stack([mesh[:, [33, 133]].mean(1), mesh[:, [362, 263]].mean(1)], 1)
    right = -across / np.linalg.norm(across, axis=-1, keepdims=True)
    gaze_x = ((track.irises[:, :, 0] - middle) * right).sum(-1).mean(1)
    assert _correlation(gaze_x[wide], truth["gaze"][wide, :, 0].mean(1)) > 0.7
    roll = np.arctan2(*(mesh[:, 263] - mesh[:, 33]).T[::-1])
    assert _correlation(roll, truth["rotation"][:, 2]) > 0.9
    width = np.linalg.norm(mesh[:, 234] - mesh[:, 454], axis=-1)
    yaw = (mesh[:, 4, 0] - mesh[:, [234, 454], 0].mean(1)) / width
    assert _correlation(-yaw, truth["rotation"][:, 1]) > 0.9


def test_people_blink_and_look_around_as_the_literature_says():
    truths = [sample_truth("amber", seconds=120, seed=s) for s in range(3)]
    minutes = 2 * len(truths)
    blinks = sum(len(t["blinks_s"]) for t in truths) / minutes
    assert 14 < blinks < 30  # 17 at rest, 26 in conversation (Bentivoglio et al. 1997)
    saccades = sum(len(t["saccades_s"]) for t in truths) / minutes
    assert 30 < saccades < 200
    yaw = np.degrees(np.concatenate([t["rotation"][:, 1] for t in truths]))
    assert 2 < yaw.std() < 9 and np.abs(yaw).max() < 18
    drop = np.concatenate([np.diff(t["lids"][:, 0]) for t in truths])
    assert np.percentile(drop[drop > 0.1], 90) > np.percentile(
        -drop[drop < -0.1], 90
    )  # lids close faster than they open


def test_the_motion_does_not_depend_on_the_frame_rate():
    slow, fast = (sample_truth("birch", seconds=6, seed=2, fps=f) for f in (25, 50))
    assert np.allclose(slow["blinks_s"], fast["blinks_s"])
    assert np.allclose(slow["rotation"], fast["rotation"][::2], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "nobody"}, "choose one of"),
        ({"seconds": 0}, "lasts up to"),
        ({"fps": 0}, "frames a second"),
        ({"size": 20}, "pixels wide"),
    ],
)
def test_wrong_requests_are_one_sentence(tmp_path: Path, options: dict, says: str):
    wanted = {"name": "amber", "seconds": 1.0, "seed": 0} | options
    with pytest.raises(UsageError, match=says):
        make_sample(wanted.pop("name"), tmp_path / "a.mp4", **wanted)
    assert not list(tmp_path.iterdir())


def test_the_package_refuses_to_shadow_the_datasets_of_hugging_face():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", "import datasets"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode and "facewitness.datasets" in done.stderr
