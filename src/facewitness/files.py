"""Files that appear whole or not at all, their hashes, and the places where facewitness keeps things."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facewitness.errors import UsageError


def cache_dir() -> Path:
    """Folder of what can be fetched again (model files): ``FACEWITNESS_CACHE``, else the platform's cache folder."""
    if given := os.environ.get("FACEWITNESS_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facewitness"


def home_dir() -> Path:
    """Folder of what must last (keys, trust lists, ledger): ``FACEWITNESS_HOME``, else the platform's data folder."""
    if given := os.environ.get("FACEWITNESS_HOME"):
        return Path(given)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "facewitness"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a hidden path beside ``path`` to write to; on success it takes the final name, on any error it is removed.

    The hidden name keeps the suffix, because encoders choose the container by it.
    Raises UsageError if ``path`` exists and ``overwrite`` is false, or its folder cannot be made.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already; give another name or --force.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UsageError(f"the folder {path.parent} cannot be made ({e.strerror}); choose another place.") from e
    part = path.parent / f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}"
    try:
        yield part
        with part.open("rb") as f:
            os.fsync(f.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text of dataclasses, arrays, paths, fractions and what they are made of; NaN becomes null."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """The same value made of JSON's own types only: tuples and arrays become lists, NaN and infinity None."""
    import dataclasses
    import math
    from fractions import Fraction

    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, Fraction | os.PathLike):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")
