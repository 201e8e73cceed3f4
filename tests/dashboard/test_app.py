"""The dashboard in a real browser: pages open, players play in step, a click seeks, nobody's text runs."""

import json
import urllib.error
import urllib.request

import pytest

from facewitness.dashboard import words

pytestmark = pytest.mark.browser

PAGES = ("", "scan", "scan?clip=3", "provenance", "edit", "benchmark")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_without_a_complaint_and_asks_nobody_else(visit, path: str):
    page = visit.open(path)
    assert page.locator(".stException").count() == 0
    assert visit.complaints == []
    assert {h.split(":")[0] for h in visit.hosts} <= {"localhost", "data", "blob"}


def test_players_play_in_step(visit):
    page = visit.open(wait=".fw")
    players = visit.playing()
    players.focus()
    page.keyboard.press("Space")
    apart, seen = [], []
    for _ in range(6):
        page.wait_for_timeout(250)
        times = visit.times()
        apart.append(max(times) - min(times))
        seen.append(times[0])
    page.keyboard.press("k")
    assert len(times) == 3
    assert seen[-1] > seen[0] > 0, "playback advances"
    assert sorted(apart)[len(apart) // 2] < 1 / 25, f"within one frame of each other: {apart}"
    page.wait_for_timeout(300)
    still = visit.times()
    assert max(still) - min(still) < 0.002, "once paused, all show the same moment"


def test_a_click_on_the_curves_seeks(visit):
    page = visit.open(wait=".fw")
    visit.playing()
    lanes = page.locator(".lanes")
    lanes.scroll_into_view_if_needed()
    box = lanes.bounding_box()
    left, inner = 132, box["width"] - 132 - 118  # the gutters that player.js keeps for names and values
    page.mouse.click(box["x"] + left + inner * 0.75, box["y"] + 60)
    visit.settled(3.0)


def test_keys_step_by_frame_and_reasons_seek(visit):
    page = visit.open(wait=".fw")
    players = visit.playing()
    players.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    visit.settled(5.5 / 25)
    page.keyboard.press("ArrowLeft")
    visit.settled(4.5 / 25)
    page.locator(".reasons .when").first.click()
    visit.settled(1.0)


def test_text_from_a_row_and_a_manifest_stays_text(visit, hostile: str):
    page = visit.open()
    page.get_by_text("Provenance", exact=True).nth(2).click()
    assert page.get_by_text(hostile).count() >= 1
    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0


def test_a_verified_upload_shows_its_hostile_title_as_text(visit, signed_clip):
    page = visit.open("provenance")
    visit.upload(signed_clip)
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("<script>document.title").first.wait_for()
    assert page.get_by_text("\\u202e").count() >= 1, "a mark that turns the direction of text is written out"
    assert page.title() != "owned" and visit.complaints == []


def test_a_decision_is_kept_with_its_author(visit):
    page = visit.open("scan?clip=2")
    page.get_by_text("Escalate", exact=True).click()
    page.get_by_placeholder("Why, in a sentence").fill("<b>looks</b> odd")
    page.get_by_placeholder("Who decides").fill("R. Reader")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("<b>looks</b> odd").wait_for()
    assert page.get_by_text("R. Reader").count() >= 1


def test_the_evidence_pack_can_be_taken_away(visit):
    page = visit.open("scan?clip=3")
    page.get_by_role("button", name="Prepare the evidence pack").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download evidence.zip").click()
    assert waiting.value.suggested_filename == "evidence-3.zip"


def test_only_what_a_page_asked_for_is_served(visit, dashboard_url: str):
    page = visit.open(wait=".fw")
    visit.playing()
    address = page.locator("video").first.evaluate("(video) => video.src")
    request = urllib.request.Request(address, headers={"Range": "bytes=10-19"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 206 and len(answer.read()) == 10
    for path in ("/facewitness/file/0123", "/facewitness/file/..%2f..%2fetc%2fpasswd", "/facewitness/bytes/0123"):
        with pytest.raises(urllib.error.HTTPError, match=r"40[04]"):
            urllib.request.urlopen(dashboard_url + path)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(dashboard_url, headers={"Host": "elsewhere.example"}))
    config = json.loads(urllib.request.urlopen(f"{dashboard_url}/_stcore/host-config").read())
    assert not config.get("useExternalAuthToken")


def test_an_upload_yields_a_verdict(visit, demo_folder):
    page = visit.open("scan")
    visit.upload(demo_folder / "driver.mp4")
    page.get_by_role("button", name="Scan", exact=True).click()
    page.get_by_text("1 scanned").wait_for()
    line = page.get_by_test_id("stText").first.inner_text()
    assert "driver.mp4" in line
    assert any(word.name in line for word in (*words.VERDICTS.values(), *words.STATUSES.values())), line
    assert visit.complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_with_nothing_there_a_page_says_what_to_do(browser, path: str, empty_dashboard):
    folder, visit = empty_dashboard(browser)
    page = visit.open(path)
    assert page.locator(".stException").count() == 0 and visit.complaints == []
    assert page.get_by_text("facewitness", exact=False).count() >= 1
    assert not folder.exists() or not any(folder.iterdir()), "looking writes nothing"
