"""The players that stay in step, with curves under them: a Streamlit component and the data it is given."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from facewitness.dashboard import overlays, words
from facewitness.dashboard.charts import Lane, lane_data
from facewitness.dashboard.served import answer_address, bytes_address, file_address
from facewitness.dashboard.traces import Traces


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
    source: Path | None = None,
    width: int = 0,
) -> dict[str, Any]:
    """What one player is told of its clip; ``path`` is a file that browsers play (see proxy.playable).

    ``source`` is the clip itself, ``width`` that of its picture in pixels: overlays and heat are of the clip.
    """
    verdict = words.verdict_word(row)
    p = (row or {}).get("p_fake")
    source = source or path
    mask = overlays.mask_beside(source)
    outline = overlays.mask_outline(mask, mask.stat().st_mtime_ns) if mask else None
    layers = overlays.pack(traces, width=width, mask=outline)
    return {
        "url": file_address(path),
        "role": role if role in words.ROLES else "plain",
        "title": title,
        "name": name,
        "duration": duration_s,
        "sound": sound,
        "p": float(p) if isinstance(p, int | float) else None,
        "verdict": {"key": verdict.key, "sign": verdict.sign, "name": verdict.name, "meaning": verdict.meaning},
        "overlay": bytes_address(layers) if layers else None,
        "heat": answer_address(f"heat {source} {source.stat().st_mtime_ns}", overlays.heat(source)),
    }


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    def asset(name: str) -> str:
        return files("facewitness.dashboard").joinpath("assets", name).read_text(encoding="utf-8")

    return component("facewitness_player", html=asset("player.html"), css=asset("player.css"), js=asset("player.js"))
