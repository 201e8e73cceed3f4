"""A clip's evidence on paper: verdict, reasons, cues, provenance, decisions, curves and stills."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from facewitness import __version__
from facewitness.dashboard import lanes, words
from facewitness.dashboard.clips import ReportClip
from facewitness.dashboard.palette import PAPER
from facewitness.files import plain

A4 = (8.27, 11.69)
LINE = 0.0165
WIDTH = 104
LANES = 8


def evidence_pdf(clip: ReportClip, *, reviews: Sequence[Mapping[str, Any]] = (), at: datetime | None = None) -> bytes:
    """The PDF as bytes: pages of text, one of curves, then stills four to a page. All text is set as plain text."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    at = at or datetime.now(UTC)
    out = io.BytesIO()
    with PdfPages(
        out, metadata={"Title": "Evidence on one clip", "Creator": f"facewitness {__version__}", "CreationDate": at}
    ) as pdf:
        for page in _pages(_text(clip, reviews, at)):
            figure = Figure(figsize=A4)
            for n, (line, weight) in enumerate(page):
                figure.text(
                    0.09, 0.94 - n * LINE, line, fontsize=9, fontweight=weight, parse_math=False, family="DejaVu Sans"
                )
            pdf.savefig(figure)
        if (curves := lanes.clip_lanes([clip])) != []:
            pdf.savefig(_curves(Figure(figsize=A4), curves))
        for i in range(0, len(clip.stills), 6):
            figure = Figure(figsize=A4)
            for k, still in enumerate(clip.stills[i : i + 6]):
                axes = figure.add_axes((0.09 + 0.43 * (k % 2), 0.66 - 0.3 * (k // 2), 0.4, 0.26))
                axes.imshow(still.image)
                axes.set_axis_off()
                axes.set_title(words.seconds(still.time_s), fontsize=9, loc="left")
            pdf.savefig(figure)
    return out.getvalue()


def _curves(figure: Any, found: Sequence[Any]) -> Any:
    from facewitness.dashboard.charts import value_range

    axes = figure.subplots(max(len(found), LANES), 1, sharex=True, squeeze=False)[:, 0]
    for ax in axes[len(found) :]:
        ax.set_axis_off()
    axes = axes[: len(found)]
    for ax, lane in zip(axes, found, strict=True):
        for band in lane.bands:
            ax.axvspan(band.start_s, band.end_s, color=PAPER["manipulated"], alpha=0.15, lw=0)
        for s in lane.series:
            values = [np.nan if v is None else v for v in s.values]
            ax.plot(s.t_s, values, lw=0.9, color=PAPER["plain"])
        ax.set_ylim(value_range(lane))
        ax.set_title(f"{lane.name} ({lane.unit})" if lane.unit else lane.name, fontsize=8, loc="left", parse_math=False)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].tick_params(labelbottom=True)
    axes[-1].set_xlabel("seconds", fontsize=8)
    figure.subplots_adjust(left=0.09, right=0.94, top=0.95, bottom=0.06, hspace=0.6)
    return figure


def _text(clip: ReportClip, reviews: Sequence[Mapping[str, Any]], at: datetime) -> list[tuple[str, str]]:
    row, audit = plain(clip.row) or {}, plain(clip.audit) or {}
    verdict, p = words.verdict_word(row), row.get("p_fake")
    lines = [
        (f"Evidence on {clip.path.name}", "bold"),
        (f"facewitness {__version__}, {at:%Y-%m-%d %H:%M} UTC", "normal"),
        ("", "normal"),
    ]
    lines += [
        (f"{verdict.name}{f', score {p:.2f}' if isinstance(p, int | float) else ''}", "bold"),
        (verdict.meaning, "normal"),
    ]
    facts = ("sha256", "duration_s", "fps", "width", "height", "scanned_at", "error")
    lines += [(f"{k}: {row[k]}", "normal") for k in facts if row.get(k) is not None]
    model = row.get("model") or {}
    lines += [(f"model: {model.get('id')} {model.get('sha256') or ''}", "normal"), ("", "normal"), ("Reasons", "bold")]
    for r in row.get("reasons") or [{"text": "none given"}]:
        when = (
            f"{words.seconds(r.get('start_s'))} – {words.seconds(r.get('end_s'))}  "
            if r.get("start_s") is not None
            else ""
        )
        lines.append((f"{when}{r['text']}", "normal"))
    for face in row.get("faces") or []:
        lines += [("", "normal"), (f"Cues of face {face.get('track', 0)}", "bold")]
        for key, cue in (face.get("cues") or {}).items():
            said = (
                words.likelihood(cue.get("likelihood_ratio"))
                if cue.get("used")
                else f"abstains: {cue.get('why_not') or ''}"
            )
            lines.append(
                (f"{words.cue_name(key)}: {words.number(cue.get('value'))} {cue.get('unit') or ''}, {said}", "normal")
            )
    lines += [("", "normal"), ("Provenance", "bold")]
    state = words.word(words.STATES, audit.get("state"))
    lines.append((f"{state.name}. {state.meaning}" if audit else "The manifest was not checked.", "normal"))
    lines += [(f"{k}: {v}", "normal") for k, v in (audit.get("signer") or {}).items() if isinstance(v, str)]
    lines += [("", "normal"), ("Decisions", "bold")]
    lines += [(f"{r['at']}  {r['author']}: {r['decision']}. {r['note']}", "normal") for r in reviews] or [
        ("none", "normal")
    ]
    return lines


def _pages(lines: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    flat = []
    for text, weight in lines:
        clean = "".join(c if c.isprintable() else " " for c in text)
        flat += [(piece, weight) for piece in textwrap.wrap(clean, WIDTH) or [""]]
    per_page = int(0.88 / LINE)
    return [flat[i : i + per_page] for i in range(0, len(flat), per_page)]
