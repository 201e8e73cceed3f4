"""What is behind a person: the background of footage from a camera that stands still, and smooth filling of holes."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness import weights
from facewitness.faces.networks import Network
from facewitness.generator.bank import FullFrames

MEMORY_BYTES = 192 << 20
"""Frames looked at together take no more than this."""
ROWS = 32


SEEN_PX = 256
"""Side of the picture the segmentation network is given."""


class Persons:
    """Says where people are, hair and clothes included (MediaPipe selfie segmentation). One thread at a time."""

    def __init__(self) -> None:
        self._network = Network(weights.fetch("selfie_segmentation"))

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W) 0..1 of a frame (H, W, 3) RGB."""
        height, width = frame.shape[:2]
        small = cv2.resize(frame, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_AREA)
        seen = self._network(small[None].astype(np.float32) / np.float32(255))[0].reshape(SEEN_PX, SEEN_PX)
        return np.asarray(cv2.resize(seen, (width, height)), np.float32)


def filled(values: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, C) ``values`` where ``weight`` (H, W; 0..1) is 1, smoothly spread into where it is 0.

    Pull and push through a pyramid (Gortler et al., SIGGRAPH 1996): a hole takes the mean of its surroundings at the
    finest scale on which there are any. Where nothing is known at all, the result is 0.
    """
    if min(weight.shape) <= 2:
        total = float(weight.sum())
        mean = (values * weight[..., None]).sum((0, 1)) / max(total, 1e-6)
        return weight[..., None] * values + (1 - weight[..., None]) * mean
    soft = cv2.pyrDown(weight)
    coarse = cv2.pyrDown(values * weight[..., None])
    coarse = coarse.reshape(*soft.shape, -1) / np.maximum(soft, 1e-4)[..., None]
    below = filled(np.asarray(coarse, np.float32), np.clip(soft * 4, 0, 1))
    wide = cv2.resize(below, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(values.shape)
    return np.asarray(weight[..., None] * values + (1 - weight[..., None]) * wide, np.float32)


def most_frames(height: int, width: int, wanted: int = 40) -> int:
    """How many frames of a size are looked at together."""
    return int(np.clip(MEMORY_BYTES // (height * width * 3), 5, wanted))


def spread(stored: FullFrames, count: int, height: int, width: int, wanted: int = 40) -> dict[int, NDArray[np.uint8]]:
    """Frames of ``count`` stored ones by number, evenly spread, as many as are looked at together."""
    numbers = np.linspace(0, count - 1, most_frames(height, width, wanted)).astype(int)
    return {int(k): stored[int(k)].copy() for k in np.unique(numbers)}


def background(
    frames: Sequence[NDArray[np.uint8]], persons: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W, 3) background 0..255, and (H, W) 0..1 where it was ever seen, of frames (H, W, 3) from one place.

    Per pixel the median over the frames in which no person (``persons``, generously) stands there; the rest is filled
    from around.
    """
    height, width = persons[0].shape
    picture = np.zeros((height, width, 3), np.float32)
    seen = np.asarray(len(frames) - np.sum(persons, axis=0), np.int64)
    for y in range(0, height, ROWS):
        part = np.stack([f[y : y + ROWS] for f in frames]).astype(np.int16)
        part[np.stack([p[y : y + ROWS] for p in persons])] = 256  # sorts behind every colour
        part.sort(axis=0)
        middle = np.maximum(seen[y : y + ROWS] - 1, 0) // 2
        picture[y : y + ROWS] = np.take_along_axis(part, middle[None, ..., None], 0)[0]
    known = np.asarray(seen > 0, np.float32)
    return filled(picture * known[..., None], known), known
