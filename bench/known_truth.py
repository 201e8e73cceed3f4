"""Sequences whose head pose, gaze, lids and expression are known, because we drew them: a portrait on the project's own
head model, moved by random but plausible trajectories, rendered, then degraded (blur, noise, H.264)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from facewitness.faces import FaceTracker
from facewitness.faces import landmarks as lm
from facewitness.generator.performance import Camera, Identity, Performance
from facewitness.generator.reconstruct import basis, from_angles_deg, head_mesh, reconstruct
from facewitness.generator.reconstruct.eyes import iris_offsets
from facewitness.generator.reconstruct.model import IRIS_DEPTH, gaze_vectors, project, to_camera, to_picture
from facewitness.generator.reconstruct.rotation import to_matrix
from facewitness.generator.reconstruct.solve import Pose
from facewitness.generator.render import interpolate, rasterise
from facewitness.media.types import Frame

RINGS = ((1.12, 1.2), (1.32, 3.5), (1.75, 6.5), (2.6, 9.0))
"""Hair, ears and neck: rings around the outline of the face, this many times as far out, this many centimetres
behind it."""
LID_FOLLOWS = 0.8
"""Closure for every radian that an eye looks down, opening for one that it looks up (Becker and Fuchs, Vision Research
1988): without the latter the iris of an eye that looks up would disappear under its lid."""
EYE_REACH_RAD = np.radians([32.0, 22.0])
MOUTH_INSIDE = np.array([70, 38, 38], np.float32)
SCLERA_SHADE = 0.55
EYE_TRIANGLES, MOUTH_TRIANGLES = (
    np.asarray(np.isin(lm.triangles(), rings).all(1)) for rings in ([*lm.RIGHT_EYE, *lm.LEFT_EYE], [*lm.INNER_LIPS])
)


@dataclass(frozen=True)
class Portrait:
    """A still picture fitted with the head model, ready to be moved."""

    image: NDArray[np.uint8]
    skin: NDArray[np.uint8]
    """``image`` with skin where the eyes are."""
    identity: Identity
    texture_px: NDArray[np.float32]
    """(V, 2) where each vertex of mesh and rings lies in ``image``."""
    irises: NDArray[np.float32]
    """(2, 2) iris centres in ``image``."""
    iris_radius_px: float
    sclera: NDArray[np.float32]


def portrait(image: NDArray[np.uint8]) -> Portrait:
    """Fit a portrait; the eyes are taken to look into the camera. Raises IndexError where no face is found."""
    tracker = FaceTracker(max_faces=1)
    for i in range(5):
        tracker.update(Frame(index=i, pts=i, time_base=Fraction(1, 25), image=image))
    track = tracker.finish()[0]
    p = reconstruct(track)
    # the fitted shape is this portrait's own, expression and all: it is the neutral face of the sequence to come
    neutral = head_mesh(p.identity, p.expression[-1], p.lids[-1])
    p = replace(p, identity=replace(p.identity, neutral=neutral), expression=p.expression * 0, lids=p.lids * 0)
    p = replace(p, identity=replace(p.identity, eyeballs=_looking_at_camera(p, track.irises[-1:, :, 0])))
    shell = _shell(neutral)
    posed = to_camera(shell[None], p.rotation[-1:], p.translation[-1:])
    texture = to_picture(posed, p.camera)[0]
    texture[: lm.POINTS] = track.mesh[-1, :, :2]
    irises = track.irises[-1, :, 0]
    radius = float(np.linalg.norm(track.irises[-1, :, 1] - track.irises[-1, :, 3], axis=-1).mean() / 2)
    sclera = np.percentile(_eye_pixels(image, track.mesh[-1]), 85, axis=0).astype(np.float32)
    skin = _without_eyes(image, track.mesh[-1], track.eyes[-1])
    return Portrait(image, skin, p.identity, texture, irises, radius, sclera)


def _looking_at_camera(p: Performance, irises: NDArray) -> NDArray[np.float32]:
    """(2, 4) eyeballs moved to where the last frame's irises (1, 2, 2), in pixels, look straight into the camera."""
    balls = p.identity.eyeballs.astype(np.float64)
    pose = Pose(to_matrix(p.rotation[-1:]), p.translation[-1:].astype(np.float64))
    reach = float(balls[0, 3] * IRIS_DEPTH)
    ahead = to_camera_direction(p)[-1]
    balls[:, :2] += iris_offsets(irises, balls[:, :3], pose, p.camera, reach)[0] - reach * ahead[:2]
    return balls.astype(np.float32)


def to_camera_direction(p: Performance) -> NDArray[np.float64]:
    """(T, 3) unit vectors from the head's origin to the camera, in the head frame."""
    out = -np.einsum("tji,tj->ti", to_matrix(p.rotation), p.translation.astype(np.float64))
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def _without_eyes(image: NDArray[np.uint8], mesh: NDArray, contours: NDArray) -> NDArray[np.uint8]:
    """The portrait with skin where its eyes are, for lids that close over them."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for side, ring in enumerate(lm.EYES):
        points = np.concatenate([mesh[list(ring), :2], contours[side, :16]])
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    width = float(np.linalg.norm(mesh[lm.RIGHT_EYE_OUTER] - mesh[lm.RIGHT_EYE_INNER]))
    reach = max(int(width * 0.09), 1)
    mask[:] = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    small = 0.25
    low = cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(low, cv2.resize(mask, low.shape[1::-1]), 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(mask, (0, 0), max(width * 0.02, 0.5))[..., None] / 255.0
    return (image * (1 - soft) + filled * soft).astype(np.uint8)


def _eye_pixels(image: NDArray[np.uint8], mesh: NDArray) -> NDArray:
    mask = np.zeros(image.shape[:2], np.uint8)
    for ring in lm.EYES:
        cv2.fillPoly(mask, [np.round(mesh[list(ring), :2]).astype(np.int32)], 1)
    return image[mask > 0]


def _shell(neutral: NDArray) -> NDArray[np.float32]:
    """(468 + rings, 3) the face with rings around it, centimetres."""
    oval = neutral[list(lm.FACE_OVAL)]
    middle = np.array([oval[:, 0].mean(), oval[:, 1].mean(), 0])
    out = [neutral]
    for reach, behind in RINGS:
        ring = middle + (oval - middle) * [reach, reach, 1]
        ring[:, 2] = oval[:, 2] + behind
        out.append(ring)
    return np.concatenate(out).astype(np.float32)


def _shell_triangles() -> NDArray[np.int32]:
    oval = np.asarray(lm.FACE_OVAL)
    rings = [oval, *(lm.POINTS + k * len(oval) + np.arange(len(oval)) for k in range(len(RINGS)))]
    bands = []
    for inner, outer in pairwise(rings):
        nxt, far = np.roll(inner, -1), np.roll(outer, -1)
        bands += [np.stack([inner, outer, nxt], 1), np.stack([nxt, outer, far], 1)]
    return np.concatenate([lm.triangles(), *bands]).astype(np.int32)


def random_performance(
    identity: Identity, *, face_px: float, frames: int = 150, rate: int = 25, seed: int = 0, yaw_deg: float = 28.0,
    expression: NDArray | None = None, world: bool = True,
) -> Performance:  # fmt: skip
    """Plausible movement: the head turns, the eyes jump and rest, blinks last 120 to 240 ms.

    ``expression`` (frames, K) is somebody's; where None the leading modes wander independently of each other, which no
    face does. Where ``world``, the eyes hold still in the world while the head turns, on the camera for half of the
    time; else they move in the head at random, which no eyes do. Upper lids follow the eyes up and down.
    """
    rng = np.random.default_rng(seed)
    side = int(round(face_px * 1.7 / 2) * 2)
    camera = Camera(focal_px=1.5 * side, width=side, height=side)
    height = float(np.ptp(identity.neutral[:, 1]))
    distance = camera.focal_px * height / face_px
    angles = np.stack([_wander(rng, frames, 18) for _ in range(3)], 1) * [yaw_deg, 12, 10]
    place = np.stack([_wander(rng, frames, 25) for _ in range(3)], 1) * [1.5, 1.0, 2.0]
    jumps = _jumps(rng, frames) * np.radians([22, 10])
    lids = np.zeros((frames, 2))
    for start in rng.choice(np.arange(12, frames - 12), 5, replace=False):
        length = int(rng.integers(3, 7))
        shape = np.sin(np.linspace(0, np.pi, length + 2)) ** 0.7
        lids[start : start + length + 2] = np.maximum(lids[start : start + length + 2], shape[:, None])
    if expression is None:
        expression = np.zeros((frames, len(basis().modes)))
        expression[:, :10] = np.stack([_wander(rng, frames, 7) for _ in range(10)], 1) * 1.5
    p = Performance(
        time_base=Fraction(1, rate), pts=np.arange(frames), rotation=from_angles_deg(angles).astype(np.float32),
        translation=(place + np.array([0, 0, distance])).astype(np.float32), expression=expression.astype(np.float32),
        lids=lids.astype(np.float32), gaze=np.zeros((frames, 2, 2), np.float32),
        confidence=np.ones(frames, np.float32), identity=identity, camera=camera,
    )  # fmt: skip
    gaze = jumps
    if world:
        ahead = to_camera_direction(p)
        look = np.stack([np.arctan2(ahead[:, 0], -ahead[:, 2]), np.arcsin(ahead[:, 1])], 1)
        gaze = np.clip(look + jumps, -EYE_REACH_RAD, EYE_REACH_RAD)
    follows = LID_FOLLOWS * gaze[:, 1:]
    lids = follows + (1 - follows) * lids
    return replace(p, lids=lids.astype(np.float32), gaze=np.repeat(gaze[:, None], 2, 1).astype(np.float32))


def _wander(rng: np.random.Generator, frames: int, slow: float) -> NDArray:
    """Smooth noise whose extremes are about 1."""
    x = gaussian_filter1d(rng.normal(size=frames + 200), slow)[100:-100]
    x -= x.mean()
    return x / np.abs(x).max()


def _jumps(rng: np.random.Generator, frames: int) -> NDArray:
    """Fixations of 0.3 to 1.5 s, (frames, 2) in -1..1."""
    out, at = np.zeros((frames, 2)), 0
    while at < frames:
        stay = int(rng.integers(8, 38))
        out[at : at + stay] = rng.uniform(-1, 1, 2) * (rng.random() < 0.5)
        at += stay
    return out


def render(who: Portrait, p: Performance) -> Iterator[NDArray[np.uint8]]:
    """Draw the performance, one HxWx3 uint8 picture a frame, supersampled where that is affordable."""
    scale = 2 if p.camera.width <= 480 else 1
    camera = Camera(focal_px=p.camera.focal_px * scale, width=p.camera.width * scale, height=p.camera.height * scale)
    triangles = _shell_triangles()
    eye = np.concatenate([EYE_TRIANGLES, np.zeros(len(triangles) - EYE_TRIANGLES.size, np.bool_)])
    mouth = np.concatenate([MOUTH_TRIANGLES, np.zeros(len(triangles) - MOUTH_TRIANGLES.size, np.bool_)])
    soft = cv2.GaussianBlur(who.image, (0, 0), who.image.shape[1] / 30)
    ground = cv2.resize(soft, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    rest = _shell(who.identity.neutral)
    heads = head_mesh(p.identity, p.expression, p.lids)
    for t in range(len(p)):
        shell = rest.copy()
        shell[: lm.POINTS] = heads[t]
        posed = to_camera(shell[None], p.rotation[t : t + 1], p.translation[t : t + 1])[0]
        px = np.concatenate([to_picture(posed, camera), posed[:, 2:]], 1)
        raster = rasterise(px, triangles, camera.height, camera.width)
        where = interpolate(raster, triangles, who.texture_px)
        seen = raster.covered
        picture = cv2.remap(who.skin, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        out = np.where(seen[..., None], picture, ground).astype(np.float32)
        hidden = np.where(seen, raster.triangle, 0)
        out[seen & mouth[hidden]] = MOUTH_INSIDE
        holes = seen & eye[hidden]
        _draw_eyes(out, holes, who, p, t, camera, px)
        _draw_lashes(out, px)
        drawn = np.clip(out, 0, 255)
        if scale > 1:
            drawn = np.asarray(
                cv2.resize(drawn, (p.camera.width, p.camera.height), interpolation=cv2.INTER_AREA), np.float32
            )
        yield np.round(drawn).astype(np.uint8)


def _draw_eyes(
    out: NDArray[np.float32], holes: NDArray[np.bool_], who: Portrait, p: Performance, t: int, camera: Camera,
    px: NDArray,
) -> None:  # fmt: skip
    around = cv2.dilate(holes.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    soft = cv2.GaussianBlur(holes.astype(np.float32), (0, 0), 0.8)
    y, x = np.nonzero(around)
    if not len(y):
        return
    turn = to_matrix(p.rotation[t])
    xy = (np.stack([x, y], 1) - [(camera.width - 1) / 2, (camera.height - 1) / 2]) / camera.focal_px
    ray = np.concatenate([xy, np.ones((len(xy), 1))], 1)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    balls = p.identity.eyeballs.astype(np.float64)
    centres = balls[:, :3] @ turn.T + p.translation[t]
    side = np.linalg.norm(np.cross(ray[:, None], centres[None]), axis=-1).argmin(1)
    centre, radius = centres[side], balls[side, 3]
    along = (ray * centre).sum(1)
    inside = radius**2 - (np.linalg.norm(centre, axis=1) ** 2 - along**2)
    point = ray * (along - np.sqrt(np.maximum(inside, 0)))[:, None]
    normal = (point - centre) @ turn / radius[:, None]  # in the head frame
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    axis = gaze_vectors(p.gaze[t])[side]
    up = np.array([0.0, -1, 0]) - axis * -axis[:, 1:2]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    right = np.cross(axis, up)
    u, v, w = ((normal * d).sum(1) for d in (right, up, axis))
    limbus = np.sqrt(1 - IRIS_DEPTH**2)
    far = np.hypot(u, v) / limbus
    colour = np.repeat(who.sclera[None] * 0.95, len(y), 0)
    colour *= SCLERA_SHADE + (1 - SCLERA_SHADE) * np.clip(-normal[:, 2:], 0, 1) ** 2
    # the lower half of the portrait's own iris, mirrored: the upper is under the lid
    at = who.irises[side] + np.stack([u, np.abs(v)], 1) / limbus * who.iris_radius_px * 0.97
    iris = cv2.remap(who.image, at[:, :1].astype(np.float32), at[:, 1:].astype(np.float32), cv2.INTER_LINEAR).reshape(
        -1, 3
    )
    share = np.clip((1.03 - far) / 0.08, 0, 1)[:, None] * (w > 0)[:, None]
    colour = colour * (1 - share) + iris * share
    colour *= 1 - 0.25 * (np.exp(-(((far - 1) / 0.08) ** 2)) * (w > 0))[:, None]  # the limbus is dark
    colour *= _lid_shadow(px, x, y)[:, None]
    shine = np.array([0.12, -0.25, -0.96])
    glint = np.clip((normal @ turn.T @ shine - 0.995) / 0.004, 0, 1)[:, None]
    colour = colour * (1 - glint) + 245 * glint
    alpha = soft[y, x][:, None]
    out[y, x] = out[y, x] * (1 - alpha) + colour * alpha


def _lid_shadow(px: NDArray, x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """The upper lid darkens what lies close below it."""
    out = np.ones(len(x))
    for ring, corners in zip(lm.LIDS_UPPER, lm.EYE_CORNERS, strict=True):
        lid = px[list(ring), :2]
        order = np.argsort(lid[:, 0])
        width = abs(float(px[corners[0], 0] - px[corners[1], 0]))
        inside = (x >= lid[:, 0].min()) & (x <= lid[:, 0].max())
        below = np.clip(y - np.interp(x, lid[order, 0], lid[order, 1]), 0, None) / max(width, 1)
        out = np.where(inside, 1 - 0.45 * np.exp(-below / 0.05), out)
    return out


def _draw_lashes(out: NDArray[np.float32], px: NDArray) -> None:
    ink = np.zeros(out.shape[:2], np.float32)
    for ring, corners in zip(lm.LIDS_UPPER, lm.EYE_CORNERS, strict=True):
        width = float(np.linalg.norm(px[corners[0], :2] - px[corners[1], :2]))
        line = np.round(px[list(ring), :2] * 16).astype(np.int32)
        cv2.polylines(ink, [line], False, 1.0, max(round(width * 0.05), 1), cv2.LINE_AA, 4)
    ink = cv2.GaussianBlur(ink, (0, 0), 1.0)[..., None] * 0.65
    out *= 1 - ink


def truth_mesh(p: Performance) -> NDArray[np.float32]:
    """(T, 468, 3) pixels: where the mesh truly lies."""
    return project(p)
