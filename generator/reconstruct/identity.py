"""What stays the same of one person over a clip: camera, neutral shape, eyeballs, ranges."""

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.faces.types import FaceTrack
from facewitness.generator.performance import Camera
from facewitness.generator.reconstruct.rotation import similarity
from facewitness.generator.reconstruct.solve import pose_weights

FOCAL_OVER_SIDE = 1.5
"""Focal length over the longer side of the picture: a 36 degree view, typical of talking-head footage."""
CLOSED_MOUTH_PERCENTILE = 12
EYE_CENTRE_Z = 0.95
PARALLAX_WEIGHT = 0.2
"""Weight of the network's depth against its x and y in the neutral shape: with less, rendered heads are turned more
exactly, but small modes of expression are told apart less well where depth is good."""


def assumed_camera(track: FaceTrack) -> Camera:
    """A camera of typical focal length for the track's picture."""
    return Camera(focal_px=FOCAL_OVER_SIDE * max(track.width, track.height), width=track.width, height=track.height)


def usable_frames(track: FaceTrack, limit: int) -> NDArray[np.int64]:
    """Indices of at most ``limit`` frames in which the face was seen, evenly spread."""
    at = np.flatnonzero(track.present & np.isfinite(track.mesh).all((1, 2)))
    return at if len(at) <= limit else at[np.linspace(0, len(at) - 1, limit).astype(int)]


def neutral_shape(head: NDArray, weights: NDArray, rotation: NDArray | None = None) -> NDArray[np.float64]:
    """The person's neutral face (468, 3) in centimetres from meshes in the head frame (T, 468, 3).

    ``rotation`` (T, 3, 3), head to camera, says along which line each frame saw it: what a frame guesses along
    that line counts little beside what others see from another side. Where None every direction counts alike.

    Not the first frame and not the mean: frames count by how nearly the mouth is as closed as this clip knows it and
    the
    other features are at their median. The result is scaled and placed like the canonical face by its rigid points.
    """
    gap = head[:, lm.LIP_LOWER_INNER, 1] - head[:, lm.LIP_UPPER_INNER, 1]
    closed = np.percentile(gap, CLOSED_MOUTH_PERCENTILE)
    spread = max(float(np.std(gap)), 0.05)
    near = np.exp(-0.5 * np.clip((gap - closed) / (0.5 * spread), 0, None) ** 2)
    for feature in (
        head[:, lm.MOUTH_LEFT, 0] - head[:, lm.MOUTH_RIGHT, 0],
        head[:, list(lm.RIGHT_BROW + lm.LEFT_BROW), 1].mean(1),
        head[:, 159, 1] - head[:, 145, 1],
    ):
        off = (feature - np.median(feature)) / max(float(np.std(feature)), 0.02)
        near = near * np.exp(-0.5 * (off / 1.2) ** 2)
    near = near * weights + 1e-6
    if rotation is None:
        return placed(np.average(head, axis=0, weights=near))
    look = np.diag([1.0, 1.0, PARALLAX_WEIGHT**2])
    metric = np.swapaxes(rotation, 1, 2) @ look @ rotation * near[:, None, None]
    seen = np.einsum("txy,tny->nx", metric, head, optimize=True)
    return placed(np.linalg.solve(metric.sum(0), seen.T).T)


def template() -> NDArray[np.float64]:
    """The canonical face (468, 3) in the head frame: the shape to begin with."""
    return placed(lm.canonical_xyz().astype(np.float64))


def placed(shape: NDArray) -> NDArray[np.float64]:
    """``shape`` (468, 3) scaled and turned onto the canonical face by its rigid points, origin between the eyeballs."""
    scale, turn, shift = similarity(shape, lm.canonical_xyz().astype(np.float64)[None], pose_weights())
    out = scale[0] * shape @ turn[0].T + shift[0]
    return out - eye_centres(out).mean(0)


def eye_centres(shape: NDArray) -> NDArray[np.float64]:
    """(2, 3) centres of the eyeballs where anatomy puts them: behind the middle between the corners of each eye."""
    middle = np.stack([(shape[outer] + shape[inner]) / 2 for outer, inner in lm.EYE_CORNERS])
    middle[:, 2] += EYE_CENTRE_Z
    return middle
