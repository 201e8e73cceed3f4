"""``detector fit`` on sample actors: a folder in, a model that scans out, and the same again from the same seed."""

import csv
from dataclasses import replace
from fractions import Fraction

import pytest

from facewitness.detector import load_model, scan_file
from facewitness.detector.fit import FitConfig, fit, held_persons
from facewitness.detector.training import TrainingConfig
from facewitness.errors import UsageError
from facewitness.media import VideoWriter, read_frames

QUICK = FitConfig(
    training=TrainingConfig(shards=1), network=False, autoencoder_steps=1, painter_steps=0, rehearsals=3, workers=1
)  # enough to go through every step, not to detect anything


@pytest.fixture(scope="module")
def footage(sample, tmp_path_factory):
    """Four pieces of a sample clip, a second each, that pass as four persons."""
    folder = tmp_path_factory.mktemp("footage")
    with (folder / "index.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["file", "label", "person_id"])
        for k in range(4):
            images = [frame.image for frame in read_frames(sample, start_s=0.8 * k, end_s=0.8 * k + 1.2)]
            height, width = images[0].shape[:2]
            with VideoWriter(folder / f"{k}.mp4", width=width, height=height, frame_rate=Fraction(25)) as video:
                for image in images:
                    video.write(image)
            out.writerow([f"{k}.mp4", "real", f"person{k}"])
    return folder


@pytest.fixture(scope="module")
def fitted(footage, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mine"
    return out, fit(footage, out, QUICK, say=lambda line: None)


def test_a_fitted_model_scans_and_says_that_its_network_abstains(footage, fitted):
    out, _ = fitted
    report = scan_file(footage / "0.mp4", model=out, provenance=False)
    assert report.status == "ok" and report.model["id"] == "mine"
    assert report.faces[0].cues["network"].why_not == "this model has no trained weights for it"
    assert any(r.cue == "network" and "abstains" in r.text for r in report.reasons)


def test_a_model_has_a_card_with_its_data_settings_and_results(fitted):
    out, model = fitted
    card = (out / "MODEL_CARD.md").read_text()
    assert model.notes["dataset"]["sha256"] in card
    assert "held_persons" in str(model.notes) and "AUC" in card


def test_work_that_is_done_is_not_done_again_and_gives_the_same_model(footage, fitted):
    out, model = fitted
    again = fit(footage, out, QUICK, say=lambda line: None)
    assert again.fusion.to_dict() == model.fusion.to_dict()
    assert again.calibration.to_dict() == model.calibration.to_dict()


def test_rehearsals_come_back_from_disk_with_what_the_network_is_to_see(fitted):
    from facewitness.detector.examples import load_examples

    out, _ = fitted
    found = [x for path in sorted((out / "work" / "examples").glob("*.npz")) for x in load_examples(path)]
    assert {x.label for x in found} == {"real", "fake"}
    whole = [x for x in found if not x.motion_only]
    assert all(x.squares.shape[1:] == (224, 224, 6) and len(x.squares) for x in whole)
    assert all(len(x.squares) == 0 and "gaze_spread" in x.cues for x in found if x.motion_only)


def test_a_changed_file_of_a_model_is_refused(fitted, tmp_path):
    import shutil

    out, _ = fitted
    copy = shutil.copytree(out, tmp_path / "copy", ignore=shutil.ignore_patterns("work"))
    with (copy / "surface.safetensors").open("ab") as f:
        f.write(b"0")
    with pytest.raises(UsageError, match="is not the file"):
        load_model(copy)


def test_a_person_is_held_out_or_not_with_all_their_clips():
    persons = [f"p{k}" for k in range(40)]
    held = held_persons(persons, 0)
    assert len(held) == 12
    assert held != held_persons(persons, 1)


def test_too_few_persons_are_refused(tmp_path, footage):
    (tmp_path / "index.csv").write_text(f"file,label,person_id\n{footage / '0.mp4'},real,one\n")
    with pytest.raises(UsageError, match="at least 4"):
        fit(tmp_path, tmp_path / "model", replace(QUICK, rehearsals=1))
