"""Smoothing in time that leaves fast events alone, and filling of gaps."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

REACH = 3
"""Frames to each side that smoothing looks at."""


def smooth(x: NDArray, *, frames: float, step: float | NDArray) -> NDArray[np.float64]:
    """Bilateral filter over time: neighbours count by nearness in time (``frames``, Gaussian) and in value.

    ``x`` (T, ...); values further away than about ``step`` (a number or one for each column) do not mix, so that a
    blink
    or a saccade passes unblunted while noise well below ``step`` is averaged.
    """
    x = np.asarray(x, np.float64)
    if len(x) < 3 or frames <= 0:
        return x.copy()
    guide = x if len(x) < 5 else median_filter(x, size=(3, *(1,) * (x.ndim - 1)), mode="nearest")
    guide = (x + guide) / 2
    total, weight = np.zeros_like(x), np.zeros_like(x)
    for k in range(-REACH, REACH + 1):
        at = np.clip(np.arange(len(x)) + k, 0, len(x) - 1)
        w = np.exp(-0.5 * (k / frames) ** 2) * np.exp(-0.5 * ((guide[at] - guide) / step) ** 2)
        total += w * x[at]
        weight += w
    return total / weight


def fill(x: NDArray, good: NDArray) -> NDArray[np.float64]:
    """``x`` (T, ...) with the frames that are not ``good`` (T,) interpolated linearly, held at both ends."""
    x = np.asarray(x, np.float64)
    if good.all() or not good.any():
        return np.nan_to_num(x) if not good.any() else x
    flat = x.reshape(len(x), -1)
    at, here = np.arange(len(x)), np.flatnonzero(good)
    out = np.stack([np.interp(at, here, flat[here, i]) for i in range(flat.shape[1])], 1)
    return out.reshape(x.shape)
