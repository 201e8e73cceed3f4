"""Where in one frame the network's score comes from: parts of the face are blurred one by one and it is asked again."""

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.crops import Chip, cut_chip, face_size, face_square
from facewitness.detector.model import Model
from facewitness.detector.network import Scorer
from facewitness.errors import MissingPieceError, UnreadableInputError

GRID = 11
"""Places along each side of the face that are blurred in turn."""
REACH = 1.1
"""Side of the map over the longer side of the face's box."""
SPOT = 0.075
"""Standard deviation of a blurred spot, in sides of the face: about an eye."""
SMEAR = 0.06
"""Standard deviation of the blur inside a spot, in sides of the face: no texture is left, its colour is."""
BATCH = 32

_asking = threading.Lock()  # the compiled network holds one request


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """What each place of one face adds to the network's score of one frame."""

    values: NDArray[np.float32]
    """(GRID, GRID) log odds, row by row: how much the score falls when that place is blurred. Positive speaks for
    manipulation, negative against it."""
    box: tuple[float, float, float, float]
    """Left, top, width and height of the map in the picture, 0..1 of its width and height; may reach beyond."""
    logit: float
    """The network's log odds of the frame as it is."""
    time_s: float
    """Presentation time of the frame."""


def heat_maps(path: Path, time_s: float, model: Model, *, max_faces: int = 4) -> list[HeatMap]:
    """The map of every face in the frame of ``path`` that is shown at ``time_s`` seconds; empty without a face.

    Occlusion (Zeiler and Fergus 2014, section 4.2) with a blur instead of grey, as a grey patch has edges of its own.
    Raises UnreadableInputError where the clip ends before, MissingPieceError for a model without a network.
    """
    from facewitness.detector.sampling import Follower

    scorer = model.scorer
    if scorer is None:
        raise MissingPieceError(f"the model {model.id} has no network, so there is no map of where it looked.")
    follower = Follower(max_faces=max_faces)
    seen: list[dict[int, tuple[Chip, NDArray[np.float32]]]] = [{}]
    for frame in _two_frames(path, time_s):
        seen.append({s.face: (cut_chip(frame.image, s.mesh), s.mesh) for s in follower.update(frame)})
    height, width = frame.image.shape[:2]
    maps = []
    for number, (chip, mesh) in seen[-1].items():
        before, _ = seen[-2].get(number, (chip, mesh))
        values, logit = occluded(chip, before, scorer)
        low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
        side = face_size(mesh) * REACH
        x, y = (low + high) / 2 - side / 2
        box = (float(x / width), float(y / height), float(side / width), float(side / height))
        maps.append(HeatMap(values=values, box=box, logit=logit, time_s=frame.time_s))
    return maps


def occluded(now: Chip, before: Chip, scorer: Scorer) -> tuple[NDArray[np.float32], float]:
    """(GRID, GRID) fall of the frame's log odds with each place of the face blurred (in both frames), and the log odds
    without."""
    pairs = [_pair(now.image, before.image, now, before)]
    soft_now, soft_before = _smeared(now), _smeared(before)
    for v in _places():
        for u in _places():
            pairs.append(_pair(_blurred(now, soft_now, u, v), _blurred(before, soft_before, u, v), now, before))
    with _asking:
        logits = np.concatenate([scorer.frames(np.stack(pairs[i : i + BATCH]))[1] for i in range(0, len(pairs), BATCH)])
    return (logits[0] - logits[1:]).reshape(GRID, GRID).astype(np.float32), float(logits[0])


def _two_frames(path: Path, time_s: float) -> list:
    """The frame shown at a time and the one that the analysis looks at before it."""
    from facewitness.detector.sampling import ANALYSIS_FPS
    from facewitness.media import read_frames

    kept: list = []
    for frame in read_frames(path, start_s=max(0.0, time_s - 1.5 / ANALYSIS_FPS - 0.5)):
        if frame.time_s > time_s + 1e-6 and kept:
            break
        kept = [*kept[-32:], frame]
    if not kept or kept[-1].time_s < time_s - 1.0:
        raise UnreadableInputError(f"{path.name} shows no frame at {time_s:.2f} s.")
    step = 1 / ANALYSIS_FPS
    earlier = [f for f in kept[:-1] if f.time_s <= kept[-1].time_s - 0.75 * step]
    return [*earlier[-1:], kept[-1]]


def _places() -> NDArray[np.float64]:
    return (np.arange(GRID) + 0.5) / GRID - 0.5


def _face(chip: Chip) -> float:
    return face_size(chip.mesh)


def _smeared(chip: Chip) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(chip.image, (0, 0), SMEAR * _face(chip)), np.uint8)


def _blurred(chip: Chip, smeared: NDArray[np.uint8], u: float, v: float) -> NDArray[np.uint8]:
    """The chip with the spot at (u, v), in sides of the map from its middle, blurred with a soft edge."""
    side = _face(chip)
    x, y = (chip.mesh.min(0) + chip.mesh.max(0)) / 2 + np.array([u, v]) * side * REACH
    sigma = SPOT * side
    reach = 2.5 * sigma
    h, w = chip.image.shape[:2]
    x0, x1 = max(int(x - reach), 0), min(int(x + reach) + 1, w)
    y0, y1 = max(int(y - reach), 0), min(int(y + reach) + 1, h)
    if x0 >= x1 or y0 >= y1:
        return chip.image
    dx, dy = (np.arange(x0, x1) - x) / sigma, (np.arange(y0, y1) - y) / sigma
    share = np.exp(-0.5 * (dx[None] ** 2 + dy[:, None] ** 2))[..., None].astype(np.float32)
    out = chip.image.copy()
    part = out[y0:y1, x0:x1].astype(np.float32)
    out[y0:y1, x0:x1] = (part + share * (smeared[y0:y1, x0:x1] - part) + 0.5).astype(np.uint8)
    return out


def _pair(now: NDArray[np.uint8], before: NDArray[np.uint8], a: Chip, b: Chip) -> NDArray[np.uint8]:
    return np.concatenate([face_square(now, a.mesh), face_square(before, b.mesh)], -1)
