"""The layers of a sample actor: a head of nobody, blended from two public-domain portraits and varied.

The portraits are the astronaut of scikit-image (NASA) and ``grace_hopper.jpg`` of matplotlib (US Navy); they are read
from the installed packages. Hair and skin come mostly from one, mouth and jaw partly from the other, the eyes are
painted, the shape comes from both and from the look's own variation, so that no sample depicts either person.
``portraits.npz`` holds the face meshes of both pictures and the outline of one head.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm

PX_PER_CM = 16.0
"""Texels per centimetre of the head's texture."""
TEXTURE_WIDTH, TEXTURE_HEIGHT = 464, 496
ORIGIN_PX = (232.0, 304.0)
"""Texel of the canonical face's origin."""
GRID_PX = 8
"""Texels between two nodes of the smooth fields."""

Floats = NDArray[Any]
"""Arrays of float32; OpenCV's own types say less."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What makes one sample actor look different from the others."""

    second: float
    """Share of the second portrait in the shape, 0..1."""
    second_texture: float
    """Largest share of the second portrait in the lower face's texture, 0..1."""
    jaw: float = 1.0
    """Width of the jaw against the blend's."""
    length: float = 1.0
    """Length of the lower face against the blend's."""
    eye_size: float = 1.0
    eye_gap: float = 1.0
    nose: float = 1.0
    """Width of the nose against the blend's."""
    hair_volume: float = 1.0
    skin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift of the skin in CIE Lab (L 0..100)."""
    hair: tuple[float, float, float] = (40.0, 6.0, 16.0)
    """Mean colour of the hair in CIE Lab."""
    hair_contrast: float = 1.0
    brow: float = 0.5
    """How much darker the brows are than the blend's, 0..1."""
    iris: tuple[int, int, int] = (92, 66, 42)
    """RGB of the iris."""
    light: float = 0.15
    """Strength of the light from the picture's left, against the right."""
    cloth: tuple[int, int, int] = (70, 84, 110)
    """RGB of the clothes."""
    collar: str = "crew"
    """``crew``, ``shirt`` or ``roll``."""
    backdrop: str = "plaster"
    """``plaster``, ``brick`` or ``room``."""
    backdrop_rgb: tuple[int, int, int] = (150, 150, 146)
    mirrored: bool = False
    """Whether the portrait is turned left for right."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A head ready to be moved; every array is float32 in texels of its texture."""

    texture: Floats
    """(H, W, 4) RGB 0..255, not premultiplied, and opacity 0..1; the eye openings and the mouth are filled in later."""
    mesh: Floats
    """(468, 3) x, y in texels, z in texels, away from the camera."""
    depth: Floats
    """(H/8, W/8) z of the head's surface."""
    skin_rgb: tuple[float, float, float]
    look: Look


def to_texels(xyz: NDArray) -> NDArray:
    """Head frame, (n, 3) centimetres, to texels (n, 3)."""
    return np.asarray(xyz) * PX_PER_CM + [*ORIGIN_PX, 0.0]


@cache
def _sources() -> dict[str, NDArray]:
    """Both portraits (H, W, 3) RGB uint8, their meshes (468, 3), and the first head's outline as opacity 0..1."""
    import matplotlib.cbook
    from skimage import data

    with np.load(Path(__file__).parent / "portraits.npz", allow_pickle=False) as stored:
        sources: dict[str, NDArray] = {name: stored[name] for name in stored.files}
    sources["astronaut_rgb"] = np.ascontiguousarray(data.astronaut()[..., :3])
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    hopper = cv2.imread(str(path))
    assert hopper is not None, f"matplotlib's sample picture {path} cannot be read"
    sources["hopper_rgb"] = cv2.cvtColor(hopper, cv2.COLOR_BGR2RGB)
    x0, y0 = sources["matte_origin"]
    whole = np.zeros(sources["astronaut_rgb"].shape[:2], np.float32)
    height, width = sources["matte"].shape
    whole[y0 : y0 + height, x0 : x0 + width] = sources["matte"] / 255
    sources["opacity"] = whole
    return sources


def _frontal(mesh: NDArray) -> NDArray:
    """The mesh (468, 3) turned to face the camera, in centimetres of the canonical face, and made symmetrical."""
    target = lm.canonical_xyz().astype(float)
    points = mesh.astype(float)
    index, weights = lm.rigid_points()
    w = weights[:, None] / weights.sum()
    source, goal = points[index], target[index]
    source_mean, goal_mean = (w * source).sum(0), (w * goal).sum(0)
    u, s, vt = np.linalg.svd((w * (goal - goal_mean)).T @ (source - source_mean))
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    scale = s.sum() / (w * (source - source_mean) ** 2).sum()
    turned = scale * (points - source_mean) @ turn.T + goal_mean
    return 0.5 * (turned + turned[lm.mirror()] * [-1, 1, 1])


def _bump(x: NDArray, centre: float, width: float) -> NDArray:
    return np.exp(-(((x - centre) / width) ** 2))


def shape_of(look: Look) -> NDArray:
    """Neutral shape of a look, (468, 3) centimetres in the frame of the canonical face."""
    sources = _sources()
    first, second = _frontal(sources["astronaut"]), _frontal(sources["hopper"])
    second = second + (lm.canonical_xyz() - second) * 0.25  # her age and hat pull the mesh; half way back to the mean
    lips = sorted(set(lm.OUTER_LIPS) | set(lm.INNER_LIPS))
    mix = np.full((lm.POINTS, 1), look.second)
    mix[lips] = 0.55  # less of the smile
    shape = (1 - mix) * first + mix * second
    rng = np.random.default_rng(look.seed)
    x, y = shape[:, 0].copy(), shape[:, 1].copy()
    low = 1 / (1 + np.exp(-(y - 2.5) / 1.5))
    shape[:, 0] *= 1 + (look.jaw - 1) * low
    shape[:, 1] += (look.length - 1) * np.maximum(y, 0)
    shape[:, 0] *= 1 + (look.eye_gap - 1) * _bump(y, -2.6, 2.5) * _bump(np.abs(x), 3.2, 2.5)
    shape[:, 0] *= 1 + (look.nose - 1) * _bump(y, 1.5, 2.0) * _bump(x, 0, 2.4)
    for side in (-1, 1):
        near = _bump(x, side * 3.2, 1.9) * _bump(y, -2.6, 1.4)
        shape[:, 0] += near * (look.eye_size - 1) * (x - side * 3.2)
        shape[:, 1] += near * (look.eye_size * 1.12 - 1) * (y + 2.6)
    brow = sorted({*lm.RIGHT_BROW, *lm.LEFT_BROW, *lm.RIGHT_BROW_LOWER, *lm.LEFT_BROW_LOWER})
    shape[brow, 1] += rng.normal(0, 0.12)
    shape[:, 0] += 0.05 * rng.normal() * np.sin(y / 4) + 0.04 * rng.normal() * (x / 6) ** 2  # nobody is symmetrical
    return shape


def _warp(image: NDArray, mesh: NDArray, shape: NDArray, anchors: NDArray | None, volume: float = 1.0) -> Floats:
    """Draw ``image`` (H, W, C), whose face mesh is ``mesh``, in the texture where its face has ``shape`` (468, 3)."""
    from scipy.interpolate import RBFInterpolator

    goal, source = shape[:, :2], mesh[:, :2].astype(float)
    if anchors is not None:
        flat = np.c_[goal, np.ones(len(goal))]
        affine = np.linalg.lstsq(flat, source, rcond=None)[0]
        middle = np.array(ORIGIN_PX) - [0, 4 * PX_PER_CM]
        pulled = middle + (anchors - middle) / volume
        goal, source = np.r_[goal, anchors], np.r_[source, np.c_[pulled, np.ones(len(anchors))] @ affine]
    field = RBFInterpolator(goal, source, kernel="thin_plate_spline", smoothing=2.0)
    xs, ys = np.arange(0, TEXTURE_WIDTH + GRID_PX, GRID_PX), np.arange(0, TEXTURE_HEIGHT + GRID_PX, GRID_PX)
    nodes = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2).astype(float)
    coarse = field(nodes).reshape(len(ys), len(xs), 2).astype(np.float32)
    x, y = np.meshgrid(np.arange(TEXTURE_WIDTH, dtype=np.float32), np.arange(TEXTURE_HEIGHT, dtype=np.float32))
    where = cv2.remap(coarse, x / GRID_PX, y / GRID_PX, cv2.INTER_CUBIC)
    return cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _hair_anchors() -> NDArray:
    """Points (n, 2) in texels around the head that keep the hair from following the face's every change."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([np.cos(angle) * 15.5, np.sin(angle) * 17.0 - 3.5], -1) * PX_PER_CM + ORIGIN_PX


def _lab(rgb: NDArray) -> Floats:
    return cv2.cvtColor(np.clip(rgb / 255, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)


def _rgb(lab: NDArray) -> Floats:
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1) * 255


def _solid(rgb: Floats, opacity: Floats) -> Floats:
    """Colours carried outward from the opaque part, so that the rim shows no old background."""
    core = (opacity > 0.97).astype(np.float32)
    filled, weight = rgb * core[..., None], core.copy()
    for sigma in (1.5, 3, 6, 12, 24):
        blurred = cv2.GaussianBlur(filled, (0, 0), sigma)
        share = cv2.GaussianBlur(weight, (0, 0), sigma)
        gap = (weight < 0.5) & (share > 1e-3)
        filled[gap] = blurred[gap] / share[gap, None]
        weight[gap] = 1
    return filled


def _region(shape: NDArray, indices: tuple[int, ...], soft: float, grow: float = 1.0) -> Floats:
    """A soft mask (H, W) 0..1 of the polygon through mesh points, blurred by ``soft`` texels."""
    polygon = shape[list(indices), :2]
    polygon = (polygon - polygon.mean(0)) * grow + polygon.mean(0)
    mask = np.zeros((TEXTURE_HEIGHT, TEXTURE_WIDTH), np.float32)
    cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, (0, 0), soft) if soft else mask


def _hair_mask(lab: Floats, shape: NDArray, opacity: Floats) -> Floats:
    """Where the head is hair, (H, W) 0..1: less red than skin, and not in the middle of the face."""
    colour = cv2.GaussianBlur(lab, (0, 0), 2.5)
    skin = np.median(lab[_region(shape, (50, 101, 36, 205), 0) > 0.5], axis=0)
    off = (skin[1] - colour[..., 1]) / 5.0 + np.maximum(skin[0] - colour[..., 0], 0) / 30.0
    by_colour = np.clip((off - 0.75) / 0.7, 0, 1)
    inner = [10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152]
    outline = tuple(inner + [int(lm.mirror()[i]) for i in inner[-2:0:-1]])
    face = _region(shape, outline, 2.0, 0.97)
    y = (np.arange(TEXTURE_HEIGHT, dtype=np.float32)[:, None] - ORIGIN_PX[1]) / PX_PER_CM
    brow_cm = (shape[list(lm.RIGHT_BROW), 1].min() - ORIGIN_PX[1]) / PX_PER_CM
    below_brow = 1 / (1 + np.exp(-(y - brow_cm + 0.1) / 0.15))
    low = 1 / (1 + np.exp(-(y - 4.0) / 0.3))
    return np.clip(by_colour * (1 - face * below_brow) * (1 - low), 0, 1) * (opacity > 0.02)


def _relight(rgb: Floats, shape: NDArray, look: Look) -> Floats:
    x = (np.arange(TEXTURE_WIDTH, dtype=np.float32)[None] - ORIGIN_PX[0]) / (8 * PX_PER_CM)
    y = (np.arange(TEXTURE_HEIGHT, dtype=np.float32)[:, None] - ORIGIN_PX[1]) / (10 * PX_PER_CM)
    gain = 1 - look.light * np.tanh(x) - 0.08 * np.tanh(y)
    return rgb * gain[..., None]


def _depth(shape: NDArray) -> Floats:
    """Depth of the head's surface at the nodes of the coarse grid, (H/8+1, W/8+1) texels, smooth."""
    from scipy.interpolate import griddata

    xs, ys = np.arange(0, TEXTURE_WIDTH + GRID_PX, GRID_PX), np.arange(0, TEXTURE_HEIGHT + GRID_PX, GRID_PX)
    x, y = np.meshgrid(xs.astype(float), ys.astype(float))
    back = shape[[lm.RIGHT_EAR, lm.LEFT_EAR], 2].mean()
    cx, cy = ORIGIN_PX[0], ORIGIN_PX[1] - 4.0 * PX_PER_CM
    radius = np.hypot((x - cx) / (13.0 * PX_PER_CM), (y - cy) / (15.0 * PX_PER_CM))
    ball = back + 2.5 * PX_PER_CM - 9.0 * PX_PER_CM * np.sqrt(np.clip(1 - radius**2, 0, 1))
    rim = radius.ravel() > 0.93
    points = np.r_[shape[:, :2], np.stack([x.ravel()[rim], y.ravel()[rim]], -1)]
    values = np.r_[shape[:, 2], ball.ravel()[rim]]
    return cv2.GaussianBlur(griddata(points, values, (x, y), method="linear").astype(np.float32), (0, 0), 1.2)


@cache
def build_portrait(look: Look) -> Portrait:
    """Blend and vary the two portraits into the head of one look."""
    sources = _sources()
    shape = to_texels(shape_of(look))
    rng = np.random.default_rng(look.seed + 1)
    first = np.dstack([sources["astronaut_rgb"].astype(np.float32), sources["opacity"] * 255])
    first = _warp(first, sources["astronaut"], shape, _hair_anchors(), look.hair_volume)
    opacity = np.clip((first[..., 3] / 255 - 0.08) / 0.84, 0, 1)
    rgb = _solid(first[..., :3], opacity)
    second = _warp(sources["hopper_rgb"].astype(np.float32), sources["hopper"], shape, None)
    lab, other = _lab(rgb), _lab(second)
    cheeks = _region(shape, (205, 50, 101, 36), 0) + _region(shape, (425, 280, 330, 266), 0) > 0.5
    for channel in range(3):
        a, b = lab[..., channel], other[..., channel]
        gain = min(1.0, a[cheeks].std() / max(b[cheeks].std(), 1e-3)) if channel == 0 else 1.0
        other[..., channel] = (b - np.median(b[cheeks])) * max(gain, 0.75) + np.median(a[cheeks])
    y = (np.arange(TEXTURE_HEIGHT, dtype=np.float32)[:, None] - ORIGIN_PX[1]) / PX_PER_CM
    lower = 1 / (1 + np.exp(-(y - 2.2) / 0.45))
    soft = cv2.GaussianBlur(other, (0, 0), 5.0)
    other = soft + (other - soft) * [0.4, 0.1, 0.1]  # her shading and colour, less of her lines
    share = look.second_texture * lower * _region(shape, lm.FACE_OVAL, 9.0, 0.86)
    lab = lab * (1 - share[..., None]) + other * share[..., None]
    hair = _hair_mask(lab, shape, opacity)
    lab = _paint(lab, hair, shape, look, rng)
    rgb = _relight(_rgb(lab), shape, look)
    texture = np.dstack([rgb, opacity]).astype(np.float32)
    depth = _depth(shape)
    skin = np.median(rgb[_region(shape, (152, 176, 150, 136, 135, 210, 211), 0) > 0.5], axis=0)
    red, green, blue = (float(v) for v in skin)
    if look.mirrored:
        texture, depth = np.ascontiguousarray(texture[:, ::-1]), np.ascontiguousarray(depth[:, ::-1])
        shape = shape[lm.mirror()] * [-1, 1, 1] + [TEXTURE_WIDTH - 1, 0, 0]
    return Portrait(texture=texture, mesh=shape.astype(np.float32), depth=depth, skin_rgb=(red, green, blue), look=look)


def _paint(lab: Floats, hair: Floats, shape: NDArray, look: Look, rng: np.random.Generator) -> Floats:
    """Colour of hair, skin and brows, and the fine grain of skin and hair that enlargement lost."""
    lab = lab.copy()
    blurred = cv2.GaussianBlur(lab[..., 0], (0, 0), 2.2)
    lab[..., 0] += (0.55 + 0.6 * hair) * (lab[..., 0] - blurred)
    strength = hair[..., None]
    mean = np.median(lab[hair > 0.8], axis=0)
    coloured = (lab - mean) * [look.hair_contrast, 0.5, 0.7] + look.hair
    coloured[..., 0] = np.where(coloured[..., 0] < 12, 12 * np.exp((coloured[..., 0] - 12) / 12), coloured[..., 0])
    coloured[..., 1:] *= np.clip(coloured[..., :1] / 22, 0, 1)  # what is black has no colour
    lab = lab * (1 - strength) + coloured * strength
    paler = 1 - 0.25 * np.clip(-look.skin[0] / 20, 0, 1)  # contrast shrinks as skin darkens
    tone = np.median(lab[_region(shape, (205, 50, 101, 36), 0) > 0.5], axis=0)
    lab = lab * strength + (1 - strength) * ((lab - tone) * [1, paler, paler] + tone + look.skin)
    noise = rng.normal(size=lab.shape[:2]).astype(np.float32)
    pores = cv2.GaussianBlur(noise, (0, 0), 0.9) - cv2.GaussianBlur(noise, (0, 0), 2.2)
    lab[..., 0] += (1 - hair) * pores * 2.2
    blotches = cv2.GaussianBlur(rng.normal(size=lab.shape[:2]).astype(np.float32), (0, 0), 9)
    lab[..., 1] += (1 - hair) * blotches * 18
    for upper, lower in ((lm.RIGHT_BROW, lm.RIGHT_BROW_LOWER), (lm.LEFT_BROW, lm.LEFT_BROW_LOWER)):
        brow = _region(shape, upper + lower[::-1], 2.2, 0.96)
        strands = cv2.GaussianBlur(rng.normal(size=brow.shape).astype(np.float32), (0, 0), sigmaX=1.6, sigmaY=0.6) * 1.1
        weight = np.clip(brow * (1 + strands), 0, 1)[..., None] * look.brow * (1 - strength)
        dark = np.array([min(look.hair[0], 45) * 0.75, look.hair[1] * 0.8 + 2, look.hair[2] * 0.7], np.float32)
        lab = lab * (1 - weight) + dark * weight
    return lab.astype(np.float32)
