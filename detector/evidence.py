"""What the cues look at: one face's track, the statistics of its surface, its eye crops, and the signals derived from
them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import LEFT, RIGHT, FaceTrack
from facewitness.faces import landmarks as lm

BLINK_LEVEL = 0.6
"""Eye opening over its usual value below which the eye counts as blinking (In Ictu Oculi uses a learned equivalent)."""
LONGEST_BLINK_S = 0.8
CALM_S = 0.9
"""Seconds over which the usual opening of the lids is taken; more than twice a blink."""
PROFILE_DEG = 40.0
"""Yaw beyond which one eye is hidden and gaze means little."""


@dataclass(frozen=True, kw_only=True)
class EyeCrops:
    """Grey eye crops at native scale, a sample of the frames: where they come from and how to get back."""

    frames: NDArray[np.int64]
    """(n,) index of each into the track."""
    images: NDArray[np.uint8]
    """(n, 2, 48, 96) grey; the eye's corners lie on the middle row, a third of the width apart from its ends."""
    scale: NDArray[np.float32]
    """(n, 2) crop pixels per pixel of the picture."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One face of one clip; T looked-at frames. Angles inside are radians, lengths of the eye are in eye widths."""

    track: FaceTrack
    fps: float
    """Looked-at frames a second."""
    texture: NDArray[np.float32]
    """(T, regions, quantities) of ``texture.statistics``; NaN in gaps."""
    flow: NDArray[np.float32]
    """(T, 2) change of the aligned surface between frames inside the face and outside it, grey levels; NaN in gaps."""
    eyes: EyeCrops | None = None
    brightness: float = float("nan")
    """Mean grey level of the face, 0..255."""

    def between(self, start: int, end: int) -> "Evidence":
        """The looks from ``start`` to before ``end`` as a clip of their own."""
        eyes = self.eyes
        if eyes is not None:
            kept = (eyes.frames >= start) & (eyes.frames < end)
            eyes = EyeCrops(frames=eyes.frames[kept] - start, images=eyes.images[kept], scale=eyes.scale[kept])
        return replace(
            self, track=self.track.at(slice(start, end)), eyes=eyes,
            texture=self.texture[start:end], flow=self.flow[start:end],
        )  # fmt: skip

    @cached_property
    def t(self) -> NDArray[np.float64]:
        """(T,) seconds from the first looked-at frame."""
        return self.track.times_s - self.track.times_s[0] if len(self.track.pts) else np.zeros(0)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) frames in which the face was seen."""
        return self.track.present

    @cached_property
    def seconds(self) -> float:
        """Seconds during which the face was seen."""
        return float(self.seen.sum() / self.fps) if self.fps else 0.0

    @cached_property
    def pose(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(T, 3, 3) rotations of the canonical face and (T,) pixels per centimetre, weak perspective by Procrustes;
        NaN in gaps."""
        index, weights = lm.rigid_points()
        weights = weights / weights.sum()
        a = lm.canonical_xyz()[index].astype(np.float64)
        a = a - weights @ a
        rotations = np.full((len(self.seen), 3, 3), np.nan)
        scales = np.full(len(self.seen), np.nan)
        b = self.track.mesh[self.seen][:, index].astype(np.float64)
        b = b - np.einsum("k,tkd->td", weights, b)[:, None]
        u, s, vt = np.linalg.svd(np.einsum("kd,tke->tde", a * weights[:, None], b))
        flip = np.ones((len(b), 3))
        flip[:, 2] = np.sign(np.linalg.det(u @ vt))
        rotations[self.seen] = (u * flip[:, None]) @ vt
        scales[self.seen] = (s * flip).sum(1) / (weights @ (a**2).sum(1))
        return rotations.transpose(0, 2, 1), scales

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """(T, 3) yaw (to the picture's right), pitch (down), roll (clockwise) of the head in radians; NaN in gaps."""
        r = self.pose[0]
        forward = -r[:, :, 2]  # the canonical face looks along -z, towards the camera
        yaw = np.arctan2(forward[:, 0], -forward[:, 2])
        pitch = np.arcsin(np.clip(forward[:, 1], -1, 1))
        roll = np.arctan2(r[:, 1, 0], r[:, 0, 0])
        return np.stack([yaw, pitch, roll], 1)

    @cached_property
    def frontal(self) -> NDArray[np.bool_]:
        """(T,) frames in which both eyes are in view."""
        with np.errstate(invalid="ignore"):
            return self.seen & (np.abs(self.angles[:, 0]) < np.deg2rad(PROFILE_DEG))

    @cached_property
    def eye_frames(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Per eye (T, 2, 2) middle of the corners, (T, 2, 2) unit vector across (picture's left to right), (T, 2)
        width in pixels."""
        eyes = self.track.eyes.astype(np.float64)
        outer, inner = eyes[:, :, 0], eyes[:, :, 8]
        middle = (outer + inner) / 2
        across = inner - outer
        across[:, LEFT] *= -1
        width = np.linalg.norm(across, axis=-1)
        return middle, across / width[..., None], width

    @cached_property
    def opening(self) -> NDArray[np.float64]:
        """(T, 2) mean height of each eye opening in eye widths; NaN in gaps."""
        middle, across, width = self.eye_frames
        down = np.stack([-across[..., 1], across[..., 0]], -1)
        eyes = self.track.eyes.astype(np.float64) - middle[:, :, None]
        height = np.einsum("tepk,tek->tep", eyes, down)
        upper, lower = height[:, :, 9:16], height[:, :, 1:8]
        return np.nanmean(lower - upper, axis=-1) / width if len(eyes) else np.zeros((0, 2))

    @cached_property
    def openness(self) -> NDArray[np.float64]:
        """(T, 2) opening over the eye's usual one (its 80th percentile), 1 is open, 0 shut."""
        with np.errstate(all="ignore"):
            usual = np.nanpercentile(self.opening, 80, axis=0) if self.seen.any() else np.ones(2)
        return self.opening / np.maximum(usual, 1e-3)

    @cached_property
    def blinking(self) -> NDArray[np.bool_]:
        """(T,) frames inside a blink, both eyes taken together."""
        with np.errstate(invalid="ignore"):
            return np.nanmean(np.nan_to_num(self.openness, nan=1.0), axis=1) < BLINK_LEVEL

    @cached_property
    def blinks(self) -> list[tuple[int, int]]:
        """(first, end) frames of each blink; longer closures are not blinks."""
        runs = runs_of(self.blinking & self.seen)
        return [(a, b) for a, b in runs if (b - a) / self.fps <= LONGEST_BLINK_S]

    @cached_property
    def gaze(self) -> NDArray[np.float64]:
        """(T, 2, 2) iris centre from the middle of the eye, per eye, in eye widths (x to the picture's right, y down).

        NaN in gaps, blinks, and where the head is turned away.
        """
        middle, across, width = self.eye_frames
        down = np.stack([-across[..., 1], across[..., 0]], -1)
        at = self.track.irises[:, :, 0].astype(np.float64) - middle
        out = np.stack([(at * across).sum(-1), (at * down).sum(-1)], -1) / width[..., None]
        out[~self.frontal | widened(self.blinking, 1)] = np.nan
        return out

    @cached_property
    def unmoved(self) -> NDArray[np.float64]:
        """(T, 468, 3) mesh in centimetres after the head's rigid motion is taken out; NaN in gaps."""
        rotations, scales = self.pose
        index, weights = lm.rigid_points()
        weights = weights / weights.sum()
        mesh = self.track.mesh.astype(np.float64)
        centre = np.einsum("k,tkd->td", weights, mesh[:, index])
        return np.einsum("tij,tpi->tpj", rotations, mesh - centre[:, None]) / scales[:, None, None]


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, end) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def widened(flags: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Flags that also hold ``by`` steps before and after."""
    out = flags.copy()
    for k in range(1, by + 1):
        out[k:] |= flags[:-k]
        out[:-k] |= flags[k:]
    return out


def calm_opening(opening: NDArray, fps: float) -> NDArray[np.float64]:
    """(T, n) the opening (T, n) of lids without blinks: its running median over ``CALM_S``, gaps bridged."""
    from scipy.ndimage import median_filter

    index, out = np.arange(len(opening)), np.asarray(opening, np.float64).copy()
    for column in out.T:
        ok = np.isfinite(column)
        if ok.any():
            column[:] = np.interp(index, index[ok], column[ok])
    size = min(round(CALM_S * fps) | 1, len(out) | 1)
    return median_filter(out, size=(size, 1), mode="nearest")


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson correlation over the frames where both are finite; NaN with fewer than eight or no variance."""
    ok = np.isfinite(a) & np.isfinite(b)
    if ok.sum() < 8:
        return float("nan")
    x, y = a[ok] - a[ok].mean(), b[ok] - b[ok].mean()
    norm = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / norm) if norm > 1e-12 else float("nan")


EYES = (RIGHT, LEFT)
