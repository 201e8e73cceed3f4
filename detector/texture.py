"""Statistics of the face's surface by region: how fine, how changeable and of what colour each part is, from atlases
alone."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.crops import ATLAS_HEIGHT, ATLAS_WIDTH, FACE_CENTRE_CM, PATCHES

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
DETAILS_PX: dict[str, tuple[int, int, int, int]] = {
    "right_iris": (148, 14, 172, 34),
    "right_lids": (132, 4, 188, 44),
    "left_iris": (148, 62, 172, 82),
    "left_lids": (132, 52, 188, 92),
    "lips": (136, 100, 184, 124),
    "mouth_inside": (148, 107, 172, 118),
}
"""Boxes in pixels of the atlas, in the patches of eyes and mouth that hold about twice the face's scale."""
REGIONS = (*REGIONS_CM, *DETAILS_PX)
INNER = 8
"""The first regions, which lie inside the face; the next four lie around it."""
QUANTITIES = (
    "fine", "middle", "coarse", "chroma", "change_fine", "change", "across", "along", "peaky", "red", "green", "blue",
)  # fmt: skip
"""Log energies of details of 1, 2.5 and 5 mm, of fine colour, and of the change since the frame before (fine, and
all); how alike
neighbouring pixels of the fine detail are across and along (enlarging leaves traces there); how much of it is in few
pixels;
mean colour."""
ENERGIES = 6
COLOURS = slice(9, 12)
FLOOR = 0.05
"""Added to energies before the logarithm: a tenth of what 8-bit rounding leaves."""


@cache
def region_boxes() -> NDArray[np.int64]:
    """(regions, 4) boxes x0, y0, x1, y1 in pixels of the atlas, ends excluded."""
    centre = np.array([(FACE.width - 1) / 2, (FACE.height - 1) / 2])
    out = []
    for x0, y0, x1, y1 in REGIONS_CM.values():
        a = (np.array([x0, y0]) - FACE_CENTRE_CM) * FACE.px_per_cm + centre
        b = (np.array([x1, y1]) - FACE_CENTRE_CM) * FACE.px_per_cm + centre
        low, high = np.clip(np.round(a), 2, 125), np.clip(np.round(b), 2, 125) + 1
        out.append([*low, *high])
    return np.array([*out, *DETAILS_PX.values()]).astype(np.int64)


@cache
def _region_shares() -> NDArray[np.float32]:
    """(pixels, regions) share of each pixel of the atlas in the mean of each region."""
    out = np.zeros((ATLAS_HEIGHT, ATLAS_WIDTH, len(REGIONS)), np.float32)
    for k, (x0, y0, x1, y1) in enumerate(region_boxes()):
        out[y0:y1, x0:x1, k] = 1 / ((x1 - x0) * (y1 - y0))
    return out.reshape(-1, len(REGIONS))


def region_means(planes: NDArray[np.float32]) -> NDArray[np.float64]:
    """(regions, planes) means of planes (planes, 128, 192) over the regions' boxes."""
    return (planes.reshape(len(planes), -1) @ _region_shares()).T.astype(np.float64)


def statistics(now: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """(regions, quantities) float32 of one atlas (128, 192, 3); the changes are NaN without the atlas before it."""
    luma, red, blue = (c.astype(np.float32) for c in cv2.split(cv2.cvtColor(now, cv2.COLOR_RGB2YCrCb)))
    soft = cv2.GaussianBlur(luma, (0, 0), 1.0)
    softer = cv2.GaussianBlur(soft, (0, 0), 2.0)
    softest = cv2.GaussianBlur(softer, (0, 0), 4.0)
    grain = luma - soft
    planes = np.zeros((12, ATLAS_HEIGHT, ATLAS_WIDTH), np.float32)
    planes[0], planes[1], planes[2] = grain**2, (soft - softer) ** 2, (softer - softest) ** 2
    planes[3] = sum((c - cv2.GaussianBlur(c, (0, 0), 1.0)) ** 2 for c in (red, blue))
    if before is not None:
        change = luma - cv2.cvtColor(before, cv2.COLOR_RGB2YCrCb)[..., 0].astype(np.float32)
        planes[4] = (change - cv2.GaussianBlur(change, (0, 0), 1.0)) ** 2
        planes[5] = (change - cv2.blur(change, (13, 13))) ** 2
    planes[6, :, 1:] = grain[:, 1:] * grain[:, :-1]
    planes[7, 1:] = grain[1:] * grain[:-1]
    planes[8] = np.abs(grain)
    planes[9:] = cv2.split(now)
    sums = region_means(planes)
    if before is None:
        sums[:, 4:6] = np.nan
    power, colour = sums[:, :1] + FLOOR, sums[:, COLOURS]
    parts = [np.log(sums[:, :6] + FLOOR), sums[:, 6:8] / power, sums[:, 8:9] ** 2 / power, colour]
    return np.concatenate(parts, 1).astype(np.float32)


def summary(stats: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of a window (T, regions, quantities) -> (F,): every region against the face's mean, its level and
    spread in time.

    Energies are compared within the face, so that sharpness, noise and codec of the clip as a whole cancel.
    """
    energy, shape, colour = stats[..., :ENERGIES], stats[..., ENERGIES:9], stats[..., COLOURS]
    with np.errstate(all="ignore"):
        whole = np.nanmean(energy[:, :INNER], axis=1, keepdims=True)
        relative = energy - whole
        level, spread = np.nanmean(relative, axis=0), np.nanstd(relative, axis=0)
        usual = np.nanmean(shape[:, :INNER], axis=1, keepdims=True)
        form = np.nanmean(shape - usual, axis=0)
        slope = np.nanmean(np.diff(energy[..., :3], axis=-1), axis=0)
        motion = np.nanmean(energy[..., 4:6] - energy[..., 0:2], axis=0)
        chroma = np.log(np.maximum(colour, 2)) - np.log(np.maximum(colour.mean(-1, keepdims=True), 2))
        tint = np.nanmean(chroma, axis=0) - np.nanmean(chroma[:, :INNER], axis=(0, 1))
        steady = (colour / np.maximum(colour.mean(1, keepdims=True), 1)).mean(-1)
        wander = np.nanstd(np.diff(steady, axis=0), axis=0) * 10 if len(stats) > 1 else np.zeros(len(REGIONS))
        overall = np.concatenate([np.nanmean(whole, axis=0).ravel(), np.nanmean(usual, axis=0).ravel()])
    parts = [level, spread, form, slope, motion, tint, wander, overall]
    return np.nan_to_num(np.concatenate([p.ravel() for p in parts])).astype(np.float32)
