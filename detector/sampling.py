"""Which frames of a clip are looked at, and the faces in each of them, in one pass of decoding."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import FaceTrack, FaceTracker
from facewitness.media.reading import Pace
from facewitness.media.types import Frame

ANALYSIS_FPS = 12.5
"""Frames a second that training and scanning look at: every second one of 25 or 30."""


THOROUGH = 80
"""Looks at a face, six seconds, of which every one is measured."""
STRETCH = 8
"""After these, so many looks in turn are measured and so many not: they are followed, for eyes and head move on, but
what surface and network say of a clip is a mean over stretches, to which ever more add ever less."""
NETWORK_EVERY = STRETCH
"""Looks for one that the network sees: it takes as long as all else."""
NETWORK_WINDOW = 4
"""Looks the network saw that make a window of its temporal head; half of them are shared with the next."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One face in one looked-at frame: its number while it is followed, and its (468, 3) mesh in pixels."""

    face: int
    mesh: NDArray[np.float32]


def stride(fps: float) -> int:
    """How many frames of a video of ``fps`` make one step of the analysis; 1 where the rate is unknown or low."""
    return max(round(fps / ANALYSIS_FPS), 1) if fps > 0 else 1


def step_s(fps: float) -> float:
    """Seconds between two looks at a video of ``fps``; 0 (every frame is looked at) where the rate is unknown."""
    return stride(fps) / fps if fps > 0 else 0.0


def is_measured(look: int) -> bool:
    """Whether the ``look``-th look at a face, from 1, is measured; the look before a stretch is, as what the first of
    it is compared with."""
    return look <= THOROUGH or (look - THOROUGH) % (2 * STRETCH) >= STRETCH - 1


def thin(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The frames of a video of ``fps`` that are looked at, by presentation time."""
    pace = Pace(step_s(fps))
    return (frame for frame in frames if pace.due(frame.time_s))


class Follower:
    """A FaceTracker that says after every frame which faces it sees there, and at the end which track each became."""

    def __init__(self, tracker: str = "mesh", max_faces: int = 4):
        self._tracker = FaceTracker(tracker, max_faces)

    def update(self, frame: Frame) -> list[Sighting]:
        """Look at the next frame; the faces seen in it."""
        self._tracker.update(frame)
        return [Sighting(face=number, mesh=mesh) for number, mesh in self._tracker.seen]

    def take(self) -> list[tuple[int, FaceTrack]]:
        """(number while followed, track) of every face since the last call, the most present and largest first."""
        return self._tracker.take()
