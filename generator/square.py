"""The face's square: the part of the full frame that is modelled, cut out of it and pasted back without a seam."""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.shapes import Shapes

MIN_FACE_PX = 96
"""A face narrower than this in its own video has too little detail to learn from."""
FINER = 1.2
"""A frame with so many pixels for each modelled one has detail to give back."""
ABOVE, BELOW, BESIDE = 0.75, 0.55, 0.6
"""Margins around the face's mesh, in heights of the face: hair above, neck and collar below, hair and ears beside."""


@dataclass(frozen=True, kw_only=True)
class FaceSquare:
    """A square in the full frame, and the size it is modelled at."""

    x: int
    y: int
    side: int
    size: int

    @property
    def scale(self) -> float:
        """Modelled pixels per pixel of the full frame."""
        return self.size / self.side

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(size, size, 3) the square of a full frame."""
        part = frame[self.y : self.y + self.side, self.x : self.x + self.side]
        if self.side == self.size:
            return part
        how = cv2.INTER_AREA if self.side > self.size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(part, (self.size, self.size), interpolation=how), np.uint8)

    def shapes(self, shapes: Shapes) -> Shapes:
        """Shapes of the full frame, in the square's pixels."""
        return shapes.moved((self.x, self.y), self.scale)

    def paste(
        self, frame: NDArray[np.uint8], picture: NDArray[np.float32], alpha: NDArray[np.float32], *,
        detail: NDArray[np.float32] | None = None,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """The full ``frame`` with ``picture`` (size, size, 3; 0..255) in its square, mixed by ``alpha`` (size, size;
        0..1), which is let fall to 0 at each edge of the square that lies inside the frame.

        ``detail`` (side, side, 3) is added to the picture at the frame's own resolution: what the model is too
        small for.
        """
        out = frame.copy()
        alpha = alpha * self.edge(out.shape[0], out.shape[1])
        if self.side != self.size:
            how = cv2.INTER_CUBIC if self.side > self.size else cv2.INTER_AREA
            picture = np.asarray(cv2.resize(picture, (self.side, self.side), interpolation=how), np.float32)
            alpha = np.asarray(cv2.resize(alpha, (self.side, self.side)), np.float32)
        if detail is not None:
            picture = np.asarray(cv2.add(picture, detail), np.float32)
        mix(out[self.y : self.y + self.side, self.x : self.x + self.side], picture, alpha)
        return out

    def detail(
        self, frame: NDArray[np.uint8], where: NDArray[np.float32], share: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """(side, side, 3) what of a full ``frame`` is finer than the model, bent by ``where`` (size, size, 2) and
        weighed by
        ``share`` (size, size); None where the model is as fine as the frame."""
        if self.side < FINER * self.size:
            return None
        shape, ratio = (self.side, self.side), self.side / self.size
        part = frame[self.y : self.y + self.side, self.x : self.x + self.side]
        coarse = cv2.resize(cv2.resize(part, (self.size, self.size), interpolation=cv2.INTER_AREA), shape,
                            interpolation=cv2.INTER_CUBIC)  # fmt: skip
        there = (cv2.resize(where, shape) + 0.5) * np.float32(ratio) - np.float32(0.5)
        fine = cv2.remap(cv2.subtract(part, coarse, dtype=cv2.CV_32F), there[..., 0], there[..., 1], cv2.INTER_CUBIC)
        return np.asarray(cv2.multiply(fine, cv2.merge([cv2.resize(share, shape)] * 3)), np.float32)

    def edge(self, height: int, width: int, share: float = 0.06) -> NDArray[np.float32]:
        """(size, size) 1 inside, falling to 0 over ``share`` of the square towards each of its edges that lies inside a
        frame of ``height`` and ``width``."""
        ramp = np.clip((np.arange(self.size) + 0.5) / (share * self.size), 0, 1).astype(np.float32)
        left = ramp if self.x > 0 else np.ones_like(ramp)
        top = ramp if self.y > 0 else np.ones_like(ramp)
        right = ramp[::-1] if self.x + self.side < width else np.ones_like(ramp)
        bottom = ramp[::-1] if self.y + self.side < height else np.ones_like(ramp)
        return np.minimum(left, right)[None] * np.minimum(top, bottom)[:, None]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The whole frame that a made square is put into."""

    frame: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    detail: NDArray[np.float32] | None = None
    """(side, side, 3) what of it the square's model is too small for, see ``FaceSquare.detail``; None for nothing."""
    behind: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None
    """Another background (H, W, 3) and how far the person is before it (H, W; 0..1); None where the frame's own is
    right."""


@njit(cache=True, nogil=True)
def mix(part, picture, alpha):  # pragma: no cover - compiled
    """Lay ``picture`` (h, w, 3; 0..255) over ``part`` (h, w, 3) uint8, in place, as far as ``alpha`` (h, w) says."""
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            a = alpha[y, x]
            if a > 0:
                for c in range(3):
                    under = np.float32(part[y, x, c])  # whole numbers without sign would wrap around
                    value = under + a * (np.float32(picture[y, x, c]) - under) + np.float32(0.5)
                    part[y, x, c] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))


def find_square(shapes: Shapes, width: int, height: int, size: int) -> FaceSquare:
    """The square around everywhere the head goes in the clip, inside the frame, modelled at ``size`` px at most.

    Raises UsageError where the face is narrower than 96 px.
    """
    points = shapes.mesh[:, list(lm.FACE_OVAL), :2]
    low, high = np.percentile(points.min(1), 1, axis=0), np.percentile(points.max(1), 99, axis=0)
    face_width = float(np.median(np.ptp(points[..., 0], axis=1)))
    if face_width < MIN_FACE_PX:
        raise UsageError(
            f"the face is only {face_width:.0f} px wide; at least {MIN_FACE_PX} px are needed: "
            "film closer or in a higher resolution."
        )
    tall = float(np.median(np.ptp(points[..., 1], axis=1)))
    x0, y0 = low[0] - BESIDE * tall, low[1] - ABOVE * tall
    x1, y1 = high[0] + BESIDE * tall, high[1] + BELOW * tall
    side = int(min(max(x1 - x0, y1 - y0), width, height))
    x = int(np.clip((x0 + x1) / 2 - side / 2, 0, width - side))
    y = int(np.clip((y0 + y1) / 2 - side / 2, 0, height - side))
    return FaceSquare(x=x, y=y, side=side, size=max(64, min(size, side) // 16 * 16))
