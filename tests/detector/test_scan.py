"""What a scan of one file says, and what it says when it cannot say much."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from facewitness.detector import scan_file
from facewitness.errors import UsageError
from facewitness.files import to_json
from facewitness.media import VideoWriter


def write(path, images, rate=25):
    with VideoWriter(path, width=images[0].shape[1], height=images[0].shape[0], frame_rate=Fraction(rate)) as out:
        for image in images:
            out.write(image)
    return path


def test_a_face_gets_a_score_a_verdict_and_a_timeline(report):
    assert report.status == "ok"
    face = report.faces[0]
    assert 0 <= face.p_fake <= 1
    assert face.verdict in ("manipulated", "inconclusive", "no_evidence")
    assert len(face.timeline["t_s"]) == len(face.timeline["score"]) > 0
    assert all(0 <= s <= 1 for s in face.timeline["score"])
    assert report.sha256 and len(report.sha256) == 64
    assert report.model["sha256"]


def test_every_cue_either_has_a_value_or_says_why_not(report):
    from facewitness.detector import list_cues

    cues = report.faces[0].cues
    assert {c.name for c in list_cues()} <= set(cues)
    for name, cue in cues.items():
        if cue.used:
            assert cue.value is not None and math.isfinite(cue.value), name
            assert cue.likelihood_ratio > 0, name
        else:
            assert cue.why_not, name


def test_cues_show_their_raw_traces_on_one_time_axis(report):
    trace = report.faces[0].cues["blink_depth"].trace
    assert set(trace) == {"t_s", "openness"}
    assert len(trace["t_s"]) == len(trace["openness"]) > 30
    assert trace["t_s"] == sorted(trace["t_s"])


def test_a_report_is_json_without_nan(report):
    row = json.loads(to_json(report))
    assert row["schema"] == "facewitness.scan/1"
    assert "NaN" not in to_json(report)


def test_the_same_file_gets_the_same_score_twice(sample, report):
    again = scan_file(sample, provenance=False)
    assert again.p_fake == report.p_fake
    assert again.reasons == report.reasons


def test_a_long_clip_is_judged_in_chapters_and_is_what_its_worst_one_is(sample, report, monkeypatch):
    import facewitness.detector.scan as scan

    monkeypatch.setattr(scan, "CHAPTER_S", 1.5)
    long = scan_file(sample, provenance=False)
    whole = report.faces[0].timeline["t_s"]
    (face,) = long.faces
    assert face.timeline["t_s"] == sorted(face.timeline["t_s"])
    assert whole[-1] - 1 < face.timeline["t_s"][-1] <= whole[-1] + 1, "times count from the beginning of the clip"
    said = next(r for r in long.reasons if "3 chapters" in r.text)
    trace = next(c.trace for c in face.cues.values() if c.trace)
    assert said.start_s - 0.1 <= trace["t_s"][0] <= trace["t_s"][-1] <= said.end_s + 0.1
    assert not any("chapters" in r.text for r in report.reasons)


def test_a_face_of_which_nothing_could_be_measured_does_not_silence_the_others(report):
    from dataclasses import replace

    from facewitness.detector.chapters import Judgement
    from facewitness.detector.scan import cached_model

    seen = report.faces[0]
    unseen = replace(seen, track=1, p_fake=None, verdict="inconclusive")
    judged = Judgement(cached_model(None))
    for face in (seen, unseen):
        judged._add(face.track, face, [], (0.0, 1.0))
    told = judged.verdict()
    assert told["verdict"] == seen.verdict and told["p_fake"] == seen.p_fake and len(told["faces"]) == 2
    alone = Judgement(cached_model(None))
    alone._add(1, unseen, [], (0.0, 1.0))
    assert alone.verdict()["verdict"] == "inconclusive"


def test_neither_memory_nor_the_report_grows_with_a_clip(sample):
    """Two hundred chapters of four faces each, a film, make a report like that of a few."""
    from dataclasses import replace

    from facewitness.detector.chapters import MOST_FACES, Judgement
    from facewitness.detector.measure import measure_chapters
    from facewitness.detector.model import load_model
    from facewitness.media import read_frames

    model = load_model()
    (chapter,) = measure_chapters(read_frames(sample, end_s=1.6), 25.0, scorer=model.scorer, chapter_s=60)
    (_, measures) = chapter.faces[0]
    sizes = []
    for chapters in (20, 200):
        judged = Judgement(model)
        for i in range(chapters):
            faces = [(0, measures), (1 + i, measures)]
            judged.take(replace(chapter, start_s=60.0 * i, end_s=60.0 * (i + 1), faces=faces))
            assert len(judged.faces) <= 2 * MOST_FACES + 1
        told = judged.verdict()
        assert len(told["faces"]) == min(MOST_FACES, chapters + 1)
        sizes.append(len(to_json(told)))
    assert sizes[1] < 1.2 * sizes[0] + 60_000, "only one face's score over time grows, up to its limit"
    assert any("more faces" in r.text for r in told["reasons"])


def test_a_file_that_is_not_there_is_a_row_and_not_an_error(tmp_path):
    row = scan_file(tmp_path / "nothing.mp4")
    assert (row.status, row.verdict, row.p_fake) == ("unreadable", "inconclusive", None)
    assert "nothing.mp4" in row.error


def test_a_file_that_is_no_video_is_unreadable(tmp_path):
    path = tmp_path / "words.mp4"
    path.write_text("no video at all")
    assert scan_file(path).status == "unreadable"


def test_a_video_without_a_face_says_so(tmp_path):
    rng = np.random.default_rng(0)
    grey = [
        np.full((240, 320, 3), 90 + k % 3, np.uint8) + rng.integers(0, 4, (240, 320, 3), np.uint8) for k in range(40)
    ]
    row = scan_file(write(tmp_path / "grey.mp4", grey), provenance=False)
    assert (row.status, row.verdict) == ("no_face", "inconclusive")
    assert "face" in row.reasons[0].text


def test_a_clip_shorter_than_a_second_is_too_short(tmp_path, sample):
    from facewitness.media import read_frames

    few = [f.image for f in read_frames(sample, end_s=0.4)]
    row = scan_file(write(tmp_path / "short.mp4", few), provenance=False)
    assert (row.status, row.verdict) == ("too_short", "inconclusive")


@pytest.mark.parametrize(("change", "word"), [("dark", "dark"), ("small", "pixels high")])
def test_what_the_detector_was_not_fitted_on_is_inconclusive_with_why(tmp_path, sample, change, word):
    import cv2

    from facewitness.media import read_frames

    images = []
    for frame in read_frames(sample, end_s=1.6):
        image = frame.image
        if change == "dark":
            image = (image * 0.15).astype(np.uint8)
        else:
            canvas = np.full((360, 480, 3), 120, np.uint8)
            small = cv2.resize(image, (80, 80 * image.shape[0] // image.shape[1]), interpolation=cv2.INTER_AREA)
            canvas[100 : 100 + small.shape[0], 200:280] = small
            image = canvas
        images.append(image)
    row = scan_file(write(tmp_path / f"{change}.mp4", images), provenance=False)
    if row.status == "no_face":  # so dark or small that no face is found at all is an honest answer too
        assert row.verdict == "inconclusive"
    else:
        assert row.verdict == "inconclusive"
        assert any(word in r.text for r in row.reasons)


def test_a_folder_without_a_model_is_refused_with_what_to_do(tmp_path, sample):
    with pytest.raises(UsageError, match="detector fit"):
        scan_file(sample, model=tmp_path)
