"""The stage of a puppet: backdrop, body, camera; and the picture of one moment."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from facewitness.datasets.puppet.eyes import Eye, build_eyes, paint_eye
from facewitness.datasets.puppet.motion import Motion
from facewitness.datasets.puppet.mouth import Mouth, build_mouth, paint_mouth
from facewitness.datasets.puppet.portrait import GRID_PX, ORIGIN_PX, PX_PER_CM, Look, Portrait, build_portrait
from facewitness.faces import landmarks as lm

Floats = NDArray[Any]
"""Arrays of float32; OpenCV's own types say less."""

CAMERA_CM = 75.0
"""Distance of the camera."""
FRAME_CM = 36.0
"""What the frame's shorter side covers at that distance."""
HEAD_AT = (0.5, 0.525)
"""Where the canonical face's origin lies in the frame."""
PIVOT_CM = (0.0, 9.0, 8.0)
"""Where the head turns: the top of the neck."""
NECKLINE_CM = {"crew": 13.6, "shirt": 17.2, "roll": 10.6}
"""Lowest point of the neckline, below the canonical face's origin."""
NOISE_FRAMES, NOISE_MARGIN = 5, 32
NOISE_LEVEL = 3.0
"""Deviation of the camera's noise in mid grey, of 255 (a webcam indoors)."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that stays the same through a clip."""

    width: int
    height: int
    scale: float
    """Pixels per centimetre at the head's distance."""
    portrait: Portrait
    eyes: tuple[Eye, Eye]
    mouth: Mouth
    backdrop: Floats
    """(H, W, 3)."""
    body: Floats
    """(H, W, 4), colours multiplied by opacity."""
    noise: Floats
    """(n, H + 32, W + 32, 3)."""
    fields: dict[str, Floats]
    """Movement of the skin at the coarse grid, (h, w, 2) texels per unit of ``brows``, ``width`` and ``smile``."""


def build_stage(look: Look, width: int, height: int) -> Stage:
    """Set the stage for one look at a frame size in pixels."""
    portrait = build_portrait(look)
    scale = min(width, height) / FRAME_CM
    rng = np.random.default_rng(look.seed + 3)
    noise = rng.normal(0, 1, (NOISE_FRAMES, height + NOISE_MARGIN, width + NOISE_MARGIN, 3)).astype(np.float32)
    for field in noise:
        field[:] = cv2.GaussianBlur(field, (0, 0), 0.55)
        field[:] = 0.75 * field + 0.6 * field.mean(-1, keepdims=True)
    noise *= NOISE_LEVEL / noise.std()
    return Stage(
        width=width, height=height, scale=scale, portrait=portrait, eyes=build_eyes(portrait),
        mouth=build_mouth(portrait),
        backdrop=_backdrop(look, width, height, rng), body=_body(portrait, width, height, scale, rng), noise=noise,
        fields=_fields(portrait),
    )  # fmt: skip


def _grid() -> tuple[Floats, Floats]:
    from facewitness.datasets.puppet.portrait import TEXTURE_HEIGHT, TEXTURE_WIDTH

    xs = np.arange(0, TEXTURE_WIDTH + GRID_PX, GRID_PX, dtype=np.float32)
    ys = np.arange(0, TEXTURE_HEIGHT + GRID_PX, GRID_PX, dtype=np.float32)
    x, y = np.meshgrid(xs, ys)
    return x, y


def _fields(portrait: Portrait) -> dict[str, Floats]:
    x, y = _grid()
    mesh = portrait.mesh

    def bump(point: NDArray, wide: float, high: float) -> Floats:
        return np.exp(-(((x - point[0]) / wide) ** 2) - ((y - point[1]) / high) ** 2).astype(np.float32)

    brows = np.zeros((*x.shape, 2), np.float32)
    for brow in (lm.RIGHT_BROW, lm.LEFT_BROW):
        brows[..., 1] -= 0.42 * PX_PER_CM * bump(mesh[list(brow), :2].mean(0) - [0, 8], 46, 24)
    width, smile = np.zeros_like(brows), np.zeros_like(brows)
    for corner, side in ((lm.MOUTH_RIGHT, -1), (lm.MOUTH_LEFT, 1)):
        point = mesh[corner, :2]
        near = bump(point, 30, 26)
        width[..., 0] += side * 0.32 * PX_PER_CM * near
        smile[..., 0] += side * 0.30 * PX_PER_CM * near
        smile[..., 1] -= 0.34 * PX_PER_CM * bump(point + np.array([side * 8, -8]), 34, 30)
    return {"brows": brows, "width": width, "smile": smile}


def _octaves(height: int, width: int, rng: np.random.Generator, sigmas: tuple[float, ...]) -> Floats:
    total: Floats = np.zeros((height, width), np.float32)
    for sigma in sigmas:
        small = max(1, int(sigma / 3))
        field: Floats = rng.normal(size=(height // small + 2, width // small + 2)).astype(np.float32)
        field = cv2.GaussianBlur(field, (0, 0), sigma / small)
        total += cv2.resize(field / field.std(), (width, height), interpolation=cv2.INTER_CUBIC)
    return total / len(sigmas)


def _backdrop(look: Look, width: int, height: int, rng: np.random.Generator) -> Floats:
    from skimage import data

    y, x = np.mgrid[:height, :width].astype(np.float32)
    unit = min(width, height) / 384
    base = np.array(look.backdrop_rgb, np.float32)
    light = 1.12 - 0.38 * np.hypot(x / width - 0.32, 0.8 * (y / height - 0.3))
    tone = 1 + 0.035 * _octaves(height, width, rng, (3 * unit, 14 * unit, 50 * unit))
    if look.backdrop == "brick":
        wall: Floats = np.ascontiguousarray(data.brick().T[:, ::-1]).astype(np.float32)
        wall = cv2.resize(wall, (width, height), interpolation=cv2.INTER_AREA)
        tone *= 0.62 + 0.38 * cv2.GaussianBlur(wall, (0, 0), 1.3 * unit) / wall.mean()
    picture = base * (light * tone)[..., None]
    if look.backdrop == "room":
        picture = _room(picture, unit, rng)
    return np.clip(picture, 0, 255).astype(np.float32)


def _room(wall: Floats, unit: float, rng: np.random.Generator) -> Floats:
    """A shelf of books and a lamp, out of focus."""
    height, width = wall.shape[:2]
    room = wall.copy()
    for shelf in (0.20, 0.46, 0.72):
        bottom, x = int(shelf * height), int(0.58 * width)
        while x < width:
            w, h = int(rng.uniform(7, 17) * unit), int(rng.uniform(44, 70) * unit)
            colour = np.array([rng.uniform(50, 175), rng.uniform(45, 130), rng.uniform(40, 115)])
            room[max(bottom - h, 0) : bottom, x : x + w] = colour * rng.uniform(0.6, 1.1)
            x += w + int(rng.random() < 0.12) * int(16 * unit)
        room[bottom : bottom + max(int(6 * unit), 1), int(0.56 * width) :] = (96, 72, 52)
    room = cv2.GaussianBlur(room, (0, 0), 4.5 * unit)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    lamp = np.exp(-(((x - 0.10 * width) / (30 * unit)) ** 2) - ((y - 0.30 * height) / (42 * unit)) ** 2)
    return room + lamp[..., None] * np.array([120, 96, 60], np.float32)


def _blend(layer: Floats, colour: NDArray, opacity: NDArray) -> None:
    layer[..., :3] = layer[..., :3] * (1 - opacity[..., None]) + colour * opacity[..., None]
    layer[..., 3] = layer[..., 3] * (1 - opacity) + opacity


def _below(y: Floats, line: Any, soft: float) -> Floats:
    return np.clip((y - line) / soft + 0.5, 0, 1)


def _body(portrait: Portrait, width: int, height: int, scale: float, rng: np.random.Generator) -> Floats:
    """Neck, shoulders and clothes, (H, W, 4) multiplied by opacity."""
    look = portrait.look
    py, px = np.mgrid[:height, :width].astype(np.float32)
    x, y = (px - HEAD_AT[0] * width) / scale, (py - HEAD_AT[1] * height) / scale
    soft = 1.6 / scale
    layer = np.zeros((height, width, 4), np.float32)
    half_face = (portrait.mesh[lm.LEFT_JAW, 0] - portrait.mesh[lm.RIGHT_JAW, 0]) / 2 / PX_PER_CM
    half_neck = 0.80 * half_face + 0.3 * np.maximum(y - 10.0, 0) ** 1.5
    across = x / half_neck
    skin = np.array(portrait.skin_rgb, np.float32)
    round_ = 0.50 + 0.44 * np.sqrt(np.clip(1 - across**2, 0, 1)) - look.light * 0.8 * np.clip(across, -1, 1) * 0.5
    chin = (portrait.mesh[lm.CHIN, 1] - ORIGIN_PX[1]) / PX_PER_CM
    shadow = 1 - 0.42 * np.exp(-((np.maximum(y - chin + 1.2, 0) / 2.4) ** 2) * (1 + 0.25 * across**2))
    tendon = (
        1
        - 0.06 * np.exp(-(((np.abs(x) - 1.6 + 0.12 * (y - 12)) / 0.5) ** 2))
        + 0.02 * _octaves(height, width, rng, (6,))
    )
    neck = np.clip((1 - np.abs(across)) * half_neck / soft + 0.5, 0, 1) * _below(y, np.float32(2.0), soft)
    shade = (round_ * shadow * tendon)[..., None]
    _blend(layer, skin * 1.04 * shade ** np.array([0.86, 1.06, 1.10], np.float32), neck)
    far = np.abs(x)
    slope = 10.9 + 0.15 * far + 3.2 * np.clip((far - 5) / 13, 0, 1) ** 1.4 + 9 * np.clip((far - 16) / 8, 0, 1) ** 2
    neckline = NECKLINE_CM[look.collar] - {"crew": 0.075 * x**2, "shirt": 1.15 * far, "roll": 0.045 * x**2}[look.collar]
    line = np.where(far < half_neck * 1.03, np.minimum(neckline, slope), slope)
    if look.collar != "roll":
        line = np.maximum(slope, neckline)
    cloth = _cloth(look, x, y, height, width, scale, rng)
    _blend(layer, cloth, _below(y, line.astype(np.float32), soft))
    _collar(layer, look, x, y, neckline.astype(np.float32), half_neck, cloth, soft)
    return layer


def _cloth(look: Look, x: Floats, y: Floats, height: int, width: int, scale: float, rng: np.random.Generator) -> Floats:
    folds = _octaves(height, width, rng, (2.2 * scale, 0.9 * scale))
    knit = (
        0.0
        if look.collar == "shirt"
        else np.sin(2 * np.pi * x / 0.36) * np.sin(2 * np.pi * (y + 0.08 * np.sin(2 * np.pi * x / 0.36)) / 0.36)
    )
    shade = 0.92 - 0.010 * np.abs(x) - look.light * 0.03 * x + 0.05 * folds + 0.045 * knit
    shade -= 0.22 * np.exp(-(((np.abs(x) - 16) / 2.0) ** 2)) * (y > 17)
    return np.array(look.cloth, np.float32) * shade[..., None]


def _collar(layer: Floats, look: Look, x: Floats, y: Floats, neckline: Floats, half_neck: Floats, cloth: Floats,
            soft: float) -> None:  # fmt: skip
    far = np.abs(x)
    if look.collar == "shirt":
        top, tip = 9.5, 16.6
        t = np.clip((y - top) / (tip - top), 0, 1)
        inner, outer = 5.3 - 2.5 * t, 6.5 - 0.1 * t - 3.5 * t**4
        part = np.clip((far - inner) / soft + 0.5, 0, 1) * np.clip((outer - far) / soft + 0.5, 0, 1)
        part *= _below(y, np.float32(top) + 0.12 * far, soft) * (y < tip)
        rim = (
            np.exp(-((np.maximum(far - outer, 0) / 0.45) ** 2))
            * (far > outer - 0.2)
            * (y > top + 0.6)
            * (y < tip)
            * 0.25
        )
        layer[..., :3] *= (1 - rim)[..., None]
        _blend(layer, cloth * 1.10, part)
        return
    band = np.clip((y - neckline) / soft + 0.5, 0, 1) * np.clip(
        (neckline + (1.5 if look.collar == "crew" else 4.4) - y) / soft + 0.5, 0, 1
    )
    band *= np.abs(x) < half_neck * (1.25 if look.collar == "crew" else 1.03)
    ribs = 1 + 0.09 * np.sin(2 * np.pi * x / 0.42)
    round_ = 1.05 - 0.35 * (x / np.maximum(half_neck, 1)) ** 2 if look.collar == "roll" else 1.06
    _blend(layer, cloth * (ribs * round_)[..., None], band * (layer[..., 3] > 0))
    edge = np.exp(-(((y - neckline + 0.15) / 0.35) ** 2)) * (np.abs(x) < half_neck * 1.1) * 0.35
    layer[..., :3] *= (1 - edge)[..., None]


def _rotation(vector: NDArray) -> NDArray:
    return cv2.Rodrigues(np.asarray(vector, np.float64))[0]


def project(stage: Stage, motion: Motion, frame: int, texels: NDArray, depth: NDArray) -> NDArray:
    """Where points of the texture (..., 2), ``depth`` (...) texels away, lie in the picture (..., 2) pixels."""
    points = np.concatenate([texels - ORIGIN_PX, depth[..., None]], -1) / PX_PER_CM - PIVOT_CM
    turned = points @ _rotation(motion.rotation[frame]).T + PIVOT_CM + motion.translation[frame]
    ratio = CAMERA_CM / (CAMERA_CM + turned[..., 2:])
    return turned[..., :2] * ratio * stage.scale + [HEAD_AT[0] * stage.width, HEAD_AT[1] * stage.height]


def _head_map(stage: Stage, motion: Motion, frame: int) -> tuple[Floats, Floats]:
    """For each pixel the texel it shows, by inverting the head's smooth movement at the coarse grid."""
    x, y = _grid()
    texels = np.stack([x, y], -1)
    for name, amount in (("brows", motion.brows), ("width", motion.width), ("smile", motion.smile)):
        texels = texels + stage.fields[name] * amount[frame]
    forward = project(stage, motion, frame, texels, stage.portrait.depth).astype(np.float32)
    step = 4
    nx, ny = stage.width // step + 2, stage.height // step + 2
    goal = np.stack(np.meshgrid(np.arange(nx), np.arange(ny)), -1).astype(np.float32) * step
    centre = np.array([HEAD_AT[0] * stage.width, HEAD_AT[1] * stage.height], np.float32)
    per_px = np.float32(PX_PER_CM / stage.scale)
    guess = (goal - centre) * per_px + np.array(ORIGIN_PX, np.float32)
    for _ in range(5):
        there = cv2.remap(forward, guess[..., 0] / GRID_PX, guess[..., 1] / GRID_PX, cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        guess += (goal - there) * (per_px * np.float32(0.95))
    columns, rows = (
        cv2.warpAffine(np.ascontiguousarray(guess[..., axis]), np.array([[1 / step, 0, 0], [0, 1 / step, 0]]),
                       (stage.width, stage.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                       borderMode=cv2.BORDER_REPLICATE)
        for axis in (0, 1)
    )  # fmt: skip
    return columns, rows


def _body_picture(stage: Stage, motion: Motion, frame: int) -> Floats:
    """Neck and shoulders: still below, with the head above."""
    anchor = np.array([[ORIGIN_PX[0], ORIGIN_PX[1] + 8 * PX_PER_CM]])
    rest = np.array([HEAD_AT[0] * stage.width, HEAD_AT[1] * stage.height + 8 * stage.scale])
    shift = (project(stage, motion, frame, anchor, np.array([4 * PX_PER_CM]))[0] - rest).astype(np.float32)
    sway = motion.translation[frame, :2] * stage.scale * 0.35
    y = np.arange(stage.height, dtype=np.float32)
    high = np.clip((HEAD_AT[1] * stage.height + 15.5 * stage.scale - y) / (7 * stage.scale), 0, 1)
    high = high**2 * (3 - 2 * high)
    dx, dy = sway[0] + (shift[0] - sway[0]) * high, sway[1] + (shift[1] - sway[1]) * high
    x = np.arange(stage.width, dtype=np.float32)[None] - dx[:, None]
    rows = np.broadcast_to((y - dy)[:, None], x.shape)
    return cv2.remap(stage.body, x.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def draw(stage: Stage, motion: Motion, frame: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture of one moment, (H, W, 3) uint8 RGB."""
    canvas = stage.portrait.texture.copy()
    for side in (0, 1):
        yaw, pitch = motion.gaze[frame, side]
        paint_eye(canvas, stage.portrait, stage.eyes[side], float(motion.lids[frame, side]), float(yaw), float(pitch))
    paint_mouth(canvas, stage.portrait, stage.mouth, float(motion.mouth[frame]))
    canvas[..., :3] *= canvas[..., 3:]
    x, y = _head_map(stage, motion, frame)
    head = cv2.remap(canvas, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
    body = _body_picture(stage, motion, frame)
    dx, dy = (int(v) for v in rng.integers(0, NOISE_MARGIN, 2))
    noise = stage.noise[int(rng.integers(NOISE_FRAMES))]
    picture = np.empty((stage.height, stage.width, 3), np.uint8)
    _expose(head, body, stage.backdrop, noise[dy:, dx:], picture)
    return picture


@njit(cache=True, fastmath=True)
def _expose(head: Floats, body: Floats, backdrop: Floats, noise: Floats, picture: NDArray[np.uint8]) -> None:
    """Lay head over body over backdrop and add the camera's noise, which grows with the light."""
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            behind, below = np.float32(1) - head[i, j, 3], np.float32(1) - body[i, j, 3]
            r = head[i, j, 0] + behind * (body[i, j, 0] + below * backdrop[i, j, 0])
            g = head[i, j, 1] + behind * (body[i, j, 1] + below * backdrop[i, j, 1])
            b = head[i, j, 2] + behind * (body[i, j, 2] + below * backdrop[i, j, 2])
            level = np.float32(0.55) + np.float32(0.45) * np.sqrt(max(r + g + b, np.float32(0)) / np.float32(384))
            picture[i, j, 0] = min(max(r + level * noise[i, j, 0] + np.float32(0.5), 0), 255)
            picture[i, j, 1] = min(max(g + level * noise[i, j, 1] + np.float32(0.5), 0), 255)
            picture[i, j, 2] = min(max(b + level * noise[i, j, 2] + np.float32(0.5), 0), 255)
