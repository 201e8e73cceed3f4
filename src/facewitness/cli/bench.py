"""``facewitness bench``: the measurements of the checkout's ``bench/`` folder, each a table and a JSON file."""

import subprocess
import sys
from pathlib import Path

import typer

import facewitness
from facewitness.errors import MissingPieceError, UsageError

app = typer.Typer(rich_markup_mode=None)

ROOMS = ("generator", "detector", "scan", "provenance")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    ctx: typer.Context,
    room: str = typer.Argument(..., help="generator, detector, scan or provenance; all for one after the other."),
) -> None:
    """Measure a room against its baselines in one run; options after the room go to its benchmark (--help there)."""
    checkout = Path(facewitness.__file__).parents[2]
    if not (checkout / "bench").is_dir():
        raise MissingPieceError("benchmarks run from a checkout of facewitness; this is an installed copy.")
    if room not in (*ROOMS, "all"):
        raise UsageError(f"there is no benchmark of {room!r}; it is one of {', '.join(ROOMS)}, all.")
    worst = 0
    for name in ROOMS if room == "all" else (room,):
        module, options = name, list(ctx.args)
        for flag, other in (("--tracking", "tracking"), ("--durable", "durable")):
            if flag in options:
                options.remove(flag)
                module = other
        worst = max(worst, subprocess.run([sys.executable, "-m", f"bench.{module}", *options], cwd=checkout).returncode)
    raise typer.Exit(worst)
