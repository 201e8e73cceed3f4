"""Timelines as inline SVG: lanes of curves over one time axis, drawn without a library so that a report needs none."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

from facewitness.dashboard.words import seconds

_LEFT, _RIGHT, _LANE_GAP, _AXIS = 142, 12, 14, 22
_MAX_POINTS = 1200


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve: times and values (None or NaN breaks the line); ``role`` picks colour and dash, ``label`` names it."""

    role: str
    label: str
    t_s: ArrayLike
    values: ArrayLike


@dataclass(frozen=True, kw_only=True)
class Band:
    """A stretch of time shaded behind a lane."""

    start_s: float
    end_s: float
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One row of a timeline with its own value axis; without ``low`` and ``high`` the axis fits the values."""

    name: str
    series: Sequence[Series]
    unit: str = ""
    low: float | None = None
    high: float | None = None
    bands: Sequence[Band] = field(default_factory=tuple)
    rule: float | None = None
    """A horizontal line, such as a threshold."""


def _array(values: ArrayLike) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in np.asarray(values, dtype=object).ravel()], dtype=float)


def thin(t: np.ndarray, v: np.ndarray, limit: int = _MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most ``limit`` points that keep the lowest and highest value of every stretch (a blink never disappears)."""
    if len(t) <= limit:
        return t, v
    keep: set[int] = set()
    for stretch in np.array_split(np.arange(len(t)), limit // 3):
        if np.isfinite(v[stretch]).any():
            keep |= {int(stretch[np.nanargmin(v[stretch])]), int(stretch[np.nanargmax(v[stretch])])}
        if not np.isfinite(v[stretch]).all():
            keep.add(int(stretch[np.flatnonzero(~np.isfinite(v[stretch]))[0]]))
    order = np.array(sorted(keep))
    return t[order], v[order]


def value_range(lane: Lane) -> tuple[float, float]:
    """The value axis of a lane: what was asked for, else the values with a little room; never empty."""
    values = np.concatenate([_array(s.values) for s in lane.series] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    low = lane.low if lane.low is not None else float(values.min()) if len(values) else 0.0
    high = lane.high if lane.high is not None else float(values.max()) if len(values) else 1.0
    room = 0.06 * (high - low)
    low, high = (low if lane.low is not None else low - room), (high if lane.high is not None else high + room)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def timeline(
    lanes: Sequence[Lane], duration_s: float, *, width: int = 1080, lane_px: int = 58, title: str = "Timeline"
) -> Markup:
    """An SVG picture of ``lanes`` over 0..``duration_s`` seconds, with what a script needs to read values off it.

    All text is escaped. Classes (``role-driver`` ...) give colours, so that one picture serves light, dark and paper.
    """
    duration_s = max(float(duration_s), 1e-3)
    height = len(lanes) * (lane_px + _LANE_GAP) + _AXIS
    inner = width - _LEFT - _RIGHT

    def x(t: float) -> float:
        return _LEFT + inner * min(max(t / duration_s, 0.0), 1.0)

    parts = [
        f'<svg class="timeline" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'data-left="{_LEFT}" data-inner="{inner}" data-width="{width}" data-duration="{duration_s:.4f}">'
    ]
    parts += _time_axis(duration_s, x, width, height)
    for i, lane in enumerate(lanes):
        parts += _lane(lane, 4 + i * (lane_px + _LANE_GAP), lane_px, x, width)
    parts.append(f'<line class="cursor" x1="0" x2="0" y1="0" y2="{height - _AXIS}"/></svg>')
    parts.append(f'<script type="application/json" class="lanes">{_data(lanes)}</script>')
    return Markup("".join(str(p) for p in parts))  # every text above went through escape()


def spark(t_s: ArrayLike, values: ArrayLike, duration_s: float, *, width: int = 240, height: int = 30) -> Markup:
    """A small curve without axes, for a row of a table; empty where there is nothing to draw."""
    t, v = _array(t_s), _array(values)
    n = min(len(t), len(v))
    t, v = thin(t[:n], v[:n], 240)
    if not np.isfinite(v).any() or duration_s <= 0:
        return Markup("")
    low, high = float(np.nanmin(v)), float(np.nanmax(v))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    d = _path(
        t, v, lambda s: width * min(max(s / duration_s, 0), 1), lambda u: 2 + (height - 4) * (high - u) / (high - low)
    )
    return Markup(
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<path d="{d}"/></svg>'
    )


def balance(ratio: float | None, *, width: int = 64, most: float = 16.0) -> Markup:
    """A bar from the middle for a likelihood ratio: to the right for manipulation, to the left against, by its
    logarithm, full at ``most``; empty where there is none."""
    if ratio is None or not ratio > 0:
        return Markup("")
    middle, reach = width / 2, float(np.clip(np.log(ratio) / np.log(most), -1, 1)) * (width / 2 - 1)
    x, side = (middle, "pro") if reach >= 0 else (middle + reach, "con")
    return Markup(
        f'<svg class="balance" viewBox="0 0 {width} 12" width="{width}" height="12" aria-hidden="true">'
        f'<rect class="{side}" x="{x:.1f}" y="2" width="{max(abs(reach), 0.5):.1f}" height="8" rx="1.5"/>'
        f'<line class="tick" x1="{middle}" x2="{middle}" y1="0" y2="12"/></svg>'
    )


def scale(p: float | None, threshold: float | None = None, *, width: int = 220) -> Markup:
    """A bar from 0 to 1 with a mark at ``p`` and, where known, a tick at ``threshold``."""
    parts = [
        f'<svg class="scale" viewBox="0 0 {width} 16" width="{width}" height="16" aria-hidden="true">',
        f'<rect class="ground" x="0" y="6" width="{width}" height="4" rx="2"/>',
    ]
    if threshold is not None:
        at = width * min(max(threshold, 0), 1)
        parts.append(f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="14"/>')
    if p is not None and p == p:
        at = width * min(max(p, 0), 1)
        parts.append(f'<rect class="fill" x="0" y="6" width="{at:.1f}" height="4" rx="2"/>')
        parts.append(f'<circle class="mark" cx="{min(max(at, 6), width - 6):.1f}" cy="8" r="6"/>')
    return Markup("".join(parts) + "</svg>")


def _path(t: np.ndarray, v: np.ndarray, x: Any, y: Any) -> str:
    steps, pen = [], "M"
    for ti, vi in zip(t, v, strict=True):
        if not (np.isfinite(ti) and np.isfinite(vi)):
            pen = "M"
            continue
        steps.append(f"{pen}{x(ti):.1f} {y(vi):.1f}")
        pen = "L"
    return "".join(steps)


def _step(duration_s: float) -> float:
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800):
        if duration_s / step <= 12:
            return step
    return 3600


def _time_axis(duration_s: float, x: Any, width: int, height: int) -> list[str]:
    parts, step = [], _step(duration_s)
    for i in range(int(duration_s / step + 1e-6) + 1):
        at = x(i * step)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height - _AXIS}"/>')
        anchor = "end" if at > _LEFT + (x(duration_s) - _LEFT) * 0.985 else "middle"
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{height - 6}" text-anchor="{anchor}">{seconds(i * step)}</text>'
        )
    return parts


def _lane(lane: Lane, top: float, lane_px: int, x: Any, width: int) -> list[str]:
    low, high = value_range(lane)

    def y(value: float) -> float:
        return top + lane_px * (1 - min(max((value - low) / (high - low), 0), 1))

    middle = top + lane_px / 2
    parts = [
        f'<g class="lane"><text class="name" x="0" y="{middle - 2:.0f}">{escape(lane.name)}</text>',
        f'<text class="unit" x="0" y="{middle + 12:.0f}">{escape(lane.unit)}</text>',
        f'<text class="tick" x="{_LEFT - 6}" y="{top + 9:.0f}" text-anchor="end">{high:.2g}</text>',
        f'<text class="tick" x="{_LEFT - 6}" y="{top + lane_px:.0f}" text-anchor="end">{low:.2g}</text>',
        f'<rect class="lane-ground" x="{_LEFT}" y="{top}" width="{width - _LEFT - _RIGHT}" height="{lane_px}"/>',
    ]
    for band in lane.bands:
        x0, x1 = x(band.start_s), x(band.end_s)
        parts.append(
            f'<rect class="band" x="{x0:.1f}" y="{top}" width="{max(x1 - x0, 1.5):.1f}" height="{lane_px}">'
            f"<title>{escape(band.label)}</title></rect>"
        )
    if lane.rule is not None:
        parts.append(
            f'<line class="rule" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y(lane.rule):.1f}" y2="{y(lane.rule):.1f}"/>'
        )
    for s in sorted(lane.series, key=lambda s: s.role == "driver"):  # dashed: over the line that it may coincide with
        t, v = _array(s.t_s), _array(s.values)
        n = min(len(t), len(v))
        d = _path(*thin(t[:n], v[:n]), x, y)
        parts.append(f'<path class="curve role-{escape(_css(s.role))}" d="{d}"><title>{escape(s.label)}</title></path>')
    parts.append("</g>")
    return parts


def _css(role: str) -> str:
    return role if role in {"target", "driver", "reenactment", "compare"} else "plain"


def lane_data(lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """Lanes as plain values for a script: name, unit, low, high, rule, bands; per series label, role, ``t``, ``v``."""
    out = []
    for lane in lanes:
        low, high = value_range(lane)
        out.append(
            {
                "name": lane.name,
                "unit": lane.unit,
                "low": low,
                "high": high,
                "rule": lane.rule,
                "bands": [{"start_s": b.start_s, "end_s": b.end_s} for b in lane.bands],
                "series": [_series_data(s) for s in lane.series],
            }
        )
    return out


def _series_data(series: Series) -> dict[str, Any]:
    t, v = _array(series.t_s), _array(series.values)
    n = min(len(t), len(v))
    t, v = thin(t[:n], v[:n])
    return {
        "label": series.label,
        "role": _css(series.role),
        "t": [round(float(a), 3) for a in t],
        "v": [round(float(a), 4) if np.isfinite(a) else None for a in v],
    }


def _data(lanes: Sequence[Lane]) -> str:
    # a data block ends at the first "</", and "<!--" opens a comment inside scripts: neither may appear
    text = json.dumps(lane_data(lanes), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
