"""Results are read from a store or from JSON, filtered in the store, and stay quick with many rows."""

import shutil
import time
from pathlib import Path

import pytest

from facewitness.dashboard import results
from facewitness.detector.engine.store import open_store


@pytest.fixture(scope="module")
def untouched(demo_folder: Path, tmp_path_factory) -> Path:
    """The demo as it was made, whatever other tests did in its folder."""
    folder = tmp_path_factory.mktemp("untouched")
    shutil.copy(demo_folder / "demo.json", folder)
    return folder


def test_a_demo_s_rows_become_results_once(untouched: Path):
    store = results.store_of(untouched)
    again = results.store_of(untouched)
    assert store is again and store.count() == 3
    assert results.counts(store) == {"manipulated": 1, "inconclusive": 1, "no_evidence": 1}
    assert {Path(p).name for p in results.table(store)[0]["path"]} == {"target.mp4", "driver.mp4", "reenactment.mp4"}


def test_the_audit_of_a_row_is_found_by_content(untouched: Path):
    store = results.store_of(untouched)
    row = next(r for r in store.rows() if r["path"].endswith("reenactment.mp4"))
    assert results.audit_of(untouched, row)["state"] == "trusted"
    assert results.audit_of(untouched, {**row, "sha256": "1" * 64}) is None


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    with open_store(folder) as store:
        for i in range(300):
            p = None if i % 10 == 0 else i / 300
            row = {
                "path": f"/clips/100%_{i:04d}'.mp4",
                "sha256": f"{i:064d}",
                "status": "no_face" if p is None else "ok",
                "verdict": "manipulated" if p and p > 0.8 else "inconclusive" if p and p > 0.5 else "no_evidence",
                "p_fake": p,
                "faces": [],
            }
            store.add(row, key=row["sha256"], model="m", configuration="c")
    return results.store_of(folder)


def test_filters_reach_the_store(many):
    frame, count = results.table(many, verdicts=("manipulated",))
    assert count == len(frame) == 54 and frame["p_fake"].min() > 0.8
    assert results.table(many, verdicts=("no_face",))[1] == 30
    assert results.table(many, verdicts=("no_face", "manipulated"))[1] == 84
    assert results.table(many, low=0.5, high=0.6)[1] == 27  # 150 to 180 without every tenth


def test_text_is_looked_for_as_it_is(many):
    assert results.table(many, text="0042'")[1] == 1
    assert results.table(many, text="100%_")[1] == 300
    assert results.table(many, text="1_0")[1] == 0, "an underscore is no wildcard"
    assert results.table(many, text="'; drop table results; --")[1] == 0
    assert many.count() == 300


def test_the_table_says_how_many_there_are_beyond_what_it_shows(many, monkeypatch):
    monkeypatch.setattr(results, "MOST_ROWS", 50)
    frame, count = results.table(many)
    assert len(frame) == 50 and count == 300
    assert frame["result"].is_monotonic_decreasing, "newest first"


def test_a_table_of_thousands_is_read_in_a_moment(many):
    start = time.process_time()
    for _ in range(10):
        results.table(many)
    assert time.process_time() - start < 1.0
