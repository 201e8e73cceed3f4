"""What is written plays in a browser: right colours, right times, its sound, and never half a file."""

from fractions import Fraction

import av
import numpy as np
import pytest

from facewitness.errors import UsageError
from facewitness.media import VideoWriter, probe, read_frames

WIDTH, HEIGHT = 160, 96


@pytest.fixture
def write(picture):
    """Write known pictures with our own writer."""

    def make(path, count=25, rate=Fraction(25), size=(WIDTH, HEIGHT), **options):
        with VideoWriter(path, width=size[0], height=size[1], frame_rate=rate, **options) as video:
            for i in range(count):
                video.write(picture(i, *size))
        return path

    return make


def test_colours_survive_the_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
    with VideoWriter(tmp_path / "c.mp4", width=256, height=192, frame_rate=Fraction(25), crf=4) as video:
        for _ in range(5):
            video.write(patches)
    image = list(read_frames(tmp_path / "c.mp4", exact_colour=True))[-1].image
    inner = (image.astype(int) - patches).reshape(6, 32, 8, 32, 3)[:, 8:24, :, 8:24]
    assert np.abs(inner.mean((0, 1, 2, 3))).max() < 0.5
    assert np.abs(inner).mean() < 1.5
    fast = list(read_frames(tmp_path / "c.mp4"))[-1].image
    inner = (fast.astype(int) - patches).reshape(6, 32, 8, 32, 3)[:, 8:24, :, 8:24]
    assert np.abs(inner.mean((0, 1, 2, 3))).max() < 2


def test_the_file_is_tagged_for_what_it_is_and_has_its_index_in_front(tmp_path, write):
    path = write(tmp_path / "t.mp4")
    with av.open(str(path)) as c:
        context = c.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_times_are_written_as_given(tmp_path, picture, write):
    pts = [0, 1, 5, 6, 100, 101, 250]
    with VideoWriter(
        tmp_path / "v.mp4", width=WIDTH, height=HEIGHT, frame_rate=Fraction(30), time_base=Fraction(1001, 30000)
    ) as video:
        for i, t in enumerate(pts):
            video.write(picture(i), pts=t)
    assert [f.pts * f.time_base for f in read_frames(tmp_path / "v.mp4")] == [t * Fraction(1001, 30000) for t in pts]
    assert probe(write(tmp_path / "n.mp4", rate=Fraction(30000, 1001))).frame_rate == Fraction(30000, 1001)


def test_times_that_go_back_are_refused(tmp_path, picture):
    with (
        pytest.raises(ValueError, match="after"),
        VideoWriter(tmp_path / "b.mp4", width=WIDTH, height=HEIGHT, frame_rate=Fraction(25)) as video,
    ):
        video.write(picture(0), pts=3)
        video.write(picture(1), pts=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(161, 97), (160, 97), (161, 96), (17, 17)])
def test_odd_sizes_are_filled_up_by_one_line(tmp_path, size, picture, write):
    path = write(tmp_path / "odd.mp4", size=size)
    image = next(read_frames(path)).image
    assert image.shape[1] == size[0] + size[0] % 2 and image.shape[0] == size[1] + size[1] % 2
    assert np.abs(image[: size[1], : size[0]].astype(int) - picture(0, *size)).mean() < 4


@pytest.mark.parametrize(("name", "codec", "kept"), [
    ("s.mp4", "aac", "aac"), ("s.mkv", "libmp3lame", "mp3"), ("s.webm", "libopus", "opus"), ("s.mkv", "flac", "flac"),
    ("s.ts", "aac", "aac"), ("s.mkv", "ac3", "aac"), ("s.mov", "pcm_s16le", "aac"), ("s.avi", "mp2", "aac"),
])  # fmt: skip
def test_sound_is_carried_and_ends_with_the_picture(tmp_path, encode, name, codec, kept, write):
    video_codec = {"webm": "libvpx-vp9", "ts": "mpeg2video", "avi": "mpeg4"}.get(name[2:], "libx264")
    source = encode(name, codec=video_codec, frames=100, sound=codec, sound_seconds=4)
    path = write(tmp_path / "out.mp4", count=50, audio_from=source)
    with av.open(str(path)) as c:
        audio = c.streams.audio[0]
        assert audio.codec_context.codec.canonical_name == kept
        times = [float(f.pts * f.time_base) for f in c.decode(audio)]
    assert times[0] == pytest.approx(0, abs=0.06)
    assert times[-1] == pytest.approx(2.0, abs=0.12)
    assert times == sorted(times)


def test_carried_packets_are_the_very_same(tmp_path, encode, write):
    source = encode("s.mp4", frames=50, sound="aac", sound_seconds=2)
    path = write(tmp_path / "out.mp4", count=50, audio_from=source)

    def packets(p):
        with av.open(str(p)) as c:
            return [bytes(k) for k in c.demux(c.streams.audio[0]) if k.size]

    carried = packets(path)
    assert len(carried) > 80 and carried == packets(source)[: len(carried)]


def test_sound_can_start_in_the_middle_of_its_source(tmp_path, encode, write):
    source = encode("s.mkv", frames=100, sound="pcm_s16le", sound_seconds=4)
    for name in ("s.mkv",):
        path = write(tmp_path / f"{name}.mp4", count=25, audio_from=source, audio_start_s=2.0)
        with av.open(str(path)) as c:
            times = [float(f.pts * f.time_base) for f in c.decode(c.streams.audio[0])]
        assert times[0] == pytest.approx(0, abs=0.06) and times[-1] == pytest.approx(1.0, abs=0.12)


def test_a_source_without_sound_gives_a_silent_video(tmp_path, encode, write):
    path = write(tmp_path / "out.mp4", audio_from=encode("mute.mp4"))
    assert probe(path).audio_codec is None


def test_an_error_leaves_nothing_behind(tmp_path, picture):
    with (
        pytest.raises(RuntimeError),
        VideoWriter(tmp_path / "x.mp4", width=WIDTH, height=HEIGHT, frame_rate=Fraction(25)) as video,
    ):
        video.write(picture(0))
        raise RuntimeError
    with (
        pytest.raises(UsageError, match="single frame"),
        VideoWriter(tmp_path / "x.mp4", width=WIDTH, height=HEIGHT, frame_rate=Fraction(25)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_before_anything_happens(tmp_path, write):
    for bad in (
        {"path": tmp_path / "x.webm"},
        {"width": 0},
        {"width": 99999, "height": 99999},
        {"frame_rate": Fraction(0)},
    ):
        with pytest.raises(UsageError):
            VideoWriter(**{"path": tmp_path / "x.mp4", "width": 64, "height": 64, "frame_rate": Fraction(25), **bad})
    there = write(tmp_path / "there.mp4")
    before = there.read_bytes()
    with pytest.raises(UsageError, match="--force"):
        write(there, overwrite=False)
    assert there.read_bytes() == before
    with (
        pytest.raises(ValueError, match="frame"),
        VideoWriter(tmp_path / "y.mp4", width=64, height=64, frame_rate=Fraction(25)) as video,
    ):
        video.write(np.zeros((64, 64, 3), np.float32))
