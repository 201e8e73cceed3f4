"""Which curves are drawn over time, for reports and screens alike: score, lids, gaze, mouth, head."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from facewitness.dashboard import charts, words
from facewitness.dashboard.clips import ReportClip
from facewitness.dashboard.traces import Traces
from facewitness.files import plain

SCORE_UNIT = "0 real – 1 fake"


def score_lane(
    times: Mapping[str, Any], segments: Sequence[Mapping[str, Any]], *, role: str, label: str
) -> charts.Lane:
    """The lane of a face's score, with its suspicious segments shaded."""
    bands = [
        charts.Band(
            start_s=s["start_s"],
            end_s=s["end_s"],
            label=f"{words.cue_name(s['cue'])}, {words.seconds(s['start_s'])} to {words.seconds(s['end_s'])}",
        )
        for s in segments
    ]
    series = [charts.Series(role=role, label=label, t_s=times["t_s"], values=times["score"])]
    return charts.Lane(name="Score", unit=SCORE_UNIT, series=series, low=0, high=1, bands=bands)


def trace_lanes(traces: Mapping[str, Traces]) -> list[charts.Lane]:
    """Lanes of lids, gaze, mouth and head of several clips over one axis; a quantity nobody has is left out."""
    wanted = (
        ("Eyes closed", "0 open – 1 closed", lambda t: t.lids.mean(axis=1), 0.0, 1.0),
        ("Gaze, sideways", "degrees, + right", lambda t: t.gaze_yaw_deg, None, None),
        ("Gaze, up-down", "degrees, + down", lambda t: t.gaze_pitch_deg, None, None),
        ("Mouth open", "of eye distance", lambda t: t.mouth, 0.0, None),
        ("Head turn", "degrees, + right", lambda t: t.head_yaw_deg, None, None),
    )
    lanes = []
    for name, unit, pick, low, high in wanted:
        series = [
            charts.Series(role=role, label=words.word(words.ROLES, role).name, t_s=t.t_s, values=pick(t))
            for role, t in traces.items()
            if np.isfinite(pick(t)).any()
        ]
        if series:
            lanes.append(charts.Lane(name=name, unit=unit, series=series, low=low, high=high))
    return lanes


def clip_lanes(clips: Sequence[ReportClip]) -> list[charts.Lane]:
    """All lanes of several clips over one axis: the score of each clip's first face, then what the faces did.

    The suspicious segments of the reenactment (or of the only clip) are shaded in the lane of the score.
    """
    scores: list[charts.Series] = []
    bands: list[charts.Band] = []
    for clip in clips:
        face = next(iter((plain(clip.row) or {}).get("faces") or []), None)
        if face and (face.get("timeline") or {}).get("t_s"):
            name = words.word(words.ROLES, clip.role).name
            lane = score_lane(face["timeline"], face.get("segments") or [], role=clip.role, label=name)
            scores += lane.series
            bands += lane.bands if clip.role == "reenactment" or len(clips) == 1 else []
    lanes = trace_lanes({c.role: c.traces for c in clips if c.traces is not None})
    if scores:
        lanes.insert(0, charts.Lane(name="Score", unit=SCORE_UNIT, series=scores, low=0, high=1, bands=bands))
    return lanes


def together(clips: Sequence[ReportClip], durations_s: Sequence[float]) -> Markup | str:
    """The lanes of several clips as one SVG timeline; empty where there is nothing to draw."""
    lanes = clip_lanes(clips)
    if not lanes:
        return ""
    return charts.timeline(lanes, max(durations_s), title="Driver, target and result over one time axis")
