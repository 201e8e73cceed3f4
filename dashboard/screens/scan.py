"""Scans: drop files or look through results, then open a clip."""

from pathlib import Path
from typing import Any

import streamlit as st

from facewitness.dashboard import results, uploads, words
from facewitness.dashboard.screens import clip, shell
from facewitness.detector.engine.store import Store
from facewitness.errors import FacewitnessError

WORDS = ("manipulated", "inconclusive", "no_evidence", "no_face", "too_short", "unreadable", "timeout", "error")
HEIGHT_PX = 520


def show() -> None:
    """Draw the table of results, or the clip that the address names (``?clip=12``)."""
    folder = shell.results_folder()
    if not results.has_scans(folder):  # nothing is written until there is something to keep
        shell.heading("Scan", "Drop clips to score them, or open one that was scored before.")
        drop()
        nothing(folder)
        return
    store = results.store_of(folder)
    number = st.query_params.get("clip", "")
    if number.isdigit() and (row := store.row(int(number))) is not None:
        clip.show(store, row)
        return
    shell.heading("Scan", "Drop clips to score them, or open one that was scored before.")
    drop()
    overview(store)


def drop() -> None:
    """Upload files and scan them, one line of progress per clip; or open what was scanned elsewhere."""
    shell.choose_folder()
    with st.form("drop", clear_on_submit=True, border=False):
        files = st.file_uploader("Clips to scan", type=list(uploads.VIDEO), accept_multiple_files=True)
        pressed = st.form_submit_button("Scan", type="primary")
    if pressed and not files:
        st.warning("No file has arrived yet; choose one and wait until its upload is complete.")
    if not pressed or not files:
        return
    from facewitness.detector.engine.scan import scan_paths

    with st.status(f"Scanning {len(files)} clip{'s' if len(files) != 1 else ''}", expanded=True) as status:
        try:
            kept = [uploads.keep(f.name, f) for f in files]
            bar = st.progress(0.0)
            lines = [st.empty() for _ in kept]
            for n, path in enumerate(kept):
                _line(lines[n], path.name, "◔ Being scanned" if n == 0 else "· Waiting")
            for n, row in enumerate(scan_paths(kept, out=shell.results_folder())):
                _done(lines[n], row)
                bar.progress((n + 1) / len(kept))
                if n + 1 < len(kept):
                    _line(lines[n + 1], kept[n + 1].name, "◔ Being scanned")
            status.update(label=f"{len(kept)} scanned", state="complete", expanded=True)
        except FacewitnessError as e:
            st.error(str(e))
            status.update(label="The scan stopped", state="error")


def _line(place: Any, name: str, what: str) -> None:
    place.text(f"{what}   {name}")


def _done(place: Any, row: dict[str, Any]) -> None:
    """A clip's verdict in the list of progress, and the way to its page."""
    word = words.verdict_word(row)
    score = f" {row['p_fake']:.2f}" if row.get("p_fake") is not None else ""
    with place.container(horizontal=True, vertical_alignment="center"):
        st.text(f"{word.sign} {word.name}{score}   {Path(row['path']).name}   {row.get('error') or ''}")
        if row.get("result") is not None:
            st.page_link(shell.page("scan"), label="Open", query_params={"clip": str(row["result"])})


def nothing(folder: Path) -> None:
    """Say how results come about."""
    shell.nothing_yet(
        "Nothing was scanned yet. Drop clips above, or scan a folder from the command line:",
        f"facewitness scan FOLDER --out {folder}",
    )


def overview(store: Store) -> None:
    """Counts, filters and the table; a chosen row opens its clip."""
    counts = results.counts(store)
    if not counts:
        nothing(shell.results_folder())
        return
    left, middle, right = st.columns([5, 3, 3], gap="medium", vertical_alignment="bottom")
    present = [w for w in WORDS if counts.get(w)]
    chosen = left.pills(
        "Verdict",
        present,
        selection_mode="multi",
        format_func=lambda w: f"{_word(w).sign} {_word(w).name}  {counts[w]:,}",
        key="verdicts",
    )
    text = middle.text_input("Name contains", key="text", placeholder="part of a path")
    low, high = right.slider("Score", 0.0, 1.0, (0.0, 1.0), 0.01, key="score")
    frame, count = results.table(store, verdicts=tuple(chosen or ()), text=text, low=low, high=high)
    if count > len(frame):
        st.caption(f"The newest {len(frame):,} of {count:,} that match; filters reach the rest.")
    rows(frame)


def _word(key: str) -> words.Word:
    return words.VERDICTS.get(key) or words.word(words.STATUSES, key)


def rows(frame: "results.pd.DataFrame") -> None:
    """The table itself: one row a clip, drawn as it is scrolled."""
    shown = frame.assign(
        verdict=[
            f"{w.sign} {w.name}" for w in map(_word, frame["verdict"].where(frame["status"] == "ok", frame["status"]))
        ],
        name=[Path(p).name for p in frame["path"]],
        folder=[str(Path(p).parent) for p in frame["path"]],
        size=[
            f"{int(w)} × {int(h)}" if w == w and w else "" for w, h in zip(frame["width"], frame["height"], strict=True)
        ],
    )
    shown["scanned_at"] = [str(t)[:16].replace("T", " ") for t in frame["scanned_at"]]
    shown["error"] = frame["error"].fillna("")
    picked = st.dataframe(
        shown,
        hide_index=True,
        height=min(HEIGHT_PX, 38 + 35 * max(1, len(shown))),
        selection_mode="single-row",
        on_select="rerun",
        key="rows",
        column_order=("verdict", "p_fake", "name", "duration_s", "size", "scanned_at", "error", "folder", "result"),
        column_config={
            "verdict": st.column_config.TextColumn("Verdict", width="medium"),
            "p_fake": st.column_config.ProgressColumn("Score", min_value=0, max_value=1, format="%.2f", width="small"),
            "name": st.column_config.TextColumn("Clip", width="large"),
            "duration_s": st.column_config.NumberColumn("Seconds", format="%.1f", width="small"),
            "size": st.column_config.TextColumn("Size", width="small"),
            "scanned_at": st.column_config.TextColumn("Scanned", width="medium"),
            "error": st.column_config.TextColumn("Note"),
            "folder": st.column_config.TextColumn("Folder"),
            "result": st.column_config.NumberColumn("No.", width="small"),
        },
    )
    selected = picked["selection"]["rows"]
    if selected and selected[0] < len(frame):
        st.query_params["clip"] = str(int(frame["result"].iloc[selected[0]]))
        st.session_state.pop("rows", None)
        st.rerun()
    st.caption("Choose a row to open its clip.")
