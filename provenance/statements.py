"""What a manifest says of its file: what made it, what was done, whether a model was at work, its label."""

import contextlib
from collections.abc import Sequence
from typing import Any

from facewitness.files import plain
from facewitness.provenance import cose
from facewitness.provenance.manifest import LABEL_ASSERTION, REPORT_ASSERTION

_AI_WORDS = {
    "trainedAlgorithmicMedia": "generated", "trainedAlgorithmicData": "generated",
    "compositeWithTrainedAlgorithmicMedia": "edited", "compositeSynthetic": "edited",
}  # fmt: skip
_NO_AI_WORDS = frozenset(
    [
        "digitalCapture",
        "computationalCapture",
        "compositeCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "humanEdits",
        "minorHumanEdits",
        "algorithmicallyEnhanced",
        "algorithmicMedia",
        "composite",
        "digitalCreation",
        "digitalArt",
        "dataDrivenMedia",
        "virtualRecording",
        "screenCapture",
        "softwareImage",
        "empty",
    ]
)
"""Digital source types that say that no trained model was at work (IPTC NewsCodes, 2025; C2PA's own ``empty``)."""


def claims_of(manifest: dict[str, Any], raw: bytes, active: str) -> dict[str, Any]:
    """What a manifest says of its file: what made it, what was done, whether a model made it, its label."""
    assertions = [a for a in manifest.get("assertions") or [] if isinstance(a, dict)]
    actions = [
        action
        for a in assertions
        if str(a.get("label", "")).startswith("c2pa.actions") and isinstance(a.get("data"), dict)
        for action in a["data"].get("actions") or []
        if isinstance(action, dict)
    ]
    label, report = (_assertion(assertions, name, raw, active) for name in (LABEL_ASSERTION, REPORT_ASSERTION))
    generators = [g for g in manifest.get("claim_generator_info") or [] if isinstance(g, dict)]
    return {
        "title": manifest.get("title"),
        "generator": " ".join(str(generators[0].get(k, "")) for k in ("name", "version")).strip() if generators
        else manifest.get("claim_generator"),
        "ai": _ai(actions),
        "actions": [
            {
                "action": str(a.get("action", "")),
                **({"source": str(a["digitalSourceType"]).rsplit("/", 1)[-1]} if a.get("digitalSourceType") else {}),
                **({"description": str(a["description"])} if a.get("description") else {}),
            }
            for a in actions
        ],
        "assertions": [str(a.get("label", "")) for a in assertions],
        "label": label,
        **({"report": report} if report else {}),
    }  # fmt: skip


def _assertion(assertions: list[dict[str, Any]], name: str, raw: bytes, active: str) -> dict[str, Any] | None:
    """One of our own assertions, read exactly where we can, where the library counts it among the manifest's."""
    data = next((a.get("data") for a in assertions if a.get("label") == name), None)
    if data is not None:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            data = plain(cose.assertion_of(raw, active, name))
    return data if isinstance(data, dict) else None


def _ai(actions: list[dict[str, Any]]) -> str:
    sources = [str(a["digitalSourceType"]).rsplit("/", 1)[-1] for a in actions if a.get("digitalSourceType")]
    words = {_AI_WORDS.get(s, "none" if s in _NO_AI_WORDS else "unknown") for s in sources}
    opened = any(a.get("action") == "c2pa.opened" for a in actions)
    if "generated" in words:
        return "edited" if opened else "generated"
    return next((word for word in ("edited", "unknown", "none") if word in words), "unknown")


def inherited(ai: str, ingredients: Sequence[dict[str, Any]]) -> str:
    """What a file is by what it was made from: opened from a model's work, or with a model's work in it."""
    for i in ingredients:
        if ai in ("none", "unknown") and i["ai"] in ("generated", "edited"):
            if i["relationship"] == "parentOf":
                return i["ai"]
            if i["relationship"] == "componentOf":
                return "edited"
    return ai
