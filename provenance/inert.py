"""Manifest text made harmless: bounded in size, and without characters that steer a terminal or reorder a line."""

import math
import unicodedata
from typing import Any

MAX_TEXT = 2000
"""Characters kept of one string."""
MAX_ITEMS = 500
"""Entries kept of one list or mapping."""
MAX_DEPTH = 24
MAX_TOTAL = 400_000
"""Characters kept of one whole value."""

_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories not shown as themselves: controls, direction marks, surrogates, line separators."""


def visible(value: Any, limit: int = 300) -> str:
    """Text for a terminal or a page: one line, controls and direction marks written out, cut at ``limit``."""
    text = value if isinstance(value, str) else str(value)
    left = len(text) - limit
    shown = "".join(_shown(c) for c in text[:limit])
    return f"{shown}… ({left} more characters)" if left > 0 else shown


def bounded(value: Any) -> Any:
    """The same JSON value, cut where a string, a list, the depth or the whole is larger than any honest manifest's.

    Dataclasses become mappings on the way, tuples lists.
    """
    return _Bound().cut(value, 0)


class _Bound:
    def __init__(self) -> None:
        self._left = MAX_TOTAL

    def cut(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            keep = max(0, min(MAX_TEXT, self._left))
            self._left -= min(len(value), keep)
            return value if len(value) <= keep else f"{value[:keep]}… ({len(value) - keep} more characters)"
        self._left -= 8
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if not isinstance(value, dict | list | tuple):
            value = vars(value)
        if depth >= MAX_DEPTH or self._left <= 0:
            return f"… ({len(value)} entries)"
        return self._mapping(value, depth) if isinstance(value, dict) else self._list(value, depth)

    def _mapping(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        made = {}
        for n, (key, item) in enumerate(value.items()):
            if n >= MAX_ITEMS or self._left <= 0:
                made["…"] = f"{len(value) - n} more entries"
                break
            made[self.cut(key, depth + 1)] = self.cut(item, depth + 1)
        return made

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        made = []
        for n, item in enumerate(value):
            if n >= MAX_ITEMS or self._left <= 0:
                made.append(f"… {len(value) - n} more entries")
                break
            made.append(self.cut(item, depth + 1))
        return made


def _shown(c: str) -> str:
    if " " <= c <= "~":
        return c
    if unicodedata.category(c) in _STEERING:
        return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
    return c
