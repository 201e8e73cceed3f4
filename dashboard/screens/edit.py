"""Edit: an actor's performance under sliders, with a live picture; what is saved is labelled and signed."""

import dataclasses
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from markupsafe import Markup

from facewitness.dashboard import views
from facewitness.dashboard.clips import ReportClip, Still
from facewitness.dashboard.fragment import part
from facewitness.dashboard.screens import compare, shell
from facewitness.generator.editing import EDITS, Edit, Keys, apply_edits

LONGEST_S = 30.0
"""Seconds of video that one press makes."""
HISTORY = 100
GROUPS = ("Eyes", "Head", "Expression", "Face shape")
TITLES = {
    "close_right_eye": "Close right eye",
    "close_left_eye": "Close left eye",
    "close_eyes": "Close both eyes",
    "gaze_yaw": "Gaze, sideways",
    "gaze_pitch": "Gaze, up-down",
    "head_yaw": "Turn",
    "head_pitch": "Nod",
    "head_roll": "Tilt",
    "head_x": "Move sideways",
    "head_y": "Move up-down",
    "expression": "Strength",
}
PRESETS: dict[str, dict[str, float]] = {
    "Close the right eye": {"close_right_eye": 1.0},
    "Close the left eye": {"close_left_eye": 1.0},
    "Look aside": {"gaze_yaw": 15.0},
    "Turn the head": {"head_yaw": 8.0},
    "Smile": {"smile": 0.8},
    "Brows up": {"brow_up": 0.8},
    "No expression": {"expression": -1.0},
    "Stronger expression": {"expression": 0.5},
}


def show() -> None:
    """Draw the page."""
    shell.heading(
        "Edit", "Move a slider and see the face follow. What you save carries its label, watermark and signature."
    )
    folder = choose_actor()
    if folder is None:
        return
    actor = opened(folder, (folder / "actor.json").stat().st_mtime_ns)
    st.caption(f"{actor.name}. {actor.rights}")
    bench(actor)
    save(actor)


def choose_actor() -> Path | None:
    """A folder with an actor: below the results, or typed."""
    patterns = ("actor.json", "*/actor.json", "*/*/actor.json")
    places = (shell.results_folder(), Path("out"))
    found = sorted({p.parent for place in places for pattern in patterns for p in place.glob(pattern)})
    typed = st.text_input("Actor", placeholder=str(found[0]) if found else "folder of an actor", key="actor-folder")
    if typed and (Path(typed) / "actor.json").is_file():
        return Path(typed)
    if typed:
        st.error("That folder holds no actor.")
        return None
    if not found:
        shell.nothing_yet(
            "There is no actor here yet. The demo trains one; so does:",
            "facewitness actor train VIDEO -o ACTOR --rights 'who allowed it'",
        )
        return None
    return st.selectbox("Found here", found, format_func=str) if len(found) > 1 else found[0]


@st.cache_resource(show_spinner="Opening the actor; its frames are read once", max_entries=2)
def opened(folder: Path, changed: int) -> Any:
    """The actor with its synthesiser, warmed up and kept in memory for all visitors."""
    del changed
    from facewitness.generator import load_actor

    actor = load_actor(folder)
    actor.__dict__["maker"] = actor.synthesiser()
    picture(actor, 0.0, {})
    return actor


def group_of(edit: Edit) -> str:
    """The tab an edit stands on."""
    if edit.change is None:
        return "Face shape"
    if edit.name.startswith(("close_", "gaze_")):
        return "Eyes"
    return "Head" if edit.name.startswith("head_") else "Expression"


def values() -> dict[str, float]:
    """The sliders that are not at zero."""
    return {e.name: v for e in EDITS if (v := float(st.session_state.get(f"edit-{e.name}", 0.0)))}


def settings() -> dict[str, Keys]:
    """What is made when saved: the key frames where there are any, else the sliders; shapes always by the sliders."""
    now, kept = values(), st.session_state.get("keys", {})
    if not kept:
        return dict(now)
    names = {n for v in kept.values() for n in v}
    keyed: dict[str, Keys] = {n: [(t, kept[t].get(n, 0.0)) for t in sorted(kept)] for n in names}
    fixed = {e.name for e in EDITS if e.change is None}
    return {n: v for n, v in keyed.items() if n not in fixed} | {n: v for n, v in now.items() if n in fixed}


def _put(new: Mapping[str, float]) -> None:
    for e in EDITS:
        st.session_state[f"edit-{e.name}"] = float(new.get(e.name, 0.0))


def _remember() -> None:
    st.session_state.setdefault("history", [{}]).append(values())
    del st.session_state["history"][:-HISTORY]


def _set(new: Mapping[str, float]) -> None:
    _put(new)
    _remember()


def _undo() -> None:
    history = st.session_state.get("history", [{}])
    if len(history) > 1:
        history.pop()
    _put(history[-1])


@st.fragment
def bench(actor: Any) -> None:
    """Pictures on the left, sliders on the right; only this part runs again when a slider moves."""
    last = float(actor.performance.times_s[-1] - actor.performance.times_s[0])
    left, right = st.columns([5, 3], gap="large")
    with right:
        for group, tab in zip(GROUPS, st.tabs(GROUPS), strict=True):
            with tab:
                for e in EDITS:
                    if group_of(e) == group:
                        slider(e)
    with left:
        at = st.slider("Moment (s)", 0.0, round(last, 2), round(last / 4, 2), 0.04, key="moment")
        after, notes, took = picture(actor, at, values())
        before = plain(actor.path, at, actor)
        part("before_after", Markup(before), Markup(after), f"{took * 1000:.0f}", notes, key="pictures")
        presets()
        buttons(at)


def slider(e: Edit) -> None:
    """One edit; its meaning is a hint."""
    title = TITLES.get(e.name) or e.name.replace("_", " ").capitalize()
    step = 0.5 if e.high - e.low > 10 else 0.05
    st.session_state.setdefault(f"edit-{e.name}", 0.0)
    st.slider(
        f"{title}, {e.unit}",
        float(e.low),
        float(e.high),
        step=step,
        key=f"edit-{e.name}",
        help=e.meaning[:1].upper() + e.meaning[1:] + ".",
        on_change=_remember,
    )


def picture(actor: Any, at: float, chosen: Mapping[str, Keys]) -> tuple[str, list[str], float]:
    """The actor at a moment under the edits (a data URI), what was limited, and the seconds it took."""
    from facewitness.generator.reenactment import render, within_reach

    start = time.perf_counter()
    own = actor.performance
    i = int(np.clip(np.searchsorted(own.times_s - own.times_s[0], at - 1e-6), 0, len(own) - 1))
    changed, notes = apply_edits(own, chosen)
    changed, more = within_reach(_frames(changed, i), actor)
    unshaped = dataclasses.replace(changed, identity=own.identity)
    image = next(render(actor, changed, plan_for=unshaped, faithful=True, synthesiser=actor.__dict__["maker"]))
    took = time.perf_counter() - start
    return str(views.picture(Still(time_s=at, image=image))), [*notes, *more], took


@st.cache_data(show_spinner=False, max_entries=64)
def plain(folder: Path, at: float, _actor: Any) -> str:
    """The actor at a moment as it is."""
    del folder
    return picture(_actor, at, {})[0]


def _frames(performance: Any, i: int) -> Any:
    names = ("pts", "rotation", "translation", "expression", "lids", "gaze", "confidence", "illumination")
    one = {n: v[i : i + 1] for n in names if (v := getattr(performance, n)) is not None}
    return dataclasses.replace(performance, **one)


def presets() -> None:
    """Ready-made settings, applied through a callback so that the sliders take them."""
    columns = st.columns(4)
    for n, (name, new) in enumerate(PRESETS.items()):
        columns[n % 4].button(name, on_click=_set, args=(new,), key=f"preset-{n}", width="stretch")


def buttons(at: float) -> None:
    """Undo, reset and key frames."""
    row = st.columns(4)
    row[0].button("Undo", on_click=_undo, width="stretch")
    row[1].button("Reset", on_click=_set, args=({},), width="stretch")
    row[2].button(
        "Set key frame",
        on_click=_key,
        args=(at,),
        width="stretch",
        help="The sliders hold at this moment; between two key frames they go over smoothly.",
    )
    row[3].button("Clear key frames", on_click=lambda: st.session_state.pop("keys", None), width="stretch")
    kept = st.session_state.get("keys", {})
    if kept:
        said = {t: ", ".join(f"{n} {v:+g}" for n, v in kept[t].items()) or "as it is" for t in sorted(kept)}
        part("rows", [(f"{t:.2f} s", text) for t, text in said.items()])


def _key(at: float) -> None:
    st.session_state.setdefault("keys", {})[round(at, 2)] = values()


def save(actor: Any) -> None:
    """Make the video from the start on, under the key frames or the sliders, labelled and signed."""
    last = float(actor.performance.times_s[-1] - actor.performance.times_s[0])
    with st.form("save", border=True):
        left, middle, right = st.columns([3, 3, 1], vertical_alignment="bottom")
        seconds = left.slider("Length (s)", 0.5, min(round(last, 1), LONGEST_S), min(round(last, 1), 4.0), 0.1)
        name = middle.text_input("Name", value="edit", help="Saved beside the results, as edits/NAME.mp4")
        pressed = right.form_submit_button("Save video", type="primary")
    if pressed:
        make(actor, seconds, name)
    made = st.session_state.get("made")
    if made and Path(made["path"]).is_file():
        finished(Path(made["path"]), made["notes"])


def make(actor: Any, seconds: float, name: str) -> None:
    """Write the video; an edit that changes nothing is refused with a sentence."""
    from facewitness.generator import edit

    chosen = settings()
    if not chosen:
        st.warning("Nothing is changed yet: move a slider, or set key frames.")
        return
    stem = re.sub(r"[^\w-]+", "-", name).strip("-")[:60] or "edit"
    with st.spinner(f"Making {stem}.mp4"):
        out = shell.results_folder() / "edits" / f"{stem}.mp4"
        made = edit(actor, out, settings=chosen, seconds=seconds, progress=False)
    st.session_state["made"] = {"path": str(made.path), "notes": list(made.notes)}


def finished(path: Path, notes: list[str]) -> None:
    """The made video, its manifest and its label."""
    from facewitness.files import plain as as_plain
    from facewitness.provenance import verify_file

    audit = as_plain(verify_file(path))
    compare.players([ReportClip(path=path, role="reenactment", audit=audit)], key="made", segments=[])
    for note in notes:
        st.caption(note)
    left, right = st.columns(2, gap="large")
    with left:
        st.caption(f"Saved as {path}; its label lies beside it.")
        st.download_button("Download", path.read_bytes(), file_name=path.name, mime="video/mp4")
    with right:
        part("audit", views.audit_view(audit))
