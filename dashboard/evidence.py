"""One clip's evidence as one ZIP: what was found, where it came from, what was decided, and pictures of it."""

import contextlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewitness import __version__
from facewitness.dashboard import words
from facewitness.dashboard.clips import ReportClip, Still, stills_of
from facewitness.dashboard.pdf import evidence_pdf
from facewitness.dashboard.report import write_report
from facewitness.errors import UnreadableInputError
from facewitness.files import plain, sha256_file

MOST_STILLS = 12
README = """Evidence on one clip, made by facewitness {version} at {at}.

result.json     the verdict with every cue, trace, segment and reason (facewitness.scan/1)
audit.json      what the file's manifest says and how it was checked (facewitness.verify/1), where it was
reviews.json    what people decided, who and when
report.html     all of it as one page that needs nothing else
report.pdf      the same on paper, shorter
stills/         frames at the moments the reasons speak of, lossless; the time in seconds is in the name

The clip itself is not in here; result.json names it by its SHA-256. A verdict of "no evidence" proves nothing.
"""


def evidence_pack(clip: ReportClip, *, reviews: Sequence[Mapping[str, Any]] = (), at: datetime | None = None) -> bytes:
    """The ZIP as bytes; without stills where the clip's file is gone. ``at`` is now where not given."""
    import tempfile

    at = at or datetime.now(UTC)
    row, audit = plain(clip.row) or {}, plain(clip.audit)
    stills = stills_of(clip.path, moments(row)) if clip.path.is_file() else []
    whole = replace(clip, stills=stills)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z, tempfile.TemporaryDirectory() as folder:

        def add(name: str, data: str | bytes) -> None:
            info = zipfile.ZipInfo(name, at.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, data)

        add("README.txt", README.format(version=__version__, at=f"{at:%Y-%m-%d %H:%M} UTC"))
        add("result.json", json.dumps(row, indent=1))
        if audit:
            add("audit.json", json.dumps(audit, indent=1))
        add("reviews.json", json.dumps(plain(list(reviews)), indent=1))
        page = write_report(
            Path(folder) / "report.html", title=f"Evidence: {clip.path.name}", clips=[whole], made_at=at
        )
        add("report.html", page.read_bytes())
        add("report.pdf", evidence_pdf(whole, reviews=reviews, at=at))
        for still in stills:
            add(f"stills/{still.time_s:08.3f}.png", _png(still))
    return out.getvalue()


def evidence_page(row: Mapping[str, Any], out_html: Path) -> Path:
    """Write one result of a scan as a page, with frames at the moments it speaks of where the clip is still there, and
    still the same."""
    path, stills = Path(str(row["path"])), []
    if row.get("status") == "ok" and path.is_file() and sha256_file(path) == row["sha256"]:
        with contextlib.suppress(UnreadableInputError):
            stills = stills_of(path, moments(row))
    clip = ReportClip(path=path, row=row, audit=row.get("provenance"), stills=stills)
    return write_report(out_html, title=f"Evidence: {path.name}", clips=[clip])


def stills_pack(stills: Sequence[Still]) -> bytes:
    """Frames as a ZIP of PNGs named by their second."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for still in stills:
            z.writestr(f"{still.time_s:08.3f}.png", _png(still))
    return out.getvalue()


def moments(row: Mapping[str, Any]) -> list[float]:
    """Times worth a picture: the middle of every suspicious segment and reason, else evenly spread ones; at most 12."""
    spans = [(s["start_s"], s["end_s"]) for f in row.get("faces") or [] for s in f.get("segments") or []]
    spans += [
        (r["start_s"], r.get("end_s") or r["start_s"]) for r in row.get("reasons") or [] if r.get("start_s") is not None
    ]
    times = sorted({round((a + b) / 2, 2) for a, b in spans})
    if not times:
        duration = row.get("duration_s") or 1.0
        times = [round(duration * (i + 0.5) / 6, 2) for i in range(6)]
    step = max(1, -(-len(times) // MOST_STILLS))
    return times[::step]


def _png(still: Still) -> bytes:
    done, data = cv2.imencode(".png", np.ascontiguousarray(still.image[..., ::-1]))
    return data.tobytes() if done else b""


def verdict_line(row: Mapping[str, Any]) -> str:
    """The verdict in one line, with the score where there is one."""
    p = row.get("p_fake")
    return words.verdict_word(row).name + (f" (score {p:.2f})" if isinstance(p, int | float) else "")
