"""Sample footage: talking portraits of nobody, so that everything can be tried without footage of a person.

They are made, not filmed, and are called sample footage everywhere. See ``puppet/portrait.py`` for what they are made
of and ``puppet/motion.py`` for what they do.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.puppet.portrait import Look
from facewitness.errors import UsageError

RIGHTS = "Synthetic sample footage made by facewitness from two public-domain portraits; it shows no real person."
"""What the label of a sample clip calls it."""
DEFAULT_SIZE = 384
MIN_SIZE, MAX_SIZE = 128, 1024
MAX_SECONDS = 600.0
CRF = 17
"""Quality of the encode: a good camera's."""

LOOKS: dict[str, Look] = {
    "amber": Look(
        second=0.40, second_texture=0.45, seed=11, hair=(24.0, 5.0, 8.0), hair_contrast=0.9, brow=0.5,
        iris=(96, 74, 46), light=0.12, cloth=(62, 78, 104), collar="crew", backdrop="plaster",
        backdrop_rgb=(168, 160, 148),
    ),
    "birch": Look(
        second=0.55, second_texture=0.55, seed=12, jaw=1.07, length=1.04, eye_size=1.04, nose=1.08, hair_volume=0.92,
        skin=(-13.0, 2.0, 4.0), hair=(17.0, 2.0, 4.0), hair_contrast=0.6, brow=0.6, iris=(62, 42, 26), light=0.16,
        cloth=(188, 194, 204), collar="shirt", backdrop="brick", backdrop_rgb=(146, 112, 94), mirrored=True,
    ),
    "cedar": Look(
        second=0.32, second_texture=0.35, seed=13, jaw=0.95, length=0.97, eye_size=1.08, eye_gap=0.98,
        skin=(2.0, 0.0, -2.0), hair=(41.0, 16.0, 25.0), iris=(88, 112, 120), light=0.10,
        cloth=(52, 70, 62), collar="roll", backdrop="room",
        backdrop_rgb=(150, 146, 140),
    ),
    "dune": Look(
        second=0.62, second_texture=0.6, seed=14, jaw=1.0, length=1.02, eye_gap=1.03, nose=0.96, hair_volume=0.96,
        skin=(-4.0, 1.0, 2.0), hair=(58.0, 1.0, 5.0), hair_contrast=0.75, brow=0.35, iris=(104, 108, 92), light=0.2,
        cloth=(112, 56, 58), collar="crew", backdrop="room", backdrop_rgb=(128, 138, 146), mirrored=True,
    ),
}  # fmt: skip
SAMPLES: tuple[str, ...] = tuple(LOOKS)
"""Names of the sample actors; the first is the target of the demo, the second its driver."""


def make_sample(
    name: str,
    out: Path,
    *,
    seconds: float,
    seed: int,
    fps: float = 25,
    size: int | tuple[int, int] = DEFAULT_SIZE,
    truth: Path | None = None,
    crf: int = CRF,
) -> Path:
    """Write a clip of the sample actor ``name`` to ``out`` (.mp4): the same pictures for the same seed.

    Returns ``out``. A sample is a made video: it is watermarked, signed and labelled like any other.

    ``size`` is the side of a square picture, or (width, height), in pixels from 128 to 1024. ``truth`` names a .npz
    that receives what the actor did: see :class:`facewitness.datasets.puppet.motion.Motion` for its arrays.
    Raises UsageError for an unknown name or for values out of range.
    """
    from facewitness.generator import Label, publish
    from facewitness.generator.publishing import SAMPLE_METHOD

    rate = Fraction(fps).limit_denominator(1001)
    width, height = _size(size)
    motion, frames = _frames(name, seconds, seed, rate, width, height)
    who = f"sample-{name}"
    label = Label(method=SAMPLE_METHOD, target_id=who, driver_id=who, seed=seed, rights=RIGHTS)
    publish(
        frames, Path(out), frame_rate=rate, label=label, crf=crf, digital_source_type="animated",
        description=f"sample footage of {name}, who does not exist",
    )  # fmt: skip
    if truth:
        _save_truth(truth, motion, name, seed)
    return Path(out)


def sample_frames(
    name: str, *, seconds: float, seed: int, fps: float = 25, size: int | tuple[int, int] = DEFAULT_SIZE
) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a sample clip, (H, W, 3) uint8 RGB, one after the other."""
    return _frames(name, seconds, seed, Fraction(fps).limit_denominator(1001), *_size(size))[1]


def sample_truth(name: str, *, seconds: float, seed: int, fps: float = 25) -> dict[str, NDArray]:
    """What the actor does in the clip of the same name, length, seed and rate: the arrays of ``Motion`` by name."""
    return _motion(name, seconds, seed, Fraction(fps).limit_denominator(1001)).arrays()


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    width, height = (size, size) if isinstance(size, int) else size
    if not (min(width, height) >= MIN_SIZE and max(width, height) <= MAX_SIZE):
        raise UsageError(f"a sample is {MIN_SIZE} to {MAX_SIZE} pixels wide and high, not {width}x{height}.")
    return width, height


def _look(name: str) -> Look:
    if name not in LOOKS:
        raise UsageError(f"there is no sample actor {name!r}; choose one of {', '.join(SAMPLES)}.")
    return LOOKS[name]


def _motion(name: str, seconds: float, seed: int, rate: Fraction):
    from facewitness.datasets.puppet.motion import make_motion

    _look(name)
    if not 0 < seconds <= MAX_SECONDS:
        raise UsageError(f"a sample lasts up to {MAX_SECONDS:.0f} seconds, not {seconds:g}.")
    if not 1 <= rate <= 120:
        raise UsageError(f"a sample has 1 to 120 frames a second, not {float(rate):g}.")
    times = np.arange(max(1, math.floor(seconds * rate + Fraction(1, 2)))) / float(rate)
    return make_motion(times, seed=seed * len(SAMPLES) + SAMPLES.index(name))


def _frames(name: str, seconds: float, seed: int, rate: Fraction, width: int, height: int):
    from facewitness.datasets.puppet.stage import build_stage, draw

    motion = _motion(name, seconds, seed, rate)
    stage = build_stage(_look(name), width, height)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        rng = np.random.default_rng([seed, 11])
        for frame in range(len(motion.times_s)):
            yield draw(stage, motion, frame, rng)

    return motion, pictures()


def _save_truth(path: Path, motion, name: str, seed: int) -> None:
    from facewitness.files import whole_file

    with whole_file(path) as part:
        np.savez_compressed(part, name=np.array(name), seed=np.array(seed), **motion.arrays())
