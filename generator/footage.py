"""From a video to what an actor is made of: one followed face, its square, its shapes and performance, checked for
use."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.faces import landmarks as lm
from facewitness.faces import track_video
from facewitness.faces.types import FaceTrack
from facewitness.files import sha256_file
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.model import pick
from facewitness.generator.shapes import Shapes, shapes_of
from facewitness.generator.square import FaceSquare, find_square
from facewitness.media import probe
from facewitness.media.types import VideoInfo

MIN_SECONDS = 5.0
"""Less footage than this shows too few mouth shapes and blinks to retrieve from."""
ADVISED_SECONDS = 20.0
SECOND_FACE_SHARE = 0.2
"""A second face in more than this share of the frames makes the footage that of several people."""
LEAST_MOUTH_CM = 0.25
"""Lips that part less than this between the 5th and the 95th percentile show no speech."""
CUT_PX = 0.35
"""The face jumps by more than this many of its own widths between two frames: a cut, not a motion."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A video of one person, followed and measured; N usable frames of it."""

    video: Path
    info: VideoInfo
    sha256: str
    kept: NDArray[np.int64]
    """(N,) numbers of the usable frames in the video."""
    square: FaceSquare
    shapes: Shapes
    """(N) of the usable frames, in the square's pixels."""
    performance: Performance
    """(N) of the usable frames."""
    notes: tuple[str, ...] = ()
    """What limits this footage, one sentence each."""


def prepare(video: Path, *, size: int, max_seconds: float | None = None, progress: bool = False) -> Footage:
    """Follow the face of ``video`` and measure it.

    Raises UsageError where the footage cannot make an actor: no face, several faces, a face under 96 px, under 5 s.
    """
    from facewitness.generator.reconstruct import reconstruct

    info = probe(video)
    tracks = track_video(video, max_faces=2, end_s=max_seconds, progress=progress)
    track = the_face(tracks, video)
    kept, notes = usable(track)
    seconds = len(kept) / (float(info.frame_rate) or 25.0)
    if seconds < MIN_SECONDS:
        raise UsageError(
            f"{video.name} has only {seconds:.1f} s of one face in one shot; at least {MIN_SECONDS:.0f} s are needed, "
            f"{ADVISED_SECONDS:.0f} s or more are better."
        )
    if seconds < ADVISED_SECONDS:
        notes.append(f"only {seconds:.0f} s of footage: mouth shapes and poses that are not in it will look borrowed.")
    performance = pick(reconstruct(track), kept)
    shapes = shapes_of(performance)
    square = find_square(shapes, info.width, info.height, size)
    return Footage(
        video=video, info=info, sha256=sha256_file(video), kept=kept, square=square, shapes=square.shapes(shapes),
        performance=performance, notes=tuple(notes + _range_notes(performance)),
    )  # fmt: skip


def the_face(tracks: list[FaceTrack], video: Path) -> FaceTrack:
    """The one face of a video; raises where there is none (UnreadableInputError) or a second one (UsageError)."""
    if not tracks or not tracks[0].present.any():
        raise UnreadableInputError(
            f"no face was found in {video.name}; use footage that shows one face from the front."
        )
    first = tracks[0]
    for other in tracks[1:]:
        both = first.present & other.present
        if both.sum() > SECOND_FACE_SHARE * first.present.sum():
            raise UsageError(
                f"{video.name} shows several faces ({both.mean():.0%} of the frames); "
                "use footage of one person, or crop it."
            )
    return first


def usable(track: FaceTrack) -> tuple[NDArray[np.int64], list[str]]:
    """The frames of the longest shot in which the face is seen, and what was left out."""
    present = track.present
    middle = np.nan_to_num(track.mesh[:, lm.NOSE_TIP, :2])
    width = np.nanmedian(np.linalg.norm(track.mesh[:, lm.LEFT_EAR, :2] - track.mesh[:, lm.RIGHT_EAR, :2], axis=-1))
    step = np.linalg.norm(np.diff(middle, axis=0, prepend=middle[:1]), axis=-1)
    cut = (step > CUT_PX * width) & present & np.roll(present, 1)
    shot = np.cumsum(cut)
    sizes = np.bincount(shot[present])
    best = int(sizes.argmax())
    kept = np.flatnonzero(present & (shot == best))
    notes = []
    if len(sizes) > 1:
        notes.append(
            f"the footage has {len(sizes)} shots; only the longest one ({sizes[best] / sizes.sum():.0%}) is used."
        )
    if (~present).any():
        notes.append(f"the face was not seen in {(~present).mean():.0%} of the frames; they are left out.")
    return kept, notes


def _range_notes(performance: Performance) -> list[str]:
    notes = []
    yaw = np.degrees(np.ptp(np.percentile(performance.rotation[:, 1], [2, 98])))
    if yaw < 4:
        notes.append(f"the head hardly turns ({yaw:.0f} degrees from side to side); larger turns will be limited.")
    if np.percentile(performance.lids.max(1), 99) < 0.5:
        notes.append("the footage holds no blink; closed eyes will look painted.")
    low, high = performance.identity.ranges.get("mouth", (0.0, LEAST_MOUTH_CM))
    if high - low < LEAST_MOUTH_CM:
        notes.append(
            f"the mouth hardly opens ({high - low:.1f} cm); wider mouths will be limited, their teeth borrowed."
        )
    return notes
