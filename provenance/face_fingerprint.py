"""The fingerprint of the face alone: finds a made face again when its surroundings were cut off, covered or replaced.

print_ = of_face(path)                        # Fingerprint | None; Record(face_fingerprint=print_) keeps it
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.faces.types import FaceTrack
from facewitness.provenance import fingerprint as fp

MARGIN = 1.25
"""Side of the region relative to the face box: brows to chin with a little around."""
SMOOTHING_S = 1.0
"""The region follows the head this slowly, so that the tracker's jitter does not move it."""


def of_face(path: Path, track: FaceTrack | None = None) -> fp.Fingerprint | None:
    """The fingerprint of a video's most present face, or None; it is tracked here where no ``track`` is given.

    Raises UnreadableInputError for a file that cannot be decoded.
    """
    sketch = sketch_of_face(path, track)
    return fp.of_sketch(sketch) if sketch else None


def sketch_of_face(path: Path, track: FaceTrack | None = None, *, end_s: float | None = None) -> fp.Sketch | None:
    """What a search for the face needs; see fingerprint.sketch_of."""
    if track is None:
        from facewitness.faces import track_video

        track = next(iter(track_video(path, max_faces=1, end_s=end_s)), None)
    if track is None or track.present.sum() < 3:
        return None
    return fp.sketch_of_timed(_faces(path, regions(track), track.times_s, end_s), borders=False)


def regions(track: FaceTrack) -> NDArray[np.float32]:
    """(T, 3) centre x, y and side in pixels of the face region; gaps are bridged and the path is smoothed."""
    boxes, times = track.boxes.astype(np.float64), track.times_s
    seen = track.present & np.isfinite(boxes).all(axis=1)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    side = MARGIN * np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    bridged = np.stack([np.interp(times, times[seen], v[seen]) for v in (x, y, side)], axis=1)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    width = max(1, round(SMOOTHING_S / max(step, 1e-3)) // 2 * 2 + 1)
    padded = np.pad(bridged, ((width // 2, width // 2), (0, 0)), mode="edge")
    kernel = np.full(width, 1 / width)
    return np.stack([np.convolve(c, kernel, mode="valid") for c in padded.T], axis=1).astype(np.float32)


def _faces(
    path: Path, region: NDArray[np.float32], times_s: NDArray[np.float64], end_s: float | None
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """(seconds, the face region) of every frame; what lies outside the picture is left out."""
    from facewitness.media import read_frames

    for frame in read_frames(path, end_s=end_s):
        at = min(int(np.searchsorted(times_s, frame.time_s - 1e-4)), len(times_s) - 1)
        x, y, side = region[at]
        height, width = frame.image.shape[:2]
        top, left = max(0, round(float(y - side / 2))), max(0, round(float(x - side / 2)))
        bottom, right = min(height, round(float(y + side / 2))), min(width, round(float(x + side / 2)))
        if bottom - top >= 8 and right - left >= 8:
            yield frame.time_s, frame.image[top:bottom, left:right]
