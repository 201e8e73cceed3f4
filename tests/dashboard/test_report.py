"""The report is one file that needs nothing else, says what is there and what is missing, and runs nobody's script."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from facewitness.dashboard import ReportClip, Still, demo_report, stills_of, write_report
from facewitness.errors import UnreadableInputError


class Page(HTMLParser):
    """What a browser would see: the tags, their attributes, the text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html(demo_folder: Path) -> str:
    return demo_report(demo_folder, commands=["facewitness dashboard"]).read_text()


def test_a_page_needs_no_other_file(html: str):
    for tag, attributes in Page(html).tags:
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/jpeg;base64,", "#")), (tag, attributes[name][:80])
    assert "http" not in re.sub(r"http-equiv", "", html)


def test_text_from_files_is_inert(html: str, hostile: str):
    page = Page(html)
    assert hostile in "".join(page.text)
    assert sum(tag == "script" and not a.get("type") for tag, a in page.tags) == 1
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert not [a for tag, a in page.tags if tag == "img" and a.get("src") == "x"]


def test_the_policy_lets_only_the_page_s_own_script_run(html: str):
    policy = next(a["content"] for _, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    assert not [a for _, a in Page(html).tags if "style" in a], "a style attribute would be refused by the policy"


def test_verdicts_states_reasons_and_abstentions_are_said(html: str):
    text = " ".join("".join(Page(html).text).split())
    for said in (
        "Manipulated", "Inconclusive", "No evidence of manipulation", "Provenance: trusted", "Provenance: untrusted",
        "Provenance: absent", "AI-generated (a claim)", "0:01.0 – 0:02.4", "abstains", "this cue needs 12",
        "an older take", "sample footage", "0.93",
    ):  # fmt: skip
        assert said in text, said


def test_curves_of_all_three_clips_share_one_axis(html: str):
    first = html[html.index('class="timeline"') : html.index("</svg>", html.index('class="timeline"'))]
    for role in ("target", "driver", "reenactment"):
        assert first.count(f"curve role-{role}") == 6  # score, lids, gaze twice, mouth, head


def test_what_is_missing_is_said_and_not_guessed(tmp_path: Path):
    image = np.zeros((20, 30, 3), np.uint8)
    clip = ReportClip(path=Path("<b>.mp4"), stills=[Still(time_s=0.0, image=image)])
    text = "".join(Page(write_report(tmp_path / "r.html", title="Nothing yet", clips=[clip]).read_text()).text)
    for said in ("Not scanned", "Provenance: not checked", "This clip was not scanned.", "<b>.mp4"):
        assert said in text, said


def test_a_row_that_could_not_be_scored_says_why(tmp_path: Path):
    row = {"path": "a.mp4", "status": "no_face", "error": "No face was found in 40 frames."}
    clip = ReportClip(path=Path("a.mp4"), row=row, audit={"path": "a.mp4", "state": "invalid"})
    text = "".join(Page(write_report(tmp_path / "r.html", title="x", clips=[clip]).read_text()).text)
    assert "No face found" in text and "in 40 frames" in text and "Provenance: invalid" in text


def test_stills_are_the_frames_asked_for(demo_folder: Path):
    stills = stills_of(demo_folder / "target.mp4", [1.0, 3.0])
    assert [round(s.time_s, 3) for s in stills] == [1.0, 3.0]
    bar = [int((s.image[236, :, 0] > 150).sum()) for s in stills]  # the fixture's frame counter
    assert bar == pytest.approx([320 * 26 / 100, 320 * 76 / 100], abs=4)


def test_a_folder_without_a_demo_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(UnreadableInputError, match="run facewitness demo"):
        demo_report(tmp_path)
