"""Edits change what they name, and nothing when they are zero."""

import numpy as np
import pytest

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.editing import EDITS, PRESSED, apply_edits, edit, edited_frames, parse_settings
from facewitness.generator.metrics import psnr
from facewitness.generator.reconstruct.model import pick
from facewitness.generator.shapes import shapes_of


@pytest.fixture(scope="module")
def own(actor):
    return pick(actor.performance, np.arange(10, 22))


def rendered(actor, own, settings):
    return list(edited_frames(actor, own, settings, engine="torch")[0])


def test_all_edits_at_zero_give_the_footage_back(actor, own):
    stored = actor.full_frames()
    frames = rendered(actor, own, {e.name: 0.0 for e in EDITS})
    assert min(psnr(f, stored[10 + k]) for k, f in enumerate(frames)) > 40
    stored.close()


def test_closing_the_left_eye_closes_it_and_leaves_the_right_one(actor, own):
    before, after = (rendered(actor, own, s)[6] for s in ({}, {"close_left_eye": 1.0}))
    change = np.abs(after.astype(int) - before).max(-1)
    mesh = actor.shapes.mesh[16, :, :2] / actor.square.scale + [actor.square.x, actor.square.y]
    boxes = []
    for eye in lm.EYES:
        (x0, y0), (x1, y1) = mesh[list(eye)].min(0).astype(int), mesh[list(eye)].max(0).astype(int) + 1
        boxes.append(change[y0:y1, x0:x1].mean())
    assert boxes[1] > 15 and boxes[0] < 2


@pytest.mark.parametrize("settings", [{"face_width": 20.0, "smile": 1.0}, {"head_yaw": 6.0}])
def test_outside_the_head_and_its_border_the_footage_stays(actor, own, settings):
    """The head and its border: the face's box grown by half its height above, a third beside and below."""
    stored = actor.full_frames()
    for k in (0, 6):
        mesh = actor.shapes.mesh[10 + k, :, :2] / actor.square.scale + [actor.square.x, actor.square.y]
        low, high = mesh.min(0), mesh.max(0)
        tall = high[1] - low[1]
        y, x = np.mgrid[: actor.frame_size[1], : actor.frame_size[0]]
        beside = (x < low[0] - 0.35 * tall) | (x > high[0] + 0.35 * tall)
        outside = beside | (y < low[1] - 0.55 * tall) | (y > high[1] + 0.35 * tall)
        assert outside.mean() > 0.05
        assert psnr(rendered(actor, own, settings)[k], stored[10 + k], outside) > 45
    stored.close()


@pytest.mark.parametrize(
    ("name", "measure", "least_cm"),
    [("smile", "smile", 0.8), ("jaw_open", "jaw_open", 1.0), ("brow_up", "brow_up", 0.5)],
)
def test_an_expression_does_what_it_says_and_leaves_the_rest(name, measure, least_cm):
    from facewitness.generator.expression import direction
    from facewitness.generator.reconstruct import basis
    from facewitness.generator.reconstruct.learn import measured

    said = measured(np.tensordot(direction(name), basis().modes, 1)[None])
    assert said[measure][0] > least_cm
    others = {"smile": ("brow_up", "jaw_open"), "jaw_open": ("brow_up", "jaw_left"), "brow_up": ("smile", "jaw_open")}
    assert all(abs(said[o][0]) < 0.2 * said[measure][0] for o in others[name])


def test_one_side_of_a_smile_leaves_the_other():
    from facewitness.faces import landmarks as lm
    from facewitness.generator.expression import direction
    from facewitness.generator.reconstruct import basis

    moved = np.linalg.norm(np.tensordot(direction("smile_left"), basis().modes, 1), axis=-1)
    assert moved[lm.MOUTH_LEFT] > 3 * moved[lm.MOUTH_RIGHT]


def test_keys_move_smoothly_between_their_values(own):
    start = float(own.times_s[0])
    changed, _ = apply_edits(own, parse_settings([f"close_eyes=0@0s,1@{own.times_s[-1] - start}s"]))
    closed = changed.lids.mean(1) - own.lids.mean(1)
    assert closed[0] == pytest.approx(0, abs=1e-4) and changed.lids[-1] == pytest.approx([1 + PRESSED] * 2, abs=1e-4)
    assert (np.diff(changed.lids[:, 0] - own.lids[:, 0] * 0) > -0.6).all()


def test_what_cannot_be_reached_is_limited_with_a_word(own):
    changed, notes = apply_edits(own, {"gaze_yaw": 80.0})
    assert np.degrees(changed.gaze - own.gaze)[..., 0].max() <= 25.01
    assert "limited" in notes[0]


@pytest.mark.parametrize("settings", [{"wings": 1.0}, {"face_width": [(0, 0), (1, 10)]}])
def test_unknown_and_keyed_shape_edits_are_refused(own, settings):
    with pytest.raises(UsageError):
        apply_edits(own, settings)


@pytest.mark.parametrize("text", ["smile", "smile=much", "smile=1@x"])
def test_settings_that_cannot_be_read_are_refused(text):
    with pytest.raises(UsageError, match="smile"):
        parse_settings([text])


def test_a_wider_face_is_wider_by_what_was_asked(own):
    wide, _ = apply_edits(own, {"face_width": 20.0})
    ears = [p.identity.neutral[lm.LEFT_EAR, 0] - p.identity.neutral[lm.RIGHT_EAR, 0] for p in (own, wide)]
    assert ears[1] / ears[0] == pytest.approx(1.2, abs=0.01)


def test_an_edited_video_says_composite_and_names_every_edit(actor, tmp_path):
    from facewitness.provenance import verify_file

    settings = {"smile": 0.5, "close_left_eye": 1.5}
    made = edit(actor, tmp_path / "e.mp4", settings=settings, seconds=1.0, progress=False)
    audit = verify_file(made.path)
    assert audit.ai == "edited" and audit.label["edits"] == {"smile": 0.5, "close_left_eye": 1.0}, "what was done"
    assert any(i.get("relationship") == "parentOf" for i in audit.ingredients)


def test_hair_gives_way_to_skin_and_background_and_the_face_stays(actor, own):
    """Seen beside the truth: what is above the brows turns skin, what was hair beside the skull turns background."""
    before, after = (list(edited_frames(actor, own, s)[0]) for s in ({}, {"hair_removed": 1.0}))
    mesh = actor.shapes.mesh[10:22, :, :2] / actor.square.scale + [actor.square.x, actor.square.y]
    for k in (0, 6, 11):
        x0, y0 = mesh[k].min(0).astype(int)
        x1, y1 = mesh[k].max(0).astype(int)
        tall, middle = y1 - y0, (x0 + x1) // 2
        crown = np.s_[y0 - tall // 5 : y0 - tall // 10, middle - 8 : middle + 8]
        cheeks = np.s_[y0 + int(0.5 * tall) : y0 + int(0.6 * tall), middle - 8 : middle + 8]
        skin = before[k][cheeks].mean((0, 1))
        was, now = (np.abs(f[k][crown].mean((0, 1)) - skin).mean() for f in (before, after))
        assert now < 0.4 * was, "the crown has the colour of the nose and cheeks"
        lower = np.s_[y0 + tall // 2 : y1, x0 + 10 : x1 - 10]
        assert psnr(after[k][lower], before[k][lower]) > 45, "eyes downwards the face is as it was"
    steps = [np.abs(np.diff(np.stack(f)[:, : y0 + tall // 3].astype(int), axis=0)).mean() for f in (before, after)]
    assert steps[1] < 1.5 * steps[0], "what is painted moves with the head and does not flicker"


def test_hair_removed_by_nothing_changes_nothing(actor, own):
    before, after = (next(edited_frames(actor, own, s)[0]) for s in ({}, {"hair_removed": 0.0}))
    np.testing.assert_array_equal(before, after)


def test_a_closed_mouth_that_is_closed_further_stays_closed(actor, own):
    """Lips do not go through each other, however far the jaw is asked to close."""
    for settings in ({"jaw_open": -1.0}, {"jaw_open": -1.0, "smile": -1.0}):
        changed, _ = apply_edits(own, settings, actor=actor)
        assert np.abs(changed.expression - own.expression).max() < 12
        lips = shapes_of(changed).local[:, [lm.LIP_UPPER_INNER, lm.LIP_LOWER_INNER], 1]
        assert (lips[:, 1] - lips[:, 0]).min() > -0.15


def test_brows_rise_without_the_mouth_and_a_look_aside_keeps_the_brows(actor, own):
    """What an edit does not name stays the footage's own pixels, not another moment's."""
    stored = actor.full_frames()
    mesh = actor.shapes.mesh[16, :, :2] / actor.square.scale + [actor.square.x, actor.square.y]
    y, x = np.mgrid[: actor.frame_size[1], : actor.frame_size[0]]
    for settings, points, level in (({"brow_up": 1.0}, lm.OUTER_LIPS, 1), ({"gaze_yaw": 15.0}, lm.LEFT_BROW, 1)):
        (x0, y0), (x1, y1) = mesh[list(points)].min(0), mesh[list(points)].max(0)
        box = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        made = rendered(actor, own, settings)[6]
        change = np.abs(made.astype(int) - stored[16]).max(-1)
        assert change.max() > 20 and change[box].mean() < level
    stored.close()
