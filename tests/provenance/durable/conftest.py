"""Textured video that moves like a talking head, marked and not, and encoders to hurt it with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facewitness.provenance import watermark as wm
from facewitness.provenance.ledger import Ledger

Frames = list[NDArray[np.uint8]]
KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")
FPS = 25


def texture(rng: np.random.Generator, side: int, colour: tuple[int, int, int], contrast: float) -> NDArray[np.float32]:
    """A picture with the 1/f spectrum of natural ones."""
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None]) * side
    noise = np.fft.fft2(rng.standard_normal((3, side, side))) / np.maximum(radius, 1.5) ** 1.1
    planes = np.fft.ifft2(noise).real
    planes = planes[0] + 0.3 * planes
    planes *= contrast / planes.std()
    return (np.moveaxis(planes, 0, -1) + np.array(colour)).astype(np.float32)


def moving_head(*, seed: int, seconds: float, side: int, scene: int | None = None, fps: int = FPS) -> Frames:
    """A textured oval that nods, sways and talks before a textured wall, with camera noise. ``scene`` seeds the looks
    apart."""
    looks, moves = np.random.default_rng(seed if scene is None else scene), np.random.default_rng(seed)
    wall = texture(looks, side, tuple(looks.integers(60, 190, 3)), 22)
    face = texture(looks, side, (190, 140, 120), 18)
    grid = np.arange(side) / side
    oval = np.clip(8 - 8 * np.hypot((grid[None] - 0.5) / 0.24, (grid[:, None] - 0.5) / 0.33), 0, 1).astype(np.float32)
    rates, phases = moves.uniform(0.15, 1.6, (4, 4)), moves.uniform(0, 6.3, (4, 4))
    frames = []
    for n in range(round(seconds * fps)):
        sway, nod, turn, talk = np.sin(2 * np.pi * rates * n / fps + phases).mean(axis=1) * (0.06, 0.05, 6, 1)
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, 1 + 0.02 * nod)
        matrix[:, 2] += sway * side, nod * side
        head = face.copy()
        mouth = int(side * (0.66 + 0.02 * talk))
        head[mouth : mouth + int(side * 0.02 * (1.5 + talk)), int(0.42 * side) : int(0.58 * side)] *= 0.4
        alpha = cv2.warpAffine(oval, matrix, (side, side))[..., None]
        picture = wall * (1 - alpha) + cv2.warpAffine(head, matrix, (side, side)) * alpha
        noise = moves.integers(-3, 4, picture.shape, dtype=np.int8)
        frames.append(np.clip(picture + noise, 0, 255).astype(np.uint8))
    return frames


def encode(frames: Frames, path: Path, *, crf: int = 23, codec: str = "libx264", fps: int = FPS) -> Path:
    height, width = (n - n % 2 for n in frames[0].shape[:2])
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        fast = {"preset": "veryfast"} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8", "b": "0"}
        stream.options = {"crf": str(crf), **fast}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), "rgb24")
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return path


def mark(frames: Frames, *, key: bytes = KEY, payload: bytes = PAYLOAD, fps: int = FPS) -> Frames:
    height, width = frames[0].shape[:2]
    embedder = wm.Embedder(payload, key, width=width, height=height, frame_rate=fps)
    return [embedder.embed(f) for f in frames]


@dataclass(frozen=True)
class Clip:
    plain: Frames
    marked: Frames


@pytest.fixture(scope="session")
def clip() -> Clip:
    """Ten seconds at 512 x 512."""
    plain = moving_head(seed=1, seconds=10, side=512)
    return Clip(plain, mark(plain))


@pytest.fixture(scope="session")
def small_clip() -> Clip:
    """Eight seconds at 256 x 256."""
    plain = moving_head(seed=2, seconds=8, side=256)
    return Clip(plain, mark(plain))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", witness=tmp_path / "witness.json")


@pytest.fixture
def make() -> Callable[..., Frames]:
    return moving_head
