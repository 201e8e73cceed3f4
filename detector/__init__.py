"""Find temporal and eye-motion artefacts in clips of unknown origin, and say how sure that is."""

import importlib
from typing import Any

_HOMES = {
    "ClipReport": "report",
    "FaceReport": "report",
    "CueResult": "report",
    "Reason": "report",
    "Segment": "report",
    "Model": "model",
    "load_model": "model",
    "save_model": "model",
    "scan_file": "scan",
    "list_cues": "cues",
    "Fusion": "fusion",
    "LikelihoodRatios": "fusion",
    "Calibration": "calibration",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when it is first asked for: importing the room costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"facewitness.detector has no {name}")
    return getattr(importlib.import_module(f"facewitness.detector.{_HOMES[name]}"), name)
