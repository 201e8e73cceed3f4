"""``facewitness sign``, ``verify`` and ``trust`` as a person and a script meet them: words, files and exit codes."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from facewitness.cli import main
from facewitness.provenance.sign import Signed
from facewitness.provenance.trust import trust_dir


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, stdin: str = "") -> Done:
    """The command line, run in this process: a person's mistake must not raise anything but its exit."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        left = stack.enter_context(pytest.raises(SystemExit))
        main([str(a) for a in arguments])
    return Done(int(left.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def broken(signed: Signed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broken") / "broken.mp4"
    data = bytearray(signed.path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    return path


def test_exit_codes_tell_the_states_apart(signed: Signed, broken: Path, video: Path, forger, tmp_path: Path) -> None:
    for code, paths in {
        0: [signed.path],
        1: [signed.path, broken, tmp_path / "missing.mp4"],
        2: [],
        3: [signed.path, tmp_path / "missing.mp4"],
        4: [signed.path, video],
    }.items():
        assert run("verify", *paths).returncode == code, paths
    assert run("verify", forger.file).returncode == 4
    assert run("verify", forger.file, "--fail-on", "untrusted,invalid").returncode == 1
    assert run("verify", signed.path, "--fail-on", "nonsense").returncode == 2
    assert run("verify", tmp_path).returncode == 2, "a folder without a file to verify is no success"


def test_a_person_reads_what_matters(signed: Signed, broken: Path) -> None:
    good = run("verify", signed.path).stdout
    assert "trusted" in good and "AI-generated" in good and "facewitness development signer" in good
    assert "not there: a trusted time of signing, an answer on revocation" in good
    bad = run("verify", broken).stdout
    assert "invalid" in bad and "The media was changed after signing." in bad and "(claimed)" in bad


def test_one_file_as_json_is_its_row_and_many_are_a_list(signed: Signed, video: Path) -> None:
    one = json.loads(run("verify", signed.path, "--json").stdout)
    assert one["schema"] == "facewitness.verify/1" and one["state"] == "trusted" and one["ai"] == "generated"
    assert one["rows"][0]["codes"] == one["codes"] and one["exit_code"] == 0
    many = json.loads(run("verify", signed.path, video, "--json").stdout)
    assert [r["state"] for r in many["rows"]] == ["trusted", "absent"] and many["counts"] == {"trusted": 1, "absent": 1}
    assert many["policy"]["anchors"][0]["name"] == "development"


def test_folders_and_lists_are_taken(signed: Signed, video: Path, tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "one.MP4").write_bytes(signed.path.read_bytes())
    (tmp_path / "notes.txt").write_text("not taken from a folder")
    (tmp_path / "web.webm").write_bytes(b"\x1a\x45\xdf\xa3")
    rows = [json.loads(line) for line in run("verify", tmp_path, "--jsonl").stdout.splitlines()]
    assert [(Path(r["path"]).name, r["state"]) for r in rows] == [("web.webm", "unreadable"), ("one.MP4", "trusted")]
    for stdin in (f"{signed.path}\n{video}\n", f"{signed.path}\0{video}\0"):
        listed = run("verify", "-", "--jsonl", stdin=stdin).stdout.splitlines()
        assert [json.loads(line)["state"] for line in listed] == ["trusted", "absent"]


def test_reports_are_written_beside_the_lines(signed: Signed, broken: Path, tmp_path: Path) -> None:
    run("verify", signed.path, broken, "--csv", tmp_path / "t.csv", "--html", tmp_path / "p.html")
    assert (tmp_path / "t.csv").read_text().count("\n") == 3
    page = (tmp_path / "p.html").read_text()
    assert "made.mp4" in page and "broken.mp4" in page and "2 files" in page and "</html>" in page


def test_two_audits_are_compared(signed: Signed, video: Path, broken: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    clip.write_bytes(signed.path.read_bytes())
    old.write_text(run("verify", clip, video, "--jsonl").stdout)
    assert run("verify", "--diff", old, old).returncode == 0
    clip.write_bytes(broken.read_bytes())
    new.write_text(run("verify", clip, "--jsonl").stdout)
    done = run("verify", "--diff", old, new)
    assert done.returncode == 1 and f"{clip}: state: trusted -> invalid" in done.stdout
    assert f"{video}: removed" in done.stdout
    changes = json.loads(run("verify", "--diff", old, new, "--json").stdout)["changes"]
    assert {c["kind"] for c in changes} == {"changed", "removed"}
    assert run("verify", "--diff", old, video).returncode == 2


def test_anchors_can_be_named_for_one_run(forger, authority, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(authority.anchors.pem)
    assert run("verify", forger.file, "--anchors", root).returncode == 0
    assert run("verify", forger.file, "--time-stamp-anchors", root).returncode == 4
    assert run("verify", forger.file, "--anchors", root, "--signer", "Nobody").returncode == 4
    assert run("verify", forger.file, "--anchors", tmp_path / "none.pem").returncode == 2
    assert run("verify", forger.file, "--anchors", root, "--at", "2001-01-01").returncode == 1
    assert run("verify", forger.file, "--at", "soon").returncode == 2


def test_only_the_named_anchors_count(signed: Signed, authority, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(authority.anchors.pem)
    assert run("verify", signed.path, "--anchors", root, "--only-anchors").returncode == 4
    assert run("verify", signed.path, "--only-anchors").returncode == 2


def test_a_second_validator_agrees_or_its_disagreement_is_a_finding(
    signed: Signed, broken: Path, video: Path, forger, authority, tmp_path: Path
) -> None:
    pytest.importorskip("encypher_c2pa", reason="the extra second-opinion is not installed")
    done = run("verify", signed.path, broken, video, forger.file, "--second-opinion", "--jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["state"] for r in rows] == ["trusted", "invalid", "absent", "untrusted"]
    assert all(r["second_opinion"]["agrees"] for r in rows), [r["second_opinion"] for r in rows]


def test_signing_on_the_command_line(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "signed.mp4"
    made = run("sign", video, "-o", out, "--kind", "captured", "--title", "A walk", "--json")
    assert made.returncode == 0 and json.loads(made.stdout)["state"] == "trusted"
    again = run("sign", video, "-o", out, "--kind", "captured")
    assert again.returncode == 2 and "--force" in again.stderr
    assert run("sign", video, "-o", tmp_path / "x.mp4").returncode == 2
    assert run("sign", video, "-o", tmp_path / "x.mp4", "--kind", "genuine").returncode == 2
    assert run("sign", tmp_path / "none.mp4", "-o", tmp_path / "x.mp4", "--kind", "captured").returncode == 3
    assert run("sign", video, "-o", tmp_path / "x.mp4", "--kind", "captured", "--cert", "c.pem").returncode == 2
    assert not (tmp_path / "x.mp4").exists() and not list(tmp_path.glob(".*"))
    said = json.loads(run("verify", out, "--json").stdout)
    assert said["claims"]["title"] == "A walk" and said["ai"] == "none"


def test_further_statements_are_taken_from_files(video: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    note.write_text('{"ticket": 7}')
    out = tmp_path / "o.mp4"
    assert (
        run("sign", video, "-o", out, "--kind", "captured", "--assertion", f"org.example.note={note}").returncode == 0
    )
    assert "org.example.note" in json.loads(run("verify", out, "--json").stdout)["claims"]["assertions"]
    refused = run("sign", video, "-o", out, "--force", "--kind", "captured", "--assertion", "org.example.note=none")
    assert refused.returncode == 2


def test_the_trust_list_is_shown_without_its_keys(home: Path) -> None:
    shown = run("trust", "show")
    assert shown.returncode == 0 and "development" in shown.stdout and "signing as" in shown.stdout
    described = json.loads(run("trust", "show", "--json").stdout)
    assert described["folder"] == str(trust_dir(home)) and "PRIVATE" not in json.dumps(described)
    assert run("trust", "init").returncode == 2, "keys that are there are never replaced by accident"


def test_an_authority_is_added_by_name(authority, forger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWITNESS_HOME", str(tmp_path / "home"))
    root = tmp_path / "Their Root.pem"
    root.write_text(authority.anchors.pem)
    assert run("trust", "add", root).returncode == 2, "a name with a space needs another"
    assert run("trust", "add", root, "--name", "them", "--time-stamps").returncode == 0
    assert run("verify", forger.file).returncode == 4
    assert run("trust", "add", root, "--name", "they").returncode == 0
    assert run("verify", forger.file).returncode == 0
    assert run("trust", "init", "--algorithm", "ed25519", "--days", "30").returncode == 0
    assert "ed25519" in run("trust", "show").stdout
