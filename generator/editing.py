"""Changing a performance: eyes, gaze, head, expression, shape of the face; constant or keyed over time, in any
mixture."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.generator.actor import FILES, Actor
from facewitness.generator.label import Label
from facewitness.generator.performance import Performance
from facewitness.generator.publishing import Made, publish
from facewitness.generator.reenactment import driver_performance, render, within_reach
from facewitness.generator.shape import SHAPES, reshaped
from facewitness.progress import track as progress_bar

Keys = float | Sequence[tuple[float, float]]
"""One value for the whole clip, or (second, value) keys, between which it moves smoothly."""
Change = Callable[[Performance, NDArray[np.float32]], Performance]
"""A performance and the edit's value at each of its frames (T,) give the changed performance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edit:
    """One thing that can be changed; zero changes nothing."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str
    change: Change | None = None
    """None for an edit of the face's shape, which is constant."""


def _lids(*sides: int) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        lids = p.lids.copy()
        for side in sides:
            lids[:, side] += value * (1 - lids[:, side])
        return dataclasses.replace(p, lids=lids)

    return change


def _gaze(axis: int) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        gaze = p.gaze.copy()
        gaze[:, :, axis] += np.radians(value)[:, None]
        return dataclasses.replace(p, gaze=gaze)

    return change


def _turn(axis: int) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        from facewitness.generator.reconstruct import angles_deg, from_angles_deg

        angles = np.array(angles_deg(p.rotation), np.float64)
        angles[:, axis] += value
        return dataclasses.replace(p, rotation=np.asarray(from_angles_deg(angles), np.float32))

    return change


def _shift(axis: int) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        translation = p.translation.copy()
        translation[:, axis] += value
        return dataclasses.replace(p, translation=translation)

    return change


def _strength(p: Performance, value: NDArray[np.float32]) -> Performance:
    rest = np.median(p.expression, axis=0)
    return dataclasses.replace(p, expression=(rest + (1 + value[:, None]) * (p.expression - rest)).astype(np.float32))


def _express(name: str) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        from facewitness.generator.reconstruct import basis

        direction = basis().direction(name)[: p.expression.shape[1]]
        return dataclasses.replace(p, expression=(p.expression + value[:, None] * direction).astype(np.float32))

    return change


_EXPRESSIONS = {
    "smile": "corners of the mouth up and apart (negative: down)",
    "smile_right": "the person's right corner of the mouth",
    "smile_left": "the person's left corner of the mouth",
    "frown": "corners of the mouth down",
    "pucker": "lips drawn together",
    "jaw_open": "mouth opened by the jaw",
    "jaw_left": "jaw to the person's left",
    "upper_lip_raise": "upper lip up",
    "lower_lip_drop": "lower lip down",
    "brow_up": "both brows up",
    "brow_up_right": "the person's right brow up",
    "brow_up_left": "the person's left brow up",
    "brow_down": "brows down and together",
    "eye_wide": "eyes opened wide",
    "nose_sneer": "wings of the nose up",
}

EDITS: tuple[Edit, ...] = (
    Edit(name="close_right_eye", unit="closure", low=0, high=1, meaning="the right eye closes", change=_lids(0)),
    Edit(name="close_left_eye", unit="closure", low=0, high=1, meaning="the left eye closes", change=_lids(1)),
    Edit(name="close_eyes", unit="closure", low=0, high=1, meaning="both eyes close", change=_lids(0, 1)),
    Edit(name="gaze_yaw", unit="degrees", low=-25, high=25, meaning="eyes to the right", change=_gaze(0)),
    Edit(name="gaze_pitch", unit="degrees", low=-20, high=20, meaning="eyes down", change=_gaze(1)),
    Edit(name="head_yaw", unit="degrees", low=-25, high=25, meaning="head turned to the right", change=_turn(0)),
    Edit(name="head_pitch", unit="degrees", low=-20, high=20, meaning="head nodded down", change=_turn(1)),
    Edit(name="head_roll", unit="degrees", low=-20, high=20, meaning="head tilted clockwise", change=_turn(2)),
    Edit(name="head_x", unit="cm", low=-4, high=4, meaning="head moved to the picture's right", change=_shift(0)),
    Edit(name="head_y", unit="cm", low=-4, high=4, meaning="head moved down", change=_shift(1)),
    Edit(name="expression", unit="times", low=-1, high=1, meaning="-1: none, 0: as it is, 1: twice as strong",
         change=_strength),
    *(Edit(name=name, unit="strength", low=-1.5, high=1.5, meaning=meaning, change=_express(name))
      for name, meaning in _EXPRESSIONS.items()),
    *(Edit(name=name, unit="percent", low=-30, high=30, meaning=meaning) for name, meaning in SHAPES.items()),
)  # fmt: skip
"""Everything that can be edited; left and right of eyes and mouth are the person's, those of moves the picture's."""


@cache
def _by_name() -> dict[str, Edit]:
    return {e.name: e for e in EDITS}


def parse_settings(texts: Sequence[str]) -> dict[str, Keys]:
    """Settings from ``NAME=VALUE`` or ``NAME=V@Ts,V@Ts,...``; raises UsageError for anything else."""
    out: dict[str, Keys] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            if "@" in value:
                pairs = [part.split("@") for part in value.split(",")]
                out[name] = sorted((float(re.sub(r"s$", "", at.strip())), float(v)) for v, at in pairs)
            else:
                out[name] = float(value)
        except ValueError as e:
            raise UsageError(f"{text!r} is no edit; write it as smile=0.5, or keyed as smile=0@0s,1@2s.") from e
    return out


def apply_edits(performance: Performance, settings: Mapping[str, Keys]) -> tuple[Performance, list[str]]:
    """The changed performance (shape edits change its identity), and a sentence for each value that was limited.

    Raises UsageError for an unknown edit, or a shape edit that is keyed over time.
    """
    notes: list[str] = []
    shape: dict[str, float] = {}
    times = performance.times_s - performance.times_s[0]
    for name, keys in settings.items():
        edit = _by_name().get(name)
        if edit is None:
            raise UsageError(f"there is no edit {name!r}; `facewitness edit --list` shows what there is.")
        value = _values(keys, times)
        limited = np.clip(value, edit.low, edit.high)
        if np.any(limited != value):
            notes.append(f"{name} was limited to {edit.low:g} to {edit.high:g} {edit.unit}.")
        if edit.change is not None:
            performance = edit.change(performance, limited)
        elif np.ptp(limited) > 1e-6:
            raise UsageError(f"{name} is the face's shape and stays the same over a clip; give one value.")
        else:
            shape[name] = float(limited[0]) / 100
    if shape:
        performance = dataclasses.replace(performance, identity=reshaped(performance.identity, shape))
    return performance, notes


def _values(keys: Keys, times: NDArray[np.float64]) -> NDArray[np.float32]:
    if isinstance(keys, int | float):
        return np.full(len(times), keys, np.float32)
    at, values = np.array(keys, np.float64).T
    right = np.clip(np.searchsorted(at, times, side="right"), 1, max(len(at) - 1, 1))
    if len(at) == 1:
        return np.full(len(times), values[0], np.float32)
    share = np.clip((times - at[right - 1]) / np.maximum(at[right] - at[right - 1], 1e-9), 0, 1)
    share = share * share * (3 - 2 * share)
    return (values[right - 1] + share * (values[right] - values[right - 1])).astype(np.float32)


def edit(
    actor: Actor, out: Path, *, settings: Mapping[str, Keys], performance: Path | Performance | None = None,
    seconds: float | None = None, engine: str = "openvino", device: str = "auto", progress: bool = True,
) -> Made:  # fmt: skip
    """Make a labelled video in which the actor's own footage (or ``performance``, of the same person) is changed.

    ``settings`` maps names of ``EDITS`` to a value or to (second, value) keys. Pixels that no edit touches stay the
    footage's own. Raises UsageError for unknown edits or keyed shapes.
    """
    from facewitness.generator.recombine import cut, transfer
    from facewitness.provenance.manifest import Ingredient

    own = actor.performance
    source = actor.path / FILES["frames"]
    if performance is not None:
        given = driver_performance(performance, progress=progress) if isinstance(performance, Path) else performance
        own = transfer(given, own)
        source = performance if isinstance(performance, Path) else source
    if seconds is not None:
        own = cut(own, float(own.times_s[0]), float(own.times_s[0]) + seconds)
    changed, notes = apply_edits(own, settings)
    changed, more = within_reach(changed, actor)
    plain = dataclasses.replace(changed, identity=actor.performance.identity)
    canvas = dataclasses.replace(own, rotation=changed.rotation, translation=changed.translation)
    label = Label(
        method="edit", target_id=actor.name, driver_id=actor.name, edits={k: _largest(v) for k, v in settings.items()},
        seed=int(actor.card["seed"]), rights=actor.rights, actor_sha256=actor.sha256,
        model_sha256=actor.card["sha256"].get(FILES["weights"], ""),
    )  # fmt: skip
    parent = Ingredient(path=source, title=str(actor.card["source"]["file"]), relationship="parentOf", role="footage")
    frames = render(actor, changed, plan_for=plain, canvas_for=canvas, faithful=True, engine=engine, device=device)
    if progress:
        frames = progress_bar(frames, f"making {out.name}", total=len(changed))
    made = publish(
        frames, out, frame_rate=Fraction(actor.card["frame"]["rate"]) or Fraction(25), label=label,
        pts=changed.pts.tolist(), time_base=changed.time_base, digital_source_type="ai-edited",
        ingredients=(parent,),
        audio_from=performance if isinstance(performance, Path) else None,
        description="edited by facewitness: " + ", ".join(f"{k}={v:g}" for k, v in label.edits.items()),
    )  # fmt: skip
    return dataclasses.replace(made, notes=tuple(notes + more))


def _largest(keys: Keys) -> float:
    if isinstance(keys, int | float):
        return float(keys)
    return float(max((v for _, v in keys), key=abs))


def value_at(keys: Keys, at_s: float) -> float:
    """What ``keys`` come to at a second of the clip."""
    return float(_values(keys, np.array([at_s]))[0])
