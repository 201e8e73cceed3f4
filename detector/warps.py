"""One picture moved to other landmarks, as one-shot generators begin."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.crops import similarity
from facewitness.faces import landmarks as lm

GRID = 24
"""Cells along each side of the coarse grid on which a warp is computed."""


@cache
def _warp_points() -> NDArray[np.int64]:
    names = (
        *lm.FACE_OVAL[::2],
        *lm.RIGHT_EYE[::2],
        *lm.LEFT_EYE[::2],
        *lm.OUTER_LIPS[::2],
        *lm.RIGHT_BROW[::2],
        *lm.LEFT_BROW[::2],
        *lm.NOSE_BRIDGE[::2],
        lm.NOSE_RIGHT,
        lm.NOSE_LEFT,
        lm.RIGHT_CHEEK,
        lm.LEFT_CHEEK,
    )
    return np.array(sorted(set(names)))


def warp(image: NDArray, source: NDArray, target: NDArray) -> NDArray:
    """``image`` with its landmarks ``source`` (468, 2) moved to ``target``, the border kept: a thin-plate-like smooth
    warp."""
    height, width = image.shape[:2]
    index = _warp_points()
    border = np.array([[x, y] for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)]) * [
        width - 1,
        height - 1,
    ]
    at = np.concatenate([target[index, :2], border]).astype(np.float64)
    move = np.concatenate([(source - target)[index, :2], np.zeros_like(border)]).astype(np.float64)
    scale = float(max(height, width))

    def kernel(a: NDArray, b: NDArray) -> NDArray:
        d2 = ((a[:, None] - b[None]) ** 2).sum(-1) / scale**2
        return d2 * np.log(d2 + 1e-9)

    n = len(at)
    p = np.concatenate([np.ones((n, 1)), at / scale], 1)
    a = np.zeros((n + 3, n + 3))
    a[:n, :n] = kernel(at, at) + 1e-4 * np.eye(n)
    a[:n, n:], a[n:, :n] = p, p.T
    weights = np.linalg.solve(a, np.concatenate([move, np.zeros((3, 2))]))
    gx, gy = np.meshgrid(np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID))
    grid = np.stack([gx, gy], -1).reshape(-1, 2)
    flow = kernel(grid, at) @ weights[:n] + np.concatenate([np.ones((len(grid), 1)), grid / scale], 1) @ weights[n:]
    # corners of the coarse grid lie on the corners of the picture
    m = np.array([[(GRID - 1) / (width - 1), 0, 0], [0, (GRID - 1) / (height - 1), 0]])
    full = cv2.warpAffine(
        flow.reshape(GRID, GRID, 2).astype(np.float32),
        m,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(image, xs + full[..., 0], ys + full[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def pose_to_pose(mesh: NDArray, other: NDArray) -> NDArray[np.float64]:
    """(2, 3) similarity that brings pixels from where the head has the pose of ``mesh`` to where it has ``other``'s."""
    a, b = (np.concatenate([similarity(m), [[0, 0, 1]]]) for m in (mesh, other))
    return (b @ np.linalg.inv(a))[:2]


def back_and_forth(at: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Moments 0 and later as frames of ``count`` that run to the end and back again: no jump."""
    at = at % (2 * count)
    return np.where(at >= count, 2 * count - 1 - at, at)


def smoothed(meshes: NDArray, width: float) -> NDArray[np.float32]:
    """Meshes after a Gaussian of ``width`` frames over time: generators move more smoothly than people."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(meshes, width, axis=0, mode="nearest").astype(np.float32) if width > 0 else meshes
