"""The registry of cues: one decorator makes a function a cue that knows its name, unit, needs and source."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from facewitness.detector.evidence import Evidence
from facewitness.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a cue needs to mean anything; below it, the cue abstains."""

    iris_px: float = 0.0
    """Diameter of the iris in pixels of the clip."""
    face_px: float = 40.0
    seconds: float = 2.0
    """Seconds with the face in view."""
    fps: float = 8.0
    """Looked-at frames a second."""


@dataclass(frozen=True)
class Measured:
    """What a cue found: one number, and the curves it was taken from (name -> one number a looked-at frame)."""

    value: float
    traces: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Abstained:
    """Why a cue says nothing about this face."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One registered cue."""

    name: str
    family: str
    """``eyes``, ``motion`` or ``surface``."""
    unit: str
    needs: Needs
    source: str
    """Where the idea comes from."""
    low: str
    """What an analyst is told when the value is lower than real faces have it."""
    high: str
    measure: Callable[[Evidence], Measured | Abstained]


_CUES: dict[str, Cue] = {}


def cue(
    name: str, *, family: str, unit: str, source: str, low: str, high: str, needs: Needs | None = None
) -> Callable[[Callable[[Evidence], Measured | Abstained]], Callable[[Evidence], Measured | Abstained]]:
    """Register the function below as a cue: it takes Evidence and gives Measured, or Abstained with the reason."""

    def register(function: Callable[[Evidence], Measured | Abstained]) -> Callable[[Evidence], Measured | Abstained]:
        _CUES[name] = Cue(
            name=name,
            family=family,
            unit=unit,
            needs=needs or Needs(),
            source=source,
            low=low,
            high=high,
            measure=function,
        )
        return function

    return register


def list_cues(family: str | None = None) -> list[Cue]:
    """All cues in the order they were registered, or those of one family."""
    _load()
    return [c for c in _CUES.values() if family in (None, c.family)]


def get_cue(name: str) -> Cue:
    """The cue of this name. Raises UsageError where there is none."""
    _load()
    if name not in _CUES:
        raise UsageError(f"there is no cue called {name}; there are {', '.join(_CUES)}.")
    return _CUES[name]


def _load() -> None:
    from facewitness.detector.cues import eyes, gaze, motion, surface  # noqa: F401


def run_cue(one: Cue, evidence: Evidence) -> Measured | Abstained:
    """Measure a cue, or abstain where its needs are not met or nothing finite comes out."""
    if why := _unmet(one.needs, evidence):
        return Abstained(why)
    with np.errstate(all="ignore"):
        out = one.measure(evidence)
    if isinstance(out, Measured) and not np.isfinite(out.value):
        return Abstained("too little of the face was in view to measure it")
    return out


def _unmet(needs: Needs, e: Evidence) -> str | None:
    if e.seconds < needs.seconds:
        return f"the face is in view for {e.seconds:.1f} s; this cue needs {needs.seconds:g} s"
    if e.fps < needs.fps:
        return f"the clip gives {e.fps:.1f} frames a second to look at; this cue needs {needs.fps:g}"
    if needs.iris_px and not e.track.iris_px >= needs.iris_px:
        return f"the iris is {e.track.iris_px:.1f} pixels wide; this cue needs {needs.iris_px:g}"
    with np.errstate(all="ignore"):
        boxes = e.track.boxes
        face = float(np.nanmedian(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])))
    if not face >= needs.face_px:
        return f"the face is {face:.0f} pixels high; this cue needs {needs.face_px:g}"
    return None
