"""The self-contained page of what was made, proved and found: stills, timelines, verdicts, manifests, reasons."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from facewitness import __version__
from facewitness.dashboard import lanes, palette, views, words
from facewitness.dashboard.clips import ROLES, STILLS, ReportClip, demo_clip, read_demo
from facewitness.errors import UnreadableInputError
from facewitness.files import write_text

ACTOR_KEYS = (
    "name",
    "rights",
    "made_by",
    "source",
    "frames",
    "size",
    "preset",
    "minutes",
    "device",
    "poses",
    "held_out",
    "training",
    "notes",
)
BLINKS, SHUT = 2, 0.7
"""How many stills show a blink, and from which closure of the lids."""
INTRO = (
    "One person's face, driven by another's performance; labelled, signed, then looked at as if its origin were "
    "unknown. Target and driver are shown beside it."
)


def write_report(
    out_html: Path,
    *,
    title: str,
    clips: Sequence[ReportClip],
    intro: str = "",
    actor: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    made_at: datetime | None = None,
) -> Path:
    """Write one HTML page about ``clips`` that needs nothing else: no network, no other file; returns ``out_html``.

    ``actor`` is the card of the trained person (any mapping), ``commands`` are shown as what to run next,
    ``made_at`` is now where not given. Every text from outside is escaped, and the page's own Content-Security-Policy
    allows only its one script. Light, dark and print follow the reader's settings.
    Raises UsageError where the folder cannot be made.
    """
    environment = views.environment()
    style = palette.page_css() + views.asset("parts.css") + views.asset("report.css")
    script = views.asset("report.js")
    shown = [views.clip_view(clip) for clip in clips]
    page = environment.get_template("report.html").render(
        title=title,
        intro=intro,
        clips=shown,
        strip=_strip(shown),
        same_moments=len({tuple(round(s["time_s"], 1) for s in v["stills"]) for v in shown if v["stills"]}) == 1,
        together=lanes.together(clips, [view["duration_s"] for view in shown]),
        actor=views.card(actor),
        commands=list(commands),
        made_at=(made_at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        verdicts=list(words.VERDICTS.values()),
        states=[words.STATES[s] for s in ("trusted", "untrusted", "invalid", "absent")],
    )
    write_text(out_html, page)
    return out_html


def demo_report(folder: Path, *, commands: Sequence[str] = ()) -> Path:
    """Write ``folder/report.html`` from the ``demo.json`` that ``facewitness demo`` leaves there; returns its path.

    The keys of demo.json: ``target``, ``driver``, ``reenactment`` (paths, relative to the folder or absolute),
    ``rows`` and ``audits`` (lists of scan and verify rows, matched to clips by file name), ``actor`` (a card or a
    path), ``traces`` (path of an npz of save_traces, keyed by role; may be missing). Raises UnreadableInputError where
    it is not there or broken.
    """
    demo = read_demo(folder)
    clips = [c for role in ROLES if (c := demo_clip(folder, demo, role, stills_s=_moments(folder, demo))) is not None]
    if not clips:
        raise UnreadableInputError(f"{folder / 'demo.json'} names no clip that is there; run facewitness demo again.")
    return write_report(
        folder / "report.html",
        title="A reenactment, its proof and its detection",
        clips=clips,
        intro=str(demo.get("intro") or INTRO),
        actor={k: v for k, v in demo["actor"].items() if k in ACTOR_KEYS}
        if isinstance(demo.get("actor"), dict)
        else None,
        commands=commands,
    )


def _moments(folder: Path, demo: Mapping[str, Any]) -> list[float]:
    """Times that all clips of a demo have, evenly spread; in two of them a blink of the reenactment instead."""
    from facewitness.media import probe

    paths = [folder / str(demo[role]) for role in ROLES if demo.get(role) and (folder / str(demo[role])).is_file()]
    length = min((probe(p).duration_s for p in paths), default=0.0)
    times = [length * (i + 0.5) / STILLS for i in range(STILLS)]
    blinks = demo_clip(folder, demo, "reenactment")
    if blinks is None or blinks.traces is None:
        return times
    t, closed = blinks.traces.t_s, blinks.traces.lids.mean(axis=1)
    moved = 0
    for i, (start, end) in enumerate((length * k / STILLS, length * (k + 1) / STILLS) for k in range(STILLS)):
        inside = (t >= start) & (t < end) & np.isfinite(closed)
        if moved < BLINKS and inside.any() and closed[inside].max() > SHUT:
            times[i] = float(t[inside][closed[inside].argmax()])
            moved += 1
    return times


def _policy(style: str, script: str) -> str:
    def pin(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; img-src data:; style-src {pin(style)}; script-src {pin(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _strip(shown: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = {"driver": 0, "reenactment": 1, "target": 2}
    return sorted((v for v in shown if v["stills"]), key=lambda v: order.get(v["role"], 3))
