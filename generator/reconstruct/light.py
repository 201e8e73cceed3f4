"""Light and skin: spherical harmonics of order 2 for every frame, and one albedo texture for the person.

The face is taken to be Lambertian (Ramamoorthi and Hanrahan, SIGGRAPH 2001): a pixel is albedo times a polynomial of
second order in the surface's normal. Colours are the picture's own values over 255, not linear light.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.model import head_mesh, pick, project, to_camera
from facewitness.generator.render import interpolate, rasterise, sample_texture, vertex_normals
from facewitness.media.types import Frame

TEXTURE_PX = 256
TEXTURE_FRAMES = 60
ROUNDS = 6
RIDGE = 0.02
SMOOTH_FRAMES = 5.0
"""Light changes slowly; a fit to one frame is noisy."""
LEAST_SHADE = 0.15


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """What the skin of one person looks like under even light."""

    albedo: NDArray[np.float32]
    """(256, 256, 3) RGB 0..1 in the texture coordinates of the canonical face."""
    vertex_albedo: NDArray[np.float32]
    """(468, 3) RGB 0..1 of each landmark."""


def harmonics(normals: NDArray) -> NDArray[np.float32]:
    """The nine basis polynomials (..., 9) of unit normals (..., 3): 1, x, y, z, xy, xz, yz, x2 - y2, 3 z2 - 1."""
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    one = np.ones_like(x)
    return np.stack([one, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1).astype(np.float32)


def estimate_light(performance: Performance, frames: Iterable[Frame]) -> tuple[Performance, Appearance]:
    """Fit illumination to every frame and albedo to the whole clip, reading the frames once.

    ``frames`` are those of the clip the performance was made from, matched by their presentation times; frames that are
    missing get the light of their neighbours. Raises UsageError where none matches.
    """
    at = {int(t): i for i, t in enumerate(performance.pts)}
    seen: list[int] = []
    colours: list[NDArray] = []
    wanted = set(np.flatnonzero(performance.confidence > 0.3)[:: max(len(performance) // TEXTURE_FRAMES, 1)].tolist())
    kept: dict[int, NDArray[np.uint8]] = {}
    for frame in frames:
        i = at.get(int(frame.pts))
        if i is None or performance.confidence[i] <= 0:
            continue
        mesh = project(performance, np.array([i]))[0]
        seen.append(i)
        colours.append(_look_up(frame.image, mesh[:, :2]))
        if i in wanted:
            kept[i] = _around(frame.image, mesh)
    if not seen:
        raise UsageError("none of the frames belongs to this performance; pass those of the clip it was made from.")
    basis = harmonics(_normals(pick(performance, np.array(seen))))
    light, vertex_albedo = _factor(np.stack(colours), basis)
    whole = _every_frame(light, np.array(seen), len(performance))
    lit = replace(performance, illumination=whole)
    albedo = _texture(lit, kept, vertex_albedo)
    return lit, Appearance(albedo=albedo, vertex_albedo=vertex_albedo)


def _look_up(image: NDArray[np.uint8], at: NDArray) -> NDArray[np.float32]:
    """(n, 3) colours 0..1 of a slightly blurred picture; NaN outside."""
    xy = at.astype(np.float32)
    found = cv2.remap(image, xy[None, :, 0], xy[None, :, 1], cv2.INTER_LINEAR)[0] / np.float32(255)
    h, w = image.shape[:2]
    outside = (xy[:, 0] < 0) | (xy[:, 1] < 0) | (xy[:, 0] > w - 1) | (xy[:, 1] > h - 1)
    found[outside] = np.nan
    return found


def _around(image: NDArray[np.uint8], mesh: NDArray) -> NDArray[np.uint8]:
    """The picture, black but for the face: what has to be kept for the texture, small once compressed by the caller."""
    out = np.zeros_like(image)
    x0, y0 = np.maximum(mesh[:, :2].min(0).astype(int) - 2, 0)
    x1, y1 = mesh[:, :2].max(0).astype(int) + 3
    out[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return out


def _normals(p: Performance) -> NDArray[np.float32]:
    """(T, 468, 3) normals in the camera frame, towards the camera is negative z."""
    head = to_camera(head_mesh(p.identity, p.expression, p.lids), p.rotation, p.translation)
    return np.stack([vertex_normals(h, lm.triangles()) for h in head])


def _skin() -> NDArray[np.bool_]:
    """(468,) landmarks on plain skin: not eyes, lips, brows or the outline."""
    out = np.ones(lm.POINTS, bool)
    for names in (*lm.EYES, lm.OUTER_LIPS, lm.INNER_LIPS, lm.FACE_OVAL, lm.RIGHT_BROW, lm.LEFT_BROW):
        out[list(names)] = False
    return out


def _factor(colours: NDArray, basis: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Light (n, 9, 3) and albedo (468, 3) whose product explains ``colours`` (n, 468, 3), by turns of least squares."""
    good = np.isfinite(colours).all(-1) & (basis[..., 3] < -0.2)
    filled = np.nan_to_num(colours)
    weight = good * _skin()
    albedo = (filled * good[..., None]).sum(0) / np.maximum(good.sum(0), 1)[:, None]
    flat = np.full_like(albedo, 1.0) * np.median(albedo[_skin()], 0)
    albedo = 0.5 * flat + 0.5 * albedo
    light = np.zeros((len(colours), 9, 3), np.float64)
    for _ in range(ROUNDS):
        for c in range(3):
            a = basis * (albedo[None, :, c, None] * weight[..., None])
            normal = np.swapaxes(a, 1, 2) @ a
            ridge = np.eye(9) * RIDGE * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 9
            ridge[:, 0, 0] = 0
            right = (np.swapaxes(a, 1, 2) @ (filled[..., c] * weight)[..., None])[..., 0]
            light[..., c] = np.linalg.solve(normal + ridge + np.eye(9) * 1e-9, right[..., None])[..., 0]
        shade = np.maximum(basis @ light, LEAST_SHADE)
        albedo = (filled * shade * good[..., None]).sum(0) / np.maximum((shade**2 * good[..., None]).sum(0), 1e-6)
        albedo = np.clip(albedo, 0.02, 1.5)
        # albedo and light share one scale: even light on the front of the face is 1
        front = np.maximum(light[:, 0] - light[:, 3] + 2 * light[:, 8], 1e-3).mean(0)
        light, albedo = light / front, albedo * front
    return light.astype(np.float32), np.clip(albedo, 0, 1).astype(np.float32)


def _every_frame(light: NDArray[np.float32], at: NDArray, count: int) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter1d

    flat = light.reshape(len(light), -1)
    out = np.stack([np.interp(np.arange(count), at, flat[:, k]) for k in range(flat.shape[1])], 1)
    return gaussian_filter1d(out, SMOOTH_FRAMES, axis=0, mode="nearest").reshape(count, 9, 3).astype(np.float32)


def _texture(p: Performance, kept: dict[int, NDArray[np.uint8]], vertex_albedo: NDArray) -> NDArray[np.float32]:
    """(256, 256, 3) mean over frames of picture over shade, seen from the front counting most."""
    triangles = lm.triangles()
    uv = lm.canonical_uv() * (TEXTURE_PX - 1)
    raster = rasterise(uv, triangles, TEXTURE_PX, TEXTURE_PX)
    total = np.zeros((TEXTURE_PX, TEXTURE_PX, 3), np.float64)
    weight = np.full((TEXTURE_PX, TEXTURE_PX, 1), 1e-3)
    total += interpolate(raster, triangles, vertex_albedo) * 1e-3
    for i, image in kept.items():
        one = pick(p, np.array([i]))
        mesh, normals = project(one)[0], _normals(one)[0]
        where = interpolate(raster, triangles, mesh[:, :2])
        facing = interpolate(raster, triangles, normals)
        facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-6)
        colour = cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_LINEAR) / 255.0
        assert one.illumination is not None
        shade = np.maximum(harmonics(facing) @ one.illumination[0], LEAST_SHADE)
        w = np.clip(-facing[..., 2:] - 0.2, 0, 1) ** 2 * (colour.max(-1, keepdims=True) > 0)
        total += colour / shade * w
        weight += w
    return np.clip(total / weight, 0, 1).astype(np.float32)


def render_face(
    performance: Performance, appearance: Appearance, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw frame ``index`` from albedo and light: HxWx3 uint8, black around the face, and the (H, W) mask of the face.

    Raises UsageError where the performance has no illumination.
    """
    if performance.illumination is None:
        raise UsageError("the performance has no illumination; run estimate_light on it first.")
    one = pick(performance, np.array([index]))
    triangles = lm.triangles()
    camera = one.camera
    raster = rasterise(project(one)[0], triangles, camera.height, camera.width, cull_back=True)
    uv = interpolate(raster, triangles, lm.canonical_uv())
    facing = interpolate(raster, triangles, _normals(one)[0])
    facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-6)
    shade = np.maximum(harmonics(facing) @ performance.illumination[index], LEAST_SHADE)
    picture = np.clip(sample_texture(appearance.albedo, uv) * shade * 255, 0, 255)
    return np.where(raster.covered[..., None], np.round(picture), 0).astype(np.uint8), raster.covered
