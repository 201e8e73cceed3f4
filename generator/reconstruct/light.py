"""Light and skin: spherical harmonics of order 2 for every frame, and one albedo texture for the person.

The face is taken to be Lambertian (Ramamoorthi and Hanrahan, SIGGRAPH 2001): a pixel is albedo times a polynomial of
second order in the surface's normal. Colours are the picture's own values over 255, not linear light. What changes on
the skin itself as the face moves is in texture.py.
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
from facewitness.generator.reconstruct.texture import (
    Changes,
    change_at,
    learn_changes,
    steps,
    texture_raster,
    unwrapped,
)
from facewitness.generator.render import Raster, interpolate, rasterise, sample_texture, vertex_normals
from facewitness.media.types import Frame

TEXTURE_FRAMES = 200
"""Frames, evenly spread, that albedo and its changes are learnt from."""
ROUNDS = 6
RIDGE = 0.02
SMOOTH_FRAMES = 5.0
"""Light changes slowly; a fit to one frame is noisy."""
LEAST_SHADE = 0.15


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """What the skin of one person looks like under even light."""

    albedo: NDArray[np.float32]
    """(320, 320, 3) RGB 0..1 in the texture coordinates of the canonical face, mean over the clip."""
    changes: Changes
    """What is added to it as the face moves."""
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
    sure = np.flatnonzero(performance.confidence > 0.3)
    wanted = set(sure[np.linspace(0, len(sure) - 1, min(len(sure), TEXTURE_FRAMES)).astype(int)].tolist())
    kept: dict[int, NDArray[np.uint8]] = {}
    raster = texture_raster()
    for frame in frames:
        i = at.get(int(frame.pts))
        if i is None or performance.confidence[i] <= 0:
            continue
        mesh = project(performance, np.array([i]))[0]
        seen.append(i)
        colours.append(_look_up(frame.image, mesh[:, :2]))
        if i in wanted:
            kept[i] = unwrapped(frame.image, mesh, raster)
    if not seen:
        raise UsageError("none of the frames belongs to this performance; pass those of the clip it was made from.")
    basis = harmonics(_normals(pick(performance, np.array(seen))))
    light, vertex_albedo = _factor(np.stack(colours), basis)
    whole = _every_frame(light, np.array(seen), len(performance))
    lit = replace(performance, illumination=whole)
    albedo, changes = _texture(lit, kept, vertex_albedo, raster)
    return lit, Appearance(albedo=albedo, changes=changes, vertex_albedo=vertex_albedo)


def _look_up(image: NDArray[np.uint8], at: NDArray) -> NDArray[np.float32]:
    """(n, 3) colours 0..1 of a slightly blurred picture; NaN outside."""
    xy = at.astype(np.float32)
    found = cv2.remap(image, xy[None, :, 0], xy[None, :, 1], cv2.INTER_LINEAR)[0] / np.float32(255)
    h, w = image.shape[:2]
    outside = (xy[:, 0] < 0) | (xy[:, 1] < 0) | (xy[:, 0] > w - 1) | (xy[:, 1] > h - 1)
    found[outside] = np.nan
    return found


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


def _texture(
    p: Performance, kept: dict[int, NDArray[np.uint8]], vertex_albedo: NDArray, raster: Raster
) -> tuple[NDArray[np.float32], Changes]:
    """Albedo (320, 320, 3), the mean over frames of colour over shade, seen from the front counting most; and what
    the frames differ from it."""
    side = raster.triangle.shape[0]
    textures = np.empty((len(kept), side, side, 3), np.float32)
    facing = np.empty((len(kept), side, side, 1), np.float32)
    for n, (i, colours) in enumerate(kept.items()):
        one = pick(p, np.array([i]))
        assert one.illumination is not None
        normals = _unit(interpolate(raster, lm.triangles(), _normals(one)[0]))
        shade = np.maximum(harmonics(normals) @ one.illumination[0], LEAST_SHADE)
        textures[n] = colours / np.float32(255) / shade
        facing[n] = np.clip(-normals[..., 2:] - 0.2, 0, 1) ** 2 * (colours.max(-1, keepdims=True) > 0)
    little = 1e-3
    total = little * interpolate(raster, lm.triangles(), vertex_albedo)
    weight = np.full((side, side, 1), little)
    for texture, w in zip(textures, facing, strict=True):
        total += texture * w
        weight += w
    albedo = np.clip(total / weight, 0, 1).astype(np.float32)
    textures -= albedo
    return albedo, learn_changes(textures, facing, steps(p)[list(kept)])


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6), np.float32)


def render_face(
    performance: Performance, appearance: Appearance, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw frame ``index`` from its parameters: HxWx3 uint8, black around the face, and the (H, W) mask of the face.

    Albedo, changed as the appearance has learnt that these parameters change it, times light.

    Raises UsageError where the performance has no illumination.
    """
    if performance.illumination is None:
        raise UsageError("the performance has no illumination; run estimate_light on it first.")
    one = pick(performance, np.array([index]))
    triangles = lm.triangles()
    camera = one.camera
    raster = rasterise(project(one)[0], triangles, camera.height, camera.width, cull_back=True)
    uv = interpolate(raster, triangles, lm.canonical_uv())
    facing = _unit(interpolate(raster, triangles, _normals(one)[0]))
    shade = np.maximum(harmonics(facing) @ performance.illumination[index], LEAST_SHADE)
    skin = np.clip(appearance.albedo + change_at(appearance.changes, steps(one)[0]), 0, None)
    picture = np.clip(sample_texture(skin, uv) * shade * 255, 0, 255)
    return np.where(raster.covered[..., None], np.round(picture), 0).astype(np.uint8), raster.covered
