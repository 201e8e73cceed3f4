"""What scans found can be shown, asked for, exported and reviewed, and is never overwritten."""

import csv
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from facewitness.cli import main
from facewitness.detector.engine import Scanner, open_store, read_rows, scan_paths
from facewitness.detector.engine.export import export_rows
from facewitness.errors import FacewitnessError, UsageError


@pytest.fixture
def stored(clips, scan, tmp_path):
    """Three results: ok, ok and error."""
    scan(clips("a", "b", c="raise"))
    return tmp_path / "out"


@pytest.fixture
def facewitness(capsys):
    """Run the command line in this process: its exit code, stdout and stderr."""

    def run(*args: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as left:
            main(list(args))
        said = capsys.readouterr()
        return SimpleNamespace(returncode=left.value.code, stdout=said.out, stderr=said.err)

    return run


def test_a_result_is_found_by_number_path_name_and_hash(stored):
    with open_store(stored, read_only=True) as store:
        rows = list(store.rows())
        for row in rows:
            number = row["result"]
            for name in (str(number), row["path"], Path(row["path"]).name, row["sha256"][:12]):
                assert store.find(name) == [number]
        assert store.find("nothing") == []
        assert [r["result"] for r in store.rows(newest_first=True)] == [r["result"] for r in rows][::-1]


def test_results_are_asked_for_in_sql_that_can_only_read(stored, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with open_store(stored, read_only=True) as store:
        names, rows = store.query("select status, count(*) as n from results group by status order by status")
        assert names == ["status", "n"] and rows == [("error", 1), ("ok", 2)]
        for sql in (
            "delete from results",
            "drop table results",
            "nonsense",
            "attach 'x' as y",
            "vacuum into 'x'",
            "pragma query_only=off",
        ):
            with pytest.raises(UsageError):
                store.query(sql)
        assert store.count() == 3
    assert not list(Path().iterdir()), "a query makes no file"


def test_exports_hold_every_row_in_three_formats(stored, tmp_path):
    with open_store(stored, read_only=True) as store:
        for suffix in (".csv", ".jsonl", ".parquet"):
            assert export_rows(store, tmp_path / f"e{suffix}") == 3
        assert export_rows(store, tmp_path / "f.jsonl", where="status = 'ok'") == 2
        with pytest.raises(UsageError, match="--force"):
            export_rows(store, tmp_path / "e.csv")
        with pytest.raises(UsageError, match=r"\.csv"):
            export_rows(store, tmp_path / "e.xml")
        assert export_rows(store, tmp_path / "shards") == 3
        with pytest.raises(UsageError, match="--force"):
            export_rows(store, tmp_path / "shards")
    assert pq.read_table(tmp_path / "shards").num_rows == 3
    with (tmp_path / "e.csv").open() as f:
        assert [r["status"] for r in csv.DictReader(f)] == ["ok", "ok", "error"]
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    table = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert [r["sha256"] for r in table] == [r["sha256"] for r in lines]
    assert json.loads(table[0]["row"])["reasons"] == lines[0]["reasons"]


def test_a_file_name_cannot_become_a_formula_in_a_spreadsheet(clips, scan, tmp_path, monkeypatch):
    folder = clips(**{"=cmd|' '!A1": "ok x"})
    monkeypatch.chdir(folder)
    scan(Path("=cmd|' '!A1.mp4"))
    with open_store(tmp_path / "out", read_only=True) as store:
        export_rows(store, tmp_path / "e.csv")
    with (tmp_path / "e.csv").open() as f:
        assert next(csv.DictReader(f))["path"].startswith("'=")


def test_a_decision_stands_beside_the_verdict_with_its_author_and_time(stored):
    with open_store(stored) as store:
        before = store.row(1)
        store.review(1, "reject", note="a known good source", author="ana")
        store.review(1, "escalate", author="ben")
        assert store.row(1) == before
        assert [(r["decision"], r["author"]) for r in store.reviews_of(1)] == [("reject", "ana"), ("escalate", "ben")]
        for bad in (
            {"number": 99, "decision": "confirm"},
            {"number": 1, "decision": "delete"},
            {"number": 1, "decision": "note"},
        ):
            with pytest.raises(UsageError):
                store.review(**bad)
    rows = {r["result"]: r for r in read_rows(stored)}
    assert len(rows[1]["reviews"]) == 2 and rows[2]["reviews"] == []


def test_nothing_that_was_stored_can_be_changed_or_removed(stored):
    import sqlalchemy as sa

    with open_store(stored) as store:
        store.review(1, "confirm", author="ana")
        for sql in (
            "update results set verdict = 'no_evidence'", "delete from results", "delete from log",
            "update reviews set author = 'eve'", "update log set who = 'eve'",
        ):  # fmt: skip
            with pytest.raises(FacewitnessError, match="only ever added"):
                store.write(sa.text(sql))
        assert store.check_log() > 0


def test_a_log_that_was_tampered_with_is_noticed(stored):
    import sqlite3

    with open_store(stored, read_only=True) as store:
        what = [e["what"] for e in store.log_entries()]
    assert what == ["scan started", *["clip scanned"] * 3, "scan finished"]
    raw = sqlite3.connect(stored / "results.sqlite")
    raw.execute("drop trigger log_UPDATE")
    raw.execute("update log set who = 'eve' where id = 2")
    raw.commit()
    raw.close()
    with open_store(stored, read_only=True) as store, pytest.raises(FacewitnessError, match="entry 2"):
        store.check_log()


def test_the_command_line_reads_exports_and_reviews(stored, tmp_path, facewitness):
    out = str(stored)
    shown = facewitness("results", "show", "--out", out)
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) == 3
    assert json.loads(facewitness("results", "show", "a.mp4", "--out", out, "--json").stdout)["status"] == "ok"
    assert (
        facewitness("results", "review", "a.mp4", "--decision", "confirm", "--author", "ana", "--out", out).returncode
        == 0
    )
    assert "confirm by ana" in facewitness("results", "show", "a.mp4", "--out", out).stdout
    by_part = facewitness("results", "show", "mp", "--out", out).stdout
    assert "2 more of that name" in by_part and "review" not in by_part.split("2 more")[1]
    assert facewitness("results", "review", "mp", "--decision", "confirm", "--out", out).returncode == 2, (
        "not by a part"
    )
    asked = facewitness("results", "query", "select count(*) as n from reviews", "--json", "--out", out)
    assert json.loads(asked.stdout)["rows"] == [[1]]
    assert facewitness("results", "export", str(tmp_path / "x.parquet"), "--out", out).returncode == 0
    assert "none changed" in facewitness("results", "log", "--out", out).stdout
    page = tmp_path / "a.html"
    assert facewitness("results", "show", "a.mp4", "--page", str(page), "--out", out).returncode == 0
    assert "Evidence: a.mp4" in page.read_text()
    for args, code in (
        (["show", "nothing"], 2),
        (["query", "nonsense"], 2),
        (["show", "--out", str(tmp_path / "no")], 2),
        (["show", "--page", str(tmp_path / "all.html")], 2),
    ):
        done = facewitness("results", *args, *([] if "--out" in args else ["--out", out]))
        assert done.returncode == code and len(done.stderr.strip().splitlines()) == 1


def test_clips_that_look_alike_are_linked(video, tmp_path, monkeypatch, scanner):
    import shutil
    from fractions import Fraction

    import numpy as np

    from facewitness.media import VideoWriter, read_frames

    folder = tmp_path / "alike"
    folder.mkdir()
    rng = np.random.default_rng(1)
    scenes = [rng.integers(0, 255, (8, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2)]
    for name, scene in zip(("one.mp4", "two.mp4"), scenes, strict=True):
        with VideoWriter(folder / name, width=96, height=64, frame_rate=Fraction(25)) as writer:
            for i in range(150):
                writer.write(np.roll(scene, i // 2 + 3 * (i // 20), 1))
    with VideoWriter(folder / "again.mp4", width=96, height=64, frame_rate=Fraction(25), crf=35) as writer:
        for frame in read_frames(folder / "one.mp4"):
            writer.write(frame.image)
    shutil.copy(folder / "one.mp4", folder / "same.mp4")
    reader = Scanner(function="standin:decode", model_id="standin")
    rows = {Path(r["path"]).name: r for r in scan_paths([folder], out=tmp_path / "out", scanner=reader, workers=2)}
    assert rows["same.mp4"]["result"] == rows["one.mp4"]["result"]
    with open_store(tmp_path / "out", read_only=True) as store:
        near = {n: [Path(x["path"]).name for x in store.near_to(r["result"])] for n, r in rows.items()}
    assert near["one.mp4"] == ["again.mp4"] and near["again.mp4"] == ["one.mp4"] and near["two.mp4"] == []
    assert "fingerprint" not in rows["one.mp4"]


def test_a_store_that_another_program_is_just_making_is_waited_for(tmp_path):
    other = sqlite3.connect(tmp_path / "results.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, other.execute, ["COMMIT"])
    done.start()
    with open_store(tmp_path) as store:
        assert store.count() == 0
    done.join()
    other.close()


def test_two_scans_into_one_store_at_the_same_time_agree(clips, scanner, tmp_path):
    folder = clips(*(f"{i:02}" for i in range(30)))
    code = (
        "import sys\nfrom facewitness.detector.engine import Scanner, scan_paths\n"
        "s = Scanner(function='standin:scan', options={'pause_s': 0.02}, model_id='standin')\n"
        "print(len(list(scan_paths([sys.argv[1]], out=sys.argv[2], workers=1, scanner=s))))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [p.communicate(timeout=60)[0].strip() for p in both] == ["30", "30"]
    with open_store(tmp_path / "out", read_only=True) as store:
        assert store.count() == 30
        store.check_log()
    assert os.path.getsize(tmp_path / "out" / "results.sqlite") > 0  # noqa: PTH202
