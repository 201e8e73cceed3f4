"""What the reconstruction says of a track is what was put into it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.faces import landmarks as lm
from facewitness.faces.types import FaceTrack
from facewitness.generator.performance import Camera, Identity, Performance
from facewitness.generator.reconstruct import (
    angles_deg,
    basis,
    from_angles_deg,
    head_mesh,
    load_performance,
    project,
    project_irises,
    reconstruct,
    save_performance,
)  # fmt: skip
from facewitness.generator.reconstruct.estimate import EYE_RISE_CM
from facewitness.generator.reconstruct.eyes import LID_LIMIT_CM, lid_closure, lid_range, pitch_with_lids
from facewitness.generator.reconstruct.identity import eye_centres, template
from facewitness.generator.reconstruct.model import gaze_vectors, lid_opening
from facewitness.generator.reconstruct.rotation import to_matrix
from facewitness.generator.reconstruct.smooth import fill, smooth
from facewitness.generator.reconstruct.solve import sight

FRAMES = 120


def wander(rng, count, slow):
    from scipy.ndimage import gaussian_filter1d

    x = gaussian_filter1d(rng.normal(size=(FRAMES + 200, count)), slow, axis=0)[100:-100]
    return (x - x.mean(0)) / np.abs(x).max(0)


@pytest.fixture(scope="module")
def known() -> Performance:
    """Somebody who is not the canonical face, turning the head up to 35 degrees, looking about, blinking, talking."""
    rng = np.random.default_rng(5)
    shape = template() * [1.05, 0.97, 1.04]
    balls = np.concatenate([eye_centres(shape) - [0, EYE_RISE_CM, 0], np.full((2, 1), 1.2)], 1)
    identity = Identity(neutral=shape.astype(np.float32), eyeballs=balls.astype(np.float32), ranges={})
    expression = np.zeros((FRAMES, len(basis().modes)), np.float32)
    expression[:, :10] = wander(rng, 10, 6)
    expression[:, 0] = np.abs(expression[:, 0])  # mouths open, they do not close beyond closed
    lids = np.zeros((FRAMES, 2), np.float32)
    for start in (20, 52, 85):
        lids[start : start + 6] = np.array([0.4, 0.95, 1, 0.9, 0.55, 0.2])[:, None]
    gaze = np.repeat((np.repeat(rng.uniform(-1, 1, (8, 2)), 15, axis=0) * np.radians([18, 8]))[:, None], 2, 1)
    gaze -= gaze.mean(0)
    return Performance(
        time_base=Fraction(1, 25), pts=np.arange(FRAMES),
        rotation=from_angles_deg(wander(rng, 3, 12) * [35, 14, 10]).astype(np.float32),
        translation=(wander(rng, 3, 15) * [2, 1, 3] + [0, 0, 55]).astype(np.float32),
        expression=expression, lids=lids, gaze=gaze.astype(np.float32), confidence=np.ones(FRAMES, np.float32),
        identity=identity, camera=Camera(focal_px=1.5 * 720, width=720, height=720),
    )  # fmt: skip


def as_track(p: Performance, noise_px: float = 0.0, seed: int = 0) -> FaceTrack:
    """The track a perfect tracker would give of a performance: depth along the line of sight through the face."""
    rng = np.random.default_rng(seed)
    mesh = project(p)
    middle = mesh[..., :2].mean(1)
    turn = sight((middle - [(p.camera.width - 1) / 2, (p.camera.height - 1) / 2]) / p.camera.focal_px)
    aside = ((mesh[..., :2] - middle[:, None]) @ turn[:, 2, :2, None])[..., 0]
    mesh[..., 2] = (mesh[..., 2] - aside) / turn[:, 2, 2, None]
    eyes = np.stack([mesh[:, list(c), :2] for c in lm.IRIS_CONTOURS], 1)
    irises = project_irises(p)
    mesh, eyes, irises = (x + rng.normal(size=x.shape) * noise_px for x in (mesh, eyes, irises))
    boxes = np.concatenate([mesh[..., :2].min(1), mesh[..., :2].max(1)], 1)
    return FaceTrack(
        face_id=0, tracker="mesh", width=p.camera.width, height=p.camera.height, time_base=p.time_base, pts=p.pts,
        boxes=boxes.astype(np.float32), mesh=mesh.astype(np.float32), eyes=eyes.astype(np.float32),
        irises=irises.astype(np.float32), confidence=np.ones(len(p), np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(known) -> Performance:
    return reconstruct(as_track(known, noise_px=0.3))


def correlation(a, b) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def test_head_rotation_within_a_degree_up_to_large_yaw(known, found):
    error = angles_deg(found.rotation) - angles_deg(known.rotation)
    assert np.abs(error - np.median(error, 0)).mean() < 0.5
    assert np.abs(np.median(error, 0)).max() < 1.5, "the person's own neutral may sit a little differently"


def test_a_near_face_at_the_pictures_edge_is_turned_no_further_than_one_in_the_middle(known):
    """Networks see a face along the line of sight to it; seen from the camera's axis it has turned."""
    held = replace(known, rotation=from_angles_deg(angles_deg(known.rotation) * [0.4, 0.4, 0.4]).astype(np.float32))
    errors = []
    for aside in ([0, 0], [9, 7]):
        at = np.array([*aside, 40]) + (known.translation - [0, 0, 55]) * 0.3
        p = reconstruct(as_track(replace(held, translation=at.astype(np.float32)), noise_px=0.3))
        errors.append(np.median(angles_deg(p.rotation) - angles_deg(held.rotation), axis=0))
    assert np.abs(errors[1] - errors[0])[:2].max() < 1, "degrees; the line of sight lies 12 and 10 aside"


def test_place_is_found_up_to_the_scale_no_single_camera_can_know(known, found):
    scale = np.median(found.translation[:, 2] / known.translation[:, 2])
    assert 0.93 < scale < 1.07
    assert np.abs(found.translation / scale - known.translation).max() < 1.2


def test_leading_expression_modes_are_found(known, found):
    for k in range(8):
        assert correlation(found.expression[:, k], known.expression[:, k]) > 0.9, f"mode {k}"


def test_lids_are_found_and_blinks_keep_their_depth(known, found):
    assert np.abs(found.lids - known.lids).mean() < 0.08
    for start in (20, 52, 85):
        assert found.lids[start : start + 6].max() > 0.9


def test_an_eye_whose_blinks_look_shallow_is_closed_when_the_other_is():
    """Of two eyes the camera sees one blink less deeply: they blink together. One that stays open has only winked."""
    openings = np.full((200, 2), 0.3)
    for start in (40, 90, 150):
        openings[start : start + 4] = [0.06, 0.21]
    every = np.ones(200, bool)
    closure = lid_closure(openings, *lid_range(openings, every))
    assert closure[[41, 91, 151]].min() > 0.9 and closure[:30].max() < 0.1
    openings[:, 1] = 0.3 - 0.03 * (openings[:, 0] < 0.1)
    winks = lid_closure(openings, *lid_range(openings, every))
    assert winks[41, 0] > 0.9 and winks[:, 1].max() < 0.2


def test_gaze_is_found_in_the_head_frame_while_the_head_turns(known, found):
    awake = known.lids.max(1) < 0.3
    for axis, least in ((0, 0.95), (1, 0.8)):
        a, b = known.gaze[awake, :, axis].mean(1), found.gaze[awake, :, axis].mean(1)
        assert correlation(a, b) > least
        assert 0.7 < np.std(b) / np.std(a) < 1.7


def test_somebody_who_looks_into_the_camera_is_found_to_do_so(known):
    """Eyes where most people's are, on the camera while the head turns. How far they seem to turn is another matter:
    the correction for what the eye network drags along has nothing to correct in this perfect track."""
    toward = -np.einsum("tji,tj->ti", to_matrix(known.rotation), known.translation)
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    look = np.stack([np.arctan2(toward[:, 0], -toward[:, 2]), np.arcsin(toward[:, 1])], 1)
    p = replace(known, gaze=np.repeat(look[:, None], 2, 1).astype(np.float32))
    awake = known.lids.max(1) < 0.3
    error = np.degrees(reconstruct(as_track(p, noise_px=0.3)).gaze.mean(1) - look)[awake]
    assert np.abs(np.median(error, axis=0)).max() < 2


def test_eyes_that_are_crossed_are_found_crossed(known):
    """Of somebody who crosses the eyes nearly all the time, too: eyeballs do not lie that near to each other."""
    half = np.radians(np.where(np.arange(FRAMES) % 40 < 30, 18.0, 2.0))
    crossed = np.stack([known.gaze[:, 0, 0] + half, known.gaze[:, 1, 0] - half], 1)
    p = replace(known, gaze=np.stack([crossed, known.gaze[..., 1]], -1).astype(np.float32))
    p = replace(p, rotation=p.rotation * np.float32([1, 0.3, 1]))
    found = reconstruct(as_track(p, noise_px=0.3)).gaze
    awake = p.lids.max(1) < 0.3
    apart = np.degrees(found[:, 0, 0] - found[:, 1, 0])[awake] / 2
    wanted = np.degrees(half[awake])
    assert np.abs(np.median(apart[wanted > 10]) - 18) < 6
    assert correlation(apart, wanted) > 0.8


def test_lids_tell_vertical_gaze_within_limits():
    heights, still, awake = np.zeros((50, 2)), np.zeros(50), np.ones(50, bool)
    heights[10:20] = 0.1
    heights[30] = 1.0
    pitch = pitch_with_lids(still, heights, awake)
    assert (pitch[10:20] > np.radians(3)).all(), "lower lids, lower gaze"
    assert pitch[30] == pitch_with_lids(still, np.minimum(heights, LID_LIMIT_CM), awake)[30], "no lid moves so far"
    assert np.allclose(pitch_with_lids(still + 0.2, heights * 0, awake), 0.2), "who looks down always looks down"


def test_reprojection_is_within_two_percent_of_the_distance_of_the_eyes(known, found):
    track = as_track(known)
    across = np.linalg.norm(track.mesh[:, 33, :2] - track.mesh[:, 263, :2], axis=1)
    apart = np.linalg.norm(project(found)[..., :2] - track.mesh[..., :2], axis=-1).mean(1)
    assert (apart / across).mean() < 0.02


def test_gaps_are_bridged_with_confidence_zero(known):
    track = as_track(known)
    gap = slice(60, 70)
    mesh, irises, confidence = track.mesh.copy(), track.irises.copy(), track.confidence.copy()
    mesh[gap], irises[gap], confidence[gap] = np.nan, np.nan, 0
    p = reconstruct(replace(track, mesh=mesh, irises=irises, confidence=confidence))
    assert len(p) == FRAMES and (p.confidence[gap] == 0).all() and (p.confidence[:60] > 0).all()
    for name in ("rotation", "translation", "expression", "lids", "gaze"):
        assert np.isfinite(getattr(p, name)).all()
    turn = angles_deg(p.rotation)[59:71]
    assert (np.diff(turn[:, 0]) * np.sign(turn[-1, 0] - turn[0, 0]) >= -0.05).all(), "straight across the gap"


def test_too_few_frames_are_refused_with_a_sentence(known):
    track = as_track(known)
    confidence = np.zeros(FRAMES, np.float32)
    confidence[:2] = 1
    with pytest.raises(UnreadableInputError, match="only 2 frames"):
        reconstruct(replace(track, confidence=confidence))


def test_a_face_seen_only_from_the_side_is_reconstructed_too(known):
    turned = replace(
        known, rotation=from_angles_deg(angles_deg(known.rotation) * [0.2, 1, 1] + [50, 0, 0]).astype(np.float32)
    )
    p = reconstruct(as_track(turned, noise_px=0.3))
    assert np.abs(np.median(angles_deg(p.rotation)[:, 0]) - 50) < 6


def test_no_first_frame_has_to_be_neutral(known, found):
    later = replace(
        known,
        **{
            n: getattr(known, n)[30:]
            for n in ("pts", "rotation", "translation", "expression", "lids", "gaze", "confidence")
        },
    )
    p = reconstruct(as_track(later, noise_px=0.3))
    assert np.abs(p.identity.neutral - found.identity.neutral).mean() < 0.08


def test_the_basis_holds_movements_only_and_mirrors_itself():
    b = basis()
    assert len(b.modes) >= 32
    assert np.sqrt((b.modes**2).sum(-1)).max() < 3, "centimetres of movement, no faces"
    assert (np.diff([np.sqrt((m**2).sum()) for m in b.modes[:8]]) < 0.5).all()
    names = {"jaw_open", "smile", "pucker", "brow_up_left", "brow_up_right", "brow_down", "cheek_puff"}
    assert names <= set(b.names)
    with pytest.raises(UsageError, match="jaw_open"):
        b.direction("wiggle_ears")


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("jaw_open", lambda d: d[lm.LIP_LOWER_INNER, 1] - d[lm.LIP_UPPER_INNER, 1]),
        ("smile", lambda d: d[lm.MOUTH_LEFT, 0] - d[lm.MOUTH_RIGHT, 0]),
        ("pucker", lambda d: d[lm.MOUTH_RIGHT, 0] - d[lm.MOUTH_LEFT, 0]),
        ("brow_up", lambda d: -d[list(lm.RIGHT_BROW + lm.LEFT_BROW), 1].mean()),
        ("brow_up_left", lambda d: d[list(lm.RIGHT_BROW), 1].mean() - d[list(lm.LEFT_BROW), 1].mean()),
    ],
)
def test_semantic_directions_move_what_they_name(name, moves):
    b = basis()
    moved = np.tensordot(b.direction(name), b.modes, 1)
    assert moves(moved) > 0.1


def test_closed_lids_meet_and_only_their_own_eye_moves(known):
    closed = head_mesh(known.identity, np.zeros(len(basis().modes)), np.array([1.0, 0.0]))
    assert lid_opening(closed)[0] < 0.02
    assert lid_opening(closed)[1] == pytest.approx(lid_opening(known.identity.neutral)[1], abs=0.02)
    assert np.abs(closed - known.identity.neutral)[list(lm.INNER_LIPS)].max() < 0.01


def test_angles_and_vectors_are_inverses_and_point_where_they_say():
    a = np.random.default_rng(0).uniform(-60, 60, (50, 3))
    assert np.allclose(angles_deg(from_angles_deg(a)), a)
    assert gaze_vectors(np.array([0.3, 0.0]))[0] > 0 and gaze_vectors(np.array([0.0, 0.3]))[1] > 0


def test_smoothing_averages_noise_and_spares_a_blink():
    rng = np.random.default_rng(0)
    still = rng.normal(size=400) * 0.02
    assert smooth(still, frames=1.0, step=0.12).std() < 0.65 * still.std()
    blink = np.zeros(40)
    blink[18:22] = [0.6, 1, 0.9, 0.4]
    assert np.abs(smooth(blink, frames=1.0, step=0.12) - blink).max() < 0.05


def test_fill_holds_the_ends_and_goes_straight_between():
    x = np.array([[9.0], [1.0], [9.0], [3.0], [9.0]])
    good = np.array([False, True, False, True, False])
    assert fill(x, good).ravel().tolist() == [1, 1, 2, 3, 3]


def test_performances_are_saved_and_loaded_without_pickle(found, tmp_path):
    back = load_performance(save_performance(found, tmp_path / "p.npz"))
    assert back.time_base == found.time_base and back.camera == found.camera
    assert back.identity.ranges == found.identity.ranges
    assert np.array_equal(back.expression, found.expression) and back.illumination is None
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(UnreadableInputError):
        load_performance(tmp_path / "bad.npz")


def test_light_and_albedo_are_told_apart(known):
    """A face of one colour, lit from the picture's left, comes back evenly coloured, with the light from the left."""
    from facewitness.generator.reconstruct.light import estimate_light, harmonics, render_face
    from facewitness.generator.reconstruct.model import pick
    from facewitness.generator.render import interpolate, rasterise, vertex_normals
    from facewitness.media.types import Frame

    p = replace(pick(known, np.arange(0, FRAMES, 12)), camera=Camera(focal_px=300, width=200, height=200))
    light = np.zeros((9, 3), np.float32)
    light[0], light[1], light[3] = 0.7, -0.25, -0.3
    skin = np.array([0.8, 0.55, 0.45])
    frames = []
    for i in range(len(p)):
        mesh = project(p, np.array([i]))[0]
        raster = rasterise(mesh, lm.triangles(), 200, 200)
        normals = interpolate(raster, lm.triangles(), vertex_normals(mesh, lm.triangles()))
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
        image = np.where(raster.covered[..., None], harmonics(normals) @ light * skin * 255, 0)
        frames.append(
            Frame(index=i, pts=int(p.pts[i]), time_base=p.time_base, image=np.clip(image, 0, 255).astype(np.uint8))
        )
    lit, look = estimate_light(p, frames)
    assert lit.illumination.shape == (len(p), 9, 3)
    assert (lit.illumination[:, 1] < -0.1).all(), "brighter where the normal points to the left"
    cheeks = look.vertex_albedo[[lm.RIGHT_CHEEK, lm.LEFT_CHEEK]]
    assert np.abs(cheeks[0] - cheeks[1]).max() < 0.2, "light from the side is mostly not taken for skin"
    drawn, mask = render_face(lit, look, 3)
    error = (drawn[mask].astype(float) - frames[3].image[mask]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 28
    with pytest.raises(UsageError, match="none of the frames"):
        estimate_light(p, [])


def test_what_appears_on_the_skin_as_the_face_moves_is_drawn_again(known):
    """A mouth that shows white teeth when it opens: drawn in frames that were not learnt from as in those that were."""
    from facewitness.generator.reconstruct.light import estimate_light, render_face
    from facewitness.generator.reconstruct.model import pick
    from facewitness.generator.render import rasterise
    from facewitness.media.types import Frame

    p = pick(known, np.arange(60))
    expression = np.zeros_like(p.expression)
    opened = np.abs(np.sin(np.arange(60) * 0.35))
    expression += (2 * opened[:, None] * basis().direction("jaw_open")).astype(np.float32)
    p = replace(
        p, camera=Camera(focal_px=300, width=200, height=200), expression=expression, lids=p.lids * 0,
        rotation=p.rotation * 0, gaze=p.gaze * 0, translation=p.translation * 0 + np.float32([0, 0, 55]),
    )  # fmt: skip
    inside = np.isin(lm.triangles(), lm.INNER_LIPS).all(1)
    frames, teeth = [], []
    for i in range(60):
        raster = rasterise(project(p, np.array([i]))[0], lm.triangles(), 200, 200)
        image = np.where(raster.covered[..., None], np.array([170, 120, 100]), 0)
        teeth.append(raster.covered & inside[np.maximum(raster.triangle, 0)])
        image[teeth[-1]] = 100 + 140 * opened[i]
        frames.append(Frame(index=i, pts=int(p.pts[i]), time_base=p.time_base, image=image.astype(np.uint8)))
    learnt_from = [f for f in frames if f.index % 5]
    lit, look = estimate_light(p, learnt_from)
    for i in (20, 45):
        drawn, mask = render_face(lit, look, i)
        shown = teeth[i] & mask
        assert abs(float(drawn[shown].mean()) - float(frames[i].image[shown].mean())) < 15, f"frame {i}"
    levels = [frames[i].image[teeth[i]].mean() for i in (20, 45)]
    assert abs(levels[0] - levels[1]) > 60, "the frames differ in what has to be drawn"
