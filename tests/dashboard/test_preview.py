"""What the Edit page offers is what the generator can do; what a page asks is read with care."""

from dataclasses import replace

import pytest

from facewitness.dashboard import preview
from facewitness.errors import UsageError
from facewitness.generator.editing import EDITS


def test_every_edit_has_one_row_under_a_group():
    rows = preview.table()
    assert sorted(r["name"] for r in rows) == sorted(e.name for e in EDITS)
    groups = [r["group"] for r in rows]
    assert all(groups[: groups.index(g) + groups.count(g)].count(g) == groups.count(g) for g in groups), "in one piece"
    assert not [r for r in rows if not r["low"] < r["high"] or not r["title"]]


def test_an_edit_that_the_generator_gains_appears_by_itself(monkeypatch):
    new = replace(EDITS[0], name="hair_curled", group="Hair")
    monkeypatch.setattr(preview, "EDITS", (*EDITS, new))
    (row,) = [r for r in preview.table() if r["name"] == "hair_curled"]
    assert (row["group"], row["title"], row["keyed"]) == (
        "Hair", "Hair curled", True,
    )  # fmt: skip
    assert preview.read_settings({"hair_curled": 1}) == {"hair_curled": 1.0}


def test_presets_name_edits_that_there_are(monkeypatch):
    assert "Smile" in preview.presets()
    monkeypatch.setattr(preview, "EDITS", tuple(e for e in EDITS if e.name != "smile"))
    assert "Smile" not in preview.presets()


def test_settings_of_a_page_are_read_with_care():
    read = preview.read_settings
    assert read({"smile": 0, "head_yaw": 3}) == {"head_yaw": 3.0} and read(None) == {} and read([1]) == {}
    assert read({"head_yaw": [[2, 5], [1, 0]]}) == {"head_yaw": [(1.0, 0.0), (2.0, 5.0)]}
    with pytest.raises(UsageError, match="no edit"):
        read({"<script>": 1})
    with pytest.raises(UsageError, match="no numbers"):
        read({"head_yaw": [[0, float("nan")]]})
    for wrong in ({"head_yaw": "x"}, {"head_yaw": [[1]]}, {"head_yaw": [["a", 1]]}):
        with pytest.raises((ValueError, TypeError)):
            read(wrong)
