"""The self-contained page of what was made, proved and found: stills, timelines, verdicts, manifests, reasons."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from facewitness import __version__
from facewitness.dashboard import charts, lanes, words
from facewitness.dashboard.clips import ROLES, ReportClip, Still, demo_clip, read_demo
from facewitness.detector.report import ClipReport, CueResult, FaceReport
from facewitness.errors import UnreadableInputError
from facewitness.files import plain, write_text
from facewitness.provenance.audit import Audit

STILL_WIDTH_PX = 480
INTRO = (
    "One person's face, driven by another's performance; labelled, signed, then looked at as if its origin were "
    "unknown. Target and driver are shown beside it."
)
LABEL_KEYS = (
    "method",
    "target_id",
    "driver_id",
    "taken",
    "edits",
    "segments",
    "rights",
    "driver_rights",
    "seed",
    "generator_version",
    "actor_sha256",
    "model_sha256",
)


def write_report(
    out_html: Path,
    *,
    title: str,
    clips: Sequence[ReportClip],
    intro: str = "",
    actor: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    made_at: datetime | None = None,
) -> Path:
    """Write one HTML page about ``clips`` that needs nothing else: no network, no other file; returns ``out_html``.

    ``actor`` is the card of the trained person (any mapping), ``commands`` are shown as what to run next,
    ``made_at`` is now where not given. Every text from outside is escaped, and the page's own Content-Security-Policy
    allows only its one script. Light, dark and print follow the reader's settings.
    Raises UsageError where the folder cannot be made.
    """
    environment = _environment()
    style, script = _asset("report.css"), _asset("report.js")
    views = [_view(clip) for clip in clips]
    page = environment.get_template("report.html").render(
        title=title,
        intro=intro,
        clips=views,
        strip=_strip(views),
        together=lanes.together(clips, [view["duration_s"] for view in views]),
        actor=_card(actor),
        commands=list(commands),
        made_at=(made_at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        verdicts=list(words.VERDICTS.values()),
        states=[words.STATES[s] for s in ("trusted", "untrusted", "invalid", "absent")],
    )
    write_text(out_html, page)
    return out_html


def demo_report(folder: Path, *, commands: Sequence[str] = ()) -> Path:
    """Write ``folder/report.html`` from the ``demo.json`` that ``facewitness demo`` leaves there; returns its path.

    The keys of demo.json: ``target``, ``driver``, ``reenactment`` (paths, relative to the folder or absolute),
    ``rows`` and ``audits`` (lists of scan and verify rows, matched to clips by file name), ``actor`` (a card or a
    path), ``traces`` (path of an npz of save_traces, keyed by role; may be missing). Raises UnreadableInputError where
    it is not there or broken.
    """
    demo = read_demo(folder)
    clips = [c for role in ROLES if (c := demo_clip(folder, demo, role)) is not None]
    if not clips:
        raise UnreadableInputError(f"{folder / 'demo.json'} names no clip that is there; run facewitness demo again.")
    return write_report(
        folder / "report.html",
        title="A reenactment, its proof and its detection",
        clips=clips,
        intro=str(demo.get("intro") or INTRO),
        actor=demo["actor"] if isinstance(demo.get("actor"), dict) else None,
        commands=commands,
    )


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("facewitness.dashboard", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=words.seconds, number=words.number, likelihood=words.likelihood)
    return environment


def _asset(name: str) -> str:
    return files("facewitness.dashboard").joinpath("assets", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    def pin(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; img-src data:; style-src {pin(style)}; script-src {pin(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _picture(still: Still) -> str:
    import cv2

    image: np.ndarray = still.image
    if image.shape[1] > STILL_WIDTH_PX:
        height = round(image.shape[0] * STILL_WIDTH_PX / image.shape[1])
        image = cv2.resize(image, (STILL_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 86])
    if not done:
        raise UnreadableInputError("A still could not be encoded as a JPEG.")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def _view(clip: ReportClip) -> dict[str, Any]:
    row, audit, label = _whole(ClipReport, clip.row), plain(clip.audit), plain(clip.label)
    if audit is None and row:
        audit = row["provenance"]
    if label is None and audit:
        label = audit.get("label")
    duration = _duration(clip, row)
    return {
        "role": clip.role if clip.role in words.ROLES else "plain",
        "role_word": words.word(words.ROLES, clip.role),
        "name": clip.name or clip.path.name,
        "row": row,
        "label": _label(label),
        "duration_s": duration,
        "verdict": words.verdict_word(row),
        "scale": charts.scale(row.get("p_fake") if row else None),
        "stills": [{"time_s": s.time_s, "src": _picture(s)} for s in clip.stills],
        "reasons": (row or {}).get("reasons") or [],
        "faces": [_face(face, duration) for face in (row or {}).get("faces") or []],
        "audit": _audit(audit),
    }


def _duration(clip: ReportClip, row: Mapping[str, Any] | None) -> float:
    if row and row.get("duration_s"):
        return float(row["duration_s"])
    if clip.traces is not None and len(clip.traces.t_s):
        return float(clip.traces.t_s[-1])
    return max((s.time_s for s in clip.stills), default=1.0)


def _label(label: Any) -> list[tuple[str, str]] | None:
    return _card({k: label[k] for k in LABEL_KEYS if k in label}) if isinstance(label, dict) else None


def _whole(shape: type, row: Any) -> dict[str, Any] | None:
    """A row as a dictionary in which every field of its dataclass is present, so that an older row still shows."""
    if not row:
        return None
    empty = {
        f.name: f.default
        if f.default is not MISSING
        else f.default_factory()
        if f.default_factory is not MISSING
        else None
        for f in fields(shape)
    }
    return plain({**empty, **plain(row)})


def _face(face: Mapping[str, Any], duration: float) -> dict[str, Any]:
    face = _whole(FaceReport, face) or {}
    times = face.get("timeline") or {}
    segments = face.get("segments") or []
    score = (
        [lanes.score_lane(times, segments, role="plain", label=f"face {face.get('track', 0)}")]
        if times.get("t_s")
        else []
    )
    cues = []
    for key, cue in (face.get("cues") or {}).items():
        cue = _whole(CueResult, cue) or {}
        cues.append({**cue, "key": key, "name": words.cue_name(key), "sparks": _sparks(cue.get("trace"), duration)})
    cues.sort(key=lambda c: (not c.get("used"), -abs(_log(c.get("likelihood_ratio")))))
    return {
        **face,
        "word": words.word(words.VERDICTS, face.get("verdict")),
        "cue_rows": cues,
        "segments": segments,
        "chart": charts.timeline(score, duration, title="Score over time") if score else "",
    }


def _log(ratio: float | None) -> float:
    return float(np.log(ratio)) if ratio and ratio > 0 else 0.0


def _sparks(trace: Mapping[str, Any] | None, duration: float) -> list[dict[str, Any]]:
    if not trace or not trace.get("t_s"):
        return []
    named = [
        (k, charts.spark(trace["t_s"], v, duration)) for k, v in trace.items() if k != "t_s" and isinstance(v, list)
    ]
    return [{"name": k.replace("_", " "), "svg": svg} for k, svg in named if svg][:4]


def _strip(views: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = {"driver": 0, "reenactment": 1, "target": 2}
    return sorted((v for v in views if v["stills"]), key=lambda v: order.get(v["role"], 3))


def _audit(audit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    audit = _whole(Audit, audit)
    if audit is None:
        return None
    return {
        **audit,
        "word": words.word(words.STATES, audit.get("state")),
        "ai_word": words.word(words.AI, audit.get("ai")),
        "signer_rows": _card(audit.get("signer")),
        "tree": [_ingredient(i, 0) for i in audit.get("ingredients") or []],
        "missing_words": [words.MISSING.get(m, str(m)) for m in audit.get("missing") or []],
        "raw": json.dumps(audit, indent=1, ensure_ascii=False),
    }


def _ingredient(node: Any, depth: int) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {"title": str(node), "rows": [], "children": []}
    children = node.get("ingredients") or node.get("children") or []
    kept = {k: v for k, v in node.items() if k not in ("title", "ingredients", "children", "codes")}
    return {
        "title": str(node.get("title") or "untitled ingredient"),
        "rows": _card(kept),
        "children": [_ingredient(c, depth + 1) for c in children] if depth < 12 and isinstance(children, list) else [],
    }


def _card(values: Any) -> list[tuple[str, str]]:
    """The rows of a small table: flat values as they are, lists joined, what is nested as JSON; None left out."""
    rows = []
    for key, value in (plain(values) or {}).items() if isinstance(values, Mapping) else ():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value):
            value = ", ".join(str(v) for v in value)
        elif isinstance(value, dict | list):
            value = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, float):
            value = words.number(value, 4)
        text = str(value)
        rows.append((str(key).replace("_", " "), text if len(text) <= 600 else text[:600] + " …"))
    return rows
