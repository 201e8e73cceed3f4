"""``facewitness scan``: one row a clip, whatever happens on the way."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from facewitness.errors import EXIT_INCONCLUSIVE, EXIT_NEGATIVE, EXIT_UNREADABLE, UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

SEVERITY = {"no_evidence": 0, "inconclusive": 1, "manipulated": 2}
READ = ("ok", "no_face", "too_short")
"""States of clips that could be read."""


@app.command()
def scan(
    paths: list[str] = typer.Argument(..., help="Files and folders; - reads a list from stdin (a line each, or NUL)."),
    out: str = typer.Option(
        "out/scan", "--out", envvar="FACEWITNESS_RESULTS", help="Folder of the results, or a PostgreSQL URL."
    ),
    engine: str = typer.Option("local", "--engine", help="local (processes of this machine) or ray (a cluster)."),
    ray_address: str | None = typer.Option(None, "--ray-address", help="Cluster to join; without it one starts here."),
    ray_gpus: float = typer.Option(0.0, "--ray-gpus", min=0, help="Share of a GPU for each clip at a time on Ray."),
    workers: int | None = typer.Option(
        None, "--workers", min=1, help="Clips at a time; default: what fits the machine."
    ),
    model: Path | None = typer.Option(None, "--model", help="Model folder; default: the shipped model."),
    resume: bool = typer.Option(
        True, "--resume/--no-resume", help="Skip what --out already holds (same content, model)."
    ),
    retry: bool = typer.Option(False, "--retry", help="Scan clips again that failed or ran out of time."),
    clip_seconds: float = typer.Option(
        120.0, "--clip-seconds", help="Time budget of a clip, besides 10 s a second of video."
    ),
    clip_memory: int = typer.Option(4096, "--clip-memory", help="Megabytes of memory a clip may take."),
    fail_on: str | None = typer.Option(
        None, "--fail-on", help="manipulated or inconclusive: exit 1 or 4 if a clip is that."
    ),
    json: bool = typer.Option(False, "--json", help="One JSON object on stdout at the end."),
    jsonl: bool = typer.Option(False, "--jsonl", help="One JSON line a clip, as it comes."),
) -> None:
    """Score clips for signs of manipulation.

    Rows are kept in --out; the same command again goes on where it stopped. A clip that cannot be read is a row.
    """
    if fail_on is not None and fail_on not in SEVERITY:
        raise UsageError(f"--fail-on takes manipulated or inconclusive, not {fail_on!r}.")
    if engine not in ("local", "ray"):
        raise UsageError(f"there is no engine {engine!r}; choose local or ray.")
    from facewitness.detector.engine.pool import Budget
    from facewitness.detector.engine.scan import Counts, scan_paths
    from facewitness.detector.engine.sources import find_clips
    from facewitness.progress import track

    budget, counts = Budget(base_s=clip_seconds, memory_mb=clip_memory), Counts()
    sources: Iterable[Any] = _sources(paths)
    total = None
    if sys.stderr.isatty() and "-" not in paths:
        total = sum(1 for _ in find_clips(paths))
    rows = scan_paths(
        sources, out=out, engine=engine, workers=workers, model=model, budget=budget, resume=resume, retry=retry,
        ray_address=ray_address, ray_gpus=ray_gpus, counts=counts,
    )  # fmt: skip
    try:
        kept = _tell(track(rows, "scanning", total=total), json=json, jsonl=jsonl)
    except KeyboardInterrupt:
        print(
            f"\n{counts.clips} clips are done and kept; the same command goes on where this one stopped.",
            file=sys.stderr,
        )
        raise
    if counts.clips == 0:
        raise UsageError("there is no video to scan there; give a video file or a folder that holds some.")
    if json:
        from facewitness import __version__
        from facewitness.files import to_json

        typer.echo(to_json({"schema": "facewitness.scans/1", "tool_version": __version__, "rows": kept,
                            "counts": counts, "out": out}))  # fmt: skip
    elif not jsonl:
        typer.echo(_last_line(counts, out))
    raise typer.Exit(_exit_code(counts, fail_on))


def _sources(paths: list[str]) -> Iterable[Any]:
    from facewitness.detector.engine.sources import listed

    for path in paths:
        if path == "-":
            yield from listed(sys.stdin.buffer)
        else:
            yield path


def _tell(rows: Iterable[dict[str, Any]], *, json: bool, jsonl: bool) -> list[dict[str, Any]]:
    """Print rows as they come; the rows themselves where one object is wanted at the end."""
    from facewitness.files import to_json

    kept = []
    for row in rows:
        if json:
            kept.append(row)
        elif jsonl:
            typer.echo(to_json(row))
        else:
            typer.echo(line_of(row))
    return kept


def line_of(row: dict[str, Any]) -> str:
    """One line for people: verdict, score, name, and the first reason or what was wrong."""
    score = "     " if row.get("p_fake") is None else f"{row['p_fake']:5.2f}"
    from facewitness.detector.report import decisive_reason

    why = row.get("error") or decisive_reason(row) or ""
    word = row["verdict"] if row["status"] == "ok" else row["status"]
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(row["path"]))
    return f"{word:<12} {score}  {name}  {why}".rstrip()


def _last_line(counts: Any, out: str) -> str:
    """How many clips there were of each kind, in the words of their lines, the worst first."""
    order = ["manipulated", "inconclusive", "no_evidence"]
    kinds = sorted(counts.by_kind.items(), key=lambda k: (order.index(k[0]) if k[0] in order else 3, k[0]))
    words = ", ".join(f"{n} {w.replace('_', ' ')}" for w, n in kinds)
    known = f", {counts.reused} of them known already" if counts.reused else ""
    clips = f"{counts.clips:,} clip{'s' if counts.clips != 1 else ''}"
    return f"{clips}{known}: {words}. Results: facewitness results show --out {shlex.quote(out)}"


def _exit_code(counts: Any, fail_on: str | None) -> int:
    if fail_on is not None:
        if counts.by_verdict.get("manipulated"):
            return EXIT_NEGATIVE
        if fail_on == "inconclusive" and counts.by_verdict.get("inconclusive"):
            return EXIT_INCONCLUSIVE
    if not any(counts.by_status.get(s) for s in READ):
        return EXIT_UNREADABLE
    return 0
