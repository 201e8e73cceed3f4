"""Signed reports to take away: a scan's row or an audit as a signed sheet that any browser shows and anybody checks."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewitness.files import to_json


def signed_sheet(row: Mapping[str, Any], clip: Path) -> bytes:
    """The sheet (SVG) of a row on ``clip``, signed by this installation, as ``facewitness sign REPORT.json`` makes it.

    Raises UsageError where ``clip`` is another file than the one the row speaks of, or is gone.
    """
    from facewitness.provenance.reports import sign_report

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        report.write_text(to_json(dict(row), indent=1), encoding="utf-8")
        return sign_report(report, Path(folder) / "report.svg", clip=clip).path.read_bytes()
