"""The whole story in one command, as a newcomer runs it, and what a folder of clips may do to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def demo(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facewitness", "demo", *args]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | env, timeout=280)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("demo")
    done = demo("--out", str(folder / "out"), "--minutes", "0.2", "--json", FACEWITNESS_HOME=str(folder / "home"))
    assert done.returncode == 0, done.stderr
    return folder / "out", json.loads(done.stdout)


def test_footage_becomes_a_signed_reenactment_a_scan_and_a_report(told: tuple[Path, dict]) -> None:
    _, story = told
    assert Path(story["actor"], "actor.json").is_file()
    assert story["verify"]["state"] == "trusted" and story["verify"]["ai"] == "generated"
    assert [Path(row["path"]).name for row in story["scan"]["rows"]] == ["target.mp4", "driver.mp4", "reenactment.mp4"]
    assert all(row["status"] == "ok" for row in story["scan"]["rows"])
    assert story["seconds"] < 360


def test_the_reenactment_carries_its_ground_truth(told: tuple[Path, dict]) -> None:
    out, story = told
    label = json.loads((out / "reenactment.mp4.label.json").read_text())
    assert label["method"] == "reenactment" and "gaze" in label["taken"] and label["rights"]
    assert story["verify"]["label"]["target_id"] == label["target_id"]


def test_the_report_needs_nothing_but_itself(told: tuple[Path, dict]) -> None:
    out, story = told
    page = Path(story["report"]).read_text()
    assert page.count("data:image/jpeg;base64,") >= 9
    for word in ("http://", "https://", "//cdn"):
        assert f'src="{word}' not in page and f'href="{word}' not in page
    assert not list(out.rglob("*.part*"))


def test_a_folder_without_two_videos_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "not_a_video.mp4").write_text("hello")
    done = demo("--clips", str(tmp_path / "clips"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and "too few readable videos" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_named_target_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = demo("--clips", str(tmp_path), "--target", "nobody.mp4", "--out", str(tmp_path / "out"))
    assert done.returncode == 3 and "nobody.mp4" in done.stderr
