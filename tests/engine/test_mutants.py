"""Videos that were damaged on purpose: flipped bits, cuts, lies in headers, absurd sizes, endless durations."""

import os
import random
import warnings
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facewitness.detector.engine import Budget, Scanner, scan_paths

COUNT = int(os.environ.get("FACEWITNESS_MUTANTS", "2000"))
"""They take half a minute of two cores: each is ten small frames."""
KINDS = [
    ("a.mp4", "libx264", "yuv420p"), ("b.webm", "libvpx-vp9", "yuv420p"), ("c.avi", "mpeg4", "yuv420p"),
    ("d.mpg", "mpeg1video", "yuv420p"), ("e.gif", "gif", "rgb8"), ("f.mov", "mjpeg", "yuvj420p"),
    ("g.ts", "mpeg2video", "yuv420p"), ("h.mkv", "ffv1", "yuv420p"),
]  # fmt: skip
EXTREMES = [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1", b"\x80\0\0\0"]
FIELDS = [b"mvhd", b"tkhd", b"mdhd", b"stsz", b"stts", b"stsd", b"avc1", b"\x44\x89", b"\xb0\x82", b"strh", b"strf"]
"""Where sizes, counts and durations stand in MP4, Matroska and AVI."""


def whole(folder: Path, name: str, codec: str, pixel_format: str) -> bytes:
    path = folder / name
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pixel_format
        for i in range(10):
            scene = np.random.default_rng(i // 4).integers(0, 255, (12, 20, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(np.roll(scene.repeat(8, 0).repeat(8, 1), i, 1))
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def mutant(original: bytes, rng: random.Random) -> bytes:
    data = bytearray(original)
    kind = rng.randrange(6)
    if kind == 0:
        for _ in range(rng.choice([1, 5, 50, 500])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data = data[: rng.randrange(len(data))]
    elif kind == 2:
        for _ in range(rng.choice([1, 4, 16])):
            at = rng.randrange(min(len(data), 2000))
            data[at : at + 4] = rng.choice(EXTREMES)
    elif kind == 3:
        at = rng.randrange(len(data))
        del data[at : at + rng.randrange(5000)]
    elif kind == 4:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.randrange(1000))
    else:
        for field in FIELDS:
            at = data.find(field)
            if at > 0 and rng.random() < 0.5:
                at += 4 + rng.randrange(40)
                data[at : at + 4] = bytes(rng.choice([0, 1, 0x7F, 0xFF]) for _ in range(4))
    return bytes(data)


@pytest.mark.timeout(900)
def test_damaged_videos_neither_crash_nor_hang_nor_eat(tmp_path, scanner):
    rng = random.Random(5)
    folder = tmp_path / "mutants"
    folder.mkdir()
    originals = [(Path(name).suffix, whole(tmp_path, name, codec, fmt)) for name, codec, fmt in KINDS]
    for i in range(COUNT):
        suffix, original = originals[i % len(originals)]
        (folder / f"{i:05}{suffix}").write_bytes(mutant(original, rng))
    decode = Scanner(function="standin:decode", model_id="standin")
    budget = Budget(base_s=30, memory_mb=1000)
    rows = list(scan_paths([folder], out=tmp_path / "out", scanner=decode, budget=budget, workers=2))
    assert len(rows) == COUNT
    told = Counter(r["status"] for r in rows)
    assert set(told) <= {"ok", "unreadable"}, [r for r in rows if r["status"] not in ("ok", "unreadable")]
    assert told["unreadable"] > 0 and told["ok"] > COUNT // 2
    assert max(r["seconds"] for r in rows) < 20
    for row in rows:
        assert row["status"] == "ok" or (row["error"] and "\n" not in row["error"])


def test_what_decodes_of_a_damaged_video_has_increasing_times(tmp_path):
    from facewitness.errors import UnreadableInputError
    from facewitness.media import read_frames

    rng = random.Random(6)
    originals = [(Path(name).suffix, whole(tmp_path, name, codec, fmt)) for name, codec, fmt in KINDS]
    for i in range(40):
        suffix, original = originals[i % len(originals)]
        path = tmp_path / f"m{suffix}"
        path.write_bytes(mutant(original, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                times = [f.pts for f in read_frames(path)]
            except UnreadableInputError:
                continue
        assert times == sorted(set(times))
