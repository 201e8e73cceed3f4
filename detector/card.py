"""The model card: what a model was fitted on, how, what it reaches and where it fails, written from the model's own
notes."""

from pathlib import Path
from typing import Any

from facewitness.detector.model import CARD, NETWORK, Model
from facewitness.files import write_text

SURFACE_IS = "boosted trees and a linear part over statistics of 18 regions of the face"


def write_card(model: Model, folder: Path) -> Path:
    """Write ``MODEL_CARD.md`` into the model's folder."""
    path = folder / CARD
    write_text(path, card_of(model))
    return path


def card_of(model: Model) -> str:
    """The card as Markdown."""
    notes, c = model.notes, model.calibration
    parts = [
        f"# Detector model `{model.id}`\n",
        "What it is for: pointing an analyst at clips and moments worth a closer look. It is no proof, and its silence "
        "is no proof of authenticity.\n",
        "## What it is made of\n",
        f"- {_network(model)}",
        f"- Surface model: {SURFACE_IS if model.surface else 'none'}",
        f"- Fusion over {len(model.columns)} columns ({', '.join(model.columns)})",
        f"- `manipulated` from p = {c.threshold_:.3f} (meant to call {c.false_positive_rate:.0%} of real clips so), "
        f"`inconclusive` from p = {c.doubt_:.3f} ({c.doubt_rate:.0%}); both from {c.real_clips_} held-out real clips",
        "",
    ]
    sections = ("Data", "dataset"), ("Command and settings", "config"), ("Training", "training"), ("Cost", "cost")
    for title, key in sections:
        if key in notes:
            parts += [f"## {title}\n", *_lines(notes[key]), ""]
    if "fusion" in notes:
        parts += ["## On persons the fusion was not fitted on (pseudo-fakes)\n", *_fusion(notes["fusion"]), ""]
    for told in notes.get("outside", []):
        parts += _outside(told)
    for told in notes.get("tables", []):
        parts += _table(told)
    if "tried" in notes:
        parts += ["## Tried without gain\n", *_lines(notes["tried"]), ""]
    if "fails" in notes:
        parts += ["## Where it fails\n", *[f"- {line}" for line in notes["fails"]], ""]
    return "\n".join(parts) + "\n"


def _network(model: Model) -> str:
    if model.network is None:
        return "Network: not trained in this model; its cue abstains and every report says so"
    return f"Network: `{NETWORK}`, a timm backbone over aligned crops with a temporal head"


def _lines(value: Any, *, prefix: str = "- ") -> list[str]:
    if isinstance(value, dict):
        return [
            f"{prefix}{k}: {v if not isinstance(v, dict) else ', '.join(f'{a} {b}' for a, b in v.items())}"
            for k, v in value.items()
        ]
    return [f"{prefix}{v}" for v in (value if isinstance(value, list) else [value])]


def _fusion(told: dict[str, Any]) -> list[str]:
    n = told["examples"]
    best = sorted(told["auc_of_one_column"].items(), key=lambda kv: -abs(kv[1] - 0.5))[:10]
    return [
        f"{n['real']} real and {n['fake']} made clips of {n['persons']} persons; AUC {told['auc_held_out']:.3f}.\n",
        "| kind of pseudo-fake | AUC |",
        "| --- | --- |",
        *[f"| {k} | {v:.3f} |" for k, v in told["auc_by_kind"].items()],
        "",
        f"The eyes alone are judged where one of their cues is measured ({told.get('eyes_judged', 1):.0%} of clips).",
        "",
        "| kind of made motion (landmarks only) | AUC, all cues | AUC, cues of the eyes alone |",
        "| --- | --- | --- |",
        *[
            f"| {k} | {v:.3f} | {told['auc_of_motion_by_eyes_alone'].get(k, float('nan')):.3f} |"
            for k, v in told.get("auc_of_motion_by_kind", {}).items()
        ],
        "",
        "| column alone (0.5 says nothing; below, fakes have less) | AUC |",
        "| --- | --- |",
        *[f"| {k} | {v:.3f} |" for k, v in best],
    ]


def _table(told: dict[str, Any]) -> list[str]:
    """Any other measurement as a section: ``title``, ``text``, ``columns`` and ``rows`` of strings."""
    columns, rows = told.get("columns", []), told.get("rows", [])
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, ["---"] * len(columns), *rows)] if columns else []
    return [f"## {told['title']}\n", told.get("text", ""), "", *lines, ""]


def _outside(told: dict[str, Any]) -> list[str]:
    """One outside test as a section: ``title``, ``metrics`` {name: {value, low, high}}, ``by_method`` {name: {fakes,
    auc}}, ``control``."""
    rows = [f"| {k} | {v['value']:.3f} | {v['low']:.3f} to {v['high']:.3f} |" for k, v in told["metrics"].items()]
    methods = [f"| {k} | {v['fakes']} | {v['auc']:.3f} |" for k, v in told.get("by_method", {}).items()]
    return [
        f"## {told['title']}\n",
        told.get("text", ""),
        "",
        "| metric | value | 95 % by person |",
        "| --- | --- | --- |",
        *rows,
        "",
        "| generator | fakes | AUC |",
        "| --- | --- | --- |",
        *methods,
        "",
    ]
