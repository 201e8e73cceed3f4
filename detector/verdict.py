"""From the measures of one face to its report: values, likelihood ratios, score over time, reasons, abstentions."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewitness.detector.cues import Measured, get_cue, list_cues, run_cue
from facewitness.detector.evidence import Evidence
from facewitness.detector.measure import FaceMeasures
from facewitness.detector.model import Model
from facewitness.detector.report import CueResult, FaceReport, Reason, Segment
from facewitness.detector.sampling import NETWORK_WINDOW, STRETCH
from facewitness.detector.surface_model import WINDOW as SURFACE_WINDOW
from facewitness.detector.surface_model import window_features
from facewitness.detector.texture import summary

SHORTEST_WINDOW = 2
"""Looks of the network's in a window of a short clip: 16 looks, 1.3 s."""
TELLING = 1.5
"""A cue is named as a reason when it makes a manipulation this many times likelier."""
MOST_REASONS = 6
MOST_TRACE_POINTS = 1500
"""Points kept of a trace in a report; longer ones are thinned evenly."""
LEARNED = {
    "network": ("The network sees traces of manipulation in the face.", "log odds"),
    "surface": (
        "The surface of the face is built like that of made faces: detail, change and colour by region.",
        "log odds",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Windows:
    """A learned score over time: (n,) log odds and the seconds in which each window begins and ends."""

    scores: NDArray[np.float64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]

    @property
    def value(self) -> float:
        """Mean over the windows; NaN where there is none."""
        return float(self.scores.mean()) if len(self.scores) else float("nan")


def windows_of(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Indices into scored looks for each window of the temporal head.

    ``rows`` (n,) are the looks' numbers in the track; a window of ``NETWORK_WINDOW`` (fewer where there are fewer, at
    least 2) holds looks that follow each other by no more than those of one stretch and the
    next do, so that none reaches over a longer gap.
    """
    out = []
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) > 2 * STRETCH) + 1):
        size = min(NETWORK_WINDOW, len(part))
        if size >= SHORTEST_WINDOW:
            out += [part[s : s + size] for s in range(0, len(part) - size + 1, NETWORK_WINDOW // 2)]
    return out


def window_scores(
    rows: NDArray[np.int64], embeddings: NDArray[np.float32], logits: NDArray[np.float32], scorer: Any
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Log odds (n,) of the temporal head for each window of scored looks, and the windows, see ``windows_of``.

    ``embeddings`` (m, E) and ``logits`` (m,) belong to ``rows`` (m,); no windows where nothing was scored.
    """
    parts = windows_of(rows) if scorer is not None and len(logits) else []
    scores = [float(scorer.windows(embeddings[at][None], logits[at][None])[0]) for at in parts]
    return np.array(scores), parts


def network_windows(measures: FaceMeasures, scorer: Any) -> Windows:
    """The temporal head over windows of scored looks (shorter ones where the clip is short)."""
    t, rows = measures.evidence.t, measures.rows
    scores, parts = window_scores(rows, measures.embeddings, measures.logits, scorer)
    return Windows(
        scores=scores,
        start_s=np.array([t[rows[at[0]]] for at in parts]),
        end_s=np.array([t[rows[at[-1]]] for at in parts]),
    )


def surface_windows(evidence: Evidence, model: Model) -> Windows:
    """The boosted trees over windows of eight looks."""
    features, starts = window_features(evidence.texture)
    if model.surface is None or not len(starts):
        return Windows(scores=np.zeros(0), start_s=np.zeros(0), end_s=np.zeros(0))
    t = evidence.t
    return Windows(
        scores=model.surface.decision_function(features), start_s=t[starts], end_s=t[starts + SURFACE_WINDOW - 1]
    )


EYES_SAY = "The eyes move as made eyes do"
"""Said of the score of all cues of the eyes; the way they are likeliest made and the cue that tells most come after."""
EYE_WAYS = {
    "gaze_frozen": "as if their gaze were frozen",
    "gaze_damped": "as if their gaze were damped",
    "gaze_smooth": "as if their gaze were smoothed",
    "lids_suppressed": "as if their lids were held",
    "blinks_removed": "as if blinks were taken out",
    "eyes_apart": "as if each were moved by itself",
    "eyes_copied": "as if one were a copy of the other",
}
"""Kinds of made motion that are of the eyes alone, and what is said of each."""


def report_face(measures: FaceMeasures, model: Model, *, number: int) -> tuple[FaceReport, list[Reason]]:
    """The report of one face and the reasons for its verdict, strongest first."""
    e = measures.evidence
    learned = {"network": network_windows(measures, model.scorer), "surface": surface_windows(e, model)}
    values: dict[str, float] = {name: w.value for name, w in learned.items()}
    found = {c.name: run_cue(c, e) for c in list_cues()}
    values |= {n: float(f.value) if isinstance(f, Measured) else float("nan") for n, f in found.items()}
    if model.eyes is not None:
        values["eyes"] = float(model.eyes.decision_function(_eye_cues(values, model))[0])
    x = np.array([[values.get(c, np.nan) for c in model.columns]])
    ratios, weights = model.fusion.ratios_.transform(x)[0], model.fusion.coef_
    p = float(model.calibration.probability(model.fusion.decision_function(x)[0])) if np.isfinite(x).any() else None
    limits = out_of_range(e, model)
    verdict = "inconclusive" if p is None or limits else model.calibration.verdict(p)
    at = {c: k for k, c in enumerate(model.columns)}
    cues = {
        name: _cue_result(
            name, values[name], found.get(name), e, model, learned, ratios[at[name]] if name in at else None
        )
        for name in values
    }
    timeline, segments = _timeline(learned, x, at, model)
    reasons = [Reason(cue="limits", text=text) for text in limits]
    for k in np.argsort(-(ratios * weights)):
        name = model.columns[k]
        if (
            len(reasons) >= MOST_REASONS
            or ratios[k] * weights[k] < np.log(TELLING) * 0.5
            or np.exp(ratios[k]) < TELLING
        ):
            break
        if name == "eyes":
            reasons.append(_eyes_reason(values, ratios, at, model, e))
            continue
        reasons.append(_reason(name, values[name], float(model.fusion.ratios_.medians_[k]), learned, e))
    report = FaceReport(
        track=number,
        p_fake=p,
        verdict=verdict,
        iris_px=e.track.iris_px,
        timeline=timeline,
        cues=cues,
        segments=segments,
    )
    return report, reasons


def out_of_range(e: Evidence, model: Model) -> list[str]:
    """Why this face is outside what the detector was fitted on; empty where it is inside."""
    limits, why = model.limits, []
    with np.errstate(all="ignore"):
        boxes = e.track.boxes
        face = float(np.nanmedian(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])))
        yaw = float(np.rad2deg(np.nanmedian(np.abs(e.angles[:, 0])))) if e.seen.any() else float("nan")
    if face < limits.face_px:
        why.append(f"The face is {face:.0f} pixels high; the detector needs {limits.face_px:g}.")
    if e.seconds < limits.seconds:
        why.append(f"The face is in view for {e.seconds:.1f} s; the detector needs {limits.seconds:g} s.")
    if e.fps < limits.fps:
        why.append(f"The clip has {e.fps:.1f} frames a second; the detector needs {limits.fps:g}.")
    if e.brightness < limits.darkest:
        why.append("The face is too dark to judge.")
    if e.brightness > limits.brightest:
        why.append("The face is too bright to judge.")
    if yaw > limits.yaw_deg:
        why.append(
            f"The head is turned away by {yaw:.0f} degrees most of the time; the detector was fitted on faces in view."
        )
    if strangeness(e.texture, model) > limits.strangeness:
        why.append("The face is unlike any footage the detector was fitted on: drawn, animated or heavily filtered.")
    return why


def strangeness(texture: NDArray[np.float32], model: Model) -> float:
    """How many spreads the face's surface is from that of real clips, root mean square over features; 0 where
    unknown."""
    complete = texture[np.isfinite(texture).all((1, 2))]
    if not model.usual or len(complete) < SURFACE_WINDOW:
        return 0.0
    z = (summary(complete) - np.array(model.usual["centre"])) / np.array(model.usual["spread"])
    return float(np.sqrt((z**2).mean()))


def _cue_result(name, value, found, e, model, learned, log_ratio) -> CueResult:
    ratio = float(np.exp(log_ratio)) if log_ratio is not None else None
    if name == "eyes":
        if np.isfinite(value):
            return CueResult(value=value, unit="log odds", likelihood_ratio=ratio, used=ratio is not None)
        why = "no cue of the eyes could be measured"
        return CueResult(value=None, unit="log odds", likelihood_ratio=None, used=False, why_not=why)
    unit = LEARNED[name][1] if name in LEARNED else get_cue(name).unit
    if name in learned:
        windows = learned[name]
        if np.isfinite(value):
            trace = {"t_s": ((windows.start_s + windows.end_s) / 2).tolist(), "log_odds": windows.scores.tolist()}
            return CueResult(value=value, unit=unit, likelihood_ratio=ratio, used=ratio is not None, trace=trace)
        trained = model.scorer is not None if name == "network" else model.surface is not None
        why = "the face is not in view long enough" if trained else "this model has no trained weights for it"
        return CueResult(value=None, unit=unit, likelihood_ratio=None, used=False, why_not=why)
    if not isinstance(found, Measured):
        return CueResult(value=None, unit=unit, likelihood_ratio=None, used=False, why_not=found.why)
    why_not = None if ratio is not None else "this model was fitted without it"
    return CueResult(
        value=value, unit=unit, likelihood_ratio=ratio, used=ratio is not None, why_not=why_not, trace=_trace(found, e)
    )


def _trace(found: Measured, e: Evidence) -> dict[str, list[float]] | None:
    if not found.traces:
        return None
    step = -(-len(e.t) // MOST_TRACE_POINTS)
    out = {"t_s": np.round(e.t[::step], 4).tolist()}
    for name, curve in found.traces.items():
        full = np.full(len(e.t), np.nan)
        full[: len(curve)] = curve[: len(e.t)]
        out[name] = [float(v) for v in np.round(full[::step], 5)]
    return out


def _timeline(learned, x, at, model) -> tuple[dict[str, list[float]], tuple[Segment, ...]]:
    """The score with the learned scores of each moment in place of their means; the cues speak for the whole clip."""
    base = learned["network"] if len(learned["network"].scores) else learned["surface"]
    if not len(base.scores):
        return {"t_s": [], "score": []}, ()
    middles = (base.start_s + base.end_s) / 2
    rows = np.repeat(x, len(middles), 0)
    for name, windows in learned.items():
        if name in at and len(windows.scores):
            centres = (windows.start_s + windows.end_s) / 2
            rows[:, at[name]] = np.interp(middles, centres, windows.scores)
    score = model.calibration.probability(model.fusion.decision_function(rows))
    segments: list[Segment] = []
    for k in np.flatnonzero(score >= model.calibration.threshold_):
        start, end = float(base.start_s[k]), float(base.end_s[k])
        if segments and start <= segments[-1].end_s:
            last = segments.pop()
            start, value = last.start_s, max(last.score, float(score[k]))
        else:
            value = float(score[k])
        best = max(at, key=lambda c: model.fusion.contributions(rows[k : k + 1])[0, at[c]])
        segments.append(Segment(start_s=start, end_s=end, score=value, cue=best))
    return {"t_s": np.round(middles, 3).tolist(), "score": np.round(score, 4).tolist()}, tuple(segments)


def _eyes_reason(values, ratios, at, model: Model, e: Evidence) -> Reason:
    """What the eyes say together, and the cue among them that is least like real eyes."""
    told = max((c.name for c in list_cues("eyes")), key=lambda c: ratios[at[c]] if c in at else -np.inf)
    one = _reason(told, values[told], float(model.fusion.ratios_.medians_[at[told]]), {}, e)
    ways = model.eyes.ways(_eye_cues(values, model)) if model.eyes is not None else {}
    likeliest = EYE_WAYS.get(max(ways, key=lambda way: ways[way][0]), "") if ways else ""
    said = f"{EYES_SAY}, {likeliest}" if likeliest else EYES_SAY
    return replace(one, cue="eyes", text=f"{said}: {one.text[0].lower()}{one.text[1:]}")


def _eye_cues(values: dict[str, float], model: Model) -> NDArray[np.float64]:
    """(1, F) the cues of the eyes that the model knows; it may be older than a cue."""
    return np.array([[values[c.name] for c in list_cues("eyes") if c.name in model.columns]])


def _reason(name: str, value: float, usual: float, learned, e: Evidence) -> Reason:
    if name in learned:
        windows = learned[name]
        best = int(np.argmax(windows.scores))
        return Reason(
            cue=name, text=LEARNED[name][0], start_s=float(windows.start_s[best]), end_s=float(windows.end_s[best])
        )
    one = get_cue(name)
    said = one.low if value < usual else one.high
    text = f"{said[0].upper()}{said[1:]} ({value:.3g} {one.unit}; real clips have {usual:.3g})."
    seen = np.flatnonzero(e.seen)
    return Reason(cue=name, text=text, start_s=float(e.t[seen[0]]), end_s=float(e.t[seen[-1]]))
