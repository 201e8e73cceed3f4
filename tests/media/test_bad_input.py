"""A file that cannot be read costs one sentence; one that is damaged gives what is left of it, and says so."""

import os
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facewitness.errors import UnreadableInputError
from facewitness.media import DamagedVideoWarning, VideoReader, probe, read_frames
from facewitness.media.limits import MAX_PIXELS


def refused(path: Path) -> str:
    """The one sentence with which both probe and read_frames refuse ``path``."""
    with pytest.raises(UnreadableInputError) as first:
        probe(path)
    with pytest.raises(UnreadableInputError) as second:
        list(read_frames(path))
    text = str(first.value)
    assert text == str(second.value)
    assert "\n" not in text and text.endswith((".", ")")) and len(text) < 300
    return text


def test_missing_empty_and_other_files_are_refused_in_one_sentence(tmp_path):
    assert "not there" in refused(tmp_path / "no.mp4")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "empty" in refused(empty)
    assert "folder" in refused(tmp_path)
    text = tmp_path / "text.mp4"
    text.write_text("This is a shopping list.\n" * 500)
    assert "not a video" in refused(text)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(200_000))
    refused(noise)
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    assert "regular file" in refused(pipe)


def test_a_still_picture_and_a_sound_file_are_named_as_such(tmp_path, encode):
    import cv2

    cv2.imwrite(str(tmp_path / "still.png"), np.zeros((32, 32, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "still.jpg"), np.zeros((32, 32, 3), np.uint8))
    assert "still picture" in refused(tmp_path / "still.png")
    assert "still picture" in refused(tmp_path / "still.jpg")
    video = encode("v.mp4", sound="aac")
    with av.open(str(video)) as source, av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert "sound but no picture" in refused(tmp_path / "sound.mp4")


def test_an_mp4_cut_before_its_index_says_that_it_is_cut(encode):
    path = encode("cut.mp4", frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short" in refused(path)


def test_a_file_cut_in_mid_stream_gives_its_beginning_and_says_so(encode):
    path = encode("cut.mp4", frames=100, container_options={"movflags": "+faststart"}, options={"g": "10", "crf": "8"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.warns(DamagedVideoWarning, match="announced"):
        frames = list(read_frames(path))
    assert 20 < len(frames) < 90
    reader = VideoReader(path)
    assert len(list(reader)) == len(frames)
    assert any("announced" in note for note in reader.notes)


def test_flipped_bytes_do_not_end_the_reading(encode):
    path = encode("flip.mp4", frames=100, options={"g": "10", "crf": "8"})
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(2000, len(data) * 3 // 4, 40):
        data[at] ^= 0xFF
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        assert len(list(read_frames(path))) > 30


def test_an_intact_file_is_read_without_a_warning(encode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in (
            encode("a.mp4"),
            encode("b.webm", codec="libvpx-vp9"),
            encode("c.mp4", sound="aac", sound_seconds=5),
        ):
            list(read_frames(path))


def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "huge.gif"
    path.write_bytes(b"GIF89a" + (65000).to_bytes(2, "little") * 2 + b"\xf0\0\0" + bytes(6) + b"," + bytes(4)
                     + (65000).to_bytes(2, "little") * 2 + b"\0\x02\x02D\x01\0;")  # fmt: skip
    refused(path)


def test_sixteen_k_is_refused_and_eight_k_is_read(tmp_path):
    path = tmp_path / "8k.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuvj420p"
        grey = av.VideoFrame.from_ndarray(np.full((6480, 7680), 128, np.uint8), format="yuvj420p")
        grey.pts = 0
        out.mux(stream.encode(grey))
        out.mux(stream.encode(None))
    assert [f.image.shape for f in read_frames(path)] == [(4320, 7680, 3)]
    data = path.read_bytes()
    bigger = tmp_path / "lie.mov"
    bigger.write_bytes(data.replace((7680).to_bytes(2, "big") + (4320).to_bytes(2, "big"), b"\xff\xf0\xff\xf0"))
    try:  # the header's lie is either seen through (the codec knows its size) or refused
        assert probe(bigger).width * probe(bigger).height <= MAX_PIXELS
    except UnreadableInputError as e:
        assert "\n" not in str(e)


def test_playlists_do_not_open_other_files(tmp_path, encode):
    target = encode("inner.mp4")
    concat = tmp_path / "list.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile '{target.name}'\n")
    refused(concat)
    hls = tmp_path / "list.m3u8"
    hls.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target.name}\n#EXT-X-ENDLIST\n")
    refused(hls)


@pytest.mark.parametrize(
    "name", [b"new\nline.mp4", b"bad\xff\xfebytes.mp4", b"concat:a|b.mp4", b"http:x.mp4", b"-i.mp4", b"%03d.mp4"]
)
def test_odd_names_are_files_like_others(tmp_path, encode, name):
    source = encode("plain.mp4")
    path = tmp_path / os.fsdecode(name)
    source.rename(path)
    assert len(list(read_frames(path))) == 12
    path.write_bytes(b"broken")
    message = refused(path)
    message.encode()  # printable everywhere


def test_a_file_that_announces_an_endless_duration_is_read_to_its_real_end(encode):
    path = encode("long.mp4", frames=20)
    data = path.read_bytes()
    at = data.index(b"mvhd") + 4 + 16
    path.write_bytes(data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        assert len(list(read_frames(path))) == 20


def test_frames_without_time_stamps_get_the_next_in_step(tmp_path):
    path = tmp_path / "raw.h264"
    with av.open(str(path), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        out.mux(stream.encode(None))
    times = [f.time_s for f in read_frames(path)]
    assert len(times) == 10
    assert times == sorted(set(times))
