"""A copy of a video that every browser plays and seeks exactly: H.264 and AAC in MP4, at a constant frame rate.

A file that is such a video already is played as it is. Times stay those of the file: frame n of a proxy shows the frame
that the file shows at n over its frame rate.
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.files import cache_dir, sha256_file
from facewitness.media import Frame, VideoWriter, probe, read_frames

LONGEST_SIDE_PX = 1920
MOST_FRAMES_PER_S = 60
PLAYED = {"h264"}


def playable(path: Path) -> Path:
    """The file itself where a browser plays and seeks it, else its proxy (made once, kept in the cache).

    Raises UnreadableInputError where it is no video.
    """
    info = probe(path)
    plain = (
        info.codec in PLAYED
        and info.pixel_format in ("yuv420p", "yuvj420p")
        and "mp4" in info.container
        and info.rotation_deg == 0
        and info.audio_codec in (None, "aac", "mp3", "opus")
        and max(info.width, info.height) <= LONGEST_SIDE_PX
        and _steady(path, info.frame_rate)
    )
    return path if plain else proxy(path)


def proxy(path: Path) -> Path:
    """Make (or find) the proxy of a video; returns its path in the cache folder."""
    out = cache_dir() / "proxies" / f"{sha256_file(path)}-2.mp4"
    if out.is_file():
        os.utime(out)
        return out
    info = probe(path)
    rate = info.frame_rate if 0 < info.frame_rate <= MOST_FRAMES_PER_S else Fraction(25 if not info.frame_rate else 60)
    scale = min(1.0, LONGEST_SIDE_PX / max(info.width, info.height))
    size = (max(2, round(info.width * scale)), max(2, round(info.height * scale)))
    with VideoWriter(out, width=size[0], height=size[1], frame_rate=rate, crf=18, audio_from=path) as writer:
        for image in _at_constant_rate(read_frames(path), rate):
            writer.write(_sized(image, size))
    return out


def _steady(path: Path, rate: Fraction) -> bool:
    """Whether the frames stand at equal distances (within a quarter of a frame), read from the packets alone."""
    import av

    if rate <= 0:
        return False
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        pts = np.sort([p.pts for p in container.demux(stream) if p.pts is not None and p.size])
        if base is None or len(pts) < 2:
            return False
        steps = np.diff(pts) * float(base) * float(rate)
        return bool(np.abs(steps - 1).max() <= 0.25) and abs(float(pts[0] * base)) < 0.5 / float(rate)


def _at_constant_rate(frames: Iterator[Frame], rate: Fraction) -> Iterator[NDArray[np.uint8]]:
    n, shown = 0, None
    for frame in frames:
        while shown is not None and (n + 0.5) / rate < frame.pts * frame.time_base:
            yield shown
            n += 1
        shown = frame.image
    if shown is not None:
        yield shown


def _sized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2

    same = (image.shape[1], image.shape[0]) == size
    return image if same else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
