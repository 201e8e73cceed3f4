"""Edit: an actor's performance under sliders, with a live picture; what is saved is labelled and signed."""

import re
from pathlib import Path

import streamlit as st

from facewitness.dashboard import editor, served, uploads, views
from facewitness.dashboard.clips import ReportClip
from facewitness.dashboard.fragment import part
from facewitness.dashboard.preview import Preview
from facewitness.dashboard.screens import compare, shell
from facewitness.generator.editing import Keys

LONGEST_S = 30.0
"""Seconds of video that one press makes."""
OWN = "its own footage"
VIDEOS = ("*.mp4", "*.mov", "*.webm", "*.mkv")


def show() -> None:
    """Draw the page."""
    shell.heading(
        "Edit", "Move a slider and see the face follow. What you save carries its label, watermark and signature."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        folder = choose_actor()
    if folder is None:
        return
    with right:
        performance = choose_performance()
    preview = opened(folder, (folder / "actor.json").stat().st_mtime_ns, performance)
    st.caption(f"{preview.actor.name}. {preview.actor.rights}")
    name = f"{folder.resolve()} {performance}"
    settings = bench(preview, name)
    save(preview, performance, settings)


def choose_actor() -> Path | None:
    """A folder with an actor: below the results, or typed."""
    patterns = ("actor.json", "*/actor.json", "*/*/actor.json")
    places = (shell.results_folder(), Path("out"))
    found = sorted({p.parent for place in places for pattern in patterns for p in place.glob(pattern)})
    other = "another folder …"
    home = shell.results_folder()

    def named(path: str) -> str:
        return str(Path(path).relative_to(home)) if Path(path).is_relative_to(home) else path

    chosen = st.selectbox("Actor", [*map(str, found), other], format_func=named, key="actor") if found else other
    if chosen != other:
        return Path(chosen)
    typed = st.text_input("Folder of the actor", placeholder="what `facewitness actor train` made", key="actor-folder")
    if typed and (Path(typed) / "actor.json").is_file():
        return Path(typed)
    if typed:
        st.error("That folder holds no actor.")
    elif not found:
        shell.nothing_yet(
            "There is no actor here yet. The demo trains one; so does:",
            "facewitness actor train VIDEO -o ACTOR --rights 'who allowed it'",
        )
    return None


def choose_performance() -> Path | None:
    """What is edited: the actor's own footage (None), or a video of the same person."""
    found = sorted({p for pattern in VIDEOS for p in shell.results_folder().glob(pattern)})
    drop = "a video I drop here …"
    chosen = st.selectbox(
        "Performance", [OWN, *(p.name for p in found), drop], key="performance",
        help="A video whose head, expression, gaze and lids are edited. It should show the same person.",
    )  # fmt: skip
    if chosen == drop:
        file = st.file_uploader("Performance to edit", type=list(uploads.VIDEO), key="performance-file")
        return uploads.keep(file.name, file) if file else None
    return next((p for p in found if p.name == chosen), None)


@st.cache_resource(show_spinner="Opening the actor; its frames are read once", max_entries=3)
def opened(folder: Path, changed: int, performance: Path | None) -> Preview:
    """The actor with its performance, warmed up and kept in memory for all visitors."""
    del changed
    from facewitness.generator import load_actor
    from facewitness.generator.recombine import transfer
    from facewitness.generator.reenactment import driver_performance

    actor = load_actor(folder)
    given = transfer(driver_performance(performance), actor.performance) if performance else None
    return Preview(actor, given)


def bench(preview: Preview, name: str) -> dict[str, Keys]:
    """The pictures and sliders; returns what is set once they rest."""
    kept = st.session_state.setdefault("edits", {})
    address = served.answer_address(f"preview {name} {id(preview)}", preview.answer)
    told = editor.show(preview, address, settings=kept.get(name, {}), key=f"editor {name}")
    if told is not None:
        kept[name] = told
    return kept.get(name, {})


def save(preview: Preview, performance: Path | None, settings: dict[str, Keys]) -> None:
    """Make the video from the start on, under the keys or the sliders, labelled and signed."""
    last = max(0.5, preview.seconds)
    with st.form("save", border=True):
        left, middle, right = st.columns([3, 3, 1], vertical_alignment="bottom")
        longest = max(0.6, min(round(last, 1), LONGEST_S))
        seconds = left.slider("Length (s)", 0.5, longest, min(longest, 4.0), 0.1)
        name = middle.text_input("Name", value="edit", help="Saved beside the results, as edits/NAME.mp4")
        pressed = right.form_submit_button("Save video", type="primary")
    if pressed:
        make(preview, performance, settings, seconds, name)
    made = st.session_state.get("made")
    if made and Path(made["path"]).is_file():
        finished(Path(made["path"]), made["notes"])


def make(preview: Preview, performance: Path | None, settings: dict[str, Keys], seconds: float, name: str) -> None:
    """Write the video; an edit that changes nothing is refused with a sentence."""
    from facewitness.generator import edit

    if not settings:
        st.warning("Nothing is changed yet: move a slider, or set keys.")
        return
    stem = re.sub(r"[^\w-]+", "-", name).strip("-")[:60] or "edit"
    with st.spinner(f"Making {stem}.mp4"):
        out = shell.results_folder() / "edits" / f"{stem}.mp4"
        made = edit(preview.actor, out, settings=settings, performance=performance, seconds=seconds, progress=False)
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
        with path.open("rb") as data:
            st.download_button("Download", data, file_name=path.name, mime="video/mp4")
    with right:
        part("audit", views.audit_view(audit))
