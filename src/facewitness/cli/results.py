"""``facewitness results``: read, export and review what scans have found."""

import json as json_module
from pathlib import Path
from typing import Any

import typer

from facewitness.errors import UsageError

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Show, query, export or review the results of scans.",
)

OUT = typer.Option(
    "out/scan", "--out", envvar="FACEWITNESS_RESULTS", help="Folder of the results, or a PostgreSQL URL."
)
JSON = typer.Option(False, "--json", help="One JSON object on stdout.")
SHOWN = 50


@app.command()
def show(
    what: str | None = typer.Argument(None, help="A result's number, path or SHA-256; without it the latest results."),
    out: str = OUT,
    json: bool = JSON,
) -> None:
    """Show one result with its reviews, or the latest."""
    from facewitness.detector.engine.store import open_store
    from facewitness.files import to_json

    with open_store(out, read_only=True) as store:
        if what is None:
            rows = [row for row, _ in zip(store.rows(newest_first=True), range(SHOWN), strict=False)]
            if json:
                typer.echo(to_json({"schema": "facewitness.results/1", "rows": rows, "count": store.count()}))
                return
            for row in rows:
                typer.echo(f"{row['result']:>6}  {_line(row)}")
            return
        numbers = store.find(what)
        if not numbers:
            raise UsageError(f"no result is numbered, named or hashed {what!r}; `facewitness results show` lists them.")
        found = store.row(numbers[0]) or {}
        found["reviews"], found["near"] = store.reviews_of(numbers[0]), store.near_to(numbers[0])
    if json:
        typer.echo(to_json(found))
        return
    _print(found)


def _line(row: dict[str, Any]) -> str:
    from facewitness.cli.scan import line_of

    return line_of(row)


def _print(row: dict[str, Any]) -> None:
    typer.echo(_line(row))
    for name in ("result", "sha256", "scanned_at", "duration_s", "fps", "width", "height", "seconds"):
        if row.get(name) is not None:
            typer.echo(f"  {name:<12} {row[name]}")
    model = row.get("model") or {}
    typer.echo(f"  {'model':<12} {model.get('id', '')} {str(model.get('sha256', ''))[:16]}")
    for reason in row.get("reasons") or []:
        span = f" ({reason['start_s']:.1f} to {reason['end_s']:.1f} s)" if reason.get("end_s") is not None else ""
        typer.echo(f"  {reason['cue']:<12} {reason['text']}{span}")
    for other in row["near"]:
        typer.echo(f"  {'near':<12} result {other['result']} {other['path']} (distance {other['distance']:.3f})")
    for review in row["reviews"]:
        typer.echo(f"  {'review':<12} {review['decision']} by {review['author']} at {review['at']}: {review['note']}")


@app.command()
def query(
    sql: str = typer.Argument(..., help="SQL that reads: tables results, reviews, log, near, places."),
    out: str = OUT,
    json: bool = JSON,
    csv: bool = typer.Option(False, "--csv", help="Comma-separated values."),
) -> None:
    """Ask the results in SQL: ``select verdict, count(*) from results group by verdict``."""
    from facewitness.detector.engine.store import open_store
    from facewitness.files import to_json

    with open_store(out, read_only=True) as store:
        names, rows = store.query(sql)
    values = [[f"<{len(v)} bytes>" if isinstance(v, bytes) else v for v in row] for row in rows]
    if json:
        typer.echo(to_json({"schema": "facewitness.query/1", "columns": names, "rows": values}))
    elif csv:
        import csv as csv_module
        import sys

        csv_module.writer(sys.stdout).writerows([names, *values])
    else:
        widths = [max([len(n), *(len(str(r[i])) for r in values[:200])]) for i, n in enumerate(names)]
        for line in [names, *values]:
            typer.echo(
                "  ".join(str("" if v is None else v).ljust(w) for v, w in zip(line, widths, strict=True)).rstrip()
            )


@app.command()
def export(
    to: Path = typer.Argument(
        ..., help="File (.csv, .parquet, .jsonl) or, without an ending, a folder of Parquet shards."
    ),
    out: str = OUT,
    where: str = typer.Option("", "--where", help="SQL condition, as in: p_fake > 0.9"),
    force: bool = typer.Option(False, "--force", help="Overwrite the file."),
) -> None:
    """Write the results, one row a clip, to CSV, Parquet or JSONL."""
    from facewitness.detector.engine.export import export_rows
    from facewitness.detector.engine.store import open_store

    with open_store(out, read_only=True) as store:
        count = export_rows(store, to, where=where, overwrite=force)
    typer.echo(f"{to}: {count} rows")


@app.command()
def review(
    what: str = typer.Argument(..., help="A result's number, path or SHA-256."),
    decision: str = typer.Option(..., "--decision", help="confirm, reject, escalate or note."),
    note: str = typer.Option("", "--note", help="Why, in a sentence."),
    author: str = typer.Option("", "--author", envvar="FACEWITNESS_ANALYST", help="Who decides; default: this user."),
    out: str = OUT,
    json: bool = JSON,
) -> None:
    """Put an analyst's decision beside a verdict; both are kept, with who and when."""
    from facewitness.detector.engine.store import open_store

    with open_store(out, read_only=True) as store:
        numbers = store.find(what)
    if not numbers:
        raise UsageError(f"no result is numbered, named or hashed {what!r}; `facewitness results show` lists them.")
    with open_store(out) as store:
        entry = store.review(numbers[0], decision, note=note, author=author)
    typer.echo(json_module.dumps(entry) if json else f"result {entry['result']}: {decision} by {entry['author']}")


@app.command("log")
def show_log(out: str = OUT, json: bool = JSON) -> None:
    """Show the log of scans and reviews, after checking that nothing in it was changed."""
    from facewitness.detector.engine.store import open_store
    from facewitness.files import to_json

    with open_store(out, read_only=True) as store:
        count = store.check_log()
        if json:
            typer.echo(to_json({"schema": "facewitness.log/1", "entries": list(store.log_entries()), "intact": True}))
            return
        for entry in store.log_entries():
            typer.echo(f"{entry['at']}  {entry['who']}  {entry['what']}  {json_module.dumps(entry['details'])}")
    typer.echo(f"{count} entries, none changed")
