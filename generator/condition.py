"""What the network is shown beside the base picture: the textured mesh, surface coordinates, and eyes and mouth
drawn plainly."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.generator.render import interpolate, rasterise, sample_texture, vertex_normals
from facewitness.generator.warp import pull

TEXTURE = 192
"""Texels along each side of the mean texture."""
CHANNELS = 9
"""Of a conditioning picture: render 3, surface coordinates 2, face 1, sclera 1, iris 1, mouth opening 1."""
IRIS_OF_EYE = 0.205
"""Radius of the iris over the distance between the corners of an eye (11.7 mm of 28.5 mm)."""
_SUBPIXEL = 3


def mean_texture(frames: Iterable[NDArray[np.uint8]], meshes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(192, 192, 3) 0..255: the colours of the face in the layout of the canonical mesh, averaged over frames.

    Each frame counts by how squarely the surface faces the camera. Unseen texels take the mean colour.
    """
    uv = lm.canonical_uv() * (TEXTURE - 1)
    layout = rasterise(uv, lm.triangles(), TEXTURE, TEXTURE)
    total = np.zeros((TEXTURE, TEXTURE, 3), np.float32)
    weight = np.full((TEXTURE, TEXTURE, 1), 1e-6, np.float32)
    for frame, mesh in zip(frames, meshes, strict=True):
        facing = np.clip(-vertex_normals(mesh, lm.triangles())[:, 2:], 0, 1) ** 2
        drawn = interpolate(layout, lm.triangles(), np.concatenate([mesh[:, :2], facing], axis=1))
        seen = drawn[..., 2:] * layout.covered[..., None]
        total += seen * pull(frame, np.ascontiguousarray(drawn[..., :2]), sharp=False)
        weight += seen
    texture = total / weight
    thin = weight[..., 0] < 1e-2
    texture[thin] = texture[~thin].mean(0) if (~thin).any() else 128
    return texture


def conditioning(
    mesh: NDArray[np.float32], irises: NDArray[np.float32], texture: NDArray[np.float32], size: int
) -> NDArray[np.uint8]:
    """(size, size, 9) uint8 conditioning of one frame: see ``CHANNELS`` for what the channels are."""
    raster = rasterise(mesh, lm.triangles(), size, size)
    uv = interpolate(raster, lm.triangles(), lm.canonical_uv())
    face = raster.covered.astype(np.uint8) * np.uint8(255)
    drawn = np.clip(sample_texture(texture, uv), 0, 255).astype(np.uint8)
    eyes, discs = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for side in (0, 1):
        eye = _polygon(mesh[list(lm.EYES[side]), :2], size)
        outer, inner = mesh[list(lm.EYE_CORNERS[side]), :2]
        radius = IRIS_OF_EYE * float(np.linalg.norm(inner - outer))
        disc = np.zeros((size, size), np.uint8)
        centre = tuple(round(float(v) * 2**_SUBPIXEL) for v in np.nan_to_num(irises[side]))
        cv2.circle(disc, centre, int(radius * 2**_SUBPIXEL), 255, -1, cv2.LINE_AA, _SUBPIXEL)
        eyes, discs = np.maximum(eyes, eye), np.maximum(discs, np.minimum(disc, eye))
    lips = _polygon(mesh[list(lm.INNER_LIPS), :2], size)
    planes = [
        *cv2.split(cv2.bitwise_and(drawn, cv2.merge([face] * 3))),
        *cv2.split((uv * np.float32(255)).astype(np.uint8)),
        face,
        eyes,
        discs,
        lips,
    ]
    return np.asarray(cv2.merge(planes), np.uint8)


def _polygon(points: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    out = np.zeros((size, size), np.uint8)
    fixed = np.round(np.nan_to_num(points) * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(out, [fixed], 255, cv2.LINE_AA, _SUBPIXEL)
    return out
