"""The ledger: nothing goes missing unnoticed, several may write, and a kill or a full disk leaves it whole."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from facewitness.errors import EXIT_NEGATIVE, UsageError
from facewitness.provenance import fingerprint as fp
from facewitness.provenance.ledger import Ledger, LedgerError, Record, entry_hash


def record(n: int, **changes) -> Record:
    rng = np.random.default_rng(n)
    print_ = fp.Fingerprint(
        vectors=rng.integers(-90, 90, (5, fp.DIMENSIONS), dtype=np.int8), starts_s=np.arange(5.0), duration_s=6.0
    )
    fields = {
        "kind": "made", "name": f"clip {n}.mp4", "sha256": f"{n:064x}", "manifest_id": f"urn:c2pa:{n}", "manifest":
        b"jumb" * n, "label": {"target_id": "sample", "seed": n}, "watermark": n.to_bytes(8, "big"), "fingerprint":
        print_,
    }  # fmt: skip
    return Record(**{**fields, **changes})


def tamper(ledger: Ledger, *statements: str) -> None:
    """What somebody with the file can do: take the triggers away and write."""
    with sqlite3.connect(ledger.url.removeprefix("sqlite:///")) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for n in range(1, 6):
        ledger.append(record(n))
    return ledger


def test_what_was_appended_is_found_by_every_name(filled: Ledger):
    entry = filled.find_by_watermark((3).to_bytes(8, "big"))
    assert entry is not None and entry.seq == 3 and entry.label == {"target_id": "sample", "seed": 3}
    assert filled.entry(3) == filled.find_by_manifest("urn:c2pa:3") == filled.find_by_sha256(f"{3:064x}") == entry
    assert [filled.find(w) for w in ("3", "0000000000000003", "urn:c2pa:3", f"{3:064x}")] == [entry] * 4
    assert filled.manifest("urn:c2pa:3") == b"jumb" * 3
    assert (len(filled), [e.seq for e in filled.entries(after=3)]) == (5, [4, 5])
    assert entry.hash == entry_hash(
        {k: v for k, v in vars(entry).items() if k not in ("label", "duration_s")}
        | {"label": '{"seed": 3, "target_id": "sample"}', "duration_ms": 6000}
    )


def test_what_is_not_there_is_not_found(filled: Ledger):
    assert filled.find_by_watermark(bytes(8)) is None and filled.manifest("urn:c2pa:9") is None
    assert filled.find("") is None and filled.find("99") is None and filled.find("' OR 1=1 --") is None


def test_an_honest_chain_holds(filled: Ledger):
    found = filled.check()
    assert found.ok and found.entries == 5 and found.problems == ()
    assert found.head == filled.entry(5).hash


def test_an_empty_chain_holds(ledger: Ledger):
    assert ledger.check().ok


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE entries SET name = 'innocent.mp4' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE entries SET label = '{}' WHERE seq = 5", "entry 5 was changed"),
        ("DELETE FROM entries WHERE seq = 3", "entry 3 is gone"),
        ("DELETE FROM entries WHERE seq IN (2, 3)", "entries 2 to 3 are gone"),
        ("DELETE FROM entries WHERE seq = 5", "the end was cut off"),
        ("UPDATE manifests SET store = x'00' WHERE seq = 4", "manifest of entry 4 was changed"),
        ("DELETE FROM manifests WHERE seq = 4", "manifest of entry 4 was changed or removed"),
        ("DELETE FROM segments WHERE seq = 1 AND start_ms = 2000", "fingerprint of entry 1 was changed"),
        ("UPDATE segments SET vector = zeroblob(128) WHERE seq = 1", "fingerprint of entry 1 was changed"),
        ("INSERT INTO segments VALUES (2, 'frame', 99000, zeroblob(128))", "fingerprint of entry 2 was changed"),
    ],
)
def test_every_change_behind_our_back_is_noticed(filled: Ledger, statement: str, said: str):
    tamper(filled, statement)
    found = filled.check()
    assert not found.ok and any(said in p for p in found.problems), found.problems


def test_a_chain_that_was_rewritten_as_a_whole_is_noticed_by_the_witness(filled: Ledger, tmp_path: Path):
    forged = Ledger(tmp_path / "forged.sqlite", witness=tmp_path / "forger.json")
    for n in (1, 2, 3, 4, 5, 6):
        forged.append(record(n, name="forged.mp4"))
    assert forged.check().ok
    forged.close()
    filled.close()
    for suffix in ("", "-wal", "-shm"):
        Path(filled.url.removeprefix("sqlite:///") + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "forged.sqlite", filled.url.removeprefix("sqlite:///"))
    found = Ledger(filled.url, witness=filled.witness).check()
    assert any("rewritten" in p for p in found.problems)


def test_the_database_itself_refuses_changes(filled: Ledger):
    with sqlite3.connect(filled.url.removeprefix("sqlite:///")) as db:
        for statement in ("UPDATE entries SET name = ''", "DELETE FROM entries", "DELETE FROM segments"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "found"}, "made, signed"),
        ({"sha256": "abc"}, "SHA-256"),
        ({"watermark": b"short"}, "8 bytes"),
        ({"manifest": b"x" * (17 << 20)}, "at most"),
        ({"label": {"x": "y" * 300_000}}, "characters"),
        ({"watermark": (3).to_bytes(8, "big")}, "already"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused_and_leaves_no_trace(filled: Ledger, changes: dict, said: str):
    with pytest.raises(UsageError, match=said):
        filled.append(record(9, **changes))
    assert len(filled) == 5 and filled.check().ok


def test_threads_may_write_at_once(ledger: Ledger):
    def write(first: int) -> None:
        for n in range(first, first + 10):
            ledger.append(record(n))

    threads = [threading.Thread(target=write, args=(10 * k + 1,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert ledger.check().ok and len(ledger) == 40


WRITER = """
import sys
from pathlib import Path
import numpy as np
from facewitness.provenance.ledger import Ledger, Record
from facewitness.provenance import fingerprint as fp
where, witness, first, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
print_ = fp.Fingerprint(vectors=np.ones((60, 128), np.int8), starts_s=np.arange(60.0), duration_s=61.0)
ledger = Ledger(where, witness=witness)
print("ready", flush=True)
for n in range(first, first + count):
    ledger.append(Record(kind="made", name="clip", sha256=f"{n:064x}", manifest_id=f"urn:{n}", manifest=b"m" * 12000,
                         watermark=n.to_bytes(8, "big"), fingerprint=print_))
    print(n, flush=True)
"""


def start_writer(ledger: Ledger, first: int, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, ledger.url, str(ledger.witness), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_may_write_at_once(ledger: Ledger):
    writers = [start_writer(ledger, 1000 * k, 15) for k in (1, 2, 3)]
    for writer in writers:
        writer.communicate(timeout=60)
    assert [w.returncode for w in writers] == [0, 0, 0]
    found = ledger.check()
    assert found.ok and found.entries == 45


def test_a_kill_at_any_moment_leaves_entries_whole_and_none_that_was_reported_missing(ledger: Ledger):
    reported = 0
    for attempt in range(3):
        writer = start_writer(ledger, 10_000 * (attempt + 1), 10_000)
        assert writer.stdout and writer.stdout.readline() == "ready\n"
        time.sleep(0.15 + 0.07 * attempt)
        writer.send_signal(signal.SIGKILL)
        reported += len(writer.communicate()[0].splitlines())
        found = ledger.check()
        assert found.ok, found.problems
        assert reported <= found.entries <= reported + attempt + 1
    ledger.append(record(1))
    assert ledger.check().ok


def test_a_full_disk_is_a_sentence_and_the_chain_still_holds(filled: Ledger):
    with filled._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(LedgerError, match="full"):
        for n in range(100, 140):
            filled.append(record(n, manifest=b"x" * 50_000))
    filled.close()
    again = Ledger(filled.url, witness=filled.witness)
    assert again.check().ok
    before = len(again)
    again.append(record(200))
    assert len(again) == before + 1 and again.check().ok


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_witness_that_cannot_be_written_costs_no_entry(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.sqlite", witness=Path("/dev/full/witness.json"))
    assert ledger.append(record(1)).seq == 1 and ledger.check().ok


def test_what_is_no_ledger_is_said_in_a_sentence(tmp_path: Path):
    (tmp_path / "garbage.sqlite").write_bytes(b"this is no database" * 500)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(tmp_path / "garbage.sqlite")
    with pytest.raises(LedgerError, match="check its disk and rights"):
        Ledger(tmp_path)
    with pytest.raises(UsageError, match="SQLite or PostgreSQL"):
        Ledger("mysql://host/ledger")
    db = sqlite3.connect(tmp_path / "newer.sqlite")
    db.executescript(
        "CREATE TABLE about (key TEXT, value TEXT); INSERT INTO about VALUES ('schema', 'facewitness.ledger/9')"
    )
    db.close()
    with pytest.raises(UsageError, match=r"facewitness\.ledger/9"):
        Ledger(tmp_path / "newer.sqlite")


def test_the_ledger_file_is_its_owners_alone(filled: Ledger):
    if os.name == "posix":
        assert Path(filled.url.removeprefix("sqlite:///")).stat().st_mode & 0o077 == 0


def test_the_command_line_says_it_all(filled: Ledger, tmp_path: Path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [
            sys.executable,
            "-m",
            "facewitness",
            "ledger",
            *arguments,
            "--ledger",
            filled.url.removeprefix("sqlite:///"),
        ]
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "FACEWITNESS_HOME": str(tmp_path)}
        )

    assert run("check").stdout.endswith("the chain holds\n")
    assert "clip 4.mp4" in run("show").stdout and '"seq": 4' in run("show", "4", "--json").stdout
    assert run("show", "nothing").returncode == 2
    tamper(filled, "UPDATE entries SET name = 'x' WHERE seq = 2")
    broken = run("check", "--json")
    assert broken.returncode == EXIT_NEGATIVE and '"ok": false' in broken.stdout and not broken.stderr


def test_a_team_shares_a_ledger_in_postgresql(postgres: str, tmp_path: Path):
    ledger = Ledger(postgres, witness=tmp_path / "witness.json")
    threads = [
        threading.Thread(target=lambda k=k: [ledger.append(record(10 * k + i)) for i in range(1, 8)]) for k in range(4)
    ]
    for t in threads:
        t.start()
    writer = start_writer(ledger, 5000, 10)
    for t in threads:
        t.join()
    writer.communicate(timeout=60)
    assert writer.returncode == 0
    found = ledger.check()
    assert found.ok and found.entries == 38
    assert ledger.find_by_watermark((12).to_bytes(8, "big")).manifest_id == "urn:c2pa:12"
    assert ledger.manifest("urn:c2pa:12") == b"jumb" * 12
    assert sum(1 for _ in ledger.vectors()) == 28 * 5 + 10 * 60
    with pytest.raises(UsageError, match="already"):
        ledger.append(record(12, sha256="f" * 64))
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as db:
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            db.execute("DELETE FROM entries WHERE seq = 4")
        db.execute("ALTER TABLE entries DISABLE TRIGGER ALL")
        db.execute("UPDATE entries SET name = 'x' WHERE seq = 4")
    assert "entry 4 was changed." in ledger.check().problems
    ledger.close()
