"""Picture changes for training: what both classes share (codec, scale, noise), and the regions and jitters
pseudo-fakes are made of.

Every function takes a burst as (T, H, W, 3) uint8 RGB with (T, 468, 2) meshes and a numpy Generator, and treats the
frames of a
burst as one clip: parameters are constant or drift slowly, as a generator's faults do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm

Images = NDArray[np.uint8]
Rng = np.random.Generator

LOWER_FACE = (
    lm.RIGHT_EAR, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323,
    lm.LEFT_EAR, 280, 2, 50,
)  # fmt: skip
"""Outline of what a lip-sync paints: jaw, chin, cheeks below the eyes."""
MOUTH_REGION = (50, 207, 214, 135, 169, 170, 140, 171, 175, 396, 369, 395, 394, 364, 434, 427, 280, 2)
REGIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "face": (lm.FACE_OVAL,),
    "inner": (lm.RIGHT_BROW + lm.LEFT_BROW + (50, 280, 214, 434, 18, 200),),
    "lower": (LOWER_FACE,),
    "mouth": (MOUTH_REGION,),
    "box": (LOWER_FACE,),
    "eyes": ((70, 105, 107, 133, 119, 117, 143), (300, 334, 336, 362, 348, 346, 372)),
}
"""Landmark outlines of the regions that manipulations replace; of ``box`` the upright box around it is taken, which is
what Wav2Lip and its like paste."""


def drift(rng: Rng, frames: int, *, keep: float = 0.9) -> NDArray[np.float64]:
    """(frames,) AR(1) noise of unit variance: a slow random walk that stays near zero."""
    out = np.empty(frames)
    out[0] = rng.normal()
    for t in range(1, frames):
        out[t] = keep * out[t - 1] + np.sqrt(1 - keep**2) * rng.normal()
    return out


def region_masks(meshes: NDArray, shape: tuple[int, int], region: str, rng: Rng) -> NDArray[np.float32]:
    """(T, H, W) soft masks 0..1 of a region: the hull of its landmarks, deformed and blurred twice (SBI, section 3.2).

    The deformation and the blur are one for the burst, so that the seam moves with the face.
    """
    height, width = shape
    reach = float(np.ptp(meshes[0, :, 0]))
    grow = rng.uniform(0.92, 1.06)
    outlines = REGIONS[region]
    wobble = [rng.normal(0, 0.012 * reach, (len(o), 2)) for o in outlines]
    blur1, blur2 = (int(rng.integers(1, max(int(0.06 * reach), 2) + 1)) * 2 + 1 for _ in range(2))
    out = np.empty((len(meshes), height, width), np.float32)
    for t, mesh in enumerate(meshes):
        mask = np.zeros((height, width), np.uint8)
        for outline, shift in zip(outlines, wobble, strict=True):
            points = mesh[list(outline), :2]
            points = (points - points.mean(0)) * grow + points.mean(0) + shift
            if region == "box":
                (x0, y0), (x1, y1) = points.min(0), points.max(0)
                points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).astype(np.int32), 255, cv2.LINE_AA)
        deformed = cv2.threshold(cv2.blur(mask, (blur1, blur1)), 127, 255, cv2.THRESH_TOZERO)[1]
        out[t] = cv2.blur(deformed, (blur2, blur2)).astype(np.float32) / 255
    return out


def colour_jitter(images: Images, rng: Rng, *, strength: float = 1.0, steady: float = 0.9) -> Images:
    """RGB shift (20 levels), saturation, brightness and contrast (.1 each), constant over the burst plus a slow
    drift."""
    count = len(images)
    shift = rng.uniform(-20, 20, 3) * strength
    gain = 1 + rng.uniform(-0.12, 0.12) * strength
    saturation = 1 + rng.uniform(-0.3, 0.3) * strength
    walk = drift(rng, count, keep=steady) * rng.uniform(0, 1.5)
    mix = np.eye(3) * saturation + (1 - saturation) * np.array([[0.299, 0.587, 0.114]] * 3)
    out = np.empty_like(images)
    for t in range(count):
        m = np.concatenate([mix * gain, ((shift + walk[t]) + 128 * (1 - gain))[:, None]], 1)
        out[t] = cv2.transform(images[t], m)
    return out


def soften(images: Images, factor: float) -> Images:
    """Shrink by ``factor`` and enlarge again: what a generator of lower resolution leaves."""
    height, width = images.shape[1:3]
    small = (max(round(width / factor), 8), max(round(height / factor), 8))
    return np.stack(
        [
            cv2.resize(
                cv2.resize(i, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC
            )
            for i in images
        ]
    )


def sharpen(images: Images, amount: float) -> Images:
    """Unsharp mask of two pixels."""
    return np.stack([cv2.addWeighted(i, 1 + amount, cv2.GaussianBlur(i, (0, 0), 2), -amount, 0) for i in images])


def detail(images: Images) -> NDArray[np.float32]:
    """(T, H, W, 3) what a Gaussian of 1.2 pixels takes away."""
    return np.stack([i.astype(np.float32) - cv2.GaussianBlur(i, (0, 0), 1.2) for i in images])


def match_detail(made: Images, real: Images, masks: NDArray[np.float32], ratio: float) -> Images:
    """``made`` with its fine detail amplified, where it was changed, to ``ratio`` times the energy of the real one's.

    Generators of today are no softer than cameras; without this a detector would learn to look for blur.
    """
    inside = masks > 0.5
    if not inside.any():
        return made
    fine = detail(made)
    has, should = float(fine[inside].std()), float(detail(real)[inside].std())
    amount = float(np.clip(ratio * should / max(has, 0.3) - 1, -0.6, 2.5))
    return np.clip(made + amount * masks[..., None] * fine + 0.5, 0, 255).astype(np.uint8)


def smooth_skin(images: Images, rng: Rng) -> Images:
    """What face restoration leaves: flat skin between edges that are too crisp."""
    sigma = float(rng.uniform(15, 45))
    flat = np.stack([cv2.bilateralFilter(i, 7, sigma, 4) for i in images])
    return sharpen(flat, float(rng.uniform(0.2, 0.8)))


def shift_and_scale(images: Images, meshes: NDArray, rng: Rng) -> Images:
    """Move and scale the pictures by a little (shift 3 % and 1.5 %, scale .95 to 1/.95), drifting over the burst."""
    height, width = images.shape[1:3]
    reach = float(np.ptp(meshes[0, :, 0]))
    dx, dy = rng.uniform(-0.03, 0.03) * reach, rng.uniform(-0.015, 0.015) * reach
    scale = 1 + rng.uniform(-0.05, 0.05)
    walks = (
        np.stack([drift(rng, len(images), keep=rng.choice([0.0, 0.6, 0.9])) for _ in range(2)])
        * rng.uniform(0, 0.006)
        * reach
    )
    out = np.empty_like(images)
    for t, (image, mesh) in enumerate(zip(images, meshes, strict=True)):
        cx, cy = mesh[:, :2].mean(0)
        m = np.array([[scale, 0, cx * (1 - scale) + dx + walks[0, t]], [0, scale, cy * (1 - scale) + dy + walks[1, t]]])
        out[t] = cv2.warpAffine(image, m, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return out


def paste(base: Images, over: Images, masks: NDArray[np.float32]) -> Images:
    """``over`` where the mask is 1, ``base`` where it is 0."""
    out = np.empty_like(base)
    for t in range(len(base)):
        m = masks[t][..., None]
        out[t] = np.clip(base[t] + m * (over[t].astype(np.float32) - base[t]) + 0.5, 0, 255)
    return out


@dataclass(frozen=True, kw_only=True)
class Handling:
    """What happened to a clip after it was made: drawn once, then applied alike to the real burst and the fake made
    from it."""

    crf: int | None
    crf_before: int | None
    scale: float
    noise: float
    blur: float
    gain: float
    offset: float
    saturation: float
    margin: float
    """Sides of the face's box that are left of the picture around it; the rest is repeated edge."""
    seed: int


def draw_handling(rng: Rng) -> Handling:
    """A random history of re-encoding, scaling, noise, blur and colour, as clips meet on their way."""
    return Handling(
        crf=int(rng.integers(17, 37)) if rng.random() < 0.9 else None,
        crf_before=int(rng.integers(18, 32)) if rng.random() < 0.35 else None,
        scale=float(rng.uniform(0.55, 1.0)) if rng.random() < 0.5 else 1.0,
        noise=float(rng.uniform(1, 7)) if rng.random() < 0.2 else 0.0,
        blur=float(rng.uniform(0.4, 1.2)) if rng.random() < 0.15 else 0.0,
        gain=float(rng.uniform(0.8, 1.2)) if rng.random() < 0.4 else 1.0,
        offset=float(rng.uniform(-15, 15)) if rng.random() < 0.4 else 0.0,
        saturation=float(rng.uniform(0.6, 1.3)) if rng.random() < 0.3 else 1.0,
        margin=float(rng.uniform(1.2, 1.8)) if rng.random() < 0.5 else 1.8,
        seed=int(rng.integers(2**31)),
    )


def handle(images: Images, meshes: NDArray, h: Handling) -> Images:
    """Apply a history to a burst; the size of the pictures stays."""
    rng = np.random.default_rng(h.seed)
    height, width = images.shape[1:3]
    if h.crf_before is not None:
        images = recode(images, h.crf_before)
    images = _cut_margin(images, meshes, h.margin)
    if h.scale < 1:
        size = (round(width * h.scale) // 2 * 2, round(height * h.scale) // 2 * 2)
        images = np.stack([cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images])
    if h.gain != 1 or h.offset or h.saturation != 1:
        mix = np.eye(3) * h.saturation + (1 - h.saturation) * np.array([[0.299, 0.587, 0.114]] * 3)
        m = np.concatenate([mix * h.gain, np.full((3, 1), h.offset)], 1)
        images = np.stack([cv2.transform(i, m) for i in images])
    if h.blur:
        images = np.stack([cv2.GaussianBlur(i, (0, 0), h.blur) for i in images])
    if h.noise:
        noise = rng.normal(0, h.noise, images.shape).astype(np.float32)
        images = np.clip(images + noise + 0.5, 0, 255).astype(np.uint8)
    if h.crf is not None:
        images = recode(images, h.crf)
    if images.shape[1:3] != (height, width):
        images = np.stack([cv2.resize(i, (width, height), interpolation=cv2.INTER_CUBIC) for i in images])
    return images


SQUARES = ((1.6, 512, 23), (1.25, 192, 23))
"""Common ways of making clips alike: a square of so many times the face's box, its size in pixels, and the CRF."""


@dataclass(frozen=True, kw_only=True)
class Reframing:
    """A clip cut to a square around its face, brought to one size and encoded anew, as platforms and protocols do."""

    margin: float
    """Side of the square over the longer side of the face's box."""
    size: int
    """Pixels along its side afterwards."""
    crf: int


def draw_reframing(rng: Rng) -> Reframing:
    """One of the common ways two times in three, else any."""
    if rng.random() < 2 / 3:
        margin, size, crf = SQUARES[int(rng.integers(len(SQUARES)))]
        return Reframing(margin=margin, size=size, crf=crf)
    size = int(rng.integers(80, 257)) * 2
    return Reframing(margin=float(rng.uniform(1.2, 1.8)), size=size, crf=int(rng.integers(18, 30)))


def reframe(images: Images, meshes: NDArray, r: Reframing) -> tuple[Images, float, NDArray[np.float64]]:
    """The burst as it is after ``r``: images, and the scale and offset that bring pixels there: x * scale + offset."""
    low, high = meshes[..., :2].min(1), meshes[..., :2].max(1)
    height, width = images.shape[1:3]
    side = int(min(round(r.margin * float(np.median((high - low).max(1)))), width, height))
    corner = np.clip(np.round(np.median((low + high) / 2, 0) - side / 2), 0, [width - side, height - side]).astype(int)
    x, y = corner
    how = cv2.INTER_AREA if side > r.size else cv2.INTER_LANCZOS4
    cut = np.stack([cv2.resize(i[y : y + side, x : x + side], (r.size, r.size), interpolation=how) for i in images])
    scale = r.size / side
    return recode(cut, r.crf, preset="veryfast"), scale, (0.5 - corner) * scale - 0.5


def _cut_margin(images: Images, meshes: NDArray, margin: float) -> Images:
    low, high = meshes[..., :2].min((0, 1)), meshes[..., :2].max((0, 1))
    half = (high - low).max() * margin / 2
    height, width = images.shape[1:3]
    x0, y0 = (max(int(v), 0) for v in (low + high) / 2 - half)
    x1, y1 = int(min((low[0] + high[0]) / 2 + half, width)), int(min((low[1] + high[1]) / 2 + half, height))
    if (x0, y0, x1, y1) == (0, 0, width, height) or x1 - x0 < 16 or y1 - y0 < 16:
        return images
    pads = (y0, height - y1, x0, width - x1)
    return np.stack([cv2.copyMakeBorder(i[y0:y1, x0:x1], *pads, cv2.BORDER_REPLICATE) for i in images])


def recode(images: Images, crf: int, *, preset: str = "superfast") -> Images:
    """The burst after H.264 at ``crf`` (yuv420p), decoded again; needs no container and writes nothing."""
    import av

    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 12)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    out: list[NDArray] = []
    packets: list = []
    for i, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        frame.pts = i
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    for packet in [*packets, None]:
        out += [f.to_ndarray(format="rgb24") for f in decoder.decode(packet)]
    result = images.copy()
    result[:, :height, :width] = np.stack(out)
    return result


Maker = Callable[[Images, NDArray, Rng], tuple[Images, NDArray, NDArray[np.float32]]]
"""A pseudo-fake: images, meshes, generator -> fake images, their meshes, (T, H, W) mask of what was changed."""


def self_blended(images: Images, meshes: NDArray, rng: Rng) -> tuple[Images, NDArray, NDArray[np.float32]]:
    """Self-blended burst (Shiohara and Yamasaki, CVPR 2022), over time: the face blended with its own jittered copy."""
    region = str(rng.choice(["face", "face", "face", "inner", "lower", "lower", "mouth", "box", "eyes"]))
    masks = region_masks(meshes, images.shape[1:3], region, rng)
    other = colour_jitter(
        images, rng, strength=float(rng.uniform(0.1, 0.9)), steady=float(rng.choice([0.0, 0.7, 0.95]))
    )
    kind = rng.random()
    if kind < 0.45:
        other = soften(other, float(rng.choice([1.25, 1.5, 2, 2.5])))
    elif kind < 0.65:
        other = sharpen(other, float(rng.uniform(0.3, 1.0)))
    elif kind < 0.75:
        other = smooth_skin(other, rng)
    other = shift_and_scale(other, meshes, rng)
    ratio = float(rng.choice([0.25, 0.5, 0.75, 1, 1, 1]))
    if rng.random() < 0.3:  # the target may be the one that was changed
        return paste(other, images, masks * ratio), meshes, masks * ratio
    return paste(images, other, masks * ratio), meshes, masks * ratio
