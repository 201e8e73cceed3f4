"""What a screen or a report knows of one clip, and how a folder that ``facewitness demo`` left is read into it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewitness.dashboard.traces import Traces, load_traces
from facewitness.detector.report import ClipReport
from facewitness.errors import UnreadableInputError
from facewitness.provenance.audit import Audit

STILLS = 6
ROLES = ("target", "driver", "reenactment")


@dataclass(frozen=True, kw_only=True)
class Still:
    """One frame of a clip for the page."""

    time_s: float
    image: NDArray[np.uint8]
    """HxWx3 RGB, 0..255; made smaller where wider than STILL_WIDTH_PX."""


@dataclass(frozen=True, kw_only=True)
class ReportClip:
    """Everything the page shows of one clip; whatever is None is said to be missing, never guessed."""

    path: Path
    role: str = "clip"
    """``target | driver | reenactment`` get their own colour; anything else is neutral."""
    name: str = ""
    """What to call the clip; its file name where empty."""
    row: ClipReport | Mapping[str, Any] | None = None
    """The verdict of a scan, as the dataclass or as a row of scan.jsonl."""
    audit: Audit | Mapping[str, Any] | None = None
    """The verdict on the manifest, as the dataclass or as a row of verify.jsonl."""
    traces: Traces | None = None
    stills: Sequence[Still] = ()
    label: Mapping[str, Any] | None = None
    """The ground truth of a made clip (a Label or its ``.label.json``)."""


def read_demo(folder: Path) -> dict[str, Any]:
    """The demo.json of a folder; raises UnreadableInputError where it is missing or no JSON object."""
    try:
        demo = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UnreadableInputError(f"{folder / 'demo.json'} cannot be read ({e}); run facewitness demo again.") from e
    if not isinstance(demo, dict):
        raise UnreadableInputError(f"{folder / 'demo.json'} is no JSON object; run facewitness demo again.")
    return demo


def demo_clip(
    folder: Path, demo: Mapping[str, Any], role: str, *, stills_s: Sequence[float] | None = None
) -> ReportClip | None:
    """The clip of one role of a demo with its row, audit, label, traces and stills; None where there is no file."""
    if not demo.get(role) or not (path := folder / str(demo[role])).is_file():
        return None
    traces = {}
    if demo.get("traces") and (folder / str(demo["traces"])).is_file():
        traces = load_traces(folder / str(demo["traces"]))
    label = path.with_name(path.name + ".label.json")
    label = label if label.is_file() else path.with_suffix(".label.json")
    row = _of_file(demo.get("rows"), path)
    return ReportClip(
        path=path,
        role=role,
        row=row,
        audit=_of_file(demo.get("audits"), path),
        traces=traces.get(role),
        stills=stills_of(path, stills_s) if stills_s else (),
        label=_read_json(label),
    )


def stills_of(path: Path, times_s: Sequence[float] | None = None, *, count: int = STILLS) -> list[Still]:
    """Frames of a video at ``times_s`` (the first frame at or after each), or ``count`` evenly spread ones.

    Decodes the clip once, at most to the last time asked for. Raises UnreadableInputError where it is no video.
    """
    from facewitness.media import probe, read_frames

    if times_s is None:
        duration = probe(path).duration_s or 5.0
        times_s = [duration * (i + 0.5) / count for i in range(count)]
    wanted, found = sorted(times_s), []
    for frame in read_frames(path):
        while wanted and frame.time_s >= wanted[0] - 1e-6:
            found.append(Still(time_s=frame.time_s, image=frame.image))
            wanted.pop(0)
        if not wanted:
            break
    return found


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _of_file(rows: Any, path: Path) -> dict[str, Any] | None:
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and Path(str(row.get("path", ""))).name == path.name:
            return row
    return None
