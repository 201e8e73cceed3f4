"""What is done to a stored pair every time it is drawn, so that a thousand pairs act as many.

The real half and the made one go through the same change, as they went through the same codec. Blends are made anew
from the real half: their seams cost nothing, and never come twice.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector import augment as au
from facewitness.detector.crops import FACE_CENTRE_CM, FACE_PX, WHOLE_FACE
from facewitness.faces import landmarks as lm


@cache
def _usual_mesh() -> NDArray[np.float32]:
    """(468, 2) where the landmarks of the canonical face lie in an upright square."""
    at = (lm.canonical_xyz()[:, :2] - FACE_CENTRE_CM) * WHOLE_FACE.px_per_cm + (FACE_PX - 1) / 2
    return at.astype(np.float32)


def blended_anew(real: au.Images, rng: au.Rng) -> tuple[au.Images, NDArray[np.float32]]:
    """A self-blended fake of ``real`` (T, 224, 224, 3) and its (T, 224, 224) shares of change, 0..1.

    The landmarks are those of the canonical face, a little off, which is as good as a seam needs.
    """
    mesh = _usual_mesh()
    middle = mesh.mean(0)
    mesh = (mesh - middle) * rng.uniform(0.92, 1.08, 2) + middle + rng.normal(0, 0.0125 * FACE_PX, 2)
    made, _, masks = au.self_blended(real, np.repeat(mesh[None].astype(np.float32), len(real), 0), rng)
    if rng.random() < 0.6:
        made = au.match_detail(made, real, masks, float(rng.uniform(0.75, 1.4)))
    return made, masks


def changed_alike(squares: au.Images, share: NDArray, rng: au.Rng) -> tuple[au.Images, NDArray[np.float32]]:
    """``squares`` (N, 224, 224, 3) of one pair and its ``share`` of change (10, 10), moved and handled by one draw."""
    if rng.random() < 0.8:
        squares, share = _moved(squares, share, rng)
    if rng.random() < 0.5:
        squares, share = squares[:, :, ::-1], share[:, ::-1]
    squares = _coloured(squares, rng)
    if rng.random() < 0.3:
        squares = _rescaled(squares, float(rng.uniform(0.5, 0.95)), rng)
    if rng.random() < 0.15:
        sigma = float(rng.uniform(0.3, 1.1))
        squares = np.stack([cv2.GaussianBlur(i, (0, 0), sigma) for i in squares])
    elif rng.random() < 0.12:
        squares = au.sharpen(squares, float(rng.uniform(0.2, 0.8)))
    if rng.random() < 0.2:
        squares = _noisy(squares, float(rng.uniform(1, 7)), rng)
    if rng.random() < 0.4:
        squares = _jpeg(squares, int(rng.integers(35, 96)))
    return squares, share.astype(np.float32)


def _moved(squares: au.Images, share: NDArray, rng: au.Rng) -> tuple[au.Images, NDArray]:
    """Turned by up to 8 degrees, scaled by up to 12 %, shifted by up to 4 % of the side."""
    turn = cv2.getRotationMatrix2D((0, 0), float(rng.uniform(-8, 8)), float(rng.uniform(0.9, 1.12)))[:, :2]
    shift = rng.uniform(-0.044, 0.044, 2) * FACE_PX

    def matrix(side: int) -> NDArray[np.float64]:
        middle = np.full(2, (side - 1) / 2)
        return np.concatenate([turn, (middle + shift * side / FACE_PX - turn @ middle)[:, None]], 1)

    def cut(image: NDArray, m: NDArray, border: int) -> NDArray:
        return cv2.warpAffine(image, m, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=border)

    m = matrix(FACE_PX)
    moved = np.stack([cut(i, m, cv2.BORDER_REFLECT) for i in squares])
    return moved, cut(share.astype(np.float32), matrix(len(share)), cv2.BORDER_REPLICATE)


def _coloured(squares: au.Images, rng: au.Rng) -> au.Images:
    saturation = float(rng.uniform(0.5, 1.3)) if rng.random() < 0.9 else 0.0
    mix = np.eye(3) * saturation + (1 - saturation) * np.array([[0.299, 0.587, 0.114]] * 3)
    gains = float(rng.uniform(0.75, 1.25)) * rng.uniform(0.93, 1.07, 3)
    offset = float(rng.uniform(-18, 18)) + 128 * (1 - gains)
    m = np.concatenate([mix * gains[:, None], offset[:, None]], 1)
    return np.stack([cv2.transform(i, m) for i in squares])


def _rescaled(squares: au.Images, scale: float, rng: au.Rng) -> au.Images:
    side = round(FACE_PX * scale)
    how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
    small = [cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in squares]
    return np.stack([cv2.resize(i, (FACE_PX, FACE_PX), interpolation=how) for i in small])


def _noisy(squares: au.Images, size: float, rng: au.Rng) -> au.Images:
    """The same noise on both halves of the pair: it tells nothing, however it falls."""
    half = len(squares) // 2
    noise = rng.normal(0, size, squares[:half].shape).astype(np.float32)
    return np.clip(squares + np.concatenate([noise, noise]) + 0.5, 0, 255).astype(np.uint8)


def _jpeg(squares: au.Images, quality: int) -> au.Images:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    coded = [cv2.imencode(".jpg", i, settings)[1] for i in squares]
    return np.stack([np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), np.uint8) for c in coded])
