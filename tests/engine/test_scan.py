"""Every clip gets its row, once, in order, whatever happens on the way."""

import os
from pathlib import Path

import pytest

from facewitness.detector.engine import Budget, Scanner, open_store
from facewitness.errors import MissingPieceError, UsageError


def names(rows):
    return [Path(r["path"]).name for r in rows]


def test_rows_come_in_the_order_of_the_names(clips, scan):
    folder = clips(*(f"{i:02}" for i in range(30)))
    (folder / "00.mp4").write_text("ok slow")
    rows = scan(folder, workers=3)
    assert names(rows) == [f"{i:02}.mp4" for i in range(30)]
    assert all(r["status"] == "ok" and r["schema"] == "facewitness.scan/1" and len(r["sha256"]) == 64 for r in rows)


def test_a_clip_that_kills_or_eats_costs_one_row(clips, scan):
    folder = clips("a", "z", b_die="die", c_abort="abort", f_eat="eat", g_raise="raise", h="unreadable", i="chatter")
    rows = {r["path"].split("/")[-1]: r for r in scan(folder)}
    status = {n: r["status"] for n, r in rows.items()}
    assert status == {
        "a.mp4": "ok", "b_die.mp4": "error", "c_abort.mp4": "error", "f_eat.mp4": "error", "g_raise.mp4": "error",
        "h.mp4": "unreadable", "i.mp4": "ok", "z.mp4": "ok",
    }  # fmt: skip
    assert "signal 9" in rows["b_die.mp4"]["error"] and "memory" in rows["f_eat.mp4"]["error"]
    assert all("\n" not in (r["error"] or "") for r in rows.values())
    assert all(r["verdict"] == "inconclusive" and r["p_fake"] is None for r in rows.values() if r["status"] != "ok")


def test_a_clip_that_hangs_or_spins_is_stopped_at_its_budget(clips, scan):
    rows = scan(clips(a="hang", b="spin"), budget=Budget(base_s=2, memory_mb=400))
    assert [r["status"] for r in rows] == ["timeout", "timeout"]
    assert [r["status"] for r in scan(clips(a="ok", b="ok"), resume=False)] == ["ok", "ok"]


def test_a_header_that_announces_years_gets_the_time_its_bytes_can_hold():
    budget = Budget(base_s=120, per_second=10)
    assert budget.seconds(60, 10_000_000) == 720
    assert budget.seconds(1e9, 1_000_000) == 120 + 10 * 500


def test_a_second_scan_skips_what_is_done_and_a_changed_model_scans_again(clips, scan, scanner):
    folder = clips("a", "b", "c")
    first = scan(folder)
    again = scan(folder)
    assert len(scan.scanned()) == 3
    assert [r["reused"] for r in again] == [True] * 3
    assert [r["result"] for r in again] == [r["result"] for r in first]
    other = Scanner(function=scanner.function, model_id="other", model_sha256="1" * 64)
    assert [r["reused"] for r in scan(folder, scanner=other)] == [False] * 3
    slower = Scanner(function=scanner.function, model_sha256="0" * 64, options={"pause_s": 0.001})
    assert [r["reused"] for r in scan(folder, scanner=slower)] == [False] * 3
    assert [r["reused"] for r in scan(folder, resume=False)] == [False] * 3


def test_a_moved_file_is_recognised_and_a_changed_one_is_scanned(clips, scan):
    folder = clips("a", "b")
    scan(folder)
    (folder / "a.mp4").rename(folder / "moved.mp4")
    (folder / "b.mp4").write_text("ok changed")
    rows = {Path(r["path"]).name: r for r in scan(folder)}
    assert rows["moved.mp4"]["reused"] and not rows["b.mp4"]["reused"]


def test_identical_files_are_scanned_once(clips, scan):
    folder = clips(*[f"same{i}" for i in range(6)])
    for i in range(6):
        (folder / f"same{i}.mp4").write_text("ok the very same")
    rows = scan(folder)
    assert len(scan.scanned()) == 1
    assert names(rows) == [f"same{i}.mp4" for i in range(6)]
    assert [r["reused"] for r in rows] == [False] + [True] * 5
    assert len({r["result"] for r in rows}) == 1


def test_failures_are_tried_again_only_when_asked(clips, scan, tmp_path):
    folder = clips("a", b="die")
    scan(folder)
    assert [r["reused"] for r in scan(folder)] == [True, True]
    (tmp_path / "scanned").unlink()
    rows = scan(folder, retry=True)
    assert [r["reused"] for r in rows] == [True, False]
    with open_store(tmp_path / "out") as store:  # the first attempt is still there
        assert [(r["status"]) for r in store.rows()].count("error") == 2


def test_a_file_that_changes_while_it_is_read_says_so_and_is_not_kept(clips, scan):
    folder = clips(a="grow")
    row = scan(folder)[0]
    assert row["status"] == "error" and "changed while it was read" in row["error"] and row["sha256"] is None
    (folder / "a.mp4").write_text("ok now whole")
    assert scan(folder)[0]["status"] == "ok"


def test_missing_files_pipes_and_locked_folders_are_rows(clips, scan, tmp_path):
    folder = clips("a")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "broken.mp4").symlink_to(tmp_path / "nowhere")
    rows = scan(folder, tmp_path / "missing.mp4")
    assert {Path(r["path"]).name: r["status"] for r in rows} == {
        "a.mp4": "ok", "broken.mp4": "unreadable", "missing.mp4": "unreadable", "pipe.mp4": "unreadable",
    }  # fmt: skip
    assert [r["reused"] for r in scan(folder, tmp_path / "missing.mp4")] == [True] * 4


def test_folder_loops_end_and_every_file_is_met_once(clips, scan):
    folder = clips("a")
    inner = folder / "inner"
    inner.mkdir()
    (inner / "b.mp4").write_text("ok b")
    (inner / "up").symlink_to(folder)
    (inner / "self").symlink_to(inner)
    assert names(scan(folder, folder / "a.mp4")) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    "name", [b"new\nline.mp4", b"bad\xff\xfe.mp4", b"-o.mp4", b"quote'\".mp4", "ü 視頻.mp4".encode()]
)
def test_odd_names_are_scanned_stored_and_found_again(clips, scan, name, tmp_path):
    folder = clips()
    path = folder / os.fsdecode(name)
    path.write_text("ok odd")
    row = scan(folder)[0]
    assert row["status"] == "ok"
    row["path"].encode()
    assert scan(folder)[0]["reused"]
    with open_store(tmp_path / "out", read_only=True) as store:
        assert store.find(os.fsdecode(name)) == [row["result"]]


def test_no_library_of_a_worker_takes_more_threads_than_its_share(clips, scan, monkeypatch):
    monkeypatch.setenv("FACEWITNESS_THREADS", "1")
    (row,) = scan(clips("a"), scanner=Scanner(function="standin:threads"), budget=Budget(base_s=120))
    assert row["threads"] == [1] * len(row["threads"]), "decoding, OpenCV, torch, numba"


def test_a_detector_that_cannot_be_loaded_ends_the_scan_with_its_own_words(clips, scan):
    folder = clips("a")
    with pytest.raises(UsageError, match="nothing"):
        scan(folder, scanner=Scanner(function="standin:nothing"))
    with pytest.raises(UsageError, match="cannot be loaded"):
        scan(folder, scanner=Scanner(function="no_such_module:scan"))
    with pytest.raises(UsageError, match="engine"):
        scan(folder, engine="cloud")


def test_a_missing_piece_ends_the_scan_because_every_clip_would_fail(clips, scan):
    folder = clips("a", "b")
    with pytest.raises(MissingPieceError, match="fetch it"):
        scan(folder, scanner=Scanner(function="standin:missing"))


def test_memory_does_not_grow_with_the_number_of_clips(clips, scan, tmp_path):
    """Rows are yielded as they come: the first is there long before the last is scanned."""
    from facewitness.detector.engine import scan_paths

    folder = clips(*(f"{i:03}" for i in range(40)))
    slow = Scanner(function="standin:scan", options={"pause_s": 0.05})
    rows = scan_paths([folder], out=tmp_path / "out2", scanner=slow, workers=1)
    next(rows)
    assert len(scan.scanned()) < 10
    rows.close()
