"""The results that the pages show: a folder's store of scans, its audits, its demo; many rows stay fluent."""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from facewitness.dashboard.clips import read_demo
from facewitness.detector.engine.store import FILE_NAME, Store, open_store
from facewitness.errors import UnreadableInputError
from facewitness.provenance.diff import read_rows as read_audits

MOST_ROWS = 20_000
"""Rows that a table shows at once; more are counted, and filters reach them."""
COLUMNS = ("result", "path", "status", "verdict", "p_fake", "duration_s", "width", "height", "seconds", "scanned_at",
           "error")  # fmt: skip

_stores: dict[Path, Store] = {}
_taken: dict[Path, tuple[int, ...]] = {}
_lock = threading.Lock()


def store_of(folder: Path) -> Store:
    """The store of a folder, opened once for all visitors; rows of a demo and of a scan.jsonl are taken in first.

    Raises UsageError where the folder cannot be written.
    """
    folder = folder.resolve()
    with _lock:
        if folder not in _stores:
            _stores[folder] = open_store(folder)
        kept = [folder / name for name in ("demo.json", "scan.jsonl")]
        state = tuple(p.stat().st_mtime_ns for p in kept if p.is_file())
        if _taken.get(folder) != state:
            _take_in(_stores[folder], folder)
            _taken[folder] = state
        return _stores[folder]


def has_scans(folder: Path) -> bool:
    """Whether a folder holds results of scans in any form."""
    return any((folder / name).is_file() for name in (FILE_NAME, "scan.jsonl", "demo.json"))


def _take_in(store: Store, folder: Path) -> None:
    """Add rows that were kept as JSON; those the store knows already stay as they are."""
    for row in _json_rows(folder):
        if not isinstance(row.get("path"), str):
            continue
        path = Path(row["path"]) if Path(row["path"]).is_absolute() else _where(folder, row["path"])
        model = row.get("model") or {}
        store.add(
            {**row, "path": str(path), "status": str(row.get("status") or "ok")},
            key=str(row.get("sha256") or f"path-{path}")[:80],
            model=str(model.get("sha256") or model.get("id") or "none")[:80],
            configuration="as-json",
        )


def _where(folder: Path, path: str) -> Path:
    """A relative path of a row: from where the command ran, else beside the results."""
    return next((p.resolve() for p in (Path(path), folder / path, folder / Path(path).name) if p.is_file()), Path(path))


def _json_rows(folder: Path) -> Iterator[dict[str, Any]]:
    if (folder / "demo.json").is_file():
        yield from (r for r in read_demo(folder).get("rows") or [] if isinstance(r, dict))
    elif (folder / "scan.jsonl").is_file():
        with (folder / "scan.jsonl").open(encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                try:
                    row = json.loads(line)
                except ValueError as e:
                    raise UnreadableInputError(f"{folder / 'scan.jsonl'}, line {number}, is no JSON.") from e
                if isinstance(row, dict):
                    yield row


def table(
    store: Store, *, verdicts: tuple[str, ...] = (), text: str = "", low: float = 0.0, high: float = 1.0
) -> tuple[pd.DataFrame, int]:
    """Results that pass the filters, newest first, at most MOST_ROWS, and how many there are in all.

    ``verdicts`` may also name states such as ``no_face``; ``text`` is looked for in the path.
    """
    import sqlalchemy as sa
    from sqlalchemy.dialects import sqlite

    from facewitness.detector.engine.store import results as r

    conditions: list[Any] = []
    if verdicts:
        scored = [v for v in verdicts if v in ("manipulated", "inconclusive", "no_evidence")]
        states = [v for v in verdicts if v not in scored]
        conditions.append(sa.or_(sa.and_(r.c.status == "ok", r.c.verdict.in_(scored)), r.c.status.in_(states)))
    if text:
        conditions.append(r.c.path.contains(text, autoescape=True))
    if low > 0 or high < 1:
        conditions.append(r.c.p_fake.between(low, high))

    def ask(statement: Any) -> list[tuple[Any, ...]]:
        literal = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
        return store.query(str(literal))[1]

    chosen = [r.c.id.label("result")] + [r.c[name] for name in COLUMNS[1:]]
    rows = ask(sa.select(*chosen).where(*conditions).order_by(r.c.id.desc()).limit(MOST_ROWS))
    count = ask(sa.select(sa.func.count()).select_from(r).where(*conditions))[0][0]
    return pd.DataFrame(rows, columns=list(COLUMNS)), int(count)


def counts(store: Store) -> dict[str, int]:
    """How many results there are of each verdict, and of each state that is no verdict."""
    names, rows = store.query(
        "select case when status = 'ok' then verdict else status end as word, count(*) from results group by word"
    )
    del names
    return {str(word): int(n) for word, n in rows}


def audits_of(folder: Path) -> list[dict[str, Any]]:
    """The audits of a folder: its verify.jsonl, else those of its demo; empty where it has none."""
    if (folder / "verify.jsonl").is_file():
        return list(read_audits(folder / "verify.jsonl"))
    if (folder / "demo.json").is_file():
        return [a for a in read_demo(folder).get("audits") or [] if isinstance(a, dict) and "state" in a]
    return []


def audit_of(folder: Path, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The audit that goes with a row: its own, else the folder's by content."""
    if row.get("provenance"):
        return dict(row["provenance"])
    return next((a for a in audits_of(folder) if a.get("sha256") and a["sha256"] == row.get("sha256")), None)
