"""Faces are found, followed, lost and told apart."""

from fractions import Fraction

import numpy as np
import pytest

from facewitness.errors import MissingPieceError, UsageError
from facewitness.faces import FaceTracker, landmarks, track_video
from facewitness.faces.tracker import box_of
from facewitness.media.types import Frame


def follow(frames, **options):
    tracker = FaceTracker(**options)
    for frame in frames:
        tracker.update(frame)
    return tracker.finish()


def test_a_moving_face_is_one_track_and_the_mesh_moves_with_it(portrait, moved):
    (track,) = follow(moved(portrait, 20, lambda i: (2.0 * i, 0.5 * i)))
    assert track.present.all()
    assert track.mesh.shape == (20, 468, 3)
    step = np.diff(track.mesh[2:, :, :2].mean(1), axis=0)
    assert np.allclose(step.mean(0), [2, 0.5], atol=0.15)
    assert np.abs(step - step.mean(0)).max() < 1.0


def test_irises_lie_between_the_lids_and_the_persons_right_comes_first(portrait, moved):
    (track,) = follow(moved(portrait, 4, lambda i: (0, 0)))
    mesh, irises = track.mesh[-1], track.irises[-1]
    for eye, (outer, inner) in enumerate(landmarks.EYE_CORNERS):
        low, high = sorted((mesh[outer, 0], mesh[inner, 0]))
        assert low < irises[eye, 0, 0] < high
        right, top, left, bottom = irises[eye, 1:]
        assert right[0] > irises[eye, 0, 0] > left[0] and bottom[1] > top[1]
    assert irises[0, 0, 0] < irises[1, 0, 0]
    assert 5 < track.iris_px < 20


def test_a_mirrored_picture_shows_the_mirrored_face(portrait):
    """With two looks, one of them mirrored, the network no longer favours a side: mirroring the picture mirrors the
    mesh better than with one."""
    width = portrait.shape[1]
    apart = []
    for looks in (1, 2):
        meshes = []
        for image in (portrait, np.ascontiguousarray(portrait[:, ::-1])):
            tracking = FaceTracker(max_faces=1, looks=looks)
            for i in range(4):
                tracking.update(Frame(index=i, pts=i, time_base=Fraction(1, 25), image=image))
            meshes.append(tracking.finish()[0].mesh[-1])
        back = meshes[1][landmarks.mirror()]
        back[:, 0] = width - 1 - back[:, 0]
        across = np.linalg.norm(meshes[0][33, :2] - meshes[0][263, :2])
        apart.append(np.linalg.norm(back[:, :2] - meshes[0][:, :2], axis=1).mean() / across)
    assert apart[1] < 0.02, "two per cent of the distance of the eyes"
    assert apart[1] < 0.8 * apart[0]


def test_a_face_that_leaves_is_a_gap_and_resumes_as_the_same_face(portrait, moved):
    (track,) = follow(moved(portrait, 24, lambda i: None if 9 <= i < 15 else (0, 0)))
    assert not track.present[9:15].any() and track.present[:9].all() and track.present[17:].all()
    assert (
        np.isnan(track.mesh[9:15]).all() and np.isnan(track.irises[9:15]).all() and (track.confidence[9:15] == 0).all()
    )
    assert len(track.pts) == 24, "gaps are frames of the track"


def test_a_track_taken_part_by_part_is_the_track_taken_at_the_end(portrait, moved):
    frames = moved(portrait, 24, lambda i: None if 9 <= i < 13 else (1.5 * i, 0))
    (whole,) = follow(frames)
    tracker, parts = FaceTracker(), []
    for i, frame in enumerate(frames):
        tracker.update(frame)
        if i in (5, 10, 17):
            parts += tracker.take()
    parts += [(0, t) for t in tracker.finish()]
    assert [number for number, _ in parts] == [0] * 4, "the face keeps its number, through a gap too"
    for name in ("pts", "mesh", "irises", "confidence"):
        joined = np.concatenate([getattr(track, name) for _, track in parts])
        assert np.array_equal(joined, getattr(whole, name), equal_nan=True), name
    assert FaceTracker().take() == []


def test_one_thread_sees_what_two_threads_see(portrait, moved, monkeypatch):
    frames = moved(portrait, 5, lambda i: (2.0 * i, 0))
    tracks = []
    for threads in ("1", "2"):
        monkeypatch.setenv("FACEWITNESS_THREADS", threads)
        tracks += follow(frames)
    assert np.array_equal(tracks[0].irises, tracks[1].irises)


def test_a_cut_does_not_join_two_people(portrait, other_portrait, moved):
    frames = moved(portrait, 12, lambda i: (0, 0)) + moved(other_portrait, 12, lambda i: (0, 0))
    tracks = follow(frames)
    assert len(tracks) == 2
    spans = sorted((int(np.flatnonzero(t.present)[0]), int(np.flatnonzero(t.present)[-1])) for t in tracks)
    assert spans[0][1] < 12 <= spans[1][0]


def test_two_people_side_by_side_are_two_tracks_that_never_swap(portrait, other_portrait, moved):
    both = np.concatenate([portrait, other_portrait], axis=1)
    tracks = follow(moved(both, 16, lambda i: (0.5 * i, 0)))
    assert len(tracks) == 2
    middles = [box_of(t.mesh[t.present])[:, [0, 2]].mean(1) for t in tracks]
    for x in middles:
        assert np.ptp(x) < 40
    assert abs(middles[0][-1] - middles[1][-1]) > 300


def test_a_small_face_in_a_wide_picture_is_found(portrait, moved):
    import cv2

    wide = np.full((720, 1280, 3), 90, np.uint8)
    wide[400:560, 900:1060] = cv2.resize(portrait, (160, 160), interpolation=cv2.INTER_AREA)
    (track,) = follow(moved(wide, 6, lambda i: (0, 0)))
    x0, y0, x1, y1 = np.nanmedian(track.boxes, axis=0)
    assert 900 < x0 < x1 < 1060 and 400 < y0 < y1 < 560


def test_no_face_is_an_empty_list(moved):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert follow(moved(noise, 5, lambda i: (0, 0))) == []
    assert FaceTracker().finish() == []


def test_max_faces_limits_what_is_followed(portrait, other_portrait, moved):
    both = np.concatenate([portrait, other_portrait], axis=1)
    assert len(follow(moved(both, 5, lambda i: (0, 0)), max_faces=1)) == 1


def test_an_unknown_tracker_is_a_usage_error():
    with pytest.raises(UsageError, match="mesh, fan, landmarker"):
        FaceTracker("magic")


def test_track_video_keeps_the_files_own_times(portrait, moved, as_video):
    path = as_video(moved(portrait, 15, lambda i: (i, 0)))
    (track,) = track_video(path)
    assert np.allclose(np.diff(track.times_s), 1 / 25)
    (part,) = track_video(path, start_s=0.2, end_s=0.4)
    assert len(part.pts) == 5 and part.times_s[0] == pytest.approx(0.2)


def test_the_task_networks_give_478_points_and_blendshapes(portrait, moved):
    try:
        (track,) = follow(moved(portrait, 4, lambda i: (0, 0)), tracker="landmarker")
    except MissingPieceError as e:
        pytest.skip(str(e))
    assert track.tracker == "landmarker" and track.blendshapes.shape == (4, 52)
    from facewitness.faces.landmarker import BLENDSHAPES

    smile = track.blendshapes[-1, [BLENDSHAPES.index("mouthSmileLeft"), BLENDSHAPES.index("mouthSmileRight")]]
    assert smile.min() > 0.5, "she smiles"
    (mesh,) = follow(moved(portrait, 4, lambda i: (0, 0)))
    apart = np.linalg.norm(track.mesh[-1, :, :2] - mesh.mesh[-1, :, :2], axis=1)
    across = np.linalg.norm(mesh.mesh[-1, 33, :2] - mesh.mesh[-1, 263, :2])
    assert np.median(apart) < 0.05 * across


def test_the_fan_tracker_says_what_to_do_where_its_weights_are_out_of_reach(portrait, moved, monkeypatch):
    face_alignment = pytest.importorskip("face_alignment")

    def unreachable(*args, **kwargs):
        raise OSError("unreachable")

    monkeypatch.setattr(face_alignment, "FaceAlignment", unreachable)
    with pytest.raises(MissingPieceError, match="--tracker mesh"):
        FaceTracker("fan")


def test_the_mesh_bends_to_68_points(portrait, moved):
    from facewitness.faces.fan import MESH_OF_68, bend_to_68

    (track,) = follow(moved(portrait, 4, lambda i: (0, 0)))
    true = track.mesh[-1]
    bent = bend_to_68(true[list(MESH_OF_68), :2])
    across = np.linalg.norm(true[33, :2] - true[263, :2])
    assert np.linalg.norm(bent[list(MESH_OF_68), :2] - true[list(MESH_OF_68), :2], axis=1).max() < 0.05 * across
    assert np.linalg.norm(bent[:, :2] - true[:, :2], axis=1).mean() < 0.06 * across
