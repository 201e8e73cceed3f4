"""A small triangle rasteriser with a z-buffer, and texture lookup: conditioning images and sample footage come from it.

Pixel centres lie at integer coordinates (the convention of OpenCV's remap): the vertex (3.0, 5.0) falls on the centre
of column 3, row 5. Depth grows away from the camera; the nearer surface wins.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Raster:
    """Which surface each pixel shows."""

    triangle: NDArray[np.int32]
    """(H, W) index of the triangle seen; -1 where none is."""
    barycentrics: NDArray[np.float32]
    """(H, W, 3) weights of that triangle's corners, summing to 1; 0 where none is seen."""
    depth: NDArray[np.float32]
    """(H, W) z of the surface; +inf where none is seen."""

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(H, W) whether a surface is seen."""
        return self.triangle >= 0


def rasterise(
    vertices_px: ArrayLike, triangles: ArrayLike, height: int, width: int, *, cull_back: bool = False
) -> Raster:
    """Draw triangles into an index image with a z-buffer.

    ``vertices_px`` is (V, 3) or (V, 2): x right, y down in pixels, z away from the camera (0 where left out);
    ``triangles`` is (n, 3) vertex indices. A triangle with a non-finite corner is left out; with ``cull_back``, so is
    one whose corners run clockwise as seen in the picture (the canonical face mesh runs counter-clockwise in front).
    """
    vertices = np.asarray(vertices_px, np.float32)
    if vertices.shape[1] == 2:
        vertices = np.concatenate([vertices, np.zeros((len(vertices), 1), np.float32)], axis=1)
    index = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    _fill(np.ascontiguousarray(vertices), np.ascontiguousarray(triangles, np.int32), index, weights, depth, cull_back)
    return Raster(index, weights, depth)


def interpolate(raster: Raster, triangles: ArrayLike, values: ArrayLike) -> NDArray[np.float32]:
    """(H, W, C) float32 picture of a per-vertex quantity ``values`` (V, C); 0 where no surface is seen."""
    values = np.ascontiguousarray(values, np.float32)
    if values.ndim == 1:
        values = values[:, None]
    return _interpolate(raster.triangle, raster.barycentrics, np.ascontiguousarray(triangles, np.int32), values)


def sample_texture(texture: NDArray, uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bilinear lookup: (H, W, C) float32 in the texture's own scale.

    ``texture`` is (h, w, C) of any number type; ``uv`` (H, W, 2) in 0..1 with (0, 0) at the centre of the texture's
    top left texel and (1, 1) at that of its bottom right one; coordinates beyond are clamped to the border.
    """
    texture = np.ascontiguousarray(texture, np.float32)
    if texture.ndim == 2:
        texture = texture[..., None]
    return _sample(texture, np.ascontiguousarray(uv, np.float32))


def vertex_normals(vertices: ArrayLike, triangles: ArrayLike) -> NDArray[np.float32]:
    """(V, 3) unit normals, each the area-weighted mean of the triangles around a vertex; 0 for a vertex of none.

    With triangles that run counter-clockwise as seen (the canonical face mesh from the front; x right, y down, z away)
    the normals point towards the camera (negative z).
    """
    vertices = np.asarray(vertices, np.float32)
    triangles = np.asarray(triangles, np.int64)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@njit(cache=True, nogil=True, fastmath={"contract", "arcp", "nsz"})
def _fill(vertices, triangles, index, weights, depth, cull_back):  # pragma: no cover - compiled
    height, width = index.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, z0 = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        x1, y1, z1 = vertices[j, 0], vertices[j, 1], vertices[j, 2]
        x2, y2, z2 = vertices[k, 0], vertices[k, 1], vertices[k, 2]
        total = x0 + y0 + z0 + x1 + y1 + z1 + x2 + y2 + z2
        if not abs(total) < 1e9:  # NaN, or far outside any picture
            continue
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9 or (cull_back and area > 0):
            continue
        left = max(int(np.ceil(min(x0, x1, x2))), 0)
        right = min(int(np.floor(max(x0, x1, x2))), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2))), 0)
        bottom = min(int(np.floor(max(y0, y1, y2))), height - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
                w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
                w0 = 1.0 - w1 - w2
                if w0 < -1e-6 or w1 < -1e-6 or w2 < -1e-6:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z < depth[y, x]:
                    depth[y, x] = z
                    index[y, x] = t
                    weights[y, x, 0] = w0
                    weights[y, x, 1] = w1
                    weights[y, x, 2] = w2


@njit(cache=True, nogil=True, fastmath={"contract", "arcp", "nsz"})
def _interpolate(index, weights, triangles, values):  # pragma: no cover - compiled
    height, width = index.shape
    channels = values.shape[1]
    out = np.zeros((height, width, channels), np.float32)
    for y in range(height):
        for x in range(width):
            t = index[y, x]
            if t >= 0:
                for c in range(channels):
                    out[y, x, c] = (
                        weights[y, x, 0] * values[triangles[t, 0], c]
                        + weights[y, x, 1] * values[triangles[t, 1], c]
                        + weights[y, x, 2] * values[triangles[t, 2], c]
                    )
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "arcp", "nsz"})
def _sample(texture, uv):  # pragma: no cover - compiled
    rows, columns, channels = texture.shape
    height, width = uv.shape[0], uv.shape[1]
    out = np.empty((height, width, channels), np.float32)
    for y in range(height):
        for x in range(width):
            u = min(max(uv[y, x, 0], 0.0), 1.0) * (columns - 1)
            v = min(max(uv[y, x, 1], 0.0), 1.0) * (rows - 1)
            i, j = min(int(u), columns - 2), min(int(v), rows - 2)
            i, j = max(i, 0), max(j, 0)
            i1, j1 = min(i + 1, columns - 1), min(j + 1, rows - 1)
            a, b = u - i, v - j
            for c in range(channels):
                out[y, x, c] = (1 - b) * ((1 - a) * texture[j, i, c] + a * texture[j, i1, c]) + b * (
                    (1 - a) * texture[j1, i, c] + a * texture[j1, i1, c]
                )
    return out
