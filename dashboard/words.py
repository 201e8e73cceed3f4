"""The words, signs and short explanations that every screen and report uses, so that one thing has one name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Word:
    """How one value is shown: a sign that differs in shape, a name, and a sentence on what it means and what not."""

    key: str
    sign: str
    """One character; shapes differ so that colour is never the only carrier."""
    name: str
    meaning: str


def _table(*rows: tuple[str, str, str, str]) -> dict[str, Word]:
    return {key: Word(key=key, sign=sign, name=name, meaning=meaning) for key, sign, name, meaning in rows}


VERDICTS = _table(
    ("manipulated", "▲", "Manipulated", "The evidence is stronger than the threshold the model was calibrated for."),
    (
        "inconclusive",
        "◆",
        "Inconclusive",
        "There is too little evidence, or it points both ways; a person has to look.",
    ),
    (
        "no_evidence",
        "○",
        "No evidence of manipulation",
        "Nothing above the threshold was found. That is not a proof that the clip is genuine.",
    ),
)
"""Verdicts of a scan."""

BY_MANIFEST = Word(
    key="manipulated",
    sign="▲",
    name="Made by AI, says its manifest",
    meaning="A trusted manifest says that a model made or changed this clip. The score is of the pixels alone.",
)
"""The verdict on a clip that tells of itself."""

STATUSES = _table(
    ("ok", "●", "Scored", "The clip was read and scored."),
    ("no_face", "–", "No face found", "No face was found, so there is nothing to score."),
    ("too_short", "–", "Too short", "The clip is too short for cues over time."),
    ("unreadable", "–", "Unreadable", "The file could not be read as a video."),
    ("timeout", "–", "Timed out", "The clip took longer than its time limit."),
    ("error", "–", "Failed", "Something went wrong while this clip was scored."),
)
"""What became of a clip in a scan."""

STATES = _table(
    (
        "trusted",
        "✓",
        "Trusted",
        "The manifest is intact and its signer is on the trust list. Its claims can be quoted.",
    ),
    (
        "untrusted",
        "◐",
        "Untrusted",
        "The manifest is intact, but its signer is on no trust list: its claims are somebody's word.",
    ),
    ("invalid", "✕", "Invalid", "The manifest does not fit the file, or its signature is broken."),
    ("absent", "○", "Absent", "The file carries no manifest. Most genuine files do not either."),
    ("unreadable", "–", "Unreadable", "The file could not be read for a manifest."),
    ("timeout", "–", "Timed out", "Reading the manifest took longer than its time limit."),
)
"""States of an audit; never merged."""

AI = _table(
    ("generated", "✦", "AI-generated", "The manifest says that the content was made by a model."),
    ("edited", "✎", "AI-edited", "The manifest says that a model changed the content."),
    ("none", "·", "No AI stated", "The manifest states no use of AI."),
    ("unknown", "?", "AI use unknown", "Nothing reliable is said about AI."),
)
"""What a manifest says of artificial intelligence."""

ROLES = _table(
    ("target", "T", "Target", "The person shown."),
    ("driver", "D", "Driver", "Where the motion comes from."),
    ("reenactment", "R", "Reenactment", "Made: the target, driven by the driver."),
)
"""The three clips of a reenactment."""

CUE_NAMES = {
    "ear": "Eye opening",
    "blink_rate": "Blink rate",
    "blink": "Blinks",
    "gaze": "Gaze",
    "gaze_vergence": "Vergence of the eyes",
    "vergence": "Vergence of the eyes",
    "vor": "Eyes against head (VOR)",
    "network": "Network",
    "mouth": "Mouth",
    "iris_shape": "Shape of the irises",
}
"""Names of cues that a plain reading of their key would not give."""

MISSING = {
    "time_stamp": "no time stamp: the time of signing is the signer's word",
    "revocation": "no revocation evidence: whether the certificate was withdrawn is not known",
}
"""Evidence that an audit did not find, in words."""


def word(table: Mapping[str, Word], key: Any) -> Word:
    """The entry for ``key``, or one made from the key itself where the table does not know it."""
    text = str(key or "unknown")
    return table.get(text) or Word(key="other", sign="?", name=text.replace("_", " ").capitalize(), meaning="")


def verdict_word(row: Mapping[str, Any] | None) -> Word:
    """The word for a row of a scan: its verdict where it was scored, else what became of it, or "Not scanned"."""
    if not row:
        return Word(key="none", sign="–", name="Not scanned", meaning="No detector has looked at this clip.")
    if row.get("status") not in (None, "ok"):
        return word(STATUSES, row["status"])
    if by_manifest(row):
        seen = next((f.get("verdict") for f in row.get("faces") or []), None)
        said = f" By the pixels alone: {word(VERDICTS, seen).name.lower()}." if seen else ""
        return replace(BY_MANIFEST, meaning=BY_MANIFEST.meaning + said)
    return word(VERDICTS, row.get("verdict"))


def by_manifest(row: Mapping[str, Any]) -> bool:
    """Whether a clip counts as manipulated because a trusted manifest says so, and not for what its pixels show."""
    said = any(r.get("cue") == "provenance" for r in row.get("reasons") or [])
    seen = any(f.get("verdict") == "manipulated" for f in row.get("faces") or [])
    return row.get("verdict") == "manipulated" and said and not seen


def cue_name(key: str) -> str:
    """A cue's name for people: ``blink_rate`` is "Blink rate"."""
    return CUE_NAMES.get(key) or key.replace("_", " ").replace(".", " · ").strip().capitalize() or "Unnamed"


def seconds(t: float | None) -> str:
    """A time for people: ``7.3`` is "0:07.3"; nothing for None."""
    if t is None or t != t:
        return ""
    minutes, rest = divmod(max(0.0, float(t)), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def likelihood(ratio: float | None) -> str:
    """A likelihood ratio in words: above one it speaks for manipulation, below one against it."""
    if ratio is None or ratio != ratio or ratio <= 0:
        return "–"
    if ratio >= 1.05:
        return f"{_short(ratio)} × for"
    if ratio <= 1 / 1.05:
        return f"{_short(1 / ratio)} × against"
    return "neutral"


def _short(x: float) -> str:
    return f"{x:.0f}" if x >= 20 else f"{x:.1f}"


def number(value: Any, digits: int = 3) -> str:
    """A number with ``digits`` significant digits; a dash for None and NaN."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
