"""Detectors for the benchmark of the engine: what the engine costs must not drown in what a detector costs."""

import time
from pathlib import Path
from typing import Any


def busy(path: Path, *, cpu_s: float = 0.05) -> dict[str, Any]:
    """Read the file and compute for ``cpu_s`` seconds of this process's own time."""
    path.read_bytes()
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        sum(range(1000))
    return {"status": "ok", "verdict": "no_evidence", "p_fake": 0.1, "duration_s": 1.0, "reasons": [], "faces": []}


def detect(path: Path) -> dict[str, Any]:
    """The detector itself; the row tells the largest resident memory of this process in megabytes."""
    from facewitness.detector import scan_file
    from facewitness.files import plain

    row: dict[str, Any] = plain(scan_file(path))
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return {**row, "peak_mb": peak}
