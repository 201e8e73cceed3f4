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
MOST_CUES = 3
"""Cues shown of those that speak for a manipulation, and of those that speak against it."""


@app.command()
def show(
    what: str | None = typer.Argument(None, help="A result's number, path or SHA-256; without it the latest results."),
    out: str = OUT,
    page: Path | None = typer.Option(
        None, "--page", help="Write the result as one HTML page too, for screen or paper."
    ),
    json: bool = JSON,
) -> None:
    """Show one result with its reviews, or the latest."""
    if page is not None and what is None:
        raise UsageError("--page writes one result; name it: facewitness results show WHAT --page FILE.html.")
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
        numbers = store.find(what) or store.find_in_paths(what)
        if not numbers:
            raise UsageError(f"no result is numbered, named or hashed {what!r}; `facewitness results show` lists them.")
        found = store.row(numbers[0]) or {}
        others = [(n, store.row(n) or {}) for n in numbers[1:SHOWN]]
        found["reviews"], found["near"] = store.reviews_of(numbers[0]), store.near_to(numbers[0])
    if page is not None:
        from facewitness.dashboard.evidence import evidence_page

        evidence_page(found, page)
    if json:
        typer.echo(to_json(found))
        return
    _print(found)
    if page is not None:
        typer.echo(f"\nwritten: {page}")
    if len(numbers) > 1:
        typer.echo(f"\n{len(numbers) - 1} more of that name; show one by its number:")
    for number, other in others:
        typer.echo(f"{number:>6}  {_line(other)}")


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
    if row.get("provenance"):
        signer = (row["provenance"].get("signer") or {}).get("common_name")
        typer.echo(f"  {'provenance':<12} {row['provenance']['state']}{f', signed by {signer}' if signer else ''}")
    for reason in row.get("reasons") or []:
        span = f" ({reason['start_s']:.1f} to {reason['end_s']:.1f} s)" if reason.get("end_s") is not None else ""
        typer.echo(f"  {reason['cue']:<12} {reason['text']}{span}")
    for face in row.get("faces") or []:
        _print_face(face)
    for other in row["near"]:
        typer.echo(f"  {'near':<12} result {other['result']} {other['path']} (distance {other['distance']:.3f})")
    for review in row["reviews"]:
        typer.echo(f"  {'review':<12} {review['decision']} by {review['author']} at {review['at']}: {review['note']}")


def _print_face(face: dict[str, Any]) -> None:
    """A face: its verdict, what weighs most for and against a manipulation, and how many cues have nothing to say."""
    score = "" if face["p_fake"] is None else f" {face['p_fake']:.2f}"
    iris = f", iris {face['iris_px']:.0f} px" if face.get("iris_px") else ""
    name = f"face {face['track']}"
    typer.echo(f"  {name:<12} {face['verdict']}{score}{iris}")
    spoke = {n: c for n, c in face["cues"].items() if c["used"] and c["likelihood_ratio"]}
    ranked = sorted(spoke.items(), key=lambda c: -c[1]["likelihood_ratio"])
    for name, cue in [*ranked[:MOST_CUES], *[c for c in ranked[-MOST_CUES:] if c not in ranked[:MOST_CUES]]]:
        ratio = cue["likelihood_ratio"]
        said = f"{ratio:.2g} times likelier made" if ratio >= 1 else f"{1 / ratio:.2g} times likelier real"
        typer.echo(f"    {name:<22} {cue['value']:>9.3g} {cue['unit']:<22} {said}")
    for segment in face.get("segments") or []:
        where = f"{segment['start_s']:.1f} to {segment['end_s']:.1f} s"
        typer.echo(f"    {'segment':<22} {where:>9} scored {segment['score']:.2f}, by {segment['cue']}")
    typer.echo(f"    {len(spoke)} cues spoke, {len(face['cues']) - len(spoke)} had nothing to say (--json tells all)")


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
