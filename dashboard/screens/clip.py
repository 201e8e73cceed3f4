"""One scanned clip: its verdict, what each cue saw and when, where it came from, and what a person decides."""

from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import streamlit as st

from facewitness.dashboard import curves, evidence, results, views, words
from facewitness.dashboard.charts import Lane, Series
from facewitness.dashboard.clips import ReportClip, Still, stills_of
from facewitness.dashboard.fragment import part
from facewitness.dashboard.screens import compare, shell
from facewitness.dashboard.sheets import signed_sheet
from facewitness.dashboard.thresholds import rates_at
from facewitness.dashboard.traces import Traces
from facewitness.detector.engine.store import DECISIONS, Store
from facewitness.errors import FacewitnessError

CUE_LANES = 3
DECISION_WORDS = {
    "confirm": "Confirm: manipulated",
    "reject": "Reject: not manipulated",
    "escalate": "Escalate",
    "note": "Note only",
}


def show(store: Store, row: dict[str, Any]) -> None:
    """Draw the page of one row."""
    if st.button("← All clips", type="tertiary"):
        st.query_params.pop("clip", None)
        st.rerun()
    path = Path(row["path"])
    faces = row.get("faces") or []
    face = faces[choose_face(faces, row)] if faces else None
    audit = results.audit_of(shell.results_folder(), row)
    traces = curves.stored(shell.results_folder(), row, int(face["track"]) if face else 0)
    clip = ReportClip(path=path, role="clip", row=row, audit=audit, traces=traces)
    view = views.clip_view(clip)
    part("headline", view, classes="big")
    if path.is_file():
        watch(clip, face)
        follow(row, path, traces)
        key_frames(row, path)
    else:
        st.warning("The file is not where it was when it was scanned, so it cannot be played; what was found is below.")
    left, right = st.columns([3, 2], gap="large")
    with left:
        part("why", view)
        if face is not None:
            part("face", {**views.face_view(face, view["duration_s"]), "chart": ""})
    with right:
        decide(store, row)
        threshold(row)
        part("audit_card", view)
        part("rows", facts(row))
        pack(store, row, clip)


def threshold(row: Mapping[str, Any]) -> None:
    """Another threshold: what it would call this clip, and what it costs and finds by the model's card."""
    from facewitness.detector.model import load_model

    p = row.get("p_fake")
    try:
        model = load_model()
    except FacewitnessError:
        return
    if p is None or (row.get("model") or {}).get("sha256") != model.sha256:
        return
    with st.expander("Another threshold", expanded=True):
        default = round(float(model.calibration.threshold_), 2)
        at = st.slider("Manipulated from a score of", 0.01, 0.99, min(max(default, 0.01), 0.99), 0.01, key="threshold")
        rates = rates_at(model, at)
        one, two, three = st.columns(3)
        one.metric("This clip", "above" if p >= at else "below", help=f"Its score is {p:.2f}.")
        two.metric("False alarms", f"{rates.false_alarms:.1%}", help="Real clips called manipulated")
        three.metric("Found", "not known" if rates.found is None else f"{rates.found:.0%}", help="Made clips found")
        st.caption(rates.told)


def choose_face(faces: list[dict[str, Any]], row: Mapping[str, Any]) -> int:
    """Which face to show, chosen where there are several; with their pictures once the faces were followed."""
    if len(faces) < 2:
        return 0
    path = Path(row["path"])
    traces = [curves.stored(shell.results_folder(), row, int(f.get("track", 0))) for f in faces]
    if path.is_file() and all(traces):
        shown = [Still(time_s=t, image=image) for t, image in curves.portraits(path, [t for t in traces if t])]
        part("film", [{"time_s": s.time_s, "src": views.picture(s)} for s in shown], key="portraits")

    def name(i: int) -> str:
        word, p = words.word(words.VERDICTS, faces[i].get("verdict")), faces[i].get("p_fake")
        return f"Face {faces[i].get('track', i)}  {word.sign} {word.name}" + (f" {p:.2f}" if p is not None else "")

    return int(st.segmented_control("Face", range(len(faces)), format_func=name, default=0, key="face") or 0)


def watch(clip: ReportClip, face: Mapping[str, Any] | None) -> None:
    """The player over the score, the curves of the face and the raw traces of the cues."""
    row = clip.row if isinstance(clip.row, Mapping) else {}
    shown = ReportClip(
        path=clip.path,
        role="clip",
        row={**row, "faces": [face] if face else []},
        traces=clip.traces,
    )
    holder = st.container()
    more = cue_lanes(face) if face else []
    spots = [*compare.stretches([shown]), *compare.reason_spots(row)]
    spots.sort(key=lambda s: (s["start_s"], s["end_s"]))
    with holder:
        compare.players([shown], key="clip", segments=spots, more_lanes=more)


@st.cache_data(show_spinner="Reading key frames", max_entries=64)
def stills(path: Path, changed: int, times: tuple[float, ...]) -> list[Still]:
    """Frames of a clip, read once."""
    del changed
    return stills_of(path, times)


def key_frames(row: Mapping[str, Any], path: Path) -> None:
    """The moments worth a look, to go to and to save."""
    found = stills(path, path.stat().st_mtime_ns, tuple(evidence.moments(row)))
    if not found:
        return
    part("film", [{"time_s": s.time_s, "src": views.picture(s)} for s in found])
    st.download_button(
        "Save key frames", lambda: evidence.stills_pack(found), f"{path.stem}-key-frames.zip", "application/zip",
        help="These frames at full size, lossless, in one ZIP. S in the player saves the frame it stands on.",
    )  # fmt: skip


def cue_lanes(face: Mapping[str, Any]) -> list[Lane]:
    """Lanes of the chosen cues that kept a trace, by default those that count most; up to three quantities a lane."""
    cues = {k: c for k, c in (face.get("cues") or {}).items() if (c.get("trace") or {}).get("t_s")}
    if not cues:
        return []
    weight = {
        k: abs(log(c["likelihood_ratio"])) if c.get("used") and c.get("likelihood_ratio") else 0
        for k, c in cues.items()
    }
    order = sorted(cues, key=lambda k: -weight[k])
    chosen = st.multiselect(
        "Cues under the picture",
        order,
        default=order[:CUE_LANES],
        format_func=words.cue_name,
        key=f"cues-{face.get('track')}",
    )
    return [_cue_lane(key, cues[key]) for key in chosen]


def _cue_lane(key: str, cue: Mapping[str, Any]) -> Lane:
    trace = cue["trace"]
    series = [
        Series(role="plain", label=name.replace("_", " "), t_s=trace["t_s"], values=values)
        for name, values in trace.items()
        if name != "t_s" and isinstance(values, list) and len(values) == len(trace["t_s"])
    ]
    said = words.likelihood(cue.get("likelihood_ratio")) if cue.get("used") else "abstains"
    return Lane(name=words.cue_name(key), unit=said, series=series[:3])


def follow(row: Mapping[str, Any], path: Path, traces: Traces | None) -> None:
    """Offer to follow the faces again, for landmarks, gaze and lids over the picture."""
    kept = curves.place(row)
    if traces is not None or kept is None or not row.get("faces"):
        return
    if st.button("Show landmarks, gaze and lids", help="Follows the faces again; takes about as long as the clip."):
        with st.spinner("Following the faces"):
            try:
                curves.follow(path, kept)
            except FacewitnessError as e:
                st.error(str(e))
                return
        st.rerun()


def facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The plain facts of a row."""
    model = row.get("model") or {}
    size = f"{row['width']} × {row['height']}" if row.get("width") else None
    values = {
        "file": row.get("path"),
        "sha-256": row.get("sha256"),
        "length": f"{row['duration_s']:.2f} s" if row.get("duration_s") else None,
        "picture": size,
        "frames per second": words.number(row.get("fps"), 4) if row.get("fps") else None,
        "model": model.get("id"),
        "model hash": model.get("sha256"),
        "scanned": row.get("scanned_at"),
        "took": f"{row['seconds']:.1f} s" if row.get("seconds") else None,
        "result": row.get("result"),
    }
    return views.card(values)


def decide(store: Store, row: Mapping[str, Any]) -> None:
    """What people decided, and a form to decide."""
    st.markdown("##### Decision")
    number = int(row["result"])
    for entry in store.reviews_of(number):
        part("review", entry, DECISION_WORDS.get(entry["decision"], entry["decision"]), key=f"review-{entry['at']}")
    with st.form("decide", clear_on_submit=True):
        decision = st.segmented_control(
            "Decision", DECISIONS, format_func=DECISION_WORDS.__getitem__, label_visibility="collapsed"
        )
        note = st.text_area("Why", height=68, placeholder="Why, in a sentence", label_visibility="collapsed")
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        author = left.text_input("Author", value=st.session_state.get("author", ""), placeholder="Who decides")
        pressed = right.form_submit_button("Keep", width="stretch")
    if pressed:
        if not decision or not author.strip():
            st.warning("A decision needs a choice and an author.")
            return
        st.session_state["author"] = author
        store.review(number, str(decision), note=note, author=author.strip())
        st.rerun()


def pack(store: Store, row: Mapping[str, Any], clip: ReportClip) -> None:
    """The address of this page, and the evidence as one file."""
    st.markdown("##### Take away")
    number = int(row["result"])
    st.caption("Address of this page")
    st.code(shell.permalink(clip=str(number)), language=None)
    if clip.path.is_file() and row.get("sha256"):
        st.download_button(
            "Signed report", lambda: signed_sheet(row, clip.path), f"report-{number}.svg", "image/svg+xml",
            help="The verdict as a sheet that carries a manifest of its own, signed by this installation and bound to "
            "the clip by its hash.",
        )  # fmt: skip
    if st.button("Prepare the evidence pack", help="JSON, report, PDF, stills, audit and decisions in one ZIP"):
        with st.spinner("Collecting stills and writing the report"):
            st.session_state[f"pack-{number}"] = evidence.evidence_pack(clip, reviews=store.reviews_of(number))
    if data := st.session_state.get(f"pack-{number}"):
        st.download_button("Download evidence.zip", data, file_name=f"evidence-{number}.zip", mime="application/zip")
