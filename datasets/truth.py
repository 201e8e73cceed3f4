"""Whether what lies beside a clip says what its label says: the mask, frame by frame, and the parameters, made again
from the target's with the label's factor, degree and seed."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.factors import FACTORS
from facewitness.datasets.labels import FAKE, Clip
from facewitness.errors import FacewitnessError
from facewitness.generator.performance import Performance

OVER_TIME = ("pts", "rotation", "translation", "expression", "lids", "gaze", "confidence")
SHOWN = ("rotation", "translation", "expression", "lids", "gaze")
SAME = 1e-4
"""Radians, centimetres, standard deviations or shares that count as no difference."""
WHITE, BLACK = 12.0, 2.0
"""Mean grey level of a mask's frame: above, the frame is manipulated; below, it is not."""
_FIRST = slice(0, 1)
EDGE_FRAMES = 1
"""Frames at either end of a segment that may be said either way."""


def save_parameters(path: Path, performances: dict[str, Performance]) -> None:
    """Write performances as one npz: ``<who>/<array>`` for driver, target and result."""
    from facewitness.files import whole_file

    arrays = {}
    for who, p in performances.items():
        for name in OVER_TIME:
            arrays[f"{who}/{name}"] = getattr(p, name)
        arrays[f"{who}/time_base"] = np.array([p.time_base.numerator, p.time_base.denominator])
        arrays[f"{who}/neutral"] = p.identity.neutral
    with whole_file(path) as part, part.open("wb") as f:
        np.savez_compressed(f, **arrays)


def load_parameters(path: Path) -> dict[str, Performance]:
    """The performances of ``save_parameters`` by ``driver``, ``target`` and ``result``; camera and personal ranges are
    not kept, and stand at nothing.

    Raises OSError, ValueError or KeyError for a file that is none.
    """
    from facewitness.generator.performance import Camera, Identity

    out = {}
    with np.load(path, allow_pickle=False) as stored:
        for who in sorted({name.split("/")[0] for name in stored.files}):
            base = stored[f"{who}/time_base"]
            identity = Identity(neutral=stored[f"{who}/neutral"], eyeballs=np.zeros((2, 4), np.float32), ranges={})
            out[who] = Performance(
                time_base=Fraction(int(base[0]), int(base[1])), identity=identity,
                camera=Camera(focal_px=1.0, width=1, height=1), **{name: stored[f"{who}/{name}"] for name in OVER_TIME},
            )  # fmt: skip
    return out


def parameters_against_label(clip: Clip, folder: Path) -> Iterator[str]:
    """One sentence for each thing that the parameters of a clip contradict its label in."""
    if not clip.parameters_path or not (folder / clip.parameters_path).is_file():
        return
    try:
        said = load_parameters(folder / clip.parameters_path)
    except Exception as e:  # whatever a damaged archive does to its reader
        yield f"{clip.parameters_path} cannot be read ({type(e).__name__})."
        return
    wanted = {"target", "driver", "result"} if clip.label == FAKE else {"target"}
    if missing := wanted - set(said):
        yield f"{clip.parameters_path} does not hold {' and '.join(sorted(missing))}."
        return
    for who in sorted(wanted):
        if len(said[who]) != clip.frames:
            yield f"its parameters of the {who} cover {len(said[who])} frames, not {clip.frames}."
            return
    if clip.label == FAKE:
        yield from _made_again(clip, said["target"], said["result"])


def _made_again(clip: Clip, target: Performance, result: Performance) -> Iterator[str]:
    """The result of a controlled forgery is its factor applied to the target, and nothing else."""
    factor = FACTORS.get(clip.factor)
    if factor is None:
        if clip.driver_id == clip.target_id and not clip.edits and not _same(target, result, SHOWN):
            yield f"it is called {clip.method}, but its parameters are not the target's."
        return
    try:
        again = factor.apply(target, clip.degree, np.random.default_rng(clip.seed))
    except FacewitnessError as e:
        yield str(e)
        return
    if factor.order is not None:  # dropped frames: the end, and sometimes all, comes from beyond the stretch
        inside = factor.order(len(target), clip.degree, np.random.default_rng(clip.seed)) < len(target)
        if not _same(_pick(again, _FIRST), _pick(result, _FIRST), SHOWN):
            return
        again, result = _pick(again, inside), _pick(result, inside)
    if not _same(again, result, SHOWN):
        wrong = [n for n in SHOWN if not _same(again, result, (n,))]
        yield f"{clip.factor} by {clip.degree:g} does not give the parameters it has in {', '.join(wrong)}."


def _pick(performance: Performance, frames: NDArray[np.bool_] | slice) -> Performance:
    values = {name: getattr(performance, name)[frames] for name in OVER_TIME}
    return dataclasses.replace(performance, illumination=None, **values)


def _same(a: Performance, b: Performance, names: tuple[str, ...]) -> bool:
    return all(np.allclose(getattr(a, n), getattr(b, n), atol=SAME) for n in names)


def mask_against_label(clip: Clip, folder: Path) -> Iterator[str]:
    """One sentence where the mask is white outside the label's segments, or black inside them."""
    from facewitness.media import read_frames

    if not clip.mask_path or not (folder / clip.mask_path).is_file():
        return
    try:
        levels = np.array([float(f.image[::4, ::4].mean()) for f in read_frames(folder / clip.mask_path)])
    except FacewitnessError as e:
        yield f"{clip.mask_path}: {e}"
        return
    if len(levels) != clip.frames:
        yield f"its mask has {len(levels)} frames, not {clip.frames}."
        return
    inside = np.zeros(len(levels), bool)
    for start, end in clip.segments or ((0.0, len(levels) / clip.fps),):
        inside[round(start * clip.fps) : round(end * clip.fps)] = True
    near_edge = np.convolve(np.diff(inside, prepend=inside[0]), np.ones(2 * EDGE_FRAMES + 1), "same") > 0
    outside = ~inside & ~near_edge & (levels > WHITE)
    if outside.any():
        yield f"its mask is white at {np.flatnonzero(outside)[0] / clip.fps:.2f} s, outside its segments."
    if inside.any() and not (levels[inside & ~near_edge] > BLACK).any():
        yield "its mask is black, but its segments say that it was manipulated."
