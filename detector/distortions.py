"""The seven distortions of DeeperForensics-1.0 at five levels each, on frames as they stream (Jiang et al., CVPR
2020)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.augment import recode
from facewitness.errors import UsageError
from facewitness.media.types import Frame

LEVELS: dict[str, tuple[float, ...]] = {
    "saturation": (0.4, 0.3, 0.2, 0.1, 0.0),
    "contrast": (0.85, 0.725, 0.6, 0.475, 0.35),
    "blocks": (16, 32, 48, 64, 80),
    "noise": (0.001, 0.002, 0.005, 0.01, 0.05),
    "blur": (7, 9, 13, 17, 21),
    "downscale": (2, 3, 4, 5, 6),
    "h264": (30, 32, 35, 38, 40),
}
"""Saturation and contrast kept, number of 8-pixel blocks, variance of noise (of 1), kernel in pixels, factor, CRF."""
OVER_TIME = ("h264",)
"""Distortions of a frame that depend on the frames beside it."""
CHUNK = 64
"""Frames that go through the encoder together."""


def distort(frames: Iterable[Frame], kind: str, level: int, *, seed: int = 0) -> Iterator[Frame]:
    """Frames with a distortion of ``level`` 1..5; streams, and gives the same pictures for the same seed.

    Raises UsageError for an unknown kind or level.
    """
    if kind not in LEVELS or not 1 <= level <= 5:
        raise UsageError(f"there is no distortion {kind} {level}; choose {', '.join(LEVELS)} with 1 to 5.")
    amount = LEVELS[kind][level - 1]
    if kind == "h264":
        yield from _encoded(frames, int(amount))
        return
    rng = np.random.default_rng(seed)
    for frame in frames:
        yield replace(frame, image=_picture(frame.image, kind, amount, rng))


def _picture(image: NDArray[np.uint8], kind: str, amount: float, rng: np.random.Generator) -> NDArray:
    height, width = image.shape[:2]
    if kind == "saturation":
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(image, amount, grey, 1 - amount, 0)
    if kind == "contrast":
        return cv2.convertScaleAbs(image, alpha=amount, beta=127.5 * (1 - amount))
    if kind == "blocks":
        out = image.copy()
        for _ in range(int(amount)):
            y, x = int(rng.integers(max(height - 8, 1))), int(rng.integers(max(width - 8, 1)))
            out[y : y + 8, x : x + 8] = rng.integers(0, 256, 3)
        return out
    if kind == "noise":
        noise = rng.normal(0, 255 * np.sqrt(amount), image.shape)
        return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)
    if kind == "blur":
        return cv2.GaussianBlur(image, (int(amount), int(amount)), amount / 6)
    small = cv2.resize(image, (max(int(width / amount), 8), max(int(height / amount), 8)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _encoded(frames: Iterable[Frame], crf: int) -> Iterator[Frame]:
    chunk: list[Frame] = []
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == CHUNK:
            yield from _flush(chunk, crf)
            chunk = []
    if chunk:
        yield from _flush(chunk, crf)


def _flush(chunk: list[Frame], crf: int) -> Iterator[Frame]:
    images = recode(np.stack([f.image for f in chunk]), crf)
    for frame, image in zip(chunk, images, strict=True):
        yield replace(frame, image=image)
