"""The verdict on a clip from the verdicts on its chapters: each face is what its worst chapter is, the clip what its
worst face is."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from facewitness.detector.measure import Chapter
from facewitness.detector.model import Model
from facewitness.detector.report import CueResult, FaceReport, Reason, Segment
from facewitness.detector.verdict import report_face

MOST_FACES = 16
"""Faces of a report, the worst ones; a film has hundreds."""
MOST_POINTS = 3000
"""Points of a face's score over time; a longer one keeps the highest score of each stretch."""
MOST_SEGMENTS = 100
"""Segments of a face, the strongest ones."""
_ORDER = {"no_evidence": 0, "inconclusive": 1, "manipulated": 2}


@dataclass
class _Face:
    """One face through the chapters it was seen in."""

    worst: FaceReport
    reasons: list[Reason]
    span: tuple[float, float]
    """Seconds of the worst chapter."""
    t_s: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, float]:
        return _rank(self.worst)


class Judgement:
    """``take`` the chapters of a clip in order, then ask for the ``verdict``. Memory does not grow with their number.

    A chapter in which a face cannot be judged (too small, too dark, too briefly in view) counts only where it cannot be
    judged in any; and a face of which nothing at all could be measured (a mistake of a moment, mostly) only where there
    is no other.
    """

    def __init__(self, model: Model):
        self._model = model
        self.faces: dict[int, _Face] = {}
        """By number; all that were seen so far, or the worst of them."""
        self._chapters = self._left_out = 0

    def take(self, chapter: Chapter) -> None:
        """Judge the faces of one chapter."""
        self._chapters += 1
        for number, measures in chapter.faces:
            report, reasons = report_face(measures, self._model, number=number)
            self._add(number, *_later(report, reasons, chapter.start_s), (chapter.start_s, chapter.end_s))
        if len(self.faces) > 2 * MOST_FACES:
            self._drop()

    def _add(self, number: int, report: FaceReport, reasons: list[Reason], span: tuple[float, float]) -> None:
        face = self.faces.get(number)
        if face is None:
            face = self.faces[number] = _Face(report, reasons, span)
        elif (not _limited(reasons), *_rank(report)) > (not _limited(face.reasons), *face.rank):
            face.worst, face.reasons, face.span = report, reasons, span
        face.t_s += report.timeline["t_s"]
        face.score += report.timeline["score"]
        if len(face.t_s) > 2 * MOST_POINTS:
            face.t_s, face.score = _highest(face.t_s, face.score)
        face.segments = _strongest([*face.segments, *report.segments])

    def _drop(self) -> None:
        kept = sorted(self.faces, key=lambda n: self.faces[n].rank, reverse=True)[:MOST_FACES]
        self._left_out += len(self.faces) - len(kept)
        self.faces = {n: f for n, f in self.faces.items() if n in kept}

    def verdict(self) -> dict[str, Any]:
        """``faces, verdict, p_fake, reasons`` of a clip that has a face; reasons begin with what was found."""
        if len(self.faces) > MOST_FACES:
            self._drop()
        measured = [f for f in self.faces.values() if f.worst.p_fake is not None]
        worst = max(measured or self.faces.values(), key=lambda f: f.rank)
        reasons = list(worst.reasons)
        if self._chapters > 1:
            start, end = worst.span
            text = f"The clip is long and was judged in {self._chapters} chapters; this is the verdict on its worst."
            reasons.append(Reason(cue="limits", text=text, start_s=start, end_s=end))
        if self._left_out:
            text = f"{self._left_out} more faces were judged; the report holds the {MOST_FACES} likeliest made ones."
            reasons.append(Reason(cue="limits", text=text))
        if self._model.network is None:
            text = "The network abstains: this model has no trained weights for it."
            reasons.append(Reason(cue="network", text=text))
        return {
            "faces": tuple(_whole(f, i) for i, f in enumerate(self.faces.values())),
            "verdict": worst.worst.verdict,
            "p_fake": worst.worst.p_fake,
            "reasons": tuple(reasons),
        }


def _rank(report: FaceReport) -> tuple[int, float]:
    return _ORDER[report.verdict], report.p_fake or 0.0


def _limited(reasons: list[Reason]) -> bool:
    return any(r.cue == "limits" for r in reasons)


def _whole(face: _Face, number: int) -> FaceReport:
    t_s, score = _highest(face.t_s, face.score) if len(face.t_s) > MOST_POINTS else (face.t_s, face.score)
    return replace(
        face.worst, track=number, timeline={"t_s": t_s, "score": score}, segments=tuple(face.segments)
    )  # fmt: skip


def _later(report: FaceReport, reasons: list[Reason], by_s: float) -> tuple[FaceReport, list[Reason]]:
    """A chapter's report with its times counted from the beginning of the clip."""
    if not by_s:
        return report, reasons

    def moved(times: list[float]) -> list[float]:
        return [round(t + by_s, 4) for t in times]

    def cue(one: CueResult) -> CueResult:
        return replace(one, trace={**one.trace, "t_s": moved(one.trace["t_s"])}) if one.trace else one

    told = replace(
        report,
        timeline={**report.timeline, "t_s": moved(report.timeline["t_s"])},
        cues={name: cue(one) for name, one in report.cues.items()},
        segments=tuple(replace(s, start_s=s.start_s + by_s, end_s=s.end_s + by_s) for s in report.segments),
    )
    return told, [
        replace(r, start_s=r.start_s + by_s, end_s=None if r.end_s is None else r.end_s + by_s)
        if r.start_s is not None
        else r
        for r in reasons
    ]


def _highest(t_s: list[float], score: list[float]) -> tuple[list[float], list[float]]:
    """MOST_POINTS points of a curve: the highest of each of as many stretches."""
    chosen = [int(part[np.argmax(np.take(score, part))]) for part in np.array_split(np.arange(len(score)), MOST_POINTS)]
    return [t_s[i] for i in chosen], [score[i] for i in chosen]


def _strongest(segments: list[Segment]) -> list[Segment]:
    """MOST_SEGMENTS of them in the order of time."""
    kept = sorted(segments, key=lambda s: s.score, reverse=True)[:MOST_SEGMENTS]
    return sorted(kept, key=lambda s: s.start_s)
