"""Scanning a folder or a million clips: engines, the store of results, reviews, and the HTTP interface."""

import importlib
from typing import Any

_HOMES = {
    "scan_paths": "scan",
    "Scanner": "scanner",
    "Budget": "pool",
    "Store": "store",
    "open_store": "store",
    "read_rows": "store",
    "find_clips": "sources",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the module of a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"facewitness.detector.engine has no {name}")
    return getattr(importlib.import_module(f"facewitness.detector.engine.{_HOMES[name]}"), name)
