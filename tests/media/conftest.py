"""Small videos of every kind, encoded here so that their contents and times are known."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WIDTH, HEIGHT = 160, 96


def paint(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Dark, with a red top left quarter; the grey of the bottom right quarter tells the index."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[: height // 2, : width // 2] = (200, 30, 30)
    image[height // 2 :, width // 2 :] = 60 + (index * 8) % 184
    return image


def read_back(image: np.ndarray) -> int:
    """Which picture this is, told by its grey level."""
    h, w = image.shape[:2]
    return round((float(image[h * 5 // 8 : h * 7 // 8, w * 5 // 8 : w * 7 // 8].mean()) - 60) / 8)


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    return paint


@pytest.fixture
def index_of() -> Callable[[np.ndarray], int]:
    return read_back


@pytest.fixture
def encode(tmp_path: Path) -> Callable[..., Path]:
    """Encode pictures with PyAV itself (not with our writer): ``encode("a.mkv", codec="libvpx-vp9", times=[...])``."""

    def make(
        name: str, *, codec: str = "libx264", frames: int = 12, rate: Fraction | int = 25, size=(WIDTH, HEIGHT),
        pixel_format: str = "yuv420p", times: list[int] | None = None, base: Fraction | None = None, aspect=None,
        turn: float | None = None, mirror: bool = False, sound: str | None = None, sound_seconds: float = 2.0,
        options: dict | None = None, tags: dict | None = None, container_options: dict | None = None,
    ) -> Path:  # fmt: skip
        path = tmp_path / name
        with av.open(str(path), "w", container_options=container_options or {}) as out:
            stream = out.add_stream(codec, rate=rate)
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            stream.options = options or ({"crf": "8", "preset": "fast"} if codec == "libx264" else {})
            for key, value in (tags or {}).items():
                setattr(stream.codec_context, key, value)
            if base:
                stream.codec_context.time_base = stream.time_base = base
            if aspect:
                stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
            if turn is not None or mirror:
                stream.set_display_rotation(turn or 0, hflip=mirror)
            audio = out.add_stream(sound, rate=48000) if sound else None
            if audio:
                audio.codec_context.layout = "mono"
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(paint(i, *size))
                frame.pts = times[i] if times else i
                frame.time_base = base or Fraction(1, 1) / Fraction(rate)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if audio:
                write_tone(out, audio, sound_seconds)
        return path

    return make


def write_tone(out, audio, seconds: float) -> None:
    """A 440 Hz tone, in frames the encoder likes."""
    resampler = av.AudioResampler(
        format=audio.codec_context.format, layout="mono", rate=48000, frame_size=audio.codec_context.frame_size or 1024
    )
    for start in range(0, math.ceil(seconds * 48000), 1024):
        wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / 48000)
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for piece in resampler.resample(frame):
            out.mux(audio.encode(piece))
    for piece in resampler.resample(None):
        out.mux(audio.encode(piece))
    out.mux(audio.encode(None))
