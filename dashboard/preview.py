"""An actor under edits as one picture, kept warm: what the Edit page asks for while a slider moves."""

import base64
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError
from facewitness.generator.actor import Actor
from facewitness.generator.bank import FullFrames
from facewitness.generator.editing import EDITS, GROUPS, Keys, edited_frames, value_at
from facewitness.generator.performance import Performance
from facewitness.generator.reconstruct.model import pick

WIDTH_PX = 480
"""A preview is drawn at most so wide; what is saved has the footage's own size."""
QUALITY = 88
MOST_KEYS = 200
SAMPLE = 160
"""Frames of the clip that an edit of one moment looks at."""
BEFORE = 128
"""Unedited moments that are kept."""
TITLES = {
    "close_right_eye": "Close right eye",
    "close_left_eye": "Close left eye",
    "close_eyes": "Close both eyes",
    "gaze_yaw": "Gaze, sideways",
    "gaze_pitch": "Gaze, up-down",
    "head_yaw": "Turn",
    "head_pitch": "Nod",
    "head_roll": "Tilt",
    "head_x": "Move sideways",
    "head_y": "Move up-down",
    "expression": "Strength",
}
PRESETS: dict[str, dict[str, float]] = {
    "Close the right eye": {"close_right_eye": 1.0},
    "Close the left eye": {"close_left_eye": 1.0},
    "Look aside": {"gaze_yaw": 15.0},
    "Turn the head": {"head_yaw": 8.0},
    "Smile": {"smile": 0.8},
    "Brows up": {"brow_up": 0.8},
    "Remove the hair": {"hair_removed": 1.0},
    "No expression": {"expression": -1.0},
    "Stronger expression": {"expression": 0.5},
}


class _Warm(Actor):
    """An actor whose whole frames stay decoded from one picture to the next."""

    @cached_property
    def _frames(self) -> FullFrames:
        return super().full_frames()

    def full_frames(self) -> FullFrames:
        return self._frames


class Preview:
    """One actor giving one performance (its own footage's by default), ready to be edited; threads take turns."""

    def __init__(self, actor: Actor, performance: Performance | None = None):
        self.actor = _Warm(actor.path, actor.card)
        self.performance = performance or self.actor.performance
        self.times_s: NDArray[np.float64] = self.performance.times_s - self.performance.times_s[0]
        self._maker = self.actor.synthesiser()
        self._before: OrderedDict[int, str] = OrderedDict()
        self._turn = threading.Lock()
        self.picture(0.0, {})

    @property
    def seconds(self) -> float:
        """Time from the first frame to the last."""
        return float(self.times_s[-1])

    def picture(self, at_s: float, settings: Mapping[str, Keys]) -> tuple[str, list[str]]:
        """The frame at a time under the edits, as a JPEG in a data URI, and a sentence for each value that was
        limited.

        Raises UsageError as ``edited_frames`` does.
        """
        i = self._index(at_s)
        with self._turn:
            if not settings and i in self._before:
                return self._before[i], []
            # edits look at the whole clip (how the face rests, how far it goes); a sample of it tells the same
            around = np.unique(np.r_[np.linspace(0, len(self.performance) - 1, SAMPLE).round().astype(int), i])
            at = int(np.searchsorted(around, i))
            frames, notes = edited_frames(
                self.actor, pick(self.performance, around), settings, maker=self._maker, only=slice(at, at + 1)
            )
            image = next(frames)
            shown = _jpeg(image)
            if not settings:
                self._before[i] = shown
                if len(self._before) > BEFORE:
                    self._before.popitem(last=False)
            return shown, notes

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """``{t, settings, before}`` gives ``{after, before?, values, notes, ms}``; for ``served.answer_address``.

        ``values`` is what keyed edits come to at the moment. Raises UsageError or ValueError for a senseless question.
        """
        start = time.perf_counter()
        at, settings = float(question["t"]), read_settings(question.get("settings"))
        after, notes = self.picture(at, settings)
        told: dict[str, Any] = {"after": after, "notes": notes}
        if question.get("before"):
            told["before"] = self.picture(at, {})[0]
        now = float(self.times_s[self._index(at)])
        told["values"] = {n: value_at(k, now) for n, k in settings.items() if not isinstance(k, float)}
        return told | {"ms": round(1000 * (time.perf_counter() - start), 1)}

    def _index(self, at_s: float) -> int:
        if not at_s == at_s:
            raise ValueError("no time")
        return int(np.clip(np.searchsorted(self.times_s, at_s - 1e-3), 0, len(self.performance) - 1))


def read_settings(value: Any) -> dict[str, Keys]:
    """Settings as the page sends them: a number, or ``[[second, value], ...]`` in order, by name of the edit.

    What is at zero is left out. Raises UsageError for anything else.
    """
    known = {e.name for e in EDITS}
    out: dict[str, Keys] = {}
    for name, keys in (value or {}).items() if isinstance(value, Mapping) else ():
        if name not in known:
            raise UsageError(f"there is no edit {str(name)[:40]!r}.")
        if isinstance(keys, int | float):
            if keys:
                out[name] = float(keys)
        else:
            pairs = sorted((float(t), float(v)) for t, v in list(keys)[:MOST_KEYS])
            if not all(np.isfinite(pairs).ravel()):
                raise UsageError(f"the keys of {name} are no numbers.")
            if pairs:
                out[name] = pairs
    return out


def table() -> list[dict[str, Any]]:
    """Every edit as the page draws it, in the order of the groups: whatever the generator can do appears by itself."""
    rows = [
        {
            "name": e.name,
            "title": TITLES.get(e.name) or re.sub(r"_", " ", e.name).capitalize(),
            "unit": e.unit,
            "low": float(e.low),
            "high": float(e.high),
            "step": 0.5 if e.high - e.low > 10 else 0.05,
            "group": e.group,
            "meaning": e.meaning[:1].upper() + e.meaning[1:] + ".",
            "keyed": e.change is not None,
        }
        for e in EDITS
    ]
    return sorted(rows, key=lambda r: GROUPS.index(r["group"]))


def presets() -> dict[str, dict[str, float]]:
    """Ready-made settings, as far as the generator knows their edits."""
    known = {e.name for e in EDITS}
    return {name: new for name, new in PRESETS.items() if set(new) <= known}


def _jpeg(image: NDArray[np.uint8]) -> str:
    if image.shape[1] > WIDTH_PX:
        size = (WIDTH_PX, round(image.shape[0] * WIDTH_PX / image.shape[1]))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
