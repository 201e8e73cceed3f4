"""Portraits that may be shown to anyone, moved about to make small videos."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewitness.media import VideoWriter
from facewitness.media.types import Frame

RATE = 25


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """NASA's portrait of Eileen Collins (public domain, shipped inside scikit-image), 512x512."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def other_portrait() -> np.ndarray:
    """The US Navy's portrait of Grace Hopper (public domain, shipped inside matplotlib), cut to 512x512."""
    import matplotlib.cbook as cbook

    with cbook.get_sample_data("grace_hopper.jpg") as f:
        image = cv2.imdecode(np.frombuffer(f.read(), np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[:512, :512])


@pytest.fixture
def moved() -> Callable[..., list[Frame]]:
    """Frames in which a picture is shifted by ``shift(index)`` pixels; None stands for an empty grey frame."""

    def make(image: np.ndarray, count: int, shift: Callable[[int], tuple[float, float] | None]) -> list[Frame]:
        frames = []
        for i in range(count):
            by = shift(i)
            if by is None:
                picture = np.full_like(image, 110)
            else:
                m = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float64)
                picture = cv2.warpAffine(image, m, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
            frames.append(Frame(index=i, pts=i * 512, time_base=Fraction(1, 512 * RATE), image=picture))
        return frames

    return make


@pytest.fixture
def as_video(tmp_path: Path) -> Callable[[list[Frame]], Path]:
    """Encode frames to an MP4."""

    def encode(frames: list[Frame], name: str = "clip.mp4") -> Path:
        path = tmp_path / name
        height, width = frames[0].image.shape[:2]
        with VideoWriter(path, width=width, height=height, frame_rate=Fraction(RATE)) as writer:
            for frame in frames:
                writer.write(frame.image)
        return path

    return encode
