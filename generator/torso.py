"""How the torso moves against its rest, read off the picture below the chin: collars and shoulders have a motion of
their own, which the head does not tell.

Corners of the clothing in one frame are followed into all others by optical flow (Lucas and Kanade 1981, pyramids
after Bouguet 2000), each there and back, and a turn with a shift is fitted to them by consensus (RANSAC). What the head
hides, what slides over the torso and what stands still behind it does not find its way back or does not agree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.smooth import fill

FACE_PX = 115.0
"""Pictures are looked at in a size at which the face is so wide: finer detail follows folds and buttons."""
BESIDE, GAP, BELOW = 0.9, 0.06, 0.8
"""Where the torso is looked for: so many face widths to each side of the chin, from so many face heights below it on,
down to so many."""
REACH = 0.3
"""Its movement is that of the point so many face heights below the chin."""
CORNERS, QUALITY, LEAST_CORNERS = 150, 0.01, 8
BACK_PX, AGREE_PX = 0.5, 1.0
"""A corner must be found again this near to where it was, and move this much like the others."""
FIRST_FRAMES = 250
"""The frame that all others are compared with is chosen among so many: that whose head is most in its usual place."""
LEAST_SEEN = 0.4
"""Where the torso is read in a smaller share of the frames, nothing is known of it."""
SMOOTH_FRAMES = 1.5
"""A torso moves slowly."""
_FLOW = {"winSize": (15, 15), "maxLevel": 2, "criteria": (3, 20, 0.01), "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}


def with_torso(
    performance: Performance, meshes: NDArray[np.float32], frames: Iterable[NDArray[np.uint8]], scale: float = 1.0
) -> Performance:
    """The performance with what its torso does, unless too little of that is seen.

    ``frames`` (h, w, 3) RGB uint8 are taken one by one; ``meshes`` (T, 468, 3) are in their pixels, and ``scale`` is
    how many of those one pixel of the performance's camera makes.
    """
    read = read_torso(frames, meshes)
    if read is None:
        return performance
    cm_of_px = performance.translation[:, 2] / performance.camera.focal_px / scale
    torso = np.column_stack([read[:, :2] * cm_of_px[:, None], read[:, 2]])
    return replace(performance, torso=torso.astype(np.float32))


def with_torso_of(performance: Performance, video: Path) -> Performance:
    """The same for the performance of a whole ``video``, frame by frame, which is decoded once more."""
    from facewitness.generator.reconstruct import project
    from facewitness.media import read_frames

    frames = (frame.image for _, frame in zip(range(len(performance)), read_frames(video), strict=False))
    return with_torso(performance, project(performance), frames)


def read_torso(frames: Iterable[NDArray[np.uint8]], meshes: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """(T, 3) by how many pixels the torso has moved, right and down, and its turn in radians, against the median frame.

    None where it is read in too few frames. Memory does not grow with their number.
    """
    faces = _small(frames, meshes)
    first = [next(faces, None) for _ in range(min(FIRST_FRAMES, len(meshes)))]
    known = [f for f in first if f is not None]
    if not known:
        return None
    chins = np.stack([mesh[lm.CHIN] for _, mesh in known])
    middle = int(np.linalg.norm(chins - np.median(chins, axis=0), axis=1).argmin())
    corners, anchor = _corners(*known[middle])
    if len(corners) < LEAST_CORNERS:
        return None
    moved = np.full((len(meshes), 3), np.nan)
    ahead = _Follower(known[middle][0], corners, anchor)
    back = _Follower(known[middle][0], corners, anchor)
    for t in range(middle, -1, -1):
        moved[t] = back(*known[t])
    for t in range(middle + 1, len(known)):
        moved[t] = ahead(*known[t])
    del first, known
    for t, (grey, mesh) in enumerate(faces, len(chins)):
        moved[t] = ahead(grey, mesh)
    seen = np.isfinite(moved[:, 0])
    if seen.mean() < LEAST_SEEN:
        return None
    whole = gaussian_filter1d(fill(np.nan_to_num(moved), seen), SMOOTH_FRAMES, axis=0, mode="nearest")
    whole[:, :2] /= _shrink(meshes)
    return np.asarray(whole - np.median(whole, axis=0))


def _shrink(meshes: NDArray[np.float32]) -> float:
    return min(FACE_PX / max(float(np.median(np.ptp(meshes[..., 0], axis=1))), 1.0), 1.0)


def _small(
    frames: Iterable[NDArray[np.uint8]], meshes: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Each frame in grey and its mesh (468, 2), both in the size that is looked at."""
    shrink = _shrink(meshes)
    for frame, mesh in zip(frames, meshes, strict=False):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if shrink < 1:
            grey = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        yield np.asarray(grey, np.uint8), (mesh[:, :2] + 0.5) * np.float32(shrink) - np.float32(0.5)


def _corners(grey: NDArray[np.uint8], mesh: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, 1, 2) what can be followed of the torso, and (2,) the point whose movement is meant."""
    wide, tall = np.ptp(mesh, axis=0)
    x, y = mesh[lm.CHIN]
    mask = np.zeros_like(grey)
    left, right, top, bottom = x - BESIDE * wide, x + BESIDE * wide, y + GAP * tall, y + BELOW * tall
    mask[max(int(top), 0) : max(int(bottom), 0), max(int(left), 0) : max(int(right), 0)] = 255
    corners = cv2.goodFeaturesToTrack(grey, CORNERS, QUALITY, max(3.0, float(wide) / 25), mask=mask)
    found = np.zeros((0, 1, 2), np.float32) if corners is None else np.asarray(corners, np.float32)
    return found, np.array([x, y + REACH * tall], np.float32)


class _Follower:
    """Finds the corners of one frame in others, starting from where they were in the one before."""

    def __init__(self, grey: NDArray[np.uint8], corners: NDArray[np.float32], anchor: NDArray[np.float32]):
        self._grey, self._corners, self._anchor = grey, corners, anchor
        self._map = np.eye(2, 3)

    def __call__(self, grey: NDArray[np.uint8], mesh: NDArray[np.float32]) -> NDArray[np.float64]:
        """(3,) shift of the anchor in pixels, right and down, and turn in radians; NaN where it is not seen."""
        guess = (self._corners @ self._map[:, :2].T + self._map[:, 2]).astype(np.float32)
        there, seen, _ = cv2.calcOpticalFlowPyrLK(self._grey, grey, self._corners, guess, **_FLOW)  # type: ignore
        home, again, _ = cv2.calcOpticalFlowPyrLK(grey, self._grey, there, self._corners.copy(), **_FLOW)  # type: ignore
        good = (seen[:, 0] > 0) & (again[:, 0] > 0) & (np.linalg.norm(home - self._corners, axis=-1)[:, 0] < BACK_PX)
        good &= there[:, 0, 1] > mesh[lm.CHIN, 1] + GAP / 2 * np.ptp(mesh[:, 1])
        if good.sum() >= LEAST_CORNERS:
            fitted, agree = cv2.estimateAffinePartial2D(
                self._corners[good], there[good], ransacReprojThreshold=AGREE_PX
            )
            if fitted is not None and agree.sum() >= LEAST_CORNERS:
                self._map = fitted
                shift = fitted[:, :2] @ self._anchor + fitted[:, 2] - self._anchor
                return np.array([*shift, np.arctan2(fitted[1, 0], fitted[0, 0])])
        return np.full(3, np.nan)
