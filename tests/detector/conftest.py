import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facewitness.detector.evidence import Evidence
from facewitness.detector.texture import QUANTITIES, REGIONS
from facewitness.faces import FaceTrack
from facewitness.faces import landmarks as lm


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """Four seconds of a sample actor."""
    from facewitness.datasets import SAMPLES, make_sample

    return make_sample(next(iter(SAMPLES)), tmp_path_factory.mktemp("sample") / "sample.mp4", seconds=4, seed=3)


@pytest.fixture(scope="session")
def report(sample):
    """Its scan with the shipped model."""
    from facewitness.detector import scan_file

    return scan_file(sample, provenance=False)


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips."""
    folder = os.environ.get("FACEWITNESS_CLIPS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FACEWITNESS_CLIPS names no folder of real clips")
    return Path(folder)


FPS = 12.5


def draw(
    seconds=8.0, *, px_per_cm=20.0, yaw=lambda t: 0 * t, gaze=lambda t: 0 * t, shut=lambda t: 0 * t, fps=FPS, left=None
):
    """Evidence of a canonical head that turns, looks and blinks as told; angles in radians, gaze in eye widths."""
    t = np.arange(round(seconds * fps)) / fps
    xyz = lm.canonical_xyz().astype(np.float64)
    c, s = np.cos(yaw(t)), np.sin(yaw(t))
    turned = np.stack(
        [xyz[None, :, 0] * c[:, None] - xyz[None, :, 2] * s[:, None],
         np.repeat(xyz[None, :, 1], len(t), 0),
         xyz[None, :, 0] * s[:, None] + xyz[None, :, 2] * c[:, None]], -1)  # fmt: skip
    mesh = turned * px_per_cm + [320, 320, 0]
    eyes = np.empty((len(t), 2, 71, 2))
    irises = np.empty((len(t), 2, 5, 2))
    for side in (0, 1):
        eyes[:, side] = mesh[:, lm.IRIS_CONTOURS[side], :2]
        middle = eyes[:, side, [0, 8]].mean(1, keepdims=True)
        lids = eyes[:, side, :16] - middle
        lids[..., 1] *= (1 - shut(t))[:, None]
        eyes[:, side, :16] = middle + lids
        width = np.linalg.norm(eyes[:, side, 0] - eyes[:, side, 8], axis=-1)
        look = (left or gaze)(t) if side == 1 else gaze(t)
        irises[:, side, 0] = middle[:, 0] + np.stack([look * width, 0 * t], -1)
        radius = px_per_cm * lm.IRIS_DIAMETER_CM / 2
        for k, (dx, dy) in enumerate(((1, 0), (0, -1), (-1, 0), (0, 1)), start=1):
            irises[:, side, k] = irises[:, side, 0] + [dx * radius, dy * radius]
    boxes = np.concatenate([mesh[..., :2].min(1), mesh[..., :2].max(1)], 1)
    track = FaceTrack(
        face_id=0, tracker="mesh",
        width=640, height=640, time_base=Fraction(1, 1000), pts=np.round(t * 1000).astype(np.int64),
        boxes=boxes.astype(np.float32), mesh=mesh.astype(np.float32), eyes=eyes.astype(np.float32),
        irises=irises.astype(np.float32), confidence=np.ones(len(t), np.float32),
    )  # fmt: skip
    texture = np.zeros((len(t), len(REGIONS), len(QUANTITIES)), np.float32)
    return Evidence(track=track, fps=fps, texture=texture, flow=np.ones((len(t), 2), np.float32), brightness=120.0)


def blink_at(at):
    return lambda t: sum((np.clip(1 - np.abs(t - a) / 0.15, 0, 1) for a in at), start=0 * t)


@pytest.fixture(scope="session")
def drawn():
    """Makes evidence of a head that does as it is told."""
    return draw


@pytest.fixture(scope="session")
def blink():
    """Makes lids shut at the given seconds."""
    return blink_at
