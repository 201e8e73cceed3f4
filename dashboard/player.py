"""The players that stay in step, with curves under them: a Streamlit component and the data it is given."""

import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from facewitness.dashboard import words
from facewitness.dashboard.charts import Lane, lane_data
from facewitness.dashboard.served import bytes_address, file_address
from facewitness.dashboard.traces import Traces

_UNIT = 8.0  # steps per pixel of an overlay's coordinates: 1/8 px, up to 4095 px in 16 bits
_GAP = -32768


def show(
    clips: Sequence[Mapping[str, Any]],
    lanes: Sequence[Lane],
    *,
    key: str,
    segments: Sequence[Mapping[str, Any]] = (),
    fps: float = 25.0,
    duration_s: float,
    seek: tuple[float, int] | None = None,
) -> Any:
    """Mount the players in the running Streamlit page; ``clips`` are made by clip_data.

    ``segments`` (``start_s``, ``end_s``, ``text``) become buttons that seek and loop; ``seek`` is a time and a number
    used once, so that a rerun does not seek again. Returns the component's result.
    """
    data = {
        "clips": list(clips),
        "lanes": lane_data(lanes),
        "segments": [{k: s[k] for k in ("start_s", "end_s", "text")} for s in segments],
        "fps": fps,
        "duration": duration_s,
        "seek": {"t": seek[0], "n": seek[1]} if seek else None,
    }
    return _component()(key=key, data=data, height="content")


def clip_data(
    path: Path,
    *,
    role: str,
    title: str,
    name: str,
    row: Mapping[str, Any] | None,
    traces: Traces | None,
    duration_s: float,
    sound: bool,
) -> dict[str, Any]:
    """What one player is told of its clip; ``path`` is a file that browsers play (see proxy.playable)."""
    verdict = words.verdict_word(row)
    p = (row or {}).get("p_fake")
    return {
        "url": file_address(path),
        "role": role if role in words.ROLES else "plain",
        "title": title,
        "name": name,
        "duration": duration_s,
        "sound": sound,
        "p": float(p) if isinstance(p, int | float) else None,
        "verdict": {"key": verdict.key, "sign": verdict.sign, "name": verdict.name, "meaning": verdict.meaning},
        "overlay": bytes_address(overlay(traces)) if traces is not None and traces.outline.size else None,
    }


def overlay(traces: Traces) -> bytes:
    """Landmarks and gaze rays as the player reads them: length of a JSON head, the head, 16-bit eighths of a pixel."""
    frames, points = traces.outline.shape[:2]
    rays = len(traces.gaze_rays) == frames and frames > 0
    head = {
        "frames": frames,
        "points": points,
        "ends": list(traces.paths),
        "rays": rays,
        "unit": _UNIT,
        "times": [round(float(t), 5) for t in traces.t_s],
    }
    text = json.dumps(head).encode()
    start = struct.pack("<I", len(text)) + text
    start += b"\0" * (-len(start) % 4)
    return start + _steps(traces.outline) + (_steps(traces.gaze_rays) if rays else b"")


def _steps(pixels: np.ndarray) -> bytes:
    inside = np.isfinite(pixels) & (np.abs(pixels) < 4095)
    return np.where(inside, np.round(np.where(inside, pixels, 0) * _UNIT), _GAP).astype("<i2").tobytes()


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    def asset(name: str) -> str:
        return files("facewitness.dashboard").joinpath("assets", name).read_text(encoding="utf-8")

    return component("facewitness_player", html=asset("player.html"), css=asset("player.css"), js=asset("player.js"))
