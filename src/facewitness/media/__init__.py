"""Video in and out: `probe`, `read_frames` with exact presentation times, `VideoWriter`, small pictures."""

import importlib
from typing import Any

from facewitness.media.types import Frame, VideoInfo

_HOMES = {
    "probe": "reading",
    "read_frames": "reading",
    "VideoReader": "reading",
    "DamagedVideoWarning": "reading",
    "VideoWriter": "writing",
    "thumbnail": "stills",
    "contact_sheet": "stills",
}

__all__ = ["Frame", "VideoInfo", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"facewitness.media has no {name}")
    return getattr(importlib.import_module(f"facewitness.media.{_HOMES[name]}"), name)
