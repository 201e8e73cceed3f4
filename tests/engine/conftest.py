"""Folders of pretend clips, scanned by the stand-in detector of ``standin.py``; and a few real videos."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from facewitness.detector.engine import Budget, Scanner, scan_paths

HERE = Path(__file__).parent


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch) -> Scanner:
    """The stand-in, which worker processes find on their import path."""
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep if "PYTHONPATH" in os.environ else None)
    return Scanner(function="standin:scan", model_id="standin", model_sha256="0" * 64)


@pytest.fixture
def clips(tmp_path: Path) -> Callable[..., Path]:
    """``clips(a="ok", b="die")`` makes a folder of files a.mp4, b.mp4 with these words in them."""

    def make(*names: str, **contents: str) -> Path:
        folder = tmp_path / "clips"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / f"{name}.mp4").write_text(f"ok {name}")
        for name, text in contents.items():
            (folder / f"{name}.mp4").write_text(text)
        return folder

    return make


@pytest.fixture
def scan(tmp_path: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Scan into tmp_path/out with two workers and small budgets; ``scan.scanned()`` tells what was really seen."""
    mark = tmp_path / "scanned"
    monkeypatch.setenv("STANDIN_SCANNED", str(mark))

    def run(*paths: Path, **options: Any) -> list[dict[str, Any]]:
        settled = {"out": tmp_path / "out", "scanner": scanner, "workers": 2}
        options = {**settled, "budget": Budget(base_s=60, memory_mb=400), **options}
        return list(scan_paths(paths, **options))

    run.scanned = lambda: mark.read_text().splitlines() if mark.exists() else []  # type: ignore[attr-defined]
    return run


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A small real video."""
    import numpy as np

    from facewitness.media import VideoWriter

    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "video.mp4", width=96, height=64, frame_rate=Fraction(25)) as writer:
        for i in range(50):
            image = np.full((64, 96, 3), 100, np.uint8)
            image[20:40, i : i + 20] = rng.integers(0, 255, (20, min(20, 96 - i), 3))
            writer.write(image)
    return tmp_path / "video.mp4"
