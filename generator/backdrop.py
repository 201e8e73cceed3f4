"""A background that moves, behind a person who does not move with it: cut apart by segmentation, each in its own time.

Where the camera and what is behind a person stand still, the whole of a stored frame is shown again. Where they do not,
the background would jump whenever another moment of the person is shown. Then it goes on by itself instead, from the
footage's first frame to its last and over again, and the person is laid before it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.generator.bank import FullFrames
from facewitness.generator.plate import Persons, background, spread
from facewitness.generator.square import FaceSquare

PLATE_FRAMES = 24
FADE_FRAMES = 12
"""The end of the footage goes over into its beginning during so many frames."""
SURE = (0.35, 0.75)
"""What the segmentation calls a person with less than the first share is background, with more than the second not."""
AROUND = 0.02
"""Of a frame's longer side: so far around a person the background is not trusted, for hair and light reach there."""


class Backdrop:
    """The background of one actor's footage, playing on by itself. One thread at a time."""

    def __init__(self, frames: FullFrames, count: int, width: int, height: int):
        """Look through some of the ``count`` stored ``frames`` (their own reader: they are played on from here)."""
        self._frames, self._count, self._persons = frames, count, Persons()
        grow = 2 * max(1, round(AROUND * max(width, height))) + 1
        self._reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow))
        some = list(spread(frames, count, height, width, PLATE_FRAMES).values())
        self._plate = background(some, [self._around(f) > 0 for f in some])[0]

    def person(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W) 0..1 where the person is in a frame (H, W, 3)."""
        low, high = SURE
        sure = np.clip((self._persons(frame) - low) / (high - low), 0, 1)
        return np.asarray(sure * sure * (3 - 2 * sure), np.float32)

    def at(self, t: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB the background at frame ``t`` of what is made, nobody before it."""
        fade = min(FADE_FRAMES, self._count // 4)
        lap = self._count - fade
        turn, place = divmod(t, lap)
        now = self._empty(place)
        if turn and place < fade:  # the lap before is still fading out
            share = (place + 1) / (fade + 1)
            now = np.asarray(cv2.addWeighted(now, share, self._empty(lap + place), 1 - share, 0), np.uint8)
        return now

    def close(self) -> None:
        """Let go of the file."""
        self._frames.close()

    def _empty(self, number: int) -> NDArray[np.uint8]:
        frame = self._frames[number]
        share = cv2.GaussianBlur(self._around(frame), (0, 0), max(self._reach.shape[0] / 6, 0.8))[..., None]
        return np.asarray(frame + share * (self._plate - frame) + 0.5, np.uint8)

    def _around(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(cv2.dilate((self._persons(frame) > 0.1).astype(np.float32), self._reach), np.float32)


def bent(person: NDArray[np.float32], square: FaceSquare, where: NDArray[np.float32]) -> NDArray[np.float32]:
    """A person's share (H, W) of a stored frame as ``where`` (size, size, 2) bends the frame inside its ``square``."""
    out = person.copy()
    here = slice(square.y, square.y + square.side), slice(square.x, square.x + square.side)
    there = (cv2.resize(where, (square.side, square.side)) + 0.5) / np.float32(square.scale) - np.float32(0.5)
    out[here] = cv2.remap(person[here], there[..., 0], there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out
