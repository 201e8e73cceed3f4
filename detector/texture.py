"""Statistics of the face's surface by region: how fine, how changeable and of what colour each part is, from atlases
alone."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.crops import FACE_CENTRE_CM, PATCHES

FACE = PATCHES[0]
REGIONS_CM: dict[str, tuple[float, float, float, float]] = {
    "forehead": (-4.0, -7.2, 4.0, -4.9),
    "right_eye": (-4.9, -3.8, -1.4, -1.6),
    "left_eye": (1.4, -3.8, 4.9, -1.6),
    "right_cheek": (-5.0, -0.6, -2.2, 2.4),
    "left_cheek": (2.2, -0.6, 5.0, 2.4),
    "nose": (-1.4, -2.0, 1.4, 1.8),
    "mouth": (-3.0, 3.0, 3.0, 5.8),
    "chin": (-2.2, 6.2, 2.2, 8.6),
    "right_edge": (-8.6, -2.0, -6.2, 5.0),
    "left_edge": (6.2, -2.0, 8.6, 5.0),
    "below": (-4.0, 9.3, 4.0, 11.2),
    "above": (-5.0, -9.7, 5.0, -8.3),
}
"""Boxes on the canonical face in centimetres (x right, y down): x0, y0, x1, y1. ``below`` is neck, ``above`` hair."""
REGIONS = tuple(REGIONS_CM)
QUANTITIES = ("fine", "middle", "change", "red", "green", "blue")
"""Log energy of details of about 1 and 2.5 mm, of the change since the frame before, and mean colour."""
FLOOR = 0.05
"""Added to energies before the logarithm: a tenth of what 8-bit rounding leaves."""


@cache
def region_weights() -> NDArray[np.float32]:
    """(regions, 128 * 128) averaging weights on the face patch."""
    out = np.zeros((len(REGIONS), FACE.height, FACE.width), np.float32)
    centre = np.array([(FACE.width - 1) / 2, (FACE.height - 1) / 2])
    for k, (x0, y0, x1, y1) in enumerate(REGIONS_CM.values()):
        a = (np.array([x0, y0]) - FACE_CENTRE_CM) * FACE.px_per_cm + centre
        b = (np.array([x1, y1]) - FACE_CENTRE_CM) * FACE.px_per_cm + centre
        (c0, r0), (c1, r1) = np.clip(np.round(a), 0, 127).astype(int), np.clip(np.round(b), 0, 127).astype(int)
        out[k, r0 : r1 + 1, c0 : c1 + 1] = 1
    return (out / out.sum((1, 2), keepdims=True)).reshape(len(REGIONS), -1)


def statistics(now: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """(regions, quantities) float32 of one atlas (128, 192, 3); ``change`` is NaN without the atlas before it."""
    face = now[: FACE.height, : FACE.width]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = cv2.GaussianBlur(grey, (0, 0), 1.0)
    softer = cv2.GaussianBlur(soft, (0, 0), 2.0)
    planes = [(grey - soft) ** 2, (soft - softer) ** 2]
    if before is not None:
        earlier = cv2.cvtColor(before[: FACE.height, : FACE.width], cv2.COLOR_RGB2GRAY).astype(np.float32)
        change = grey - earlier
        planes.append((change - cv2.GaussianBlur(change, (0, 0), 4.0)) ** 2)
    else:
        planes.append(np.full_like(grey, np.nan))
    energy = np.log(region_weights() @ np.stack([p.ravel() for p in planes], 1) + FLOOR)
    colour = region_weights() @ face.reshape(-1, 3).astype(np.float32)
    return np.concatenate([energy, colour], 1).astype(np.float32)


def summary(stats: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of a window (T, regions, quantities) -> (F,): every region against the face's mean, its level and its
    spread in time.

    Energies are compared within the face, so that sharpness, noise and codec of the clip as a whole cancel.
    """
    energy, colour = stats[..., :3], stats[..., 3:]
    with np.errstate(all="ignore"):
        whole = np.nanmean(energy[:, :9], axis=1, keepdims=True)
        relative = energy - whole
        level = np.nanmean(relative, axis=0)
        spread = np.nanstd(relative, axis=0)
        slope = np.nanmean(energy[..., 0] - energy[..., 1], axis=0)
        motion = np.nanmean(energy[..., 2] - energy[..., 1], axis=0)
        steady = colour / np.maximum(colour.mean(1, keepdims=True), 1)
        chroma = np.log(np.maximum(colour, 2)) - np.log(np.maximum(colour.mean(-1, keepdims=True), 2))
        tint = np.nanmean(chroma, axis=0) - np.nanmean(chroma[:, :9], axis=(0, 1))
        wander = np.nanstd(np.diff(steady.mean(-1), axis=0), axis=0) * 10 if len(stats) > 1 else np.zeros(len(REGIONS))
    parts = [level.ravel(), spread.ravel(), slope, motion, tint.ravel(), wander, np.nanmean(whole, axis=0).ravel()]
    return np.nan_to_num(np.concatenate(parts)).astype(np.float32)
