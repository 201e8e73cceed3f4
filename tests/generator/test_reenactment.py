"""A reenactment moves like its driver, in the driver's time, and says what it is."""

import json

import numpy as np
import pytest

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.generator import reenact


@pytest.fixture(scope="module")
def made(actor, driver, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "made.mp4"
    return reenact(actor, driver, out, driver_rights="sample footage", compare=True, progress=False)


def test_it_has_the_drivers_times_and_the_actors_picture(made, actor, driver):
    from facewitness.media import probe, read_frames

    times = [[f.time_s for f in read_frames(v)] for v in (driver, made.path)]
    assert times[0] == pytest.approx(times[1], abs=1e-4)
    info = probe(made.path)
    assert (info.width, info.height) == actor.frame_size
    assert made.frames == len(times[0])


def test_mouth_and_lids_follow_the_driver(made, driver):
    from facewitness.faces import track_video
    from facewitness.generator.metrics import correlation
    from facewitness.generator.reconstruct import reconstruct
    from facewitness.generator.shapes import shapes_of

    pair = [reconstruct(track_video(v)[0]) for v in (driver, made.path)]
    mouths = [shapes_of(p).mouth for p in pair]
    assert correlation(*mouths) > 0.8
    turns = [p.rotation[:, 1] for p in pair]
    assert correlation(*turns) > 0.8


def test_it_is_labelled_marked_signed_and_in_the_ledger(made, actor):
    from facewitness.provenance import verify_file
    from facewitness.provenance.ledger import Ledger
    from facewitness.provenance.watermark import detect, installation_key

    label = json.loads(made.label_path.read_text())
    assert label["rights"] == actor.rights and label["target_id"] == actor.name and label["taken"]
    assert label["actor_sha256"] == actor.sha256
    audit = verify_file(made.path)
    assert audit.state == "trusted" and audit.ai == "generated"
    assert audit.label["driver_id"] == "birch"
    match = detect(made.path, installation_key())
    assert match and match.payload.hex() == made.watermark_payload
    with Ledger() as ledger:
        assert ledger.find_by_watermark(match.payload).sha256 == made.sha256


def test_the_comparison_shows_both_and_is_labelled_too(made, driver):
    from facewitness.media import probe
    from facewitness.provenance import verify_file

    beside = made.path.with_name("made-compare.mp4")
    info = probe(beside)
    assert info.width == pytest.approx(2 * info.height, abs=4)
    assert verify_file(beside).ai == "generated"


def test_nothing_else_is_left_lying_about(made):
    names = {p.name for p in made.path.parent.iterdir()}
    assert names == {"made.mp4", "made.mp4.label.json", "made-compare.mp4", "made-compare.mp4.label.json"}


def test_corners_of_the_frame_are_footage(made, actor):
    from facewitness.media import read_frames

    frame = next(iter(read_frames(made.path))).image.astype(int)
    stored = actor.full_frames()
    nearest = min(np.abs(stored[k][:12, :12].astype(int) - frame[:12, :12]).mean() for k in range(0, 150, 10))
    stored.close()
    assert nearest < 4


@pytest.mark.parametrize(("options", "says"), [({"take": ("wings",)}, "wings"), ({"mode": "sideways"}, "sideways")])
def test_what_cannot_be_taken_is_said(actor, driver, tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        reenact(actor, driver, tmp_path / "x.mp4", progress=False, **options)
    assert not (tmp_path / "x.mp4").exists()


def test_a_driver_that_is_no_video_is_said(actor, tmp_path):
    (tmp_path / "driver.mp4").write_bytes(b"nothing")
    with pytest.raises(UnreadableInputError):
        reenact(actor, tmp_path / "driver.mp4", tmp_path / "x.mp4", progress=False)


def test_a_dubbed_mouth_leaves_the_upper_face_as_it_was_filmed(actor, driver):
    from facewitness.faces import landmarks as lm
    from facewitness.generator.metrics import psnr
    from facewitness.generator.recombine import cut, last_frames, transfer
    from facewitness.generator.reenactment import driver_performance, over_footage

    performance = driver_performance(driver)
    start = float(performance.times_s[0])
    wanted = transfer(cut(performance, start, start + 0.4), actor.performance, take=("mouth",))
    numbers = last_frames(actor.performance, wanted.times_s - wanted.times_s[0])
    stored = actor.full_frames()
    for k, frame in enumerate(over_footage(actor, wanted, ("mouth",), engine="torch", device="cpu")):
        mesh = actor.shapes.mesh[numbers[k], :, :2] / actor.square.scale + [actor.square.x, actor.square.y]
        nose = int(mesh[lm.NOSE_BRIDGE[2], 1])
        assert psnr(frame[:nose], stored[int(numbers[k])][:nose]) > 45
    stored.close()
