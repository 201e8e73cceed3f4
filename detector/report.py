"""The verdict on one clip, in the shape of a ``facewitness.scan/1`` row."""

from dataclasses import dataclass, field
from typing import Any

SCHEMA = "facewitness.scan/1"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why the verdict is what it is: a cue, a sentence, and the seconds it speaks of."""

    cue: str
    text: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class CueResult:
    """What one cue says of one face; an abstention has ``used`` false and says why."""

    value: float | None
    unit: str
    likelihood_ratio: float | None
    """How many times likelier this value is in a manipulated clip than in a real one."""
    used: bool
    why_not: str | None = None
    trace: dict[str, list[float]] | None = None
    """Raw values over time: ``t_s`` and one list per quantity."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of time that looks manipulated."""

    start_s: float
    end_s: float
    score: float
    cue: str


@dataclass(frozen=True, kw_only=True)
class FaceReport:
    """The verdict on one face of a clip."""

    track: int
    p_fake: float | None
    verdict: str
    iris_px: float | None
    timeline: dict[str, list[float]]
    """``t_s`` and ``score``."""
    cues: dict[str, CueResult]
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClipReport:
    """The verdict on one clip: per face a score, cues with raw traces, segments, reasons, abstentions, provenance."""

    path: str
    sha256: str | None
    status: str
    """``ok | no_face | too_short | unreadable | timeout | error``."""
    error: str | None = None
    duration_s: float | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    verdict: str = "inconclusive"
    """``manipulated | inconclusive | no_evidence``."""
    p_fake: float | None = None
    reasons: tuple[Reason, ...] = ()
    faces: tuple[FaceReport, ...] = ()
    provenance: dict[str, Any] | None = None
    model: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    schema: str = SCHEMA


def decisive_reason(row: dict[str, Any]) -> str | None:
    """The sentence that decided a row's verdict: its first finding, or for a clip that could not be judged why not."""
    reasons = row.get("reasons") or []
    decided = [r for r in reasons if (r["cue"] == "limits") == (row.get("verdict") == "inconclusive")]
    return next((r["text"] for r in (*decided, *reasons)), None)
