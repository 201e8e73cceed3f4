"""Which function scans, with which model: what a worker process loads, and what results are keyed by."""

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewitness import __version__
from facewitness.errors import UsageError
from facewitness.files import plain, sha256_file

DEFAULT = "facewitness.detector:scan_file"


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A function ``f(path, **options)`` that gives a ClipReport (or a row), by name, so that any process can load it.

    >>> Scanner(function="facewitness.detector:scan_file", options={"model": "models/mine"})  # doctest: +SKIP
    """

    function: str = DEFAULT
    options: dict[str, Any] = field(default_factory=dict)
    model_id: str = ""
    model_sha256: str = ""

    @property
    def configuration(self) -> str:
        """Sixteen hexadecimal digits over all but the model that changes a result: function, options, version."""
        options = {k: v for k, v in self.options.items() if k != "model"}
        text = json.dumps([self.function, plain(options), __version__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_wire(self) -> dict[str, Any]:
        """What a worker needs to load it."""
        return {"function": self.function, "options": plain(self.options)}


def load(function: str) -> Callable[..., Any]:
    """The function ``module:name`` stands for. Raises UsageError where there is none."""
    module, _, name = function.partition(":")
    found = getattr(importlib.import_module(module), name, None)
    if found is None:
        raise UsageError(f"there is no {name} in {module} to scan with.")
    return found


def default_scanner(model: Path | None = None) -> Scanner:
    """The detector of this house, with the shipped model or the one in the folder ``model``.

    The model's hash covers every file of its folder, so that a changed model scans again. Raises UsageError where the
    folder is not there.
    """
    folder = model or _shipped()
    if model is not None and not model.is_dir():
        raise UsageError(f"there is no model folder {model}; make one with `facewitness detector fit`.")
    options = {"model": str(model)} if model is not None else {}
    model_id = _name(folder) if folder else "shipped"
    return Scanner(options=options, model_id=model_id, model_sha256=hash_of(folder) if folder else "")


def _shipped() -> Path | None:
    spec = importlib.util.find_spec("facewitness.detector")
    places = [Path(p) / "weights" for p in (spec.submodule_search_locations or [])] if spec else []
    return next((p for p in places if p.is_dir()), None)


def _name(folder: Path) -> str:
    card = folder / "model.json"
    if card.is_file():
        told = json.loads(card.read_text()).get("id")
        if isinstance(told, str):
            return told
    return folder.name


def hash_of(folder: Path) -> str:
    """SHA-256 over the names and hashes of the files of a folder, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        total.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
    return total.hexdigest()
