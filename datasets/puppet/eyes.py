"""The eyes of a puppet: eyeballs painted behind lids that slide over them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.puppet.portrait import PX_PER_CM, Portrait
from facewitness.faces import landmarks as lm

Floats = NDArray[Any]
"""Arrays of float32; OpenCV's own types say less."""

EYEBALL_PX = 1.2 * PX_PER_CM
"""Radius of the eyeball in texels (about 12 mm; Bekerman et al., J. Ophthalmology 2014)."""
IRIS_PX = lm.IRIS_DIAMETER_CM / 2 * PX_PER_CM
PUPIL_SHARE = 0.36
"""Radius of the pupil against the iris (about 4.2 mm across indoors; Watson and Yellott, J. Vision 2012)."""
ABOVE_PX, BELOW_PX, BESIDE_PX = 26, 22, 12


@dataclass(frozen=True, kw_only=True)
class Eye:
    """One eye's place in the texture and everything about it that does not change."""

    x0: int
    y0: int
    width: int
    height: int
    upper: Floats
    """(width,) row of the upper lid's edge in the portrait, texels from ``y0``."""
    lower: Floats
    centre: tuple[float, float]
    """Where the optical axis meets the picture plane, texels from ``x0``, ``y0``."""
    thickness: Floats
    """(width,) 0..1, how much lid there is in this column."""
    fibres: Floats
    """(256,) brightness of the iris by angle."""
    inner_x: float
    """Column of the inner corner."""


def build_eyes(portrait: Portrait) -> tuple[Eye, Eye]:
    """The person's right and left eye of a portrait."""
    rng = np.random.default_rng(portrait.look.seed + 2)
    fibres = cv2.GaussianBlur(rng.normal(size=(1, 256)).astype(np.float32), (0, 0), 2.0).ravel()
    fibres = (1 + 0.22 * fibres / fibres.std()).astype(np.float32)
    return tuple(_build_eye(portrait, side, fibres) for side in (0, 1))  # type: ignore[return-value]


def _build_eye(portrait: Portrait, side: int, fibres: Floats) -> Eye:
    from scipy.interpolate import PchipInterpolator

    mesh = portrait.mesh
    up, low = mesh[list(lm.LIDS_UPPER[side]), :2].astype(float), mesh[list(lm.LIDS_LOWER[side]), :2].astype(float)
    if side == 1:
        up, low = up[::-1], low[::-1]
    outer_to_inner = (up[0], up[-1])
    x0 = int(min(up[:, 0].min(), low[:, 0].min())) - BESIDE_PX
    x1 = int(max(up[:, 0].max(), low[:, 0].max())) + BESIDE_PX + 1
    y0, y1 = int(up[:, 1].min()) - ABOVE_PX, int(low[:, 1].max()) + BELOW_PX
    columns = np.arange(x0, x1, dtype=float)
    inside = np.clip(columns, up[0, 0], up[-1, 0])

    def curve(points: NDArray) -> Floats:
        order = np.argsort(points[:, 0])
        xs = np.maximum.accumulate(points[order, 0] + np.arange(len(points)) * 1e-4)
        return (PchipInterpolator(xs, points[order, 1], extrapolate=True)(inside) - y0).astype(np.float32)

    upper, lower = curve(up), curve(low)
    middle = 0.5 * (upper + lower)
    lower = np.maximum(lower, middle)
    upper = np.minimum(upper, middle)
    span = up[-1, 0] - up[0, 0]
    u = np.abs(columns - (up[0, 0] + up[-1, 0]) / 2) / (span / 2)
    thickness = np.clip((1.12 - u) / 0.3, 0, 1).astype(np.float32)
    upper -= (0.8 * np.clip(1 - u**2, 0, 1)).astype(np.float32)
    centre_x = float((up[0, 0] + up[-1, 0]) / 2 - x0)
    middle_row = len(columns) // 2
    centre_y = float(0.46 * upper[middle_row] + 0.54 * lower[middle_row])
    inner_x = float((outer_to_inner[1] if side == 0 else outer_to_inner[0])[0] - x0)
    return Eye(
        x0=x0, y0=y0, width=x1 - x0, height=y1 - y0, upper=upper, lower=lower, centre=(centre_x, centre_y),
        thickness=thickness, fibres=fibres, inner_x=inner_x,
    )  # fmt: skip


def paint_eye(canvas: Floats, portrait: Portrait, eye: Eye, closure: float, yaw: float, pitch: float) -> None:
    """Draw one eye into ``canvas`` (H, W, 4), a copy of the portrait's texture.

    ``closure`` is 0 open to 1 closed; ``yaw`` (positive: to the right of the picture) and ``pitch`` (positive: down)
    are radians in the head frame.
    """
    follow = 0.42 * EYEBALL_PX * np.sin(pitch)  # the lids follow the gaze up and down
    opening = eye.lower - eye.upper
    upper = eye.upper + np.float32(follow * (1 - closure)) * eye.thickness * (opening > 1)
    upper = upper + closure * (eye.lower - upper) * 0.88
    lower = eye.lower + np.float32(0.35 * follow * (1 - closure)) * eye.thickness
    lower = lower - closure * (lower - upper)
    lower = np.maximum(lower, upper)
    window = np.s_[eye.y0 : eye.y0 + eye.height, eye.x0 : eye.x0 + eye.width]
    skin = _skin(portrait.texture[window], eye, upper, lower)
    y = np.arange(eye.height, dtype=np.float32)[:, None]
    down, up = y - upper, lower - y
    open_share = (np.clip(down + 0.5, 0, 1) * np.clip(up + 0.5, 0, 1) * np.clip((lower - upper) / 1.5, 0, 1))[..., None]
    ball = _eyeball(portrait, eye, yaw, pitch, down, up)
    patch = skin[..., :3] * (1 - open_share) + ball * open_share
    patch *= _lashes(eye, down, up, closure)[..., None]
    canvas[window][..., :3] = patch


def _skin(texture: Floats, eye: Eye, upper: Floats, lower: Floats) -> Floats:
    """The lids' skin: the portrait's own, stretched between the crease and the lid's edge."""
    y = np.arange(eye.height, dtype=np.float32)[:, None]
    top = np.maximum(eye.upper - 15.0, 1.0)
    above = top + (y - top) * (eye.upper - 2.6 - top) / np.maximum(upper - 0.4 - top, 1.0)
    bottom = np.minimum(eye.lower + 12.0, eye.height - 2.0)
    below = bottom - (bottom - y) * (bottom - eye.lower - 1.6) / np.maximum(bottom - lower, 1.0)
    source = np.where(y < 0.5 * (upper + lower), np.where(y < top, y, above), np.where(y > bottom, y, below))
    weight = eye.thickness
    source = source * weight + y * (1 - weight)
    x = np.broadcast_to(np.arange(eye.width, dtype=np.float32), source.shape)
    return cv2.remap(texture, np.ascontiguousarray(x), source.astype(np.float32), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def _eyeball(portrait: Portrait, eye: Eye, yaw: float, pitch: float, down: Floats, up: Floats) -> Floats:
    """RGB of the eyeball (height, width, 3): sclera, iris, pupil, highlight, the lid's shadow."""
    y, x = np.mgrid[: eye.height, : eye.width].astype(np.float32)
    cx, cy = eye.centre
    px, py = cx + EYEBALL_PX * np.sin(yaw) * np.cos(pitch), cy + EYEBALL_PX * np.sin(pitch)
    bright = 0.55 + 0.45 * np.mean(portrait.skin_rgb) / 190
    sclera = np.array([214, 204, 198], np.float32) * bright
    out = ((x - cx) / (1.15 * EYEBALL_PX)) ** 2
    colour = sclera * (1 - 0.30 * np.clip(out, 0, 1.3))[..., None]
    corner = np.exp(-((x - eye.inner_x) ** 2) / 30)[..., None]
    colour = colour * (1 - 0.6 * corner) + np.array(portrait.skin_rgb, np.float32) * [0.95, 0.72, 0.7] * 0.6 * corner
    dx, dy = (x - px) / max(np.cos(yaw), 0.5), (y - py) / max(np.cos(pitch), 0.5)
    r = np.hypot(dx, dy) / IRIS_PX
    angle = ((np.arctan2(dy, dx) / (2 * np.pi) + 1) * 256).astype(np.int32) % 256
    ring = 1 - 0.62 * np.exp(-(((r - 1.0) / 0.16) ** 2))
    spread = 0.80 + 0.45 * np.clip(r, 0, 1) * (0.7 + 0.3 * dy / IRIS_PX)  # the cornea gathers light below
    iris = np.array(portrait.look.iris, np.float32) * (eye.fibres[angle] * ring * spread)[..., None] * bright
    pupil = np.clip((r - PUPIL_SHARE) * IRIS_PX + 0.5, 0, 1)[..., None]
    iris = iris * pupil + 10 * (1 - pupil)
    edge = np.clip((1 - r) * IRIS_PX / 1.6 + 0.5, 0, 1)[..., None]
    colour = colour * (1 - edge) + iris * edge
    shade = 1 - 0.55 * np.exp(-np.maximum(down, 0) / 3.2) - 0.18 * np.exp(-np.maximum(up, 0) / 1.6)
    colour = colour * shade[..., None]
    hx, hy = px - 0.30 * IRIS_PX - 0.12 * (px - cx), py - 0.34 * IRIS_PX - 0.12 * (py - cy)
    glint = np.exp(-(((x - hx) ** 2 + (y - hy) ** 2) / 2.6)) * np.clip(down / 1.5, 0, 1)
    return np.minimum(colour + 235 * glint[..., None] * bright, 250)


def _lashes(eye: Eye, down: Floats, up: Floats, closure: float) -> Floats:
    """Factor (height, width) that darkens the rims of the lids."""
    taper = eye.thickness * np.clip(0.35 + eye.thickness, 0, 1)
    thick = 1.35 + 0.2 * closure
    rim = (0.72 - 0.2 * closure) * np.exp(-((down + 0.5) ** 2) / (2 * thick**2 * 0.6))
    fringe = 0.22 * np.exp(-np.maximum(-down, 0) / 1.8) * (down < 0)
    lower = 0.22 * np.exp(-((up + 0.3) ** 2) / 1.8)
    return 1 - np.clip((rim + fringe + lower) * taper, 0, 0.85)
