"""Results as files that other tools read: CSV, Parquet, JSONL, one row a clip."""

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from facewitness.detector.engine.store import Store
from facewitness.detector.report import decisive_reason
from facewitness.errors import UsageError
from facewitness.files import to_json, whole_file

COLUMNS = {
    "result": "int64", "path": "string", "sha256": "string", "status": "string", "error": "string", "verdict": "string",
    "p_fake": "double", "duration_s": "double", "fps": "double", "width": "int64", "height": "int64", "faces": "int64",
    "first_reason": "string", "model_id": "string", "model_sha256": "string", "seconds": "double",
    "scanned_at": "string", "row": "string",
}  # fmt: skip
"""Columns of a table and their Arrow types; ``row`` is the whole row as JSON."""

SHARD = 50_000
"""Rows of one Parquet shard."""
GROUP = 1000
"""Rows written together."""


def export_rows(store: Store, to: Path, *, where: str = "", overwrite: bool = False) -> int:
    """Write every result that meets the SQL condition ``where``; the ending of ``to`` says how. Gives their number.

    A name without an ending is a folder of Parquet shards of SHARD rows, which readers take for one table.
    Raises UsageError for an unknown ending, a condition the database refuses, or a file that is there already.
    """
    if not to.suffix:
        return _shards(store.rows_by_path(where=where), to, overwrite)
    writers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if to.suffix not in writers:
        raise UsageError(f"results are exported as .csv, .parquet or .jsonl, not as {to.suffix}.")
    with whole_file(to, overwrite=overwrite) as part:
        return writers[to.suffix](store.rows_by_path(where=where), part)


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row's single values, under the names of COLUMNS."""
    model = row.get("model") or {}
    told = {
        "faces": len(row.get("faces") or []),
        "first_reason": decisive_reason(row),
        "model_id": model.get("id"),
        "model_sha256": model.get("sha256"),
        "row": to_json(row),
    }
    return {name: told.get(name, row.get(name)) for name in COLUMNS}


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rows = iter(rows)
    while group := list(islice(rows, GROUP)):
        yield group


def _jsonl(rows: Iterable[dict[str, Any]], part: Path) -> int:
    count = 0
    with part.open("w", encoding="utf-8") as f:
        for row in rows:
            f.write(to_json(row) + "\n")
            count += 1
    return count


def _csv(rows: Iterable[dict[str, Any]], part: Path) -> int:
    count = 0
    names = [n for n in COLUMNS if n != "row"]
    with part.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(names)
        for row in rows:
            told = flat(row)
            writer.writerow([_safe(told[n]) for n in names])
            count += 1
    return count


def _safe(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is made text again: names of files are their authors'."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _shards(rows: Iterable[dict[str, Any]], to: Path, overwrite: bool) -> int:
    if to.exists() and not overwrite:
        raise UsageError(f"{to} is there already; give another name or --force.")
    hidden = to.with_name(f".{to.name}.part")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        hidden.mkdir(parents=True)
        rows, count, number = iter(rows), 0, 0
        while (first := next(rows, None)) is not None or number == 0:
            shard = islice(rows, SHARD - 1) if first is not None else iter(())
            count += _parquet(chain([first] if first is not None else [], shard), hidden / f"part-{number:05}.parquet")
            number += 1
        if to.exists():
            shutil.rmtree(to)
        hidden.rename(to)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return count


def _parquet(rows: Iterable[dict[str, Any]], part: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Callable[[], Any]] = {"int64": pa.int64, "double": pa.float64, "string": pa.string}
    schema = pa.schema([(name, kinds[kind]()) for name, kind in COLUMNS.items()])
    count = 0
    with pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist([flat(r) for r in group], schema=schema))
            count += len(group)
    return count
