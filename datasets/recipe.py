"""Recipes: one TOML file says what a dataset is made of. Every key is checked, and an unknown one names its nearest
neighbour."""

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewitness.datasets.factors import FACTORS
from facewitness.errors import UnreadableInputError, UsageError

TAKES: dict[str, tuple[str, ...]] = {
    "reenactment": ("head", "expression", "gaze", "lids"),
    "expression_only": ("expression",),
    "gaze_only": ("gaze",),
    "lids_only": ("lids",),
    "mouth_only": ("mouth",),
    "pose_only": ("head",),
}
"""Methods that take something from another person, and what they take."""
BASELINES = {
    "baseline_copy": "copy nearest",
    "baseline_texture": "mean texture",
    "baseline_warp": "warp nearest",
    "baseline_regions": "region",
}
"""Earlier ways of reenacting, driven by another person, and their names in generator/baselines.py."""
TAKES |= dict.fromkeys(BASELINES, TAKES["reenactment"])
SELF_METHODS = ("self_reenactment",)
"""The person's own performance, rendered from their other footage."""
MAX_SIDE = 1024


@dataclass(frozen=True, kw_only=True)
class FootageSpec:
    """Where real footage comes from: a folder, sample actors, or a set in one of the field's layouts."""

    folder: str = ""
    """Folder of videos; relative to the recipe, or to ``--footage`` where that is given."""
    person: str = r"^([^_.]+)"
    """Regular expression on the file name whose first group is the person's id."""
    list: str = ""
    """CSV with the columns ``file`` and, where known, ``person_id`` and ``rights``; relative to the recipe."""
    layout: str = ""
    """Read ``folder`` as this layout (``ffpp``, ``celebdf``, ``dfdc`` ...) and take its real clips."""
    samples: tuple[str, ...] = ()
    """Names of sample actors."""
    size: int = 384
    """Side of a sample clip in pixels."""
    seconds: float = 12.0
    """Length of each sample clip."""
    takes: int = 1
    """Sample clips of each actor."""
    only: tuple[str, ...] = ()
    """Persons to use; all where empty."""
    without: tuple[str, ...] = ()
    """Persons to leave out."""
    rights: str = ""
    """Statement of licence or consent; without one nothing is made of this footage."""
    kind: str = "filmed"
    """``filmed``, or ``sample`` for footage that shows nobody."""


@dataclass(frozen=True, kw_only=True)
class ActorSpec:
    """How actors are made."""

    minutes: float = 0.5
    """Training of each, in minutes."""
    size: int = 256
    max_seconds: float = 60.0
    most: int = 0
    """Most persons who become actors; all where 0. Those with the longest footage come first."""
    preset: str = "fast"
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """What every clip of the set is like, real or fake."""

    seconds: float = 4.0
    each: int = 2
    """Stretches taken from each person's footage, of which fakes are made."""
    reals: int = 0
    """Further stretches of each person that stay real, so that reals are not few."""
    size: int = 256
    crf: tuple[int, ...] = (18, 23, 30)
    """Qualities of the encode; each stretch is drawn one, and everything made of it has the same."""
    crop: bool = True
    """Cut to the face's square; else the whole frame, resized."""
    audio: bool = False
    """Whether clips keep their sound."""
    masks: bool = True
    parameters: bool = True


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """One way of making fakes, over all stretches."""

    name: str
    """One of ``TAKES`` or ``SELF_METHODS``."""
    each: int = 1
    """Fakes of each stretch, with different drivers."""
    mode: str = "relative"
    segment: float = 1.0
    """Share of the clip that is manipulated, in its middle; 1 is all of it (own-performance methods only)."""
    stretches: int = 0
    """On how many of each person's stretches; all where 0. They are dealt in turn, so that every stretch, and with it
    every bit rate, has about as many fakes."""


@dataclass(frozen=True, kw_only=True)
class FactorSpec:
    """One controlled factor over all stretches."""

    name: str
    degrees: tuple[float, ...] = ()
    """Each degree is one clip of every stretch; the factor's own where empty."""
    stretches: int = 0
    """As for methods; all degrees of a factor, and their control, are made of the same stretch."""


@dataclass(frozen=True, kw_only=True)
class EditSpec:
    """One edit over all stretches, as ``facewitness edit --set`` knows it."""

    set: dict[str, float]
    name: str = "edit"
    stretches: int = 0
    """As for methods."""


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """Shares of the parts."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole dataset."""

    name: str
    footage: tuple[FootageSpec, ...]
    seed: int = 0
    description: str = ""
    licence: str = "Rights stay with those named for each clip."
    methods: tuple[MethodSpec, ...] = (MethodSpec(name="reenactment"),)
    factors: tuple[FactorSpec, ...] = ()
    edits: tuple[EditSpec, ...] = ()
    actors: ActorSpec = field(default_factory=ActorSpec)
    clips: ClipSpec = field(default_factory=ClipSpec)
    splits: SplitSpec = field(default_factory=SplitSpec)
    home: Path = Path()
    """Folder of the recipe; paths in it are relative to this."""
    footage_home: Path | None = None
    """Folder that footage is relative to instead, so that a recipe need not know where it is kept."""


HOMES = ("home", "footage_home")
"""Fields that say where, not what: not of the TOML file, nor of what is written down."""


def load_recipe(path: Path, *, footage: Path | None = None) -> Recipe:
    """Read and check a recipe; ``footage`` is the folder its footage is relative to (the recipe's own where None).

    Raises UsageError with the place of the fault, UnreadableInputError for no such file.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UnreadableInputError(f"{path} cannot be read ({e.strerror}).") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path.name} is no TOML: {e}.") from e
    recipe = _build(Recipe, content, path.name)
    recipe = dataclasses.replace(recipe, home=path.parent, footage_home=footage)
    _check(recipe, path.name)
    return recipe


def _build(kind: Any, content: Any, where: str) -> Any:
    """A dataclass from a TOML table, its fields checked by their types."""
    if not isinstance(content, dict):
        raise UsageError(f"{where} must be a table, not {content!r}.")
    known = {f.name: f for f in dataclasses.fields(kind) if f.name not in HOMES}
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise UsageError(f"{where}: unknown key {key!r}; {hint}")
    hints = typing.get_type_hints(kind)
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in content.items()}
    for name, f in known.items():
        missing = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if missing and name not in values:
            raise UsageError(f"{where}: {name!r} is missing.")
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list):
            value = [value]
        return tuple(_value(arguments[0], v, f"{where}[{n}]") for n, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise UsageError(f"{where} must be a table of names and values.")
        return {k: _value(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin in (typing.Union, types.UnionType):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        kinds = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise UsageError(f"{where} must be {kinds.get(hint, hint.__name__)}, not {value!r}.")
    return value


def _near(name: str, known: typing.Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.4)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}."


def _check(recipe: Recipe, where: str) -> None:
    """What types cannot say."""
    from facewitness.datasets.layouts import LAYOUTS
    from facewitness.datasets.samples import SAMPLES
    from facewitness.generator.editing import EDITS

    def need(holds: bool, text: str) -> None:
        if not holds:
            raise UsageError(f"{where}: {text}")

    need(bool(recipe.footage), "a recipe needs at least one [[footage]].")
    for n, footage in enumerate(recipe.footage):
        here = f"footage[{n}]"
        need(bool(footage.folder) != bool(footage.samples), f"{here} names either a folder or samples.")
        need(
            bool(footage.rights.strip()) or bool(footage.samples),
            f"{here} has no rights: say who licensed or consented to it.",
        )
        need(footage.kind in ("filmed", "sample"), f"{here}: kind is filmed or sample, not {footage.kind!r}.")
        for name in footage.samples:
            need(name in SAMPLES, f"{here}: there is no sample actor {name!r}; {_near(name, SAMPLES)}")
        need(256 <= footage.size <= MAX_SIDE, f"{here}: size lies in 256..{MAX_SIDE}.")
        need(not footage.layout or footage.layout in LAYOUTS, f"{here}: there is no layout {footage.layout!r}; "
             f"{_near(footage.layout, LAYOUTS)}")  # fmt: skip
    for method in recipe.methods:
        known = (*TAKES, *SELF_METHODS)
        need(method.name in known, f"there is no method {method.name!r}; {_near(method.name, known)}")
        need(method.mode in ("relative", "absolute"), f"mode is relative or absolute, not {method.mode!r}.")
        need(0 < method.segment <= 1, f"the segment of {method.name} must lie in 0..1.")
        need(method.segment == 1 or method.name in SELF_METHODS, f"{method.name} cannot be limited to a segment.")
    made: list[MethodSpec | FactorSpec | EditSpec] = [*recipe.methods, *recipe.factors, *recipe.edits]
    for spec in made:
        need(0 <= spec.stretches <= recipe.clips.each,
             f"{spec.name}: stretches lies in 0..{recipe.clips.each} (clips.each), not {spec.stretches}.")  # fmt: skip
    for edit in recipe.edits:
        known_edits = [e.name for e in EDITS]
        for name in edit.set:
            need(name in known_edits, f"there is no edit {name!r}; {_near(name, known_edits)}")
    for factor in recipe.factors:
        need(factor.name in FACTORS, f"there is no factor {factor.name!r}; {_near(factor.name, FACTORS)}")
        low, high = FACTORS[factor.name].range
        for degree in factor.degrees:
            need(
                low <= degree <= high,
                f"{factor.name} takes {low:g} to {high:g} {FACTORS[factor.name].unit}, not {degree:g}.",
            )
    clips, splits = recipe.clips, recipe.splits
    need(64 <= clips.size <= MAX_SIDE and clips.size % 2 == 0, f"clips.size is an even number from 64 to {MAX_SIDE}.")
    need(0.5 <= clips.seconds <= 120, "clips.seconds lies in 0.5..120.")
    need(clips.each >= 1 and clips.reals >= 0, "clips.each is at least 1, clips.reals at least 0.")
    need(bool(clips.crf) and all(0 <= c <= 51 for c in clips.crf), "clips.crf holds qualities from 0 to 51.")
    need(min(splits.train, splits.val, splits.test) >= 0 and splits.train + splits.val + splits.test > 0,
         "the shares of the splits must not be negative.")  # fmt: skip
