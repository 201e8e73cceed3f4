"""The Edit page in a real browser: the picture follows a slider, keys move over time, what is saved is labelled."""

import json
import re

import pytest

pytestmark = pytest.mark.browser
KEY = re.compile(r"^Key at \d")


@pytest.fixture
def editing(visit, actor_folder):
    """The page with its first picture; everything by what a person sees or a keyboard reaches."""
    page = visit.open("edit", wait=".ed[data-shown]")
    return Editing(visit, page)


class Editing:
    def __init__(self, visit, page):
        self.visit, self.page = visit, page
        self.root = page.locator(".ed")
        self.before, self.after = page.locator("img.before"), page.locator("img.after")
        self.shown = self.after.get_attribute("src")

    def changed(self) -> str:
        """What the picture shows once it shows something else."""
        self.visit.changed(self.after, self.shown)
        self.shown = self.after.get_attribute("src")
        return self.shown

    def slide(self, name: str, to: float) -> None:
        """Move a slider as a hand does: to a value, telling the page on the way."""
        self.page.get_by_role("slider", name=name).evaluate(
            "(s, v) => { s.value = v; s.dispatchEvent(new Event('input', { bubbles: true })); }", to
        )

    def settings(self) -> dict:
        """What the picture on the page was made with."""
        return json.loads(self.root.get_attribute("data-shown"))[1]


def test_a_slider_changes_the_picture_and_undo_brings_it_back(editing):
    page, as_it_is = editing.page, editing.shown
    assert as_it_is == editing.before.get_attribute("src"), "all at zero changes nothing"
    editing.slide("Close left eye", 1.0)
    closed = editing.changed()
    page.get_by_role("slider", name="Close right eye").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    editing.visit._until(lambda: editing.settings().get("close_right_eye", 0) == pytest.approx(0.5))
    assert editing.after.get_attribute("src") not in (closed, as_it_is)
    assert editing.before.get_attribute("src") == as_it_is
    page.wait_for_timeout(400)  # the slider rests, and has its place in the history
    page.get_by_role("button", name="Undo").click()
    editing.visit.becomes(editing.after, closed)
    page.keyboard.press("Control+z")
    editing.visit.becomes(editing.after, as_it_is)
    page.get_by_role("button", name="Redo").click()
    editing.visit.becomes(editing.after, closed)
    page.get_by_role("button", name="Reset", exact=True).click()
    editing.visit.becomes(editing.after, as_it_is)
    assert page.locator(".stException").count() == 0 and editing.visit.complaints == []


def test_every_edit_of_the_generator_has_its_slider(editing):
    from facewitness.generator.editing import EDITS

    seen = 0
    for tab in editing.page.get_by_role("tab").all():
        tab.click()
        seen += editing.page.locator(".sliders input[type=range]").count()
    assert seen == len(EDITS)


def test_keys_move_an_edit_over_time(editing):
    page = editing.page
    page.get_by_role("tab", name="Head").click()
    page.get_by_role("button", name="Key this slider at this moment: head_yaw").click()
    moment = page.get_by_role("slider", name="Moment")
    first = float(moment.input_value())
    moment.evaluate("(m) => { m.value = 3; m.dispatchEvent(new Event('input', { bubbles: true })); }")
    editing.slide("Turn, degrees", 8)
    page.get_by_role("button", name=KEY).nth(1).wait_for()
    assert page.get_by_role("button", name=KEY).count() == 2
    moment.evaluate(
        f"(m) => {{ m.value = {(first + 3) / 2}; m.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
    )
    turn = page.get_by_role("slider", name="Turn, degrees")
    editing.visit._until(lambda: 3 < float(turn.input_value()) < 5)
    page.get_by_role("button", name=KEY).first.click()
    editing.visit._until(lambda: float(turn.input_value()) == 0)
    editing.visit._until(lambda: len(editing.settings()["head_yaw"]) == 2)


def test_a_preset_sets_its_sliders_and_the_wipe_shows_both(editing):
    page = editing.page
    page.get_by_label("Preset").select_option("Smile")
    editing.changed()
    assert editing.settings() == {"smile": 0.8}
    assert page.get_by_role("slider", name="Smile, strength").input_value() == "0.8"
    page.get_by_role("button", name="wipe").click()
    assert page.locator("img.over").is_visible() and not editing.before.is_visible()
    assert "50%" in page.locator("img.over").evaluate("(i) => i.style.clipPath")


def test_a_saved_edit_is_labelled_and_signed(editing, demo_folder):
    page = editing.page
    page.get_by_label("Preset").select_option("Turn the head")
    editing.changed()
    page.get_by_role("slider", name="Length").focus()
    page.keyboard.press("Home")
    page.get_by_role("textbox", name="Name").fill("../a <b>turn</b>")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Save video").click()
    page.get_by_role("button", name="Download").wait_for()
    (made,) = (demo_folder / "edits").glob("*.mp4")
    label = json.loads(made.with_name(made.name + ".label.json").read_text())
    assert label.get("label", label)["edits"] == {"head_yaw": 8.0}
    assert page.get_by_text("AI-edited").count() >= 1
    assert editing.visit.complaints == []


def test_a_question_without_sense_is_answered_with_a_sentence(editing):
    page = editing.page
    said = page.evaluate(
        """async () => {
             const names = performance.getEntriesByType('resource').map((e) => e.name);
             const url = names.find((n) => n.includes('/ask/'));
             const ask = async (body) => {
               const answer = await fetch(url, { method: 'POST', body });
               return [answer.status, await answer.text()];
             };
             const questions = ['no', '{"t": 1, "settings": {"<b>": 1}}', '{}', '[' + ' '.repeat(70000) + ']'];
             return await Promise.all(questions.map(ask));
           }"""
    )
    assert [status for status, _ in said] == [400, 422, 422, 413]
    assert "there is no edit" in said[1][1]
