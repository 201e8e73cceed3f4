"""Real, reenacted and detected side by side: players kept in step over one timeline, and why the verdicts are so."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from facewitness.dashboard import curves, lanes, player, proxy, views, words
from facewitness.dashboard.charts import Lane
from facewitness.dashboard.clips import ROLES, ReportClip, demo_clip, read_demo
from facewitness.dashboard.fragment import part
from facewitness.dashboard.results import audit_of, store_of, table
from facewitness.dashboard.screens import shell
from facewitness.detector.engine.store import FILE_NAME, Store
from facewitness.media import probe


def show() -> None:
    """Draw the page."""
    folder = shell.results_folder()
    shell.heading(
        "Compare",
        "Target, driver and result at the same moment, over the same curves. Shaded stretches look manipulated.",
    )
    clips = demo_clips(folder, (folder / "demo.json").stat().st_mtime_ns) if (folder / "demo.json").is_file() else []
    if not clips and (folder / FILE_NAME).is_file():
        clips = chosen_clips(store_of(folder))
        if not clips:
            return
    if not clips:
        shell.offer_demo(f"There is nothing to compare in {folder} yet.")
        return
    players(clips, key="compare")
    explanations(clips)


@st.cache_data(show_spinner="Reading the demo", max_entries=4)
def demo_clips(folder: Path, changed: int) -> list[ReportClip]:
    """The clips of a demo without stills, driver first; ``changed`` tells the cache when to read again."""
    del changed
    demo = read_demo(folder)
    clips = [c for role in ROLES if (c := demo_clip(folder, demo, role)) is not None]
    return sorted(clips, key=lambda c: ("driver", "reenactment", "target").index(c.role))


def chosen_clips(store: Store) -> list[ReportClip]:
    """Two to four clips of a scan, chosen by the visitor; the choice is in the address (``?clips=3,7``)."""
    frame, _ = table(store)
    names = {int(n): Path(p).name for n, p in zip(frame["result"], frame["path"], strict=True) if Path(p).is_file()}
    asked = [int(n) for n in st.query_params.get("clips", "").split(",") if n.isdigit() and int(n) in names]
    numbers = st.multiselect(
        "Clips side by side",
        list(names),
        default=asked or list(names)[:2],
        format_func=lambda n: f"{n}  {names[n]}",
        max_selections=4,
    )
    st.query_params["clips"] = ",".join(map(str, numbers))
    rows = [row for n in numbers if (row := store.row(n)) is not None]
    roles = ("target", "driver", "reenactment", "clip")  # for their colours alone
    folder = shell.results_folder()
    return [
        ReportClip(
            path=Path(row["path"]), role=role, name=f"{row['result']}  {Path(row['path']).name}", row=row,
            audit=audit_of(folder, row), traces=curves.stored(folder, row, _first_track(row)),
        )
        for role, row in zip(roles, rows, strict=False)
    ]  # fmt: skip


def _first_track(row: Mapping[str, Any]) -> int:
    return int(next((f.get("track", 0) for f in row.get("faces") or []), 0))


@st.cache_data(show_spinner="Preparing the video for the browser", max_entries=256)
def prepared(path: Path, changed: int) -> tuple[Path, float, float, bool, int]:
    """The file to play, its frame rate and duration, whether it has sound, and the width of the clip's own picture."""
    del changed
    played = proxy.playable(path)
    info = probe(played)
    width = info.width if played == path else probe(path).width
    return played, float(info.frame_rate) or 25.0, info.duration_s, info.audio_codec is not None, width


def players(
    clips: Sequence[ReportClip],
    *,
    key: str,
    segments: Sequence[Mapping[str, Any]] | None = None,
    more_lanes: Sequence[Lane] = (),
) -> None:
    """Mount the players of some clips with all their curves; the segments are those of stretches() by default."""
    shown, rates, durations = [], [], []
    for clip in clips:
        played, fps, duration, sound, width = prepared(clip.path, clip.path.stat().st_mtime_ns)
        rates.append(fps)
        durations.append(duration)
        role = words.word(words.ROLES, clip.role).name if clip.role in words.ROLES else "Clip"
        shown.append(
            player.clip_data(
                played,
                role=clip.role,
                title=role,
                name=clip.name or clip.path.name,
                row=clip.row if isinstance(clip.row, Mapping) else None,
                traces=clip.traces,
                duration_s=duration,
                sound=sound,
                source=clip.path,
                width=width,
            )
        )
    player.show(
        shown,
        [*lanes.clip_lanes(clips), *more_lanes],
        key=key,
        segments=stretches(clips) if segments is None else segments,
        fps=max(rates),
        duration_s=max(durations),
    )


def stretches(clips: Sequence[ReportClip]) -> list[dict[str, Any]]:
    """Suspicious segments of the reenactment (else of every clip) with a short text, in order of time."""
    of = [c for c in clips if c.role == "reenactment"] or clips
    found = []
    for clip in of:
        row = clip.row if isinstance(clip.row, Mapping) else {}
        for face in row.get("faces") or []:
            for s in face.get("segments") or []:
                text = f"{words.cue_name(str(s.get('cue', '')))} {float(s.get('score') or 0):.2f}"
                found.append({"start_s": float(s["start_s"]), "end_s": float(s["end_s"]), "text": text})
    return sorted(found, key=lambda s: (s["start_s"], s["end_s"]))


def reason_spots(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The reasons of a row that speak of a moment, as places to seek to."""
    return [
        {"start_s": float(r["start_s"]), "end_s": float(r.get("end_s") or r["start_s"]), "text": str(r.get("text", ""))}
        for r in row.get("reasons") or []
        if r.get("start_s") is not None
    ]


def explanations(clips: Sequence[ReportClip]) -> None:
    """Reasons, cues and provenance, one column per clip."""
    for column, clip in zip(st.columns(len(clips), gap="medium"), clips, strict=True):
        view = views.clip_view(clip)
        with column:
            part("summary", view)
            if view["faces"]:
                with st.expander("Cues"):
                    for face in view["faces"]:
                        part("face", {**face, "chart": ""})
            with st.expander("Provenance"):
                part("audit", view["audit"])
            if view["label"]:
                with st.expander("What was made"):
                    part("rows", view["label"])
