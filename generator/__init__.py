"""Makes labelled reenactments of consenting or licensed footage: train an actor, drive it, edit it."""

import importlib
from typing import Any

_HOME = {
    "Actor": "actor",
    "Label": "label",
    "Made": "publishing",
    "Performance": "performance",
    "edit": "editing",
    "load_actor": "actor",
    "publish": "publishing",
    "reenact": "reenactment",
    "train_actor": "training",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module of a public name when it is first asked for; importing the room costs nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
