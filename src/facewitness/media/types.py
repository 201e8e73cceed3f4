"""What a video is to us: the probe of a file, and one decoded frame with its exact presentation time."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a container says of its first video stream.

    ``width`` and ``height`` are those of the upright picture in square pixels, after rotation is applied.
    """

    path: Path
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    frame_rate: Fraction
    """Average frames per second; 0 where unknown."""
    time_base: Fraction
    """Seconds per tick of a presentation time stamp."""
    duration_s: float
    """Seconds; 0 where the container does not say."""
    frames: int
    """Number of frames the container announces; 0 where it does not."""
    codec: str
    pixel_format: str
    bit_depth: int
    rotation_deg: int
    """Clockwise turn that makes the stored picture upright: 0, 90, 180 or 270."""
    audio_codec: str | None
    container: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One decoded frame: upright RGB and its presentation time as an integer over a time base."""

    index: int
    pts: int
    time_base: Fraction
    image: NDArray[np.uint8]
    """HxWx3 RGB, 0..255."""

    @property
    def time_s(self) -> float:
        """Presentation time in seconds, counted from the stream's own zero."""
        return float(self.pts * self.time_base)
