"""Curves, traces, uploads, proxies and words behave as the pages promise."""

import io
from fractions import Fraction
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest

from facewitness.dashboard import charts, proxy, served, uploads, words
from facewitness.dashboard.thresholds import rates_at
from facewitness.dashboard.traces import load_traces, save_traces, traces_of
from facewitness.errors import UnreadableInputError, UsageError
from facewitness.faces.types import FaceTrack
from facewitness.media import VideoWriter, probe, read_frames

ROOM = Path(charts.__file__).parent


def test_thinning_keeps_every_blink():
    t = np.arange(50_000) / 25
    v = np.zeros(len(t))
    v[7_001], v[33_333] = 1.0, 1.0
    thin_t, thin_v = charts.thin(t, v)
    assert len(thin_t) <= 1200 and (thin_v == 1).sum() == 2
    assert set(thin_t[thin_v == 1]) == {t[7_001], t[33_333]}


def test_a_gap_breaks_a_curve():
    lane = charts.Lane(
        name="x", series=[charts.Series(role="target", label="", t_s=[0, 1, 2, 3], values=[1, None, 2, 3])]
    )
    drawn = str(charts.timeline([lane], 3.0))
    path = drawn[drawn.index(' d="') + 4 :].split('"')[0]
    assert path.count("M") == 2 and path.count("L") == 1


def test_text_in_a_chart_is_escaped_in_picture_and_data(hostile: str):
    series = charts.Series(role=hostile, label=hostile, t_s=[0, 1], values=[0, 1])
    drawn = str(charts.timeline([charts.Lane(name=hostile, unit=hostile, series=[series])], 1.0, title=hostile))
    assert hostile not in drawn and "</script><img" not in drawn
    assert drawn.count("<script") == drawn.count("</script>") == 1


def test_a_reading_of_words():
    assert words.seconds(67.25) == "1:07.2" and words.seconds(None) == ""
    assert words.likelihood(4.0) == "4.0 × for" and words.likelihood(0.25) == "4.0 × against"
    assert words.likelihood(1.01) == "neutral" and words.likelihood(None) == "–"
    assert words.verdict_word({"status": "no_face"}).name == "No face found"
    assert words.verdict_word(None).name == "Not scanned"
    states = [words.STATES[s].sign for s in ("trusted", "untrusted", "invalid", "absent")]
    for signs in ([w.sign for w in words.VERDICTS.values()], states):
        assert len(set(signs)) == len(signs), "signs differ, so that colour is never alone"


def test_a_verdict_that_rests_on_the_manifest_says_so():
    told = {"verdict": "manipulated", "status": "ok", "p_fake": 0.1, "reasons": [{"cue": "provenance", "text": "..."}]}
    word = words.verdict_word({**told, "faces": [{"verdict": "no_evidence"}]})
    assert "manifest" in word.name and "pixels alone: no evidence" in word.meaning
    assert words.verdict_word({**told, "faces": [{"verdict": "manipulated"}]}).name == "Manipulated"


def track(t: int = 50) -> FaceTrack:
    """A face that shuts both eyes in frame 20, looks to the picture's right from frame 30 on, and is lost in 40."""
    mesh = np.zeros((t, 468, 3), np.float32)
    mesh[:, 33, :2], mesh[:, 133, :2], mesh[:, 362, :2], mesh[:, 263, :2] = (40, 50), (60, 50), (80, 50), (100, 50)
    for upper, lower in ((159, 145), (386, 374)):
        mesh[:, upper, 1], mesh[:, lower, 1] = 46, 54
        mesh[20, upper, 1] = mesh[20, lower, 1] = 50
    mesh[:, 13, 1], mesh[:, 14, 1] = 90, 96
    irises = np.full((t, 2, 5, 2), 50, np.float32)
    irises[:, 0, 0, 0], irises[:, 1, 0, 0] = 50, 90
    irises[30:, :, 0, 0] += 4
    confidence = np.ones(t, np.float32)
    mesh[40], irises[40], confidence[40] = np.nan, np.nan, 0
    return FaceTrack(
        face_id=0, tracker="mesh", width=140, height=120, time_base=Fraction(1, 25), pts=np.arange(t),
        confidence=confidence, boxes=np.zeros((t, 4), np.float32), mesh=mesh,
        eyes=np.zeros((t, 2, 71, 2), np.float32), irises=irises,
    )  # fmt: skip


def test_traces_of_a_track_show_blink_gaze_and_gap():
    traces = traces_of(track())
    assert traces.t_s[20] == pytest.approx(0.8)
    assert (traces.lids[20] > 0.95).all() and (traces.lids[10] < 0.05).all()
    assert traces.gaze_yaw_deg[35] - traces.gaze_yaw_deg[10] > 10
    assert traces.mouth[10] == pytest.approx(0.1)
    assert np.isnan(traces.lids[40]).all() and np.isnan(traces.outline[40]).all()


def test_traces_come_back_as_they_were(tmp_path: Path):
    one = traces_of(track())
    back = load_traces(save_traces({"driver": one, "a/b": one}, tmp_path / "t.npz"))
    assert list(back) == ["driver", "a/b"] and back["driver"].paths == one.paths
    np.testing.assert_array_equal(back["a/b"].outline, one.outline)


def test_a_file_of_something_else_is_no_traces(tmp_path: Path):
    (tmp_path / "t.npz").write_bytes(b"no")
    np.savez(tmp_path / "u.npz", x=1)
    for name in ("t.npz", "u.npz", "missing.npz"):
        with pytest.raises(UnreadableInputError):
            load_traces(tmp_path / name)


def test_an_upload_is_kept_by_content_under_a_tame_name(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FACEWITNESS_CACHE", str(tmp_path))
    path = uploads.keep("../../<b>x</b>\n.mp4", io.BytesIO(b"abc"))
    assert path.is_relative_to(tmp_path / "uploads") and path.suffix == ".mp4" and "<" not in path.name
    assert path.read_bytes() == b"abc" and path.stat().st_mode & 0o077 == 0
    assert uploads.keep(path.name, io.BytesIO(b"abc")) == path
    with pytest.raises(UsageError, match="empty"):
        uploads.keep("x.mp4", io.BytesIO(b""))
    assert uploads.tame("a" * 300 + ".webm") == "a" * 80 + ".webm" and uploads.tame("..") == "file"


def moving(path: Path, pts: list[int], base: Fraction) -> Path:
    with VideoWriter(path, width=64, height=48, frame_rate=Fraction(25), time_base=base) as out:
        for i, p in enumerate(pts):
            out.write(np.full((48, 64, 3), min(255, 10 + 8 * i), np.uint8), pts=p)
    return path


def test_a_plain_video_is_played_as_it_is(tmp_path: Path):
    path = moving(tmp_path / "a.mp4", list(range(20)), Fraction(1, 25))
    assert proxy.playable(path) == path


def test_a_video_of_changing_rate_gets_a_proxy_that_keeps_its_times(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FACEWITNESS_CACHE", str(tmp_path / "cache"))
    times = [0, 40, 80, 200, 240, 500, 540, 580, 1000, 1040]
    path = moving(tmp_path / "v.mp4", times, Fraction(1, 1000))
    played = proxy.playable(path)
    assert played != path and proxy.playable(path) == played
    info = probe(played)
    grey = {round(f.time_s, 3): f.image.mean() for f in read_frames(played)}
    originals = [(f.time_s, f.image.mean()) for f in read_frames(path)]
    for t, shade in grey.items():
        shown = max((o for o in originals if o[0] <= t + 0.5 / float(info.frame_rate)), key=lambda o: o[0])
        assert shade == pytest.approx(shown[1], abs=3), t


def test_addresses_tell_nothing_of_a_file_and_cannot_be_guessed(demo_folder: Path):
    path = demo_folder / "target.mp4"
    address = served.file_address(path)
    assert address == served.file_address(path) and "target" not in address
    assert len(address.rpartition("/")[2]) == 40
    assert served.bytes_address(b"a") != served.bytes_address(b"b")


def test_no_file_of_the_app_s_folder_is_named_after_a_library():
    # Streamlit puts the folder of its script on the path: a module there would be imported instead of the library
    ours = {p.stem for p in ROOM.glob("*.py")} | {p.name for p in ROOM.iterdir() if p.is_dir()}
    assert not (ours - {"__init__", "__pycache__"}) & set(packages_distributions())


class Card:
    """The parts of a model that its thresholds are read from."""

    id, notes = "m", {"fusion": {"auc_held_out": 0.85, "examples": {"fake": 60}}}

    class calibration:  # noqa: N801
        threshold_, doubt_, false_positive_rate, doubt_rate, real_clips_ = 0.9, 0.6, 0.01, 0.10, 70


def test_rates_at_the_card_s_own_thresholds_are_the_card_s():
    assert rates_at(Card, 0.9).false_alarms == pytest.approx(0.01)
    assert rates_at(Card, 0.6).false_alarms == pytest.approx(0.10)
    found = [rates_at(Card, p).found for p in (0.3, 0.6, 0.9)]
    assert found == sorted(found, reverse=True) and 0 < found[-1] < found[0] < 1
    assert "70 real and 60 made" in rates_at(Card, 0.5).told
