"""Blinks, lids, irises, pupils and highlights."""

import cv2
import numpy as np

from facewitness.detector.cues.registry import Abstained, Measured, Needs, cue
from facewitness.detector.evidence import EYES, Evidence, calm_opening, correlation, widened

BLINKS = "Li, Chang and Lyu, In Ictu Oculi, WIFS 2018"
LIDS = Needs(iris_px=5, seconds=3, fps=9)
FLOOR = 0.01
"""Opening below which a movement of the lids is nothing."""


@cue(
    "blink_rate", family="eyes", unit="per minute", needs=LIDS, source=BLINKS,
    low="blinks less often than people do", high="blinks more often than people do",
)  # fmt: skip
def blink_rate(e: Evidence) -> Measured:
    """Blinks a minute, counted as if half a blink more had been seen, so that short clips do not read as zero."""
    return Measured((len(e.blinks) + 0.5) / (e.seconds + 2.0) * 60, {"openness": np.nanmean(e.openness, axis=1)})


@cue(
    "blink_duration", family="eyes", unit="s",
    needs=Needs(iris_px=5, seconds=5, fps=9), source="Caffier et al. 2003 (blink 0.2 s)",
    low="its blinks are shorter than people's", high="its blinks last longer than people's",
)  # fmt: skip
def blink_duration(e: Evidence) -> Measured | Abstained:
    """Mean seconds from lid down to lid up, between frames by linear interpolation of the opening."""
    if not e.blinks:
        return Abstained("there is no blink to measure")
    curve = np.nanmean(e.openness, axis=1)
    lengths = [float((1 - np.clip(curve[max(a - 2, 0) : b + 2], 0, 1)).sum() / e.fps) for a, b in e.blinks]
    return Measured(float(np.mean(lengths)), {"openness": curve})


@cue(
    "blink_depth", family="eyes", unit="share of the opening", needs=LIDS, source=BLINKS,
    low="never shuts its eyes as far as people do", high="shuts its eyes further than people do",
)  # fmt: skip
def blink_depth(e: Evidence) -> Measured:
    """How far the lids came down at the most: 1 less the 2nd percentile of the opening over the usual one."""
    curve = np.nanmean(e.openness, axis=1)
    return Measured(1 - float(np.nanpercentile(curve, 2)), {"openness": curve})


@cue(
    "blink_contrast", family="eyes", unit="log of a ratio", needs=LIDS, source=BLINKS,
    low="its lids never come down for a moment by more than they tremble",
    high="its blinks stand out more than people's",
)  # fmt: skip
def blink_contrast(e: Evidence) -> Measured:
    """How far both lids come down at the most against the second around, over how far the two eyes differ by chance."""
    curve = np.where(e.frontal[:, None], e.openness, np.nan)
    calm = calm_opening(curve, e.fps)
    down = np.nanmax(np.nanmean(calm - curve, axis=1))
    uneven = curve[:, 0] - curve[:, 1]
    chance = np.nanpercentile(np.abs(uneven - calm_opening(uneven[:, None], e.fps)[:, 0]), 95)
    value = float(np.log((max(down, 0.0) + FLOOR) / (chance + FLOOR)))
    return Measured(value, {"openness": np.nanmean(curve, axis=1)})


@cue(
    "lid_synchrony", family="eyes", unit="correlation", needs=LIDS, source="Bologna et al. 2013 (conjugate lids)",
    low="its two eyelids do not move together", high="its two eyelids move more alike than people's",
)  # fmt: skip
def lid_synchrony(e: Evidence) -> Measured:
    """Correlation of the changes of the two openings while both eyes are in view."""
    opening = np.where(e.frontal[:, None], e.openness, np.nan)
    steps = np.diff(opening, axis=0)
    return Measured(correlation(steps[:, 0], steps[:, 1]), {"right": e.openness[:, 0], "left": e.openness[:, 1]})


@cue(
    "lid_gaze", family="eyes", unit="correlation", needs=LIDS, source="Becker and Fuchs 1988 (the lid follows the eye)",
    low="its upper lids do not follow its gaze up and down", high="its lids are tied to its gaze more than people's",
)  # fmt: skip
def lid_gaze(e: Evidence) -> Measured:
    """Correlation of the lid opening with gaze upwards, outside blinks."""
    up = -np.nanmean(e.gaze[..., 1], axis=1)
    opening = np.where(widened(e.blinking, 1), np.nan, np.nanmean(e.openness, axis=1))
    return Measured(correlation(up, opening), {"gaze_up": up, "openness": opening})


@cue(
    "lid_tremor", family="eyes", unit="share of the opening", needs=LIDS, source="this project",
    low="its lids are stiller between blinks than people's", high="its lids tremble between blinks",
)  # fmt: skip
def lid_tremor(e: Evidence) -> Measured:
    """Spread of the second difference of the opening outside blinks."""
    calm = np.where(widened(e.blinking, 2), np.nan, np.nanmean(e.openness, axis=1))
    return Measured(float(np.nanstd(np.diff(calm, 2))), {"openness": calm})


@cue(
    "iris_size_wander", family="eyes", unit="share", needs=Needs(iris_px=7, seconds=3, fps=9), source="this project",
    low="its irises keep their size more exactly than a measured face can", high="its irises change their size",
)  # fmt: skip
def iris_size_wander(e: Evidence) -> Measured:
    """Spread of the irises' width against the face's scale: the cornea does not change its size."""
    across = np.linalg.norm(e.track.irises[:, :, 1] - e.track.irises[:, :, 3], axis=-1) / e.pose[1][:, None]
    across = np.where((e.frontal & ~widened(e.blinking, 1))[:, None], across, np.nan)
    size = np.nanmean(across, axis=1)
    return Measured(float(np.nanstd(size) / np.nanmean(size)), {"iris_cm": size})


@cue(
    "iris_size_difference", family="eyes", unit="share",
    needs=Needs(iris_px=7, seconds=2, fps=4), source="this project",
    low="its irises are more alike than a measured pair", high="its two irises differ in size",
)  # fmt: skip
def iris_size_difference(e: Evidence) -> Measured:
    """Median difference of the two irises' widths over their mean."""
    across = np.linalg.norm(e.track.irises[:, :, 1] - e.track.irises[:, :, 3], axis=-1)
    across = np.where((e.frontal & ~e.blinking)[:, None], across, np.nan)
    apart = (across[:, 0] - across[:, 1]) / across.mean(1)
    return Measured(float(np.nanmedian(np.abs(apart))), {"difference": apart})


@cue(
    "highlight_agreement", family="eyes", unit="overlap", needs=Needs(iris_px=13, seconds=1, fps=1),
    source="Hu, Li and Lyu, Exposing GAN-generated faces using inconsistent corneal specular highlights, ICASSP 2021",
    low="the lights reflected in its two eyes do not agree", high="the lights reflected in its two eyes agree well",
)  # fmt: skip
def highlight_agreement(e: Evidence) -> Measured | Abstained:
    """Overlap of the brightest spots of the two corneas, each taken from its iris's centre; median over frames."""
    if e.eyes is None:
        return Abstained("no eye crops were kept")
    out = np.full(len(e.eyes.frames), np.nan)
    for k in range(len(out)):
        spots = [_highlight(e, k, side) for side in EYES]
        if spots[0] is not None and spots[1] is not None:
            both = (spots[0] & spots[1]).sum()
            out[k] = both / max((spots[0] | spots[1]).sum(), 1)
    if np.isfinite(out).sum() < 3:
        return Abstained("no lights are reflected in both eyes")
    trace = np.full(len(e.t), np.nan)
    trace[e.eyes.frames] = out
    return Measured(float(np.nanmedian(out)), {"overlap": trace})


@cue(
    "pupil_shape", family="eyes", unit="overlap with an ellipse", needs=Needs(iris_px=36, seconds=1, fps=1),
    source="Guo et al., Eyes tell all: irregular pupil shapes reveal GAN-generated faces, ICASSP 2022",
    low="its pupils are not round", high="its pupils are round",
)  # fmt: skip
def pupil_shape(e: Evidence) -> Measured | Abstained:
    """How well an ellipse fits the dark middle of the iris (overlap of areas); median over frames and eyes."""
    if e.eyes is None:
        return Abstained("no eye crops were kept")
    fits = [f for k in range(len(e.eyes.frames)) for side in EYES if (f := _pupil_fit(e, k, side)) is not None]
    if len(fits) < 4:
        return Abstained("no pupil stands out from its iris")
    return Measured(float(np.median(fits)))


def _iris_patch(e: Evidence, k: int, side: int, size: int = 32) -> np.ndarray | None:
    """Grey iris of crop ``k``, (size, size), its width filling it; None where the eye is shut or out of the crop."""
    assert e.eyes is not None
    t = int(e.eyes.frames[k])
    if not e.frontal[t] or e.openness[t, side] < 0.7:
        return None
    middle, across, _ = e.eye_frames
    iris = e.track.irises[t, side].astype(np.float64)
    width = np.linalg.norm(iris[1] - iris[3])
    turn = np.stack([across[t, side], [-across[t, side, 1], across[t, side, 0]]])
    height, wide = e.eyes.images.shape[2:]
    scale = float(e.eyes.scale[k, side])
    at = turn @ (iris[0] - middle[t, side]) * scale + [(wide - 1) / 2, (height - 1) / 2]
    step = width * scale / size
    m = np.array([[step, 0, at[0] - step * (size - 1) / 2], [0, step, at[1] - step * (size - 1) / 2]])
    if not np.isfinite(m).all() or at[0] < 0 or at[0] > wide or at[1] < 0 or at[1] > height:
        return None
    return cv2.warpAffine(e.eyes.images[k, side], m, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _highlight(e: Evidence, k: int, side: int) -> np.ndarray | None:
    iris = _iris_patch(e, k, side)
    if iris is None:
        return None
    inside = _disc(32, 15)
    level = float(np.median(iris[inside]))
    spots = (iris > level + max(40.0, 0.35 * (255 - level))) & inside
    if not 3 <= spots.sum() <= 200:
        return None
    return cv2.dilate(spots.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _pupil_fit(e: Evidence, k: int, side: int) -> float | None:
    iris = _iris_patch(e, k, side, 64)
    if iris is None:
        return None
    soft = cv2.GaussianBlur(iris, (5, 5), 0)
    inner = _disc(64, 20)
    cut, _ = cv2.threshold(soft[inner].reshape(-1, 1), 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    mask = ((soft <= cut) & inner).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    best = max(contours, key=cv2.contourArea, default=None)
    if best is None or len(best) < 12 or not 40 < cv2.contourArea(best) < 900:
        return None
    fitted = np.zeros_like(mask)
    cv2.ellipse(fitted, cv2.fitEllipse(best), 1, -1)
    shape = np.zeros_like(mask)
    cv2.drawContours(shape, [best], -1, 1, -1)
    return float((fitted & shape).sum() / max((fitted | shape).sum(), 1))


def _disc(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    return x**2 + y**2 <= radius**2
