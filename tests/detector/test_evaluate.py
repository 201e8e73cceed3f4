"""``detector eval`` on a small labelled folder, with the scores of another detector."""

import csv
import json

import numpy as np
import pytest

from facewitness.cli import main
from facewitness.detector.evaluate import Scores, attribute_control, evaluate, read_scores, table
from facewitness.detector.material import Clip, read_clips
from facewitness.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    rows = [
        (f"{label}/{i}.mp4", label, f"p{i % 5}", "" if label == "real" else f"g{i % 2}")
        for label in ("real", "fake")
        for i in range(8)
    ]
    with (tmp_path / "index.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["file", "label", "person_id", "generator"])
        out.writerows(rows)
    with (tmp_path / "other.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["file", "p_fake"])
        out.writerows([r[0], 0.9 if r[1] == "fake" else 0.2] for r in rows[1:])
    return tmp_path


def run(*args):
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return done.value.code


def test_a_table_of_scores_of_another_detector_is_judged(folder, capsys):
    assert (
        run(
            "detector",
            "eval",
            folder,
            "--no-scan",
            "--scores",
            folder / "other.csv",
            "--by",
            "generator",
            "--draws",
            20,
            "--json",
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    other = told["detectors"]["other"]
    assert other["metrics"]["auc"]["value"] > 0.9
    assert other["unscored"] == 1
    assert set(other["by_method"]) == {"g0", "g1"}
    assert set(other["by_factor"]["generator"]) == {"g0", "g1"}
    assert "attributes only" in told["detectors"]


def test_the_text_table_names_every_detector(folder):
    clips = read_clips(folder)
    text = table(evaluate(clips, read_scores(folder / "other.csv", clips), draws=20))
    assert "other" in text and "attributes only" in text and "AUC" in text


def test_two_detectors_are_compared_by_delong(folder):
    clips = read_clips(folder)
    rng = np.random.default_rng(0)
    both = [*read_scores(folder / "other.csv", clips), Scores(name="noise", p_fake=rng.random(len(clips)))]
    assert evaluate(clips, both, draws=20)["delong"]["noise"]["difference"] > 0.2


def test_the_control_sees_only_the_files(folder):
    clips = read_clips(folder)
    assert np.isfinite(attribute_control(clips).p_fake).all()  # none of these files is there: it has nothing to see
    assert attribute_control(clips[:3]) is None


def test_a_table_without_its_columns_is_refused(folder, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("name,value\na,1\n")
    with pytest.raises(UsageError, match="p_fake"):
        read_scores(bad, [])
    assert run("detector", "eval", folder, "--no-scan", "--scores", bad) == 2


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"labels\.parquet"):
        read_clips(tmp_path)


def test_labels_of_a_built_data_set_are_read(tmp_path):
    import pandas as pd

    pd.DataFrame(
        [{"clip_id": "a", "path": "a.mp4", "label": "fake", "method": "edit", "target_id": "t", "split": "test"}]
    ).to_parquet(tmp_path / "labels.parquet")
    clip = read_clips(tmp_path)[0]
    assert clip == Clip(path=tmp_path / "a.mp4", label="fake", person="t", method="edit", split="test", name="a")


def test_info_describes_the_shipped_model_and_its_cues(capsys):
    assert run("detector", "info", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] and told["columns"] and len(told["cues"]) > 25


@pytest.mark.parametrize("kind", ["blur", "h264"])
def test_a_distorted_clip_is_scored_and_scores_otherwise(sample, report, kind):
    from facewitness.detector.evaluate import _distorted_score
    from facewitness.detector.scan import cached_model

    clip = Clip(path=sample, label="real", person="p", method="", name="p")
    plain, bent = (_distorted_score(clip, cached_model(None), kind, level) for level in (0, 5))
    assert plain == pytest.approx(report.p_fake)
    assert 0 < bent < 1 and bent != plain
