"""The commands: what they print, what they exit with, and that a served scan survives a polite end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from facewitness.cli import main
from facewitness.detector.engine import Scanner

SERVE = """
import sys
from facewitness.cli import main
import facewitness.detector.engine.scanner as s
s.default_scanner = lambda model=None: s.Scanner(function="standin:scan", options={"pause_s": 1.0}, model_id="standin")
main(sys.argv[1:])
"""


@pytest.fixture
def facewitness(capsys, monkeypatch, scanner):
    """Run the command line in this process, with the stand-in for the detector."""
    import facewitness.detector.engine.scan as scan

    monkeypatch.setattr(
        scan, "default_scanner", lambda model=None: Scanner(function="standin:scan", model_id="standin")
    )

    def run(*args: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as left:
            main(list(args))
        said = capsys.readouterr()
        return SimpleNamespace(code=left.value.code, out=said.out, err=said.err)

    return run


def test_a_scan_prints_a_line_a_clip_and_says_where_the_results_are(clips, facewitness, tmp_path):
    folder, out = clips("a", "b", long="ok " + "x" * 60), str(tmp_path / "out")
    plain = facewitness("scan", str(folder), "--out", out)
    assert plain.code == 0 and [line.split()[0] for line in plain.out.splitlines()[:3]] == [
        "no_evidence", "no_evidence", "manipulated",
    ]  # fmt: skip
    assert "3 clips" in plain.out and out in plain.out
    whole = json.loads(facewitness("scan", str(folder), "--out", out, "--json").out)
    assert whole["schema"] == "facewitness.scans/1" and len(whole["rows"]) == 3 and whole["counts"]["reused"] == 3
    lines = facewitness("scan", str(folder), "--out", out, "--jsonl").out.splitlines()
    assert [json.loads(line)["schema"] for line in lines] == ["facewitness.scan/1"] * 3


def test_the_last_line_counts_in_the_words_of_the_lines_above(clips, facewitness, tmp_path):
    folder, out = clips("a", bad="unreadable", long="ok " + "x" * 60), str(tmp_path / "an out")
    said = facewitness("scan", str(folder), "--out", out).out.splitlines()[-1]
    assert said.startswith("3 clips: 1 manipulated, 1 no evidence, 1 unreadable.") and said.endswith(f"--out '{out}'")
    assert facewitness("scan", str(folder / "a.mp4"), "--out", out).out.splitlines()[-1].startswith("1 clip, 1 of them")


def test_a_line_says_what_decided():
    from facewitness.cli.scan import line_of

    finding, limit = {"cue": "lids", "text": "The lids lag."}, {"cue": "limits", "text": "The face is small."}
    silent = {"cue": "network", "text": "The network abstains."}
    row = {"status": "ok", "path": "a.mp4", "p_fake": 0.9, "reasons": [limit, finding, silent]}
    assert line_of(row | {"verdict": "manipulated"}).endswith("The lids lag.")
    assert line_of(row | {"verdict": "inconclusive"}).endswith("The face is small.")
    assert line_of(row | {"verdict": "inconclusive", "reasons": [finding, silent]}).endswith("The lids lag.")
    assert line_of(row | {"verdict": "no_evidence", "reasons": []}).endswith("a.mp4")


def test_exit_codes_tell_findings_from_failures(clips, facewitness, tmp_path):
    folder, out = clips("a", bad="unreadable", long="ok " + "x" * 60), str(tmp_path / "out")

    def code(*args):
        return facewitness("scan", *args, "--out", out).code

    assert code(str(folder)) == 0
    assert code(str(folder), "--fail-on", "manipulated") == 1
    assert code(str(folder / "a.mp4"), "--fail-on", "manipulated") == 0
    assert code(str(folder / "bad.mp4"), "--fail-on", "inconclusive") == 4
    assert code(str(folder / "bad.mp4")) == 3
    assert code(str(tmp_path / "missing.mp4")) == 3
    (tmp_path / "empty").mkdir()
    assert code(str(tmp_path / "empty")) == 2
    assert code(str(folder), "--fail-on", "anything") == 2


def test_a_list_on_stdin_is_scanned_line_by_line_or_by_nul(clips, facewitness, tmp_path, monkeypatch):
    folder = clips("a", "b\nc")
    for text in (f"{folder}/a.mp4\n", f"{folder}/a.mp4\0{folder}/b\nc.mp4\0"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=[text.encode()]))
        rows = json.loads(facewitness("scan", "-", "--out", str(tmp_path / "out"), "--json").out)["rows"]
        assert [Path(r["path"]).name for r in rows] == ["a.mp4", "b\nc.mp4"][: text.count("\0") or 1]


def test_a_served_scan_survives_a_polite_end(clips, scanner, tmp_path):
    """SIGTERM: the running scan finishes, the waiting one is done after the next start."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folder = clips("a", "b", "c")
    command = [sys.executable, "-c", SERVE, "serve", "--port", str(port), "--out", str(tmp_path / "out")]
    command += ["--root", str(folder), "--workers", "1"]
    url, headers = f"http://127.0.0.1:{port}", {"Authorization": "Bearer secret"}

    def started():
        server = subprocess.Popen(command, env=os.environ | {"FACEWITNESS_TOKENS": "secret"}, stderr=subprocess.PIPE)
        for _ in range(600):
            try:
                httpx.get(f"{url}/v1/health")
                return server
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    server = started()
    jobs = [
        httpx.post(f"{url}/v1/scans/path", json={"path": f"{n}.mp4"}, headers=headers).json()["id"]
        for n in ("a", "b", "c")
    ]
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) in (0, -signal.SIGTERM)
    server = started()
    try:
        for _ in range(600):
            told = httpx.get(f"{url}/v1/scans", headers=headers).json()["jobs"]
            if all(j["state"] == "done" for j in told):
                break
            time.sleep(0.1)
        assert sorted(j["id"] for j in told) == sorted(jobs) and {j["state"] for j in told} == {"done"}
    finally:
        server.kill()
        server.wait()
