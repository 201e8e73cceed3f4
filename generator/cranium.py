"""The skull above a face: a superellipsoid that goes on where the face's mesh ends, its light and its skin."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.reconstruct.light import harmonics
from facewitness.generator.render import Raster, interpolate, rasterise, vertex_normals

CENTRE = np.array([0.0, -5.0, 4.75])
RADII = np.array([7.9, 8.4, 10.1])
POWER = 2.2
"""Skull of the canonical head, centimetres (x right, y down, z away). Set by hand on the canonical mesh, not measured:
about an adult's proportions (a head some 19 cm long, 15 wide and 23 high beside a face of 18), and the forehead of the
mesh lies within half a centimetre of it."""
_TILT = np.array([[1, 0, 0], [0, np.cos(0.7), -np.sin(0.7)], [0, np.sin(0.7), np.cos(0.7)]])
LOWEST = 1.0
"""The surface is drawn down to this height: behind the ears."""
SECOND_ORDER = 30.0
"""How much the curvature of light is held back: the scalp faces up, where the face hardly does."""


@cache
def cranium() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """(V, 3) points and (V, 3) outward normals in canonical centimetres, and (n, 3) triangles."""
    across, down = 72, 40
    turn = np.linspace(0, 2 * np.pi, across, endpoint=False)
    fall = np.linspace(0.02, 0.75 * np.pi, down)
    t, f = np.meshgrid(turn, fall)
    ray = np.stack([np.sin(f) * np.sin(t), -np.cos(f), -np.sin(f) * np.cos(t)], -1).reshape(-1, 3)
    reach = (np.abs(ray / RADII) ** POWER).sum(1) ** (-1 / POWER)
    offset = ray * reach[:, None]
    normal = np.sign(offset) * np.abs(offset / RADII) ** (POWER - 1) / RADII
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    i = np.arange(across * (down - 1)).reshape(down - 1, across)
    right = np.roll(i, -1, axis=1)
    quads = np.stack([i, i + across, right, right, i + across, right + across], -1).reshape(-1, 3)
    points = CENTRE + offset
    quads = quads[(points[quads, 1] < LOWEST).all(1)]
    return points.astype(np.float32), normal.astype(np.float32), quads.astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Face and skull in one picture."""

    face: NDArray[np.bool_]
    """(H, W) where the face's mesh is seen."""
    skull: NDArray[np.bool_]
    """(H, W) where the skull is seen, beyond the mesh."""
    normals: NDArray[np.float32]
    """(H, W, 3) unit normals of either, camera frame; 0 elsewhere."""
    place: NDArray[np.float32]
    """(H, W, 2) on an equal-area map of the surface (Lambert), centimetres."""
    local: NDArray[np.float32]
    """(H, W, 3) where on the canonical head the surface is, centimetres."""


def draw(mesh: NDArray[np.float32], head: NDArray[np.float32], height: int, width: int) -> Drawn:
    """Face mesh (468, 3) and skull under the affine ``head`` (3, 4) from canonical centimetres to pixels."""
    points, outward, triangles = cranium()
    turn = head[:, :3].astype(np.float64)
    scale = float(np.cbrt(abs(np.linalg.det(turn))))
    placed = points @ head[:, :3].T + head[:, 3]
    # the mesh wins wherever both are: it is the person's own
    vertices = np.concatenate([mesh - [0, 0, 1.2 * scale], placed]).astype(np.float32)
    both = np.concatenate([lm.triangles(), triangles + lm.POINTS])
    raster: Raster = rasterise(vertices, both, height, width)
    turned = outward @ (turn / scale).T
    normals = np.concatenate([vertex_normals(mesh, lm.triangles()), turned])
    where = np.concatenate([lm.canonical_xyz(), points])
    # seen from the front and above: a map with neither pole nor seam where the scalp is seen
    ray = (where - CENTRE) @ _TILT.T
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    place = 9.0 * np.sqrt(2 / (1.05 - ray[:, 2:])) * ray[:, :2]
    seen = interpolate(raster, both, np.concatenate([normals, place, where], axis=1).astype(np.float32))
    unit = seen[..., :3] / np.maximum(np.linalg.norm(seen[..., :3], axis=-1, keepdims=True), 1e-6)
    face = (raster.triangle >= 0) & (raster.triangle < len(lm.triangles()))
    return Drawn(face=face, skull=raster.covered & ~face, normals=unit.astype(np.float32), place=seen[..., 3:5],
                 local=seen[..., 5:])  # fmt: skip


class SkinLight:
    """Colour of lit skin by the direction it faces: spherical harmonics of order 2, fitted to the visible face."""

    def __init__(self) -> None:
        """Begin without a sample."""
        self._normal, self._right = np.zeros((9, 9)), np.zeros((9, 3))
        self._colours: list[NDArray[np.float32]] = []
        self.coefficients = np.zeros((9, 3), np.float32)

    def add(self, normals: NDArray[np.float32], colours: NDArray[np.float32]) -> None:
        """Take in pixels of plain skin: (n, 3) unit normals and (n, 3) colours 0..255."""
        basis = harmonics(normals).astype(np.float64)
        self._normal += basis.T @ basis
        self._right += basis.T @ colours
        self._colours.append(colours[:: max(1, len(colours) // 500)])

    def fit(self) -> "SkinLight":
        """Solve for the light; order 2 only as far as the pixels insist on it."""
        total = max(float(self._normal[0, 0]), 1.0)
        ridge = np.diag([0, *[0.02] * 3, *[0.02 * SECOND_ORDER / 10] * 5]) * total
        self.coefficients = np.linalg.solve(self._normal + ridge + np.eye(9) * 1e-6, self._right).astype(np.float32)
        colours = np.concatenate(self._colours) if self._colours else np.zeros((1, 3), np.float32)
        self._low, self._high = np.percentile(colours, [5, 92], axis=0).astype(np.float32)
        return self

    def __call__(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 3) colours 0..255 for unit normals (..., 3), softly kept within what the face shows."""
        colour = harmonics(normals) @ self.coefficients
        low, high = 0.55 * self._low, self._high * 1.04
        over = np.maximum(colour - high, 0)
        room = 0.12 * self._high
        return np.asarray(np.clip(colour, low, high) + room * np.tanh(over / room) * 0.5, np.float32)


def skin_detail(patch: NDArray[np.float32], size: int = 256, seed: int = 0) -> NDArray[np.float32]:
    """(size, size, 3) endless texture with the fine detail of ``patch`` (h, w, 3) of skin, mean 0.

    The spectrum of the patch with random phases (van Wijk 1991; Galerne et al., IEEE TIP 2011): grain and pores, none
    of its features.
    """
    height, width = patch.shape[:2]
    window = np.outer(np.hanning(height), np.hanning(width))[..., None]
    centred = (patch - patch.mean((0, 1))) * window
    strength = np.sqrt((centred**2).mean((0, 1)) / max(float((window**2).mean()), 1e-6))
    spectrum = np.abs(np.fft.rfft2(centred, s=(size, size), axes=(0, 1)))
    phase = np.angle(np.fft.rfft2(np.random.default_rng(seed).standard_normal((size, size))))[..., None]
    out = np.fft.irfft2(spectrum * np.exp(1j * phase), s=(size, size), axes=(0, 1))
    out -= out.mean((0, 1))
    return np.asarray(out / np.maximum(out.std((0, 1)), 1e-6) * strength, np.float32)
