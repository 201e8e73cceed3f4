"""An actor is a folder one can trust: rights, hashes, figures on footage it never saw, and no pickle."""

import json
import shutil

import numpy as np
import pytest

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.generator import load_actor, train_actor

RIGHTS = "Synthetic sample footage of facewitness; no real person is shown."


def test_the_card_says_rights_footage_figures_and_poses(actor):
    card = load_actor(actor.path).card
    assert card["rights"] == RIGHTS
    assert len(card["source"]["sha256"]) == 64
    assert card["held_out"]["psnr_face"] > 24
    assert 0.5 < card["held_out"]["fine"] < 1.5
    assert {"r_mouth", "r_lids", "r_gaze", "ssim_face"} <= set(card["held_out"])
    low, high = card["poses"]["yaw_deg"]
    assert low < high
    assert 0.7 * card["frames"] < card["holdout_from"] < 0.9 * card["frames"]


def test_the_minutes_are_honoured(actor):
    assert actor.card["seconds"] < 4 * 60 * actor.card["minutes"], "0.35 minutes, on a machine that may be very busy"


def test_nothing_in_the_folder_is_a_pickle(actor):
    kinds = {p.suffix for p in actor.path.iterdir()}
    assert kinds <= {".json", ".mp4", ".npz", ".png", ".safetensors"}
    for stored in actor.path.glob("*.npz"):
        with np.load(stored, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)


def test_the_footage_comes_back_nearly_without_loss(actor, footage):
    from facewitness.generator.metrics import psnr
    from facewitness.media import read_frames

    frames = [f.image for f, _ in zip(read_frames(footage), range(40), strict=False)]
    stored = actor.full_frames()
    for k in (0, 3, 30, 29, 5):  # playing on and jumping about
        assert psnr(stored[k], frames[actor_frame(k)]) > 34
        assert psnr(actor.squares[k], actor.square.cut(frames[k])) > 36
    stored.close()


def actor_frame(k):
    return k  # sample footage shows the face in every frame


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_a_folder_that_was_changed_is_refused(actor, tmp_path, change):
    copy = tmp_path / "actor"
    shutil.copytree(actor.path, copy)
    victim = copy / "performance.npz"
    victim.write_bytes(victim.read_bytes() + b"x") if change == "edit" else victim.unlink()
    with pytest.raises(UnreadableInputError, match=r"performance\.npz is missing or was changed"):
        load_actor(copy)


def test_a_folder_that_is_no_actor_says_so(tmp_path):
    with pytest.raises(UnreadableInputError, match="actor train"):
        load_actor(tmp_path)
    (tmp_path / "actor.json").write_text(json.dumps({"schema": "other/9"}))
    with pytest.raises(UnreadableInputError, match="other/9"):
        load_actor(tmp_path)


@pytest.mark.parametrize("rights", ["", "  ", "..."])
def test_no_rights_no_actor(footage, tmp_path, rights):
    with pytest.raises(UsageError, match="--rights"):
        train_actor(footage, tmp_path / "a", rights=rights)
    assert not (tmp_path / "a").exists()


def test_too_little_footage_is_refused_with_the_reason(footage, tmp_path):
    with pytest.raises(UsageError, match=r"only 2\.\d s"):
        train_actor(footage, tmp_path / "a", rights=RIGHTS, max_seconds=2, progress=False)
    assert not (tmp_path / "a" / "actor.json").exists()


def test_footage_without_a_face_is_refused(tmp_path):
    from fractions import Fraction

    from facewitness.media import VideoWriter

    with VideoWriter(tmp_path / "wall.mp4", width=160, height=120, frame_rate=Fraction(25)) as video:
        for _ in range(30):
            video.write(np.full((120, 160, 3), 90, np.uint8))
    with pytest.raises(UnreadableInputError, match="no face"):
        train_actor(tmp_path / "wall.mp4", tmp_path / "a", rights=RIGHTS, progress=False)
