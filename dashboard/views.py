"""What the templates show of rows and audits: words looked up, curves drawn, gaps filled; for report and screens."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from facewitness.dashboard import charts, lanes, words
from facewitness.dashboard.clips import ReportClip, Still
from facewitness.detector.report import ClipReport, CueResult, FaceReport
from facewitness.errors import FacewitnessError, UnreadableInputError
from facewitness.files import plain
from facewitness.provenance.audit import Audit
from facewitness.provenance.inert import visible

STILL_WIDTH_PX = 480
LONGEST_TEXT = 4000
LONGEST_CELL = 600
DEEPEST = 12
"""Levels of a tree of ingredients that are shown."""
MOST_CUES = 8
"""Cues shown of a face before the rest is folded away."""
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


@cache
def environment() -> Any:
    """The Jinja environment of the templates in ``assets``: everything is escaped unless it was made here."""
    from jinja2 import ChainableUndefined, Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("facewitness.dashboard", "assets"),
        autoescape=True,
        finalize=_tame,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=words.seconds, number=words.number, likelihood=words.likelihood)
    return environment


def _tame(value: Any) -> Any:
    """Text from files without controls and direction marks, cut to a length that no honest file needs."""
    return visible(value, LONGEST_TEXT) if type(value) is str else value


def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return files("facewitness.dashboard").joinpath("assets", name).read_text(encoding="utf-8")


def threshold_of(row: Mapping[str, Any] | None) -> float | None:
    """The score from which the model of a row says manipulated, where that model is the one shipped here."""
    sha = ((row or {}).get("model") or {}).get("sha256")
    threshold, shipped = _shipped_threshold()
    return threshold if sha and sha == shipped else None


@cache
def _shipped_threshold() -> tuple[float | None, str]:
    from facewitness.detector.model import load_model

    try:
        model = load_model()
        return float(model.calibration.threshold_), model.sha256
    except (FacewitnessError, AttributeError):
        return None, ""


def duration_of(clip: ReportClip, row: Mapping[str, Any] | None) -> float:
    """Seconds of a clip as its row, its traces or its stills tell, 1 where none does."""
    if row and row.get("duration_s"):
        return float(row["duration_s"])
    if clip.traces is not None and len(clip.traces.t_s):
        return float(clip.traces.t_s[-1])
    return max((s.time_s for s in clip.stills), default=1.0)


def label_rows(label: Any) -> list[tuple[str, str]] | None:
    """The ground truth of a made clip as rows of a small table."""
    return card({k: label[k] for k in LABEL_KEYS if k in label}) if isinstance(label, dict) else None


def whole(shape: type, row: Any) -> dict[str, Any] | None:
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


def face_view(row: Mapping[str, Any], duration: float) -> dict[str, Any]:
    """One face of a row with its words, its cues (those that count most first) and its score over time."""
    face = whole(FaceReport, row) or {}
    times = face.get("timeline") or {}
    segments = face.get("segments") or []
    score = (
        [lanes.score_lane(times, segments, role="plain", label=f"face {face.get('track', 0)}")]
        if times.get("t_s")
        else []
    )
    cues = []
    for key, cue in (face.get("cues") or {}).items():
        cue = whole(CueResult, cue) or {}
        cues.append(
            {
                **cue, "key": key, "name": words.cue_name(key), "source": _source(key),
                "sparks": _sparks(cue.get("trace"), duration), "balance": charts.balance(cue.get("likelihood_ratio")),
            }
        )  # fmt: skip
    cues.sort(key=lambda c: (not c.get("used"), -abs(_log(c.get("likelihood_ratio")))))
    return {
        **face,
        "word": words.word(words.VERDICTS, face.get("verdict")),
        "cue_rows": [c for c in cues if c["used"]][:MOST_CUES],
        "cues_more": [c for c in cues if c["used"]][MOST_CUES:],
        "cues_silent": [c for c in cues if not c["used"]],
        "segments": segments,
        "chart": charts.timeline(score, duration, title="Score over time") if score else "",
    }


@cache
def _source(key: str) -> str:
    """Where the idea of a cue comes from, where the detector's registry knows it."""
    from facewitness.detector.cues import list_cues

    return next((f"Source: {c.source}" for c in list_cues() if c.name == key), "")


def _log(ratio: float | None) -> float:
    return float(np.log(ratio)) if ratio and ratio > 0 else 0.0


def _sparks(trace: Mapping[str, Any] | None, duration: float) -> list[dict[str, Any]]:
    if not trace or not trace.get("t_s"):
        return []
    named = [
        (k, charts.spark(trace["t_s"], v, duration)) for k, v in trace.items() if k != "t_s" and isinstance(v, list)
    ]
    return [{"name": k.replace("_", " "), "svg": svg} for k, svg in named if svg][:4]


def audit_view(row: Mapping[str, Any] | None, pictures: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """An audit with its words, its signer as rows and its ingredients as a tree.

    ``pictures`` are those inside its manifests, as ``provenance.thumbnails`` gives them; with them, the tree's nodes
    can be compared with the file.
    """
    audit = whole(Audit, row)
    if audit is None:
        return None
    return {
        **audit,
        "word": words.word(words.STATES, audit.get("state")),
        "ai_word": words.word(words.AI, audit.get("ai")),
        "certificates": _certificates(audit.get("signer")),
        "tree": _branch(audit.get("ingredients"), "", (pictures or {}).get("ingredients")),
        "picture": _jpeg_of(pictures),
        "comparable": pictures is not None,
        "claim_rows": _claim_rows(audit.get("claims")),
        "checks": [
            {**c, "passed": _passed(c), "of": str(c.get("url") or "").rsplit("/", 1)[-1]}
            for c in audit.get("codes") or []
        ],
        "opinion_rows": card(audit.get("second_opinion")),
        "missing_words": [words.MISSING.get(m, str(m)) for m in audit.get("missing") or []],
        "raw": Markup(escape(json.dumps(audit, indent=1, ensure_ascii=True))),
    }


def _claim_rows(claims: Any) -> list[tuple[str, str]]:
    """What the manifest says, one row an action; the label of a made clip has its own place."""
    if not isinstance(claims, dict):
        return []
    rows = card({k: v for k, v in claims.items() if k not in ("label", "actions")})
    actions = claims.get("actions")
    for action in actions if isinstance(actions, list) else []:
        rows += card({"action": action if isinstance(action, dict) else str(action)})
    return rows


def _certificates(signer: Any) -> list[dict[str, Any]]:
    """The signer's certificate, then those above it, each with a name and rows."""
    if not isinstance(signer, dict):
        return []
    chain = signer.get("chain")
    found = [signer, *(c for c in (chain if isinstance(chain, list) else []) if isinstance(c, dict))]
    return [
        {
            "name": str(c.get("common_name") or "unnamed"),
            "rows": card({k: v for k, v in c.items() if k not in ("common_name", "chain")}),
        }
        for c in found
    ]


def _passed(code: Mapping[str, Any]) -> str:
    if not code.get("success"):
        return "failed"
    return "note" if code.get("kind") == "informational" else "passed"


def _branch(nodes: Any, where: str, pictures: Any) -> list[dict[str, Any]]:
    """The nodes of one level; ``where`` is the way to it, such as ``0.2``."""
    if not isinstance(nodes, list) or where.count(".") >= DEEPEST:
        return []
    shown = pictures if isinstance(pictures, list) else []
    return [
        _ingredient(node, f"{where}.{i}".lstrip("."), shown[i] if i < len(shown) else None)
        for i, node in enumerate(nodes)
    ]


def _ingredient(node: Any, where: str, picture: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {"title": str(node), "rows": [], "children": [], "state": None, "failures": [], "where": where}
    left_out = ("title", "ingredients", "children", "codes", "state", "failures", "signer", "claims", "thumbnail")
    kept = {k: v for k, v in node.items() if k not in left_out and v != "unknown"}
    if isinstance(node.get("signer"), dict):
        kept["signed by"] = node["signer"].get("common_name")
    inside = picture.get("ingredients") if isinstance(picture, Mapping) else None
    return {
        "title": str(node.get("title") or "untitled ingredient"),
        "rows": card(kept),
        "state": words.word(words.STATES, node["state"]) if node.get("state") else None,
        "failures": [f for f in node.get("failures") or [] if isinstance(f, dict)],
        "children": _branch(node.get("ingredients") or node.get("children"), where, inside),
        "where": where,
        "picture": _jpeg_of(picture),
        "manifest": node.get("manifest"),
    }


def _jpeg_of(picture: Any) -> Markup:
    """A picture that ``provenance.thumbnails`` drew again, as a data URI; empty where there is none."""
    data = picture.get("picture") if isinstance(picture, Mapping) else None
    fits = isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9+/=]+", data)
    return Markup(f"data:image/jpeg;base64,{data}") if fits else Markup("")


def node_at(tree: list[dict[str, Any]], where: str) -> dict[str, Any] | None:
    """The node of a tree that ``where`` names; None where there is none."""
    node: dict[str, Any] | None = None
    for step in where.split("."):
        level = tree if node is None else node["children"]
        if not step.isdigit() or int(step) >= len(level):
            return None
        node = level[int(step)]
    return node


def card(values: Any) -> list[tuple[str, str]]:
    """The rows of a small table: one level of nesting is joined, what is deeper is JSON, what is empty is left out."""
    rows = []
    for key, value in (plain(values) or {}).items() if isinstance(values, Mapping) else ():
        if value in (None, "", [], {}):
            continue
        text = _told(value)
        rows.append((str(key).replace("_", " "), text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + " …"))
    return rows


def _told(value: Any) -> str:
    if isinstance(value, float):
        return words.number(value, 4)
    if isinstance(value, list):
        flat = all(isinstance(v, str | int | float) for v in value)
        return ", ".join(map(_told, value)) if flat else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v not in (None, "", [], {})}
        shallow = all(not isinstance(v, dict) and (not isinstance(v, list) or len(v) < 5) for v in kept.values())
        if not shallow:
            return json.dumps(value, ensure_ascii=False)
        return ", ".join(f"{str(k).replace('_', ' ')} {_between(v)}" for k, v in kept.items())
    return str(value)


def _between(value: Any) -> str:
    """A value inside a list of values: a pair of numbers is a range."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) for v in value):
        return f"{_told(value[0])} to {_told(value[1])}"
    return _told(value)


def picture(still: Still) -> str:
    """A still as a JPEG in a data URI, at most STILL_WIDTH_PX wide."""
    import cv2

    image: np.ndarray = still.image
    if image.shape[1] > STILL_WIDTH_PX:
        height = round(image.shape[0] * STILL_WIDTH_PX / image.shape[1])
        image = cv2.resize(image, (STILL_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 86])
    if not done:
        raise UnreadableInputError("A still could not be encoded as a JPEG.")
    return Markup("data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode())


def clip_view(clip: ReportClip) -> dict[str, Any]:
    """Everything the templates show of one clip."""
    row, audit, label = whole(ClipReport, clip.row), plain(clip.audit), plain(clip.label)
    if audit is None and row:
        audit = row["provenance"]
    if label is None and audit:
        label = audit.get("label")
    duration = duration_of(clip, row)
    return {
        "role": clip.role if clip.role in words.ROLES else "plain",
        "role_word": words.word(words.ROLES, clip.role),
        "name": clip.name or clip.path.name,
        "row": row,
        "label": label_rows(label),
        "duration_s": duration,
        "verdict": words.verdict_word(row),
        "scale": charts.scale(row.get("p_fake") if row else None, threshold_of(row)),
        "stills": [{"time_s": s.time_s, "src": picture(s)} for s in clip.stills],
        "reasons": (row or {}).get("reasons") or [],
        "faces": [face_view(face, duration) for face in (row or {}).get("faces") or []],
        "audit": audit_view(audit),
    }
