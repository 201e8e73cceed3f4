"""What goes wrong around a scan: killed parents and workers, full disks, folders that cannot be written."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from facewitness.detector.engine import open_store, scan_paths
from facewitness.errors import UsageError

PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start in the background ignore it
from facewitness.detector.engine import Scanner, scan_paths
scanner = Scanner(function="standin:scan", options={"pause_s": 0.03}, model_id="standin", model_sha256="0" * 64)
for row in scan_paths([sys.argv[1]], out=sys.argv[2], workers=2, scanner=scanner):
    print(row["path"], flush=True)
"""


NOBODY = 65534


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_rows_are_there_exactly_once_after_ten_kills_at_random_moments(clips, scanner, tmp_path, monkeypatch):
    mark = tmp_path / "scanned"
    monkeypatch.setenv("STANDIN_SCANNED", str(mark))
    folder, out = clips(*(f"{i:03}" for i in range(120))), tmp_path / "out"
    rng = random.Random(10)
    for _ in range(10):
        parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder), str(out)], stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.2, 1.4))
        parent.kill()
        parent.wait()
    last = subprocess.run([sys.executable, "-c", PARENT, str(folder), str(out)], capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert [Path(p).name for p in last.stdout.split()] == [f"{i:03}.mp4" for i in range(120)]
    with open_store(out, read_only=True) as store:
        kept = [Path(r["path"]).name for r in store.rows()]
        assert sorted(kept) == sorted(set(kept)) == [f"{i:03}.mp4" for i in range(120)]
        assert store.check_log() >= 120
    seen = mark.read_text().splitlines()
    assert len(seen) <= 120 + 10 * 2 * 2, "a kill costs the clips that were being scanned, no more"
    workers = {int(line.split()[0]) for line in seen}
    for _ in range(50):
        if not any(alive(pid) for pid in workers):
            break
        time.sleep(0.1)
    assert not [pid for pid in workers if alive(pid)], "workers end with their parent"


def test_a_worker_killed_from_outside_costs_one_row(clips, scan, scanner, tmp_path):
    from facewitness.detector.engine import Scanner

    folder = clips(*(f"{i:02}" for i in range(20)))
    slow = Scanner(function=scanner.function, options={"pause_s": 0.1})
    rows, killed = [], False
    for row in scan_paths([folder], out=tmp_path / "out", workers=2, scanner=slow):
        rows.append(row)
        if len(rows) == 5 and not killed:
            killed = True
            os.kill(int(scan.scanned()[-1].split()[0]), signal.SIGKILL)
    assert len(rows) == 20
    assert sum(r["status"] == "error" for r in rows) <= 1
    assert all("signal 9" in r["error"] for r in rows if r["status"] == "error")


def test_an_interrupted_scan_leaves_no_worker_behind_and_says_in_its_log_that_it_was(
    clips, scanner, tmp_path, monkeypatch
):
    monkeypatch.setenv("STANDIN_SCANNED", str(tmp_path / "scanned"))
    folder = clips(*(f"{i:03}" for i in range(300)))  # so many that a busy machine does not finish them first
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert parent.stdout and parent.stdout.readline()
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=10)
    workers = {int(line.split()[0]) for line in (tmp_path / "scanned").read_text().splitlines()}
    time.sleep(0.2)
    assert not [pid for pid in workers if alive(pid)]
    with open_store(tmp_path / "out", read_only=True) as store:
        last = list(store.log_entries())[-1]
        assert last["what"] == "scan interrupted" and 0 < last["details"]["clips"] < 300
        store.check_log()


def test_a_place_that_cannot_be_written_is_said_before_anything_is_scanned(clips, scan, tmp_path):
    folder = clips("a")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UsageError, match="cannot be written"):
        scan(folder, out=tmp_path / "file" / "out")
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "results.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(UsageError, match="cannot be written"):
        scan(folder, out=tmp_path / "db")
    assert scan.scanned() == []


@contextlib.contextmanager
def unprivileged():
    """As nobody, where the tests run as root, who may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("what", ["the folder", "the file"])
def test_results_that_may_not_be_written_are_said_before_anything_is_scanned(clips, scan, scanner, what):
    reachable = Path(tempfile.mkdtemp(prefix="reachable-"))  # pytest's own folders are closed to nobody
    reachable.chmod(0o755)
    out, folder = reachable / "out", clips("a")
    out.mkdir()
    if what == "the file":
        open_store(out).close()
        (out / "results.sqlite").chmod(0o444)
    else:
        out.chmod(0o555)
    try:
        with unprivileged(), pytest.raises(UsageError, match="cannot be written") as e:
            list(scan_paths([folder], out=out, scanner=scanner))
        assert "\n" not in str(e.value) and not scan.scanned()
    finally:
        out.chmod(0o755)
        shutil.rmtree(reachable)


def test_a_read_only_database_is_refused(clips, scan, tmp_path):
    folder = clips("a")
    scan(folder)
    with open_store(tmp_path / "out", read_only=True) as store, pytest.raises(UsageError, match="cannot be written"):
        store.note("tried")


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
from facewitness.cli import main
import facewitness.detector.engine.scanner as s
s.default_scanner = lambda model=None: s.Scanner(function="standin:scan", model_id="standin", model_sha256="0" * 64)
import facewitness.detector.engine.scan as scan
scan.default_scanner = s.default_scanner
main(["scan", sys.argv[1], "--out", sys.argv[2], "--workers", "2", "--jsonl"])
"""


@pytest.fixture(params=["a limit on the size of files", "a disk of a megabyte"])
def little_room(request, tmp_path):
    """(folder, bytes a file may have, what makes room): little room in two ways."""
    folder = tmp_path / "little"
    folder.mkdir()
    if request.param.startswith("a limit"):
        yield folder, 300_000, lambda: None
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    try:
        yield (
            folder,
            resource.RLIM_INFINITY,
            lambda: subprocess.run(["mount", "-o", "remount,size=50m", folder], check=True),
        )
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_stops_the_scan_keeps_what_was_stored_and_the_next_run_goes_on(clips, scan, little_room):
    folder = clips(*(f"{i:03}" for i in range(150)))
    out, most_bytes, make_room = little_room
    run = [sys.executable, "-c", FULL, str(folder), str(out)]
    full = subprocess.run([*run, str(most_bytes)], capture_output=True, text=True)
    assert full.returncode == 2, full.stderr
    assert "what was stored before is kept" in full.stderr and len(full.stderr.strip().splitlines()) == 1
    make_room()
    with open_store(out, read_only=True) as store:
        kept = store.count()
    assert 0 < kept < 150
    again = subprocess.run([*run, str(resource.RLIM_INFINITY)], capture_output=True, text=True)
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    assert again.returncode == 0 and len(rows) == 150
    assert sum(r["reused"] for r in rows) >= kept
    with open_store(out, read_only=True) as store:
        assert store.count() == 150
        store.check_log()
