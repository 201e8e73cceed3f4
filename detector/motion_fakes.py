"""Pseudo-fakes of motion: a real track whose eyes, lids or head move as made ones do. No picture is needed, only
landmarks.

They give the cues of eyes and motion both classes to learn from, at both tails: too little, too smooth and too alike,
as well as
too jerky and too independent.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from facewitness.detector.evidence import Evidence, calm_opening
from facewitness.faces import FaceTrack

KINDS = (
    "gaze_frozen",
    "gaze_damped",
    "gaze_smooth",
    "lids_suppressed",
    "blinks_removed",
    "eyes_apart",
    "eyes_copied",
    "motion_smooth",
    "motion_jitter",
    "still_head",
)
NOISE = (0.003, 0.010)
"""Eye widths by which a measured iris trembles when the eye stands still, in sharp pictures and in poor ones."""


def make(e: Evidence, kind: str, rng: np.random.Generator) -> Evidence:
    """The evidence of the same face with its motion changed; texture and pictures stay, so only cues of motion may be
    read from it."""
    track = e.track
    if kind in ("gaze_frozen", "gaze_damped", "gaze_smooth", "eyes_apart", "eyes_copied"):
        track = _gaze(e, kind, rng)
    elif kind == "lids_suppressed":
        usual = np.nanmedian(e.opening, axis=0)
        track = _lids(e, usual + (e.opening - usual) * float(rng.uniform(0.0, 0.35)))
    elif kind == "blinks_removed":
        calm = calm_opening(e.opening, e.fps)
        track = _lids(
            e, np.where(e.opening < calm, calm + (e.opening - calm) * float(rng.uniform(0.0, 0.35)), e.opening)
        )
    elif kind == "motion_smooth":
        track = _smooth(track, float(rng.uniform(0.8, 2.5)))
    elif kind == "motion_jitter":
        track = _jitter(e, float(rng.uniform(0.003, 0.012)), rng)
    elif kind == "still_head":
        track = _still(track, float(rng.uniform(0.1, 0.5)))
    else:
        raise ValueError(f"there is no motion fake {kind}")
    return Evidence(track=track, fps=e.fps, texture=e.texture, flow=e.flow, eyes=e.eyes, brightness=e.brightness)


def _frame(e: Evidence) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    middle, across, width = e.eye_frames
    return middle, across, np.stack([-across[..., 1], across[..., 0]], -1), width


def _gaze(e: Evidence, kind: str, rng: np.random.Generator) -> FaceTrack:
    middle, across, down, width = _frame(e)
    irises = e.track.irises.astype(np.float64)
    at = irises[:, :, 0] - middle
    gaze = np.stack([(at * across).sum(-1), (at * down).sum(-1)], -1) / width[..., None]
    usual = np.nanmedian(gaze, axis=0)
    noise = _noise(gaze, rng)
    if kind == "gaze_frozen":
        new = usual + noise
    elif kind == "gaze_damped":
        new = usual + (gaze - usual) * rng.uniform(0.1, 0.5) + noise
    elif kind == "gaze_smooth":
        new = _filtered(gaze, float(rng.uniform(1.5, 4.0))) + noise / 2
    elif kind == "eyes_copied":
        new = gaze.copy()
        new[:, 1] = gaze[:, 0] - usual[0] + usual[1] + noise[:, 1] / 4
    else:
        new = gaze.copy()
        new[:, 1] = np.roll(gaze[:, 1], int(rng.integers(4, max(len(gaze) - 4, 5))), axis=0)
    centre = middle + (new[..., :1] * across + new[..., 1:] * down) * width[..., None]
    return replace(e.track, irises=(irises + (centre - irises[:, :, 0])[:, :, None]).astype(np.float32))


def _noise(gaze: NDArray, rng: np.random.Generator) -> NDArray:
    """What measuring adds to the gaze (T, 2, 2) of eyes that stand still: by how much the two eyes of this clip differ,
    at other times for each, so that it has the clip's own strength and colour, and a little that is white."""
    apart = np.nan_to_num(gaze[:, 0] - gaze[:, 1] - np.nanmedian(gaze[:, 0] - gaze[:, 1], axis=0)) / np.sqrt(2)
    most = 4 * np.median(np.abs(apart), axis=0) + NOISE[0]
    apart = np.clip(apart, -most, most)  # a blink is no noise
    first, between = rng.integers(0, len(gaze)), rng.uniform(0.25, 0.75) * len(gaze)
    own = np.stack([np.roll(apart, int(first + k * between), axis=0) for k in (0, 1)], 1) * rng.uniform(0.5, 1.2)
    return own + rng.normal(0, rng.uniform(*NOISE) / 2, gaze.shape)


def _lids(e: Evidence, wanted: NDArray) -> FaceTrack:
    """Lids of the opening ``wanted`` (T, 2) in eye widths; the outline of the eye is stretched to it."""
    middle, across, down, _ = _frame(e)
    eyes = e.track.eyes.astype(np.float64)
    at = eyes - middle[:, :, None]
    u, v = np.einsum("tepk,tek->tep", at, across), np.einsum("tepk,tek->tep", at, down)
    usual = np.nanmedian(e.opening, axis=0)
    line = (v[..., 1:8].mean(-1, keepdims=True) + v[..., 9:16].mean(-1, keepdims=True)) / 2
    # a shut eye has no height to stretch: the outline is that of the open eye, made lower by a little
    shape = np.nanmedian(v[..., :16] - line, axis=0) * (wanted / np.maximum(usual, 1e-3))[..., None]
    v = v.copy()
    v[..., :16] = np.where(np.arange(16) % 8 == 0, v[..., :16], line + shape)
    new = middle[:, :, None] + u[..., None] * across[:, :, None] + v[..., None] * down[:, :, None]
    return replace(e.track, eyes=new.astype(np.float32))


def _smooth(track: FaceTrack, width: float) -> FaceTrack:
    return replace(
        track,
        mesh=_filtered(track.mesh, width),
        eyes=_filtered(track.eyes, width),
        irises=_filtered(track.irises, width),
    )


def _jitter(e: Evidence, share: float, rng: np.random.Generator) -> FaceTrack:
    track = e.track
    size = float(np.nanmedian(track.boxes[:, 2] - track.boxes[:, 0]))
    mesh = track.mesh + rng.normal(0, share * size, track.mesh.shape).astype(np.float32)
    eyes = track.eyes + rng.normal(0, share * size / 3, (*track.eyes.shape[:2], 1, 2)).astype(np.float32)
    irises = track.irises + rng.normal(0, share * size / 3, (*track.irises.shape[:2], 1, 2)).astype(np.float32)
    return replace(track, mesh=mesh, eyes=eyes, irises=irises)


def _still(track: FaceTrack, keep: float) -> FaceTrack:
    """A head that moves only a share of the way: positions are pulled to their mean over the clip."""

    def pulled(x: NDArray) -> NDArray[np.float32]:
        rest = np.nanmean(x, axis=0, keepdims=True)
        return (rest + (x - rest) * keep).astype(np.float32)

    eyes, mesh = pulled(track.eyes), pulled(track.mesh)
    # lids and gaze keep their own motion: only the eye as a whole is carried along
    shift = eyes.mean(2, keepdims=True) - track.eyes.mean(2, keepdims=True)
    return replace(track, mesh=mesh, eyes=track.eyes + shift, irises=track.irises + shift)


def _filtered(x: NDArray, width: float) -> NDArray:
    """Gaussian over time, gaps bridged and left as gaps."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    ok = np.isfinite(flat).all(1)
    if ok.sum() < 3:
        return x
    index = np.arange(len(flat))
    filled = np.stack([np.interp(index, index[ok], column[ok]) for column in flat.T], 1)
    out = gaussian_filter1d(filled, width, axis=0, mode="nearest")
    out[~ok] = np.nan
    return out.reshape(x.shape).astype(x.dtype)
