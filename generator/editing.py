"""Changing a performance: eyes, gaze, head, expression, shape of the face; constant or keyed over time, in any
mixture."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.devices import pick_device
from facewitness.errors import UsageError
from facewitness.faces import landmarks as lm
from facewitness.generator.actor import FILES, Actor
from facewitness.generator.border import bordered
from facewitness.generator.expression import EXPRESSIONS, direction
from facewitness.generator.label import Label
from facewitness.generator.performance import Performance
from facewitness.generator.publishing import Made, publish
from facewitness.generator.recombine import GAZE_LIMIT_RAD, lower_face
from facewitness.generator.reenactment import driver_performance, render, within_reach
from facewitness.generator.shape import LIMITS, MOST, SHAPES, reshaped
from facewitness.generator.shapes import shapes_of
from facewitness.generator.synthesis import Synthesiser
from facewitness.progress import track as progress_bar

Keys = float | Sequence[tuple[float, float]]
"""One value for the whole clip, or (second, value) keys, between which it moves smoothly."""
Change = Callable[[Performance, NDArray[np.float32]], Performance]
"""A performance and the edit's value at each of its frames (T,) give the changed performance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edit:
    """One thing that can be changed; zero changes nothing."""

    name: str
    group: str
    """Of ``GROUPS``: where it is listed."""
    unit: str
    low: float
    high: float
    meaning: str
    change: Change | None = None
    """None for an edit of the face's shape, which is constant."""


GROUPS = ("Eyes", "Head", "Expression", "Face shape", "Hair")
PANE = 0.5
"""A point that is looked at lies on a pane of glass between person and camera, this share of the way from the camera:
the face's own place in the picture is then the camera itself."""
PRESSED = 0.3
"""An eye that is closed on purpose is pressed shut: its lashes' line sinks further than a mesh fitted to open eyes puts
it, by this share of the opening; there it is in real closed eyes."""
FETCHED, FETCHED_CM = 0.25, 0.15
"""An eye whose closure, a mouth whose lips change by less is drawn from its own frame, not from another moment."""
EYE_WIDE = 0.25
"""Share of its opening by which an eye that is opened wide opens further."""
GAZE_BEYOND_DEG = 25.0
"""The eyes may turn this much further than the footage shows: the iris is moved, and the sclera drawn along."""


def _lids(*sides: int) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        lids = p.lids.copy()
        for side in sides:
            lids[:, side] += value * (1 + PRESSED - lids[:, side])
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


def looking_at(p: Performance, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 2, 2) yaw and pitch of each eye, head frame, radians, that look at ``points`` (T, 2) of the picture.

    ``points`` are percent of the picture's width and height from its middle, right and down positive; see ``PANE`` for
    how far away they lie. Each eye is aimed by itself, so near points make the eyes converge.
    """
    from facewitness.generator.reconstruct.rotation import to_matrix

    pane = p.translation[:, 2] * PANE
    xy = points / 100 * [p.camera.width, p.camera.height] / p.camera.focal_px
    at = np.column_stack([xy * pane[:, None], pane])
    local = np.einsum("tij,ti->tj", to_matrix(p.rotation), at - p.translation)
    ahead = local[:, None] - p.identity.eyeballs[None, :, :3]
    yaw = np.arctan2(ahead[..., 0], -ahead[..., 2])
    pitch = np.arctan2(ahead[..., 1], np.hypot(ahead[..., 0], ahead[..., 2]))
    return np.stack([yaw, pitch], -1).astype(np.float32)


LOOK = ("look_at", "look_x", "look_y")


def _look(p: Performance, values: Mapping[str, NDArray[np.float32]]) -> Performance:
    """The gaze drawn towards a point, as far as ``look_at`` says."""
    share = values["look_at"]
    middle = np.zeros_like(share)
    aimed = looking_at(p, np.stack([values.get("look_x", middle), values.get("look_y", middle)], 1))
    gaze = p.gaze + share[:, None, None] * (aimed - p.gaze)
    return dataclasses.replace(p, gaze=gaze.astype(np.float32))


def _alone(p: Performance, value: NDArray[np.float32]) -> Performance:
    """Nothing of the motion: the edit acts together with another, or on the picture."""
    del value
    return p


def _strength(p: Performance, value: NDArray[np.float32]) -> Performance:
    rest = np.median(p.expression, axis=0)
    return dataclasses.replace(p, expression=(rest + (1 + value[:, None]) * (p.expression - rest)).astype(np.float32))


def _express(name: str) -> Change:
    def change(p: Performance, value: NDArray[np.float32]) -> Performance:
        moved = value[:, None] * direction(name)[: p.expression.shape[1]]
        lids = p.lids
        if name == "eye_wide":  # lids open beyond what is usual of them, which the modes hardly hold
            lids = (lids - EYE_WIDE * value[:, None] * (1 - lids)).astype(np.float32)
        return dataclasses.replace(p, expression=(p.expression + moved).astype(np.float32), lids=lids)

    return change


EDITS: tuple[Edit, ...] = (
    Edit(name="expression", group="Expression", unit="times", low=-1, high=1,
         meaning="-1: none, 0: as it is, 1: twice as strong", change=_strength),
    *(Edit(name=name, group="Expression", unit="strength", low=e.low, high=1, meaning=e.meaning, change=_express(name))
      for name, e in EXPRESSIONS.items()),
    Edit(name="close_right_eye", group="Eyes", unit="closure", low=0, high=1, meaning="the right eye closes",
         change=_lids(0)),
    Edit(name="close_left_eye", group="Eyes", unit="closure", low=0, high=1, meaning="the left eye closes",
         change=_lids(1)),
    Edit(name="close_eyes", group="Eyes", unit="closure", low=0, high=1, meaning="both eyes close",
         change=_lids(0, 1)),
    Edit(name="head_yaw", group="Head", unit="degrees", low=-25, high=25, meaning="head turned to the right",
         change=_turn(0)),
    Edit(name="head_pitch", group="Head", unit="degrees", low=-20, high=20, meaning="head nodded down",
         change=_turn(1)),
    Edit(name="head_roll", group="Head", unit="degrees", low=-20, high=20, meaning="head tilted clockwise",
         change=_turn(2)),
    Edit(name="head_x", group="Head", unit="cm", low=-2.5, high=2.5, meaning="head moved to the picture's right",
         change=_shift(0)),
    Edit(name="head_y", group="Head", unit="cm", low=-2, high=2, meaning="head moved down", change=_shift(1)),
    Edit(name="look_at", group="Eyes", unit="share", low=0, high=1, change=_alone,
         meaning="gaze drawn to the point look_x, look_y"),
    Edit(name="look_x", group="Eyes", unit="percent", low=-100, high=100, change=_alone,
         meaning="that point, of the width from the picture's middle to the right"),
    Edit(name="look_y", group="Eyes", unit="percent", low=-100, high=100, change=_alone,
         meaning="that point, of the height from the picture's middle down"),
    Edit(name="gaze_yaw", group="Eyes", unit="degrees", low=-25, high=25, meaning="eyes to the right", change=_gaze(0)),
    Edit(name="gaze_pitch", group="Eyes", unit="degrees", low=-20, high=20, meaning="eyes down", change=_gaze(1)),
    *(Edit(name=name, group="Face shape", unit="percent", low=100 * LIMITS.get(name, (-MOST, MOST))[0],
           high=100 * LIMITS.get(name, (-MOST, MOST))[1], meaning=meaning) for name, meaning in SHAPES.items()),
    Edit(name="hair_removed", group="Hair", unit="share", low=0, high=1, change=_alone,
         meaning="a bald head; hair on the shoulders stays; the first look at it takes some seconds"),
)  # fmt: skip
"""Everything that can be edited, in the order in which it is done whatever the order it is asked in: the face, the head
it sits on, then where that head looks. Left and right of eyes and mouth are the person's, those of moves the
picture's."""


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


def apply_edits(
    performance: Performance, settings: Mapping[str, Keys], *, actor: Actor | None = None
) -> tuple[Performance, list[str]]:
    """The changed performance (shape edits change its identity), and a sentence for each value that was limited.

    Values are limited to their edit's range and, with ``actor``, head and eyes to little more than its footage shows.
    Raises UsageError for an unknown edit, or a shape edit that is keyed over time.
    """
    for name in settings:
        if name not in _by_name():
            raise UsageError(f"there is no edit {name!r}; `facewitness edit --list` shows what there is.")
    notes: list[str] = []
    times = performance.times_s - performance.times_s[0]
    values: dict[str, NDArray[np.float32]] = {}
    for name in (e.name for e in EDITS if e.name in settings):
        edit = _by_name()[name]
        asked = _values(settings[name], times)
        values[name] = np.clip(asked, edit.low, edit.high)
        if np.any(values[name] != asked):
            notes.append(f"{name} was limited to {edit.low:g} to {edit.high:g} {edit.unit}.")
        if edit.change is None and np.ptp(values[name]) > 1e-6:
            raise UsageError(f"{name} is the face's shape and stays the same over a clip; give one value.")
    shape = {n: float(v[0]) / 100 for n, v in values.items() if _by_name()[n].change is None}
    if shape:
        performance = dataclasses.replace(performance, identity=reshaped(performance.identity, shape))
    eyes_from = [e.name for e in EDITS].index("look_at")
    late = {e.name for e in EDITS[eyes_from:]}
    performance = _changed(performance, {n: v for n, v in values.items() if n not in late})
    if actor is not None:
        performance, more = within_reach(performance, actor)
        notes += more
    if "look_at" in values:
        performance = _look(performance, values)
    elif set(LOOK) & set(values):
        notes.append("look_x and look_y do nothing without look_at.")
    performance = _changed(performance, {n: v for n, v in values.items() if n in late})
    if {"look_at", "gaze_yaw", "gaze_pitch"} & set(values):
        performance, more = _eyes_within_reach(performance, actor)
        notes += more
    return performance, notes


def _changed(performance: Performance, values: Mapping[str, NDArray[np.float32]]) -> Performance:
    for name, value in values.items():
        change = _by_name()[name].change
        if change is not None:
            performance = change(performance, value)
    return performance


def _eyes_within_reach(performance: Performance, actor: Actor | None) -> tuple[Performance, list[str]]:
    """Limit gaze to what eyes can do and, with an actor, to ``GAZE_BEYOND_DEG`` more than its footage shows."""
    gaze, notes = np.clip(performance.gaze, -GAZE_LIMIT_RAD, GAZE_LIMIT_RAD), []
    for axis, name in enumerate(("yaw", "pitch")) if actor is not None else ():
        assert actor is not None
        low, high = np.percentile(actor.performance.gaze[..., axis], [1, 99])
        beyond = np.radians(GAZE_BEYOND_DEG)
        gaze[..., axis] = np.clip(gaze[..., axis], low - beyond, high + beyond)
        share = float((np.abs(gaze - performance.gaze)[..., axis].max(1) > np.radians(1.0)).mean())
        if share > 0:
            notes.append(
                f"gaze {name} was limited in {share:.0%} of the frames: the footage shows {np.degrees(low):.0f} to "
                f"{np.degrees(high):.0f} degrees, up to {GAZE_BEYOND_DEG:.0f} more can be shown."
            )
    return dataclasses.replace(performance, gaze=gaze.astype(np.float32)), notes


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


def edited_frames(
    actor: Actor, own: Performance, settings: Mapping[str, Keys], *, engine: str = "openvino", device: str = "auto",
    maker: Synthesiser | None = None, only: slice | None = None,
) -> tuple[Iterator[NDArray[np.uint8]], list[str]]:  # fmt: skip
    """Whole frames, (height, width, 3) RGB uint8, of ``own`` under the edits, and a sentence for each value limited.

    ``own`` is (a part of) the actor's performance; pixels that no edit touches stay the footage's own. ``maker`` is a
    synthesiser that is ready already. ``only`` names the frames that are wanted; the edits are of the whole. Raises
    UsageError for unknown edits or keyed shapes.
    """
    from facewitness.generator.reconstruct.model import pick

    changed, notes = apply_edits(own, settings, actor=actor)
    times = own.times_s - own.times_s[0]
    if only is not None:
        here = np.arange(len(own))[only]
        changed, own, times = pick(changed, here), pick(own, here), times[here]
    mouthless = dataclasses.replace(changed, expression=own.expression) if _upper_only(settings) else None
    plain = _to_fetch(dataclasses.replace(mouthless or changed, identity=actor.performance.identity), own)
    canvas = dataclasses.replace(own, rotation=changed.rotation, translation=changed.translation)
    maker = maker or actor.synthesiser(refine=actor.refine(engine=engine, device=pick_device(device)))
    frames = render(
        actor, changed, plan_for=plain, canvas_for=canvas, faithful=True, footage=_footage(own, actor),
        synthesiser=bordered(maker, actor, own, changed), still=mouthless,
        moving=1 - lower_face() if mouthless else None,
    )  # fmt: skip
    if "hair_removed" in settings:
        share = np.clip(_values(settings["hair_removed"], times), 0, 1)
        if share.any():
            frames = _bald(frames, actor, changed, share)
    return frames, notes


def _upper_only(settings: Mapping[str, Keys]) -> bool:
    """Whether all that is edited of the expression is above the mouth, which is then left as it is."""
    asked = [n for n in settings if n == "expression" or n in EXPRESSIONS]
    return bool(asked) and all(n in EXPRESSIONS and EXPRESSIONS[n].upper for n in asked)


def _to_fetch(changed: Performance, own: Performance) -> Performance:
    """What stored mouths and eyes are chosen for: ``own`` wherever moving its own pixels shows the change better.

    That is so of every change of gaze: the iris is moved with the eye it belongs to. An eye from another moment comes
    with that moment's lids and brow, and with what the tracker mistook there.
    """
    lips = [*lm.OUTER_LIPS, *lm.INNER_LIPS]
    moved = np.linalg.norm((shapes_of(changed).local - shapes_of(own).local)[:, lips], axis=-1).max(1)
    return dataclasses.replace(
        changed,
        expression=np.where(moved[:, None] < FETCHED_CM, own.expression, changed.expression),
        lids=np.where(np.abs(changed.lids - own.lids) < FETCHED, own.lids, changed.lids),
        gaze=own.gaze,
    )


def _footage(own: Performance, actor: Actor) -> NDArray[np.int64] | None:
    """(T,) which stored frames ``own`` is a part of; None where it is another performance."""
    stored = actor.performance
    if own.time_base != stored.time_base:
        return None
    at = np.clip(np.searchsorted(stored.pts, own.pts), 0, len(stored) - 1)
    return at if np.array_equal(stored.pts[at], own.pts) else None


def _bald(
    frames: Iterator[NDArray[np.uint8]], actor: Actor, shown: Performance, share: NDArray[np.float32]
) -> Iterator[NDArray[np.uint8]]:
    """The frames of ``shown`` with the hair removed as far as ``share`` (T,) says."""
    shapes = shapes_of(shown)
    for k, frame in enumerate(frames):
        yield actor.bald(frame, shapes.mesh[k], shapes.head[k], float(share[k]))


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
    frames, notes = edited_frames(actor, own, settings, engine=engine, device=device)
    label = Label(
        method="edit", target_id=actor.name, driver_id=actor.name,
        edits={k: _largest(k, v) for k, v in settings.items()},
        seed=int(actor.card["seed"]), rights=actor.rights, actor_sha256=actor.sha256,
        model_sha256=actor.card["sha256"].get(FILES["weights"], ""),
    )  # fmt: skip
    parent = Ingredient(path=source, title=str(actor.card["source"]["file"]), relationship="parentOf", role="footage")
    if progress:
        frames = progress_bar(frames, f"making {out.name}", total=len(own))
    made = publish(
        frames, out, frame_rate=Fraction(actor.card["frame"]["rate"]) or Fraction(25), label=label,
        pts=own.pts.tolist(), time_base=own.time_base, digital_source_type="ai-edited",
        ingredients=(parent,),
        audio_from=performance if isinstance(performance, Path) else None,
        description="edited by facewitness: " + ", ".join(f"{k}={v:g}" for k, v in label.edits.items()),
    )  # fmt: skip
    return dataclasses.replace(made, notes=tuple(notes))


def _largest(name: str, keys: Keys) -> float:
    """The greatest value of an edit over the clip, within its range."""
    value = keys if isinstance(keys, int | float) else max((v for _, v in keys), key=abs)
    return float(np.clip(value, _by_name()[name].low, _by_name()[name].high))


def value_at(keys: Keys, at_s: float) -> float:
    """What ``keys`` come to at a second of the clip."""
    return float(_values(keys, np.array([at_s]))[0])
