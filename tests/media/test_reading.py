"""What is read is what was filmed: every frame, upright, in its colours, at its time."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facewitness.media import probe, read_frames

WIDTH, HEIGHT = 160, 96

REAL = Path(os.environ.get("FACEWITNESS_CLIPS", "/nonexistent")) / "real"


def close(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two pictures, 0 to 255."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv444p"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("ten.webm", "libsvtav1", "yuv420p10le"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mpg", "mpeg1video", "yuv420p"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("mjpeg.mov", "mjpeg", "yuvj420p"),
    ],
)
def test_every_frame_of_every_kind_of_file_is_read_in_order(encode, name, codec, pixel_format, index_of):
    options = {"qmin": "1", "qmax": "2"} if "mpeg" in codec else {"crf": "4"}
    path = encode(name, codec=codec, pixel_format=pixel_format, options=options)
    frames = list(read_frames(path))
    assert [f.index for f in frames] == list(range(12))
    if codec != "gif":  # GIF's palette has few greys
        assert [index_of(f.image) for f in frames] == list(range(12))
    assert np.allclose(np.diff([f.time_s for f in frames]), 0.04, atol=1e-3)
    assert frames[0].time_s == pytest.approx(0, abs=0.05)
    assert probe(path).bit_depth == (10 if "10" in pixel_format else 8)


def test_variable_frame_rate_keeps_every_time_stamp_exactly(encode):
    times = [0, 37, 80, 81, 200, 1000, 1033, 1100, 1101, 1500, 1501, 3000]
    path = encode("vfr.mp4", times=times, base=Fraction(1, 1000), rate=30)
    assert [f.pts * f.time_base for f in read_frames(path)] == [Fraction(t, 1000) for t in times]


def test_a_reader_that_looks_at_some_frames_counts_all_and_shows_a_watcher_all(encode, index_of):
    from facewitness.media.reading import VideoReader, watched

    path = encode("some.mp4", options={"crf": "4"})  # 12 frames, 0.04 s apart
    reader, every = VideoReader(path), []
    reader.step_s = 0.12
    with watched(every.append):
        given = list(reader)
    assert [index_of(f.image) for f in given] == [f.index for f in given] == [0, 3, 6, 9]
    assert [f.index for f in every] == list(range(12)) and reader.count == 12
    assert reader.span_s == pytest.approx(0.44)
    assert [f.index for f in reader] == [0, 3, 6, 9]  # and again, with nobody watching


def test_what_is_not_looked_at_and_not_needed_is_not_decoded_and_the_rest_is_the_same(encode):
    from facewitness.media.reading import VideoReader, watched

    options = {"x264-params": "bframes=1:b-adapt=0:scenecut=0", "preset": "fast"}  # every second frame predicts none
    path = encode("half.mp4", frames=100, options=options)
    reader = VideoReader(path)
    reader.step_s = 0.08
    given = [(f.time_s, f.image) for f in reader]
    assert reader.count < 80 and reader.span_s == pytest.approx(99 * 0.04)
    with watched(lambda frame: None):
        whole = [(f.time_s, f.image) for f in reader]
    assert reader.count == 100
    assert [t for t, _ in given] == [t for t, _ in whole] == pytest.approx([0.08 * k for k in range(50)])
    assert all((a == b).all() for (_, a), (_, b) in zip(given, whole, strict=True))


def test_ntsc_rates_stay_fractions(encode):
    info = probe(encode("ntsc.mp4", rate=Fraction(30000, 1001)))
    assert info.frame_rate == Fraction(30000, 1001)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_phone_video_comes_out_upright(encode, turn, picture):
    path = encode("phone.mov", turn=turn)
    frame = next(read_frames(path))
    with av.open(str(path)) as plain:
        raw = next(plain.decode(video=0))
    # FFmpeg counts its display rotation counter-clockwise
    assert raw.rotation % 360 == turn % 360 or (raw.rotation + 360) % 360 == turn
    expected = np.rot90(picture(0), turn // 90)
    assert frame.image.shape == expected.shape
    assert close(frame.image, expected) < 3
    info = probe(path)
    assert (info.width, info.height) == (frame.image.shape[1], frame.image.shape[0])
    assert info.rotation_deg == (-turn) % 360


def test_a_mirrored_picture_is_mirrored_back(encode, picture):
    frame = next(read_frames(encode("selfie.mov", mirror=True, turn=0)))
    assert close(frame.image, picture(0)[:, ::-1]) < 3


def test_a_mirrored_and_turned_picture_follows_ffmpegs_own_filter(encode):
    for turn in (90, 180, 270):
        path = encode(f"both{turn}.mov", mirror=True, turn=turn)
        image = next(read_frames(path)).image
        assert close(image, by_matrix(path)) < 3


def by_matrix(path: Path) -> np.ndarray:
    """The first picture, placed pixel by pixel by the display matrix of the file (the definition, slow)."""
    with av.open(str(path)) as plain:
        raw = next(plain.decode(video=0))
        a, b, _, c, d, *_ = np.frombuffer(bytes(raw.side_data.get("DISPLAYMATRIX")), np.int32).tolist()
        stored = raw.to_ndarray(format="rgb24")
    h, w = stored.shape[:2]
    ys, xs = np.mgrid[:h, :w]
    sign = [np.sign(v) if abs(v) > 1000 else 0 for v in (a, b, c, d)]
    px, py = sign[0] * xs + sign[2] * ys, sign[1] * xs + sign[3] * ys
    px, py = px - px.min(), py - py.min()
    out = np.zeros((py.max() + 1, px.max() + 1, 3), np.uint8)
    out[py, px] = stored
    return out


def test_wide_pixels_are_made_square(encode):
    path = encode("dv.mp4", aspect=(16, 11))
    info, frame = probe(path), next(read_frames(path))
    assert (info.width, info.height) == (round(WIDTH * 16 / 11), HEIGHT) == frame.image.shape[1::-1]
    path = encode("tall.mp4", aspect=(1, 2))
    assert next(read_frames(path)).image.shape == (HEIGHT * 2, WIDTH, 3)


def test_odd_sizes_are_read_as_they_are(encode):
    frame = next(read_frames(encode("odd.mkv", codec="libvpx-vp9", size=(161, 97))))
    assert frame.image.shape == (97, 161, 3)


@pytest.mark.parametrize(("space", "colour_range"), [(1, 1), (1, 2), (5, 1), (5, 2)])
def test_tagged_colours_are_read_by_their_tags(encode, space, colour_range, tmp_path, picture):
    path = tmp_path / "tagged.mp4"
    rgb = picture(3)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.options = {"crf": "4"}
        stream.codec_context.colorspace, stream.codec_context.color_range = space, colour_range
        frame = av.VideoFrame.from_ndarray(rgb).reformat(
            format="yuv444p", src_color_range=2, dst_colorspace=space, dst_color_range=colour_range
        )
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    for exact in (False, True):
        assert close(next(read_frames(path, exact_colour=exact)).image, rgb) < 2.5


def test_a_part_of_a_video_is_the_same_as_that_part_of_the_whole(encode):
    path = encode("long.mp4", frames=150, options={"g": "30", "crf": "8"})
    whole = [f for f in read_frames(path) if 2.5 <= f.time_s < 4.0]
    part = list(read_frames(path, start_s=2.5, end_s=4.0))
    assert [f.pts for f in part] == [f.pts for f in whole]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(part, whole, strict=True))
    assert [f.index for f in part] == list(range(len(whole)))


def test_one_frame_a_second_is_a_video_too(encode):
    path = encode("slow.mp4", rate=1, frames=4)
    assert [f.time_s for f in read_frames(path)] == [0, 1, 2, 3]
    assert probe(path).frame_rate == 1


def test_probe_tells_what_is_in_the_file(encode):
    info = probe(encode("p.mp4", sound="aac"))
    assert (info.width, info.height, info.codec, info.audio_codec) == (WIDTH, HEIGHT, "h264", "aac")
    assert info.frames == 12
    assert info.duration_s == pytest.approx(0.48)
    assert probe(encode("q.mp4")).audio_codec is None


@pytest.mark.clips
@pytest.mark.skipif(not REAL.is_dir(), reason="FACEWITNESS_CLIPS is not set")
def test_real_clips_give_the_frames_their_containers_announce():
    for name in (
        "p21_retalking_face5.mp4",
        "p10_hyperlips_M003_007.mp4",
        "p22_pcavs_00473.mp4",
    ):
        info = probe(REAL / name)
        times = [f.time_s for f in read_frames(REAL / name)]
        assert len(times) == info.frames
        assert times == sorted(set(times))
