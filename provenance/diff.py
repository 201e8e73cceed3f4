"""What changed between two audits of the same files."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewitness.errors import UsageError

FIELDS = ("state", "ai", "sha256", "signed_at", "trust_list", "missing", "error", "manifest_id")
"""Compared as they are; ``validated_at`` differs by nature and is left out."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file's difference: ``added | removed | changed`` and, per field, what it was and what it is."""

    path: str
    kind: str
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def diff_audits(old: Path, new: Path) -> list[Change]:
    """Changes between two files of JSON lines (or JSON objects with ``rows``), by path, in the order of the paths."""
    before, after = _index(old), _index(new)
    changes = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            changes.append(Change(path=path, kind="removed", fields={"state": (before[path]["state"], None)}))
        elif path not in before:
            changes.append(Change(path=path, kind="added", fields={"state": (None, after[path]["state"])}))
        else:
            was, now = before[path], after[path]
            changed = {k: (was.get(k), now.get(k)) for k in was.keys() | now.keys() if was.get(k) != now.get(k)}
            if changed:
                changes.append(Change(path=path, kind="changed", fields=dict(sorted(changed.items()))))
    return changes


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """The changes as text, one line a difference."""
    from facewitness.provenance.inert import visible

    for change in changes:
        path = visible(change.path, 1000)
        for name, (was, now) in change.fields.items():
            if change.kind == "changed":
                yield f"{path}: {name}: {visible(_word(was))} -> {visible(_word(now))}"
            else:
                yield f"{path}: {change.kind} ({visible(_word(was if change.kind == 'removed' else now))})"


def _index(path: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: _gist(row) for row in read_rows(path)}


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an audit kept as JSON lines or as one JSON object; raises UsageError for anything else."""
    try:
        with path.open(encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except ValueError as e:
                    raise UsageError(f"{path}, line {number}, is no JSON; give what `verify --jsonl` wrote.") from e
                rows = value.get("rows", [value]) if isinstance(value, dict) else []
                for row in rows:
                    if not isinstance(row, dict) or "path" not in row or "state" not in row:
                        raise UsageError(f"{path}, line {number}, is no audit; give what `verify --jsonl` wrote.")
                    yield row
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path} cannot be read as text ({type(e).__name__}).") from e


def _gist(row: dict[str, Any]) -> dict[str, Any]:
    """What of a row is compared."""
    gist = {name: row.get(name) for name in FIELDS}
    gist["signer"] = (row.get("signer") or {}).get("sha256")
    gist["failures"] = sorted(c["code"] for c in row.get("codes") or [] if not c.get("success"))
    gist["ingredients"] = [f"{i.get('title')}: {i.get('state')}" for i in _flat(row.get("ingredients") or [])]
    gist["extra_boxes"] = [f"{b.get('type')} {b.get('bytes')}" for b in row.get("extra_boxes") or []]
    gist["second_opinion"] = (row.get("second_opinion") or {}).get("state")
    gist["recovered"] = (row.get("recovered") or {}).get("manifest")
    return gist


def _flat(ingredients: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for i in ingredients:
        yield i
        yield from _flat(i.get("ingredients") or [])


def _word(value: Any) -> str:
    if value is None or value == []:
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
