"""The evidence pack holds what was found, where it came from and what was decided, and is readable without us."""

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facewitness.dashboard.clips import ReportClip
from facewitness.dashboard.evidence import evidence_pack, moments

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def pack(demo_folder: Path) -> zipfile.ZipFile:
    demo = json.loads((demo_folder / "demo.json").read_text())
    clip = ReportClip(path=demo_folder / "reenactment.mp4", row=demo["rows"][2], audit=demo["audits"][2])
    reviews = [{"decision": "confirm", "note": "$x_1$ odd", "author": "R. Reader", "at": "2026-01-02"}]
    return zipfile.ZipFile(io.BytesIO(evidence_pack(clip, reviews=reviews, at=AT)))


def test_everything_is_in_it_and_whole(pack: zipfile.ZipFile):
    assert pack.testzip() is None
    assert {"README.txt", "result.json", "audit.json", "reviews.json", "report.html", "report.pdf"} <= set(
        pack.namelist()
    )
    assert json.loads(pack.read("result.json"))["verdict"] == "manipulated"
    assert json.loads(pack.read("audit.json"))["state"] == "trusted"
    assert json.loads(pack.read("reviews.json"))[0]["author"] == "R. Reader"
    assert pack.read("report.pdf").startswith(b"%PDF-")


def test_stills_are_of_the_moments_the_reasons_speak_of(pack: zipfile.ZipFile):
    stills = [n for n in pack.namelist() if n.startswith("stills/")]
    assert stills == ["stills/0001.720.png"]  # the first frame at or after 1.7 s, the middle of 1.0 to 2.4 s
    assert pack.read(stills[0]).startswith(b"\x89PNG")


def test_a_clip_that_is_gone_still_has_its_findings(demo_folder: Path):
    demo = json.loads((demo_folder / "demo.json").read_text())
    clip = ReportClip(path=Path("gone.mp4"), row=demo["rows"][0])
    with zipfile.ZipFile(io.BytesIO(evidence_pack(clip, at=AT))) as z:
        assert "report.pdf" in z.namelist() and not [n for n in z.namelist() if n.startswith("stills/")]


def test_moments_are_few_and_fall_back_to_even_ones():
    assert moments({"duration_s": 6.0}) == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    spans = [{"start_s": i, "end_s": i + 1} for i in range(40)]
    assert len(moments({"faces": [{"segments": spans}]})) <= 12
