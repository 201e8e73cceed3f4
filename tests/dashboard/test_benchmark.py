"""A data set is joined with the stored scores by content; figures say what they are of."""

import hashlib
from pathlib import Path

import pytest

from facewitness.dashboard import benchmark
from facewitness.datasets.labels import Clip, write_labels
from facewitness.detector.engine.store import open_store


@pytest.fixture(scope="module")
def set_and_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    store = open_store(folder)
    clips = []
    for i in range(60):
        fake = i % 2 == 1
        sha = hashlib.sha256(str(i).encode()).hexdigest()
        degree = (i // 2 % 4) / 3 if fake else 0.0
        clips.append(
            Clip(
                clip_id=f"c{i}", path=f"c{i}.mp4", label="fake" if fake else "real",
                method="gaze_frozen" if fake else "",
                target_id=f"p{i % 10}", driver_id=f"p{i % 10}", split="train" if i % 10 < 6 else "test",
                fps=25, frames=50, width=64, height=64, codec="h264", crf=18 if i % 4 < 2 else 40, sha256=sha,
                rights="sample footage",
                factor="gaze_frozen" if fake else "", degree=degree,
            )
        )  # fmt: skip
        if i < 56:  # four clips are not scanned
            p = 0.5 + 0.1 * degree + 0.3 if fake else 0.2 + 0.001 * i
            row = {"path": f"c{i}.mp4", "sha256": sha, "status": "ok", "verdict": "inconclusive", "p_fake": p}
            store.add(row, key=sha, model="one", configuration="c")
    write_labels(folder / "set", clips)
    return folder, store


@pytest.fixture(scope="module")
def scored(set_and_store):
    folder, store = set_and_store
    return benchmark.with_scores(benchmark.frame_of(folder / "set"), store, benchmark.models(store)[0])


def test_sets_are_found_below_the_results(set_and_store, tmp_path: Path):
    folder, _ = set_and_store
    assert benchmark.find_sets(folder, tmp_path, tmp_path / "missing") == [folder / "set"]


def test_scores_join_by_content(scored):
    assert scored["result"].notna().sum() == 56 and len(scored) == 60
    assert scored.loc[scored["clip_id"] == "c0", "p_fake"].iloc[0] == pytest.approx(0.2)


def test_metrics_are_of_the_scanned_clips_with_intervals(scored, monkeypatch):
    monkeypatch.setattr(benchmark, "DRAWS", 40)
    told = benchmark.metrics(scored)
    assert told["auc"]["value"] == 1.0 and told["auc"]["low"] <= 1.0 <= told["auc"]["high"]


def test_the_matrix_has_a_cell_per_method_and_quality(scored):
    cells = benchmark.matrix(scored)
    assert set(cells["quality"]) == {"h264 crf 18", "h264 crf 40"} and (cells["auc"] == 1).all()
    assert benchmark.counts(scored).index[0] == "real"


def test_the_response_rises_with_the_degree(scored):
    curve = benchmark.responses(scored).sort_values("degree")
    assert len(curve) == 4 and curve["mean"].is_monotonic_increasing and (curve["low"] <= curve["mean"]).all()


def test_rates_fall_with_the_threshold(scored):
    rates = benchmark.rates(scored)
    assert rates["fpr"].iloc[0] == rates["tpr"].iloc[0] == 1.0
    assert rates["fpr"].is_monotonic_decreasing and rates["tpr"].is_monotonic_decreasing


def test_a_person_in_two_splits_is_named(scored):
    assert benchmark.leaks(scored) == []
    torn = scored.copy()
    torn.loc[torn["clip_id"] == "c3", "split"] = "test"
    assert benchmark.leaks(torn) == ["p3 is in test and train"]


def test_a_number_leads_to_the_clips_it_is_made_of(scored):
    cell, said = benchmark.behind(scored, "cell|gaze_frozen|h264 crf 40")
    assert set(cell["quality"]) == {"h264 crf 40"} and set(cell["label"]) == {"real", "fake"} and "crf 40" in said
    assert len(benchmark.behind(scored, "missed|1.0")[0]) == 28 and not len(benchmark.behind(scored, "false|0.9")[0])
    degree = scored.loc[scored["factor"] != "", "degree"].max()
    assert set(benchmark.behind(scored, f"factor|gaze_frozen|{degree}")[0]["degree"]) == {degree}
    assert not len(benchmark.behind(scored, "drop table|")[0])


def test_two_runs_are_told_apart_on_the_clips_both_scored(scored):
    worse = scored.copy()
    worse["p_fake"] = 0.5
    worse.loc[worse["clip_id"] == "c1", "p_fake"] = 0.1
    told = benchmark.apart(scored, worse)
    assert told["clips"] == 56 and told["auc"] == 1.0 and told["auc_other"] < 0.6 and told["p"] < 0.01
    assert told["moved"].iloc[0]["clip_id"] == "c1", "the clip they judge most differently comes first"
    assert "p" not in benchmark.apart(scored[scored["label"] == "real"], worse[worse["label"] == "real"])
