"""The demo, made by the dashboard itself: where there is nothing to show, one press makes something."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from facewitness.files import cache_dir

MOST_LINES = 40


@dataclass
class Making:
    """One run of ``facewitness demo`` beside the dashboard."""

    folder: Path
    log: Path
    process: subprocess.Popen
    started: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self.process.poll() is None

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return time.monotonic() - self.started

    def lines(self) -> list[str]:
        """What it has said so far, the last lines."""
        try:
            said = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line for line in said.splitlines() if line.strip()][-MOST_LINES:]


_running: dict[Path, Making] = {}
_lock = threading.Lock()


def of(folder: Path) -> Making | None:
    """The run for ``folder`` that this server began, done or not."""
    return _running.get(folder.resolve())


def begin(folder: Path) -> Making:
    """Make the demo into ``folder`` in a process of its own; the one that is at work there already where there is."""
    folder = folder.resolve()
    with _lock:
        now = _running.get(folder)
        if now is not None and now.running:
            return now
        log = cache_dir() / "demo.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "facewitness", "demo", "--out", str(folder)]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        _running[folder] = Making(folder=folder, log=log, process=process)
        return _running[folder]
