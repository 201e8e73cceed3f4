"""The demo that the dashboard makes is a process of its own, and says why where it cannot be made."""

from pathlib import Path

from facewitness.dashboard import making


def test_a_demo_that_cannot_be_made_says_why(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FACEWITNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "demo").write_text("a file stands where the folder should")
    run = making.begin(tmp_path / "demo")
    assert making.begin(tmp_path / "demo") is run and making.of(tmp_path / "demo") is run, "one run a folder"
    assert run.process.wait(60) != 0 and not run.running
    assert "demo" in " ".join(run.lines()) and "Traceback" not in " ".join(run.lines())
