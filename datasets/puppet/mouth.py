"""The mouth of a puppet: lips that part along their line, a jaw that follows, teeth and dark behind."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.puppet.portrait import PX_PER_CM, TEXTURE_HEIGHT, Portrait
from facewitness.faces import landmarks as lm

Floats = NDArray[Any]
"""Arrays of float32; OpenCV's own types say less."""

WIDEST_PX = 2.6 * PX_PER_CM
"""Gap between the lips at opening 1, texels."""


@dataclass(frozen=True, kw_only=True)
class Mouth:
    """The mouth's place in the texture and everything about it that does not change."""

    x0: int
    y0: int
    width: int
    height: int
    upper: Floats
    """(width,) row of the upper lip's inner edge in the portrait, texels from ``y0``."""
    lower: Floats
    shape: Floats
    """(width,) 1 in the middle of the mouth to 0 at its corners."""
    jaw: Floats
    """(width,) share of the jaw's drop that the skin of this column takes."""
    chin: float
    """Row of the chin, texels from ``y0``."""
    across: Floats
    """(width,) -1 at the person's right corner to 1 at the left, continued beyond."""


def build_mouth(portrait: Portrait) -> Mouth:
    """The mouth of a portrait."""
    from scipy.interpolate import PchipInterpolator

    mesh = portrait.mesh.astype(float)
    left, right = mesh[lm.MOUTH_INNER_RIGHT, :2], mesh[lm.MOUTH_INNER_LEFT, :2]
    x0, x1 = int(mesh[:, 0].min()) - 10, int(mesh[:, 0].max()) + 10
    y0 = int(mesh[lm.NOSE_BASE, 1]) - 2
    columns = np.arange(x0, x1, dtype=float)
    across = (columns - (left[0] + right[0]) / 2) / ((right[0] - left[0]) / 2)
    inside = np.clip(columns, left[0], right[0])

    def curve(indices: tuple[int, ...]) -> Floats:
        points = mesh[list(indices), :2]
        points = points[np.argsort(points[:, 0])]
        xs = points[:, 0] + np.arange(len(points)) * 1e-4
        return (PchipInterpolator(xs, points[:, 1], extrapolate=True)(inside) - y0).astype(np.float32)

    upper, lower = curve(lm.LIPS_INNER_UPPER), curve(lm.LIPS_INNER_LOWER)
    middle = 0.5 * (upper + lower)
    upper, lower = np.minimum(upper, middle), np.maximum(lower, middle)
    shape = np.clip(1 - across**2, 0, 1) ** 0.62
    half_face = (mesh[lm.LEFT_JAW, 0] - mesh[lm.RIGHT_JAW, 0]) / 2
    jaw = np.exp(-((np.abs(columns - (left[0] + right[0]) / 2) / (1.05 * half_face)) ** 3))
    return Mouth(
        x0=x0, y0=y0, width=x1 - x0, height=TEXTURE_HEIGHT - y0, upper=upper, lower=lower,
        shape=shape.astype(np.float32), jaw=jaw.astype(np.float32), chin=float(mesh[lm.CHIN, 1] - y0),
        across=across.astype(np.float32),
    )  # fmt: skip


def paint_mouth(canvas: Floats, portrait: Portrait, mouth: Mouth, opening: float) -> None:
    """Draw the mouth and the jaw into ``canvas`` (H, W, 4); ``opening`` is 0 closed to 1 wide open."""
    gap = np.float32(opening * WIDEST_PX)
    line = 0.55 * mouth.upper + 0.45 * mouth.lower
    upper = line - 0.13 * gap * mouth.shape
    lower = line + 0.87 * gap * mouth.shape
    drop = 0.72 * gap * mouth.jaw
    window = np.s_[mouth.y0 : mouth.y0 + mouth.height, mouth.x0 : mouth.x0 + mouth.width]
    y = np.arange(mouth.height, dtype=np.float32)[:, None]
    above = y * mouth.upper / np.maximum(upper, 1.0)
    t = np.clip((y - lower) / np.maximum(mouth.chin - 6 + drop - lower, 1.0), 0, 1)
    below = y - ((lower - mouth.lower) * (1 - t) + drop * t)
    source = np.where(y < 0.5 * (upper + lower), np.minimum(above, mouth.upper - 0.7 * mouth.shape),
                      np.maximum(below, mouth.lower + 0.7 * mouth.shape))  # fmt: skip
    x = np.broadcast_to(np.arange(mouth.width, dtype=np.float32), source.shape)
    patch = cv2.remap(portrait.texture[window], np.ascontiguousarray(x), source.astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    inside = np.clip(y - upper + 0.2, 0, 1) * np.clip(lower - y + 0.2, 0, 1) * np.clip((lower - upper) / 2.0, 0, 1)
    rows = np.flatnonzero(inside.max(1) > 0)
    columns = np.flatnonzero(mouth.shape > 0)
    if len(rows):
        hole = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        dark = _inside(mouth, upper[columns], lower[columns], line[columns], columns, rows, portrait)
        weight = inside[hole][..., None]
        patch[hole][..., :3] = patch[hole][..., :3] * (1 - weight) + dark * weight
    seam = 0.42 * np.exp(-((y - 0.5 * (upper + lower)) ** 2) / 2.2) * np.clip(1.3 - np.abs(mouth.across), 0, 1)
    seam = seam * np.exp(-gap / 4)
    patch[..., :3] *= (1 - seam)[..., None]
    canvas[window] = patch


def _inside(mouth: Mouth, upper: Floats, lower: Floats, line: Floats, columns: NDArray, rows: NDArray,
            portrait: Portrait) -> Floats:  # fmt: skip
    """RGB of what is seen between the lips, (rows, columns, 3)."""
    y = rows.astype(np.float32)[:, None]
    across = mouth.across[columns]
    bright = 0.6 + 0.4 * np.mean(portrait.skin_rgb) / 190
    depth = np.clip((y - upper) / np.maximum(lower - upper, 1), 0, 1)
    colour = np.array([58, 24, 22], np.float32) * (0.75 + 0.6 * depth)[..., None]
    tongue_y = lower - 0.30 * (lower - upper) - 3
    tongue = np.clip((y - tongue_y) / 4 + 0.5, 0, 1) * np.clip(1.0 - np.abs(across) / 0.72, 0, 1)
    colour = (
        colour * (1 - 0.75 * tongue[..., None])
        + np.array([150, 78, 76], np.float32) * bright * 0.75 * tongue[..., None]
    )
    tooth = np.abs(((across * 3.1 + 0.5) % 1) - 0.5)
    gaps = 1 - 0.30 * np.exp(-(((tooth - 0.5) / 0.07) ** 2)) - 0 * y
    rounding = np.sqrt(np.clip(1 - (across / 1.02) ** 2, 0, 1))
    enamel = np.array([228, 214, 194], np.float32) * bright
    edge = line + 0.24 * PX_PER_CM * rounding + 0.6 * np.cos(across * 3.1 * 2 * np.pi)
    top = np.clip(edge - y + 0.5, 0, 1) * rounding
    shade = (0.60 + 0.38 * rounding) * (1 - 0.35 * np.exp(-np.maximum(y - upper, 0) / 2.5)) * gaps
    colour = colour * (1 - top[..., None]) + enamel * shade[..., None] * top[..., None]
    bottom = np.clip(y - (lower - 0.20 * PX_PER_CM * rounding) + 0.5, 0, 1) * rounding * 0.75
    return colour * (1 - bottom[..., None]) + enamel * 0.62 * (shade * bottom)[..., None]
