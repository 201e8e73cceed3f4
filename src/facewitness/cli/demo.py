"""``facewitness demo``: footage in, a labelled reenactment, its proof, its detection, and a page that compares them."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from facewitness.errors import FacewitnessError, UnreadableInputError, UsageError

app = typer.Typer(rich_markup_mode=None)

VIDEO_SUFFIXES = {".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".mpg"}
SAMPLE_SECONDS = {"target": 16.0, "driver": 8.0}
SAMPLE_SEEDS = {"target": 1, "driver": 2}
MINUTES = 1.5
SAMPLE_RIGHTS = "Synthetic sample footage made by facewitness from public-domain portraits; no real person is shown."
CLIP_RIGHTS = (
    "Footage named by the user of `facewitness demo --clips`, for testing on this machine only; not for publication."
)


@app.command()
def demo(
    out: Path = typer.Option(Path("out/demo"), "--out", help="Folder for everything the demo makes."),
    clips: Path | None = typer.Option(None, "--clips", help="Folder of real footage instead of the sample actors."),
    target: str | None = typer.Option(
        None, "--target", help="File in CLIPS to be driven; the longest where not named."
    ),
    driver: str | None = typer.Option(None, "--driver", help="File in CLIPS that drives; the next longest otherwise."),
    minutes: float = typer.Option(MINUTES, "--minutes", min=0.1, help="Minutes of training."),
    json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Tell the whole story in one command: track, train an actor, reenact it, sign, verify, scan, report."""
    from facewitness.files import to_json, write_text

    start = time.perf_counter()
    footage = _from_clips(clips, target, driver) if clips else _samples(out)
    rights = CLIP_RIGHTS if clips else SAMPLE_RIGHTS
    story = _tell(footage, out, rights, minutes)
    write_text(out / "demo.json", to_json(story, indent=2))
    report = _step("writing the report", _report, out)
    seconds = time.perf_counter() - start
    if json:
        typer.echo(to_json({
            "schema": "facewitness.demo/1", "actor": str(out / "actor"), "reenactment": str(out / "reenactment.mp4"),
            "verify": story["audits"][-1], "scan": {"rows": story["rows"]}, "report": str(report), "seconds": seconds,
        }))  # fmt: skip
        return
    typer.echo(f"\n{report}   the page that compares target, driver and reenactment ({seconds:.0f} s for everything)")
    typer.echo(f"facewitness dashboard --results {out}   opens the same results, with players kept in step")


def _tell(footage: dict[str, Path], out: Path, rights: str, minutes: float) -> dict[str, Any]:
    from facewitness.dashboard.traces import save_traces, traces_of
    from facewitness.detector import scan_file
    from facewitness.faces import save_tracks, track_video
    from facewitness.files import plain
    from facewitness.generator import reenact, train_actor
    from facewitness.generator.reconstruct import reconstruct
    from facewitness.provenance import verify_file

    out.mkdir(parents=True, exist_ok=True)
    made = out / "reenactment.mp4"
    actor = _step(f"training an actor from {footage['target'].name} for {minutes:g} minutes",
          train_actor, footage["target"], out / "actor", rights=rights, minutes=minutes)  # fmt: skip
    _step(f"reenacting it from {footage['driver'].name}",
          reenact, actor, footage["driver"], made, driver_rights=rights)  # fmt: skip
    audit = _step("verifying the manifest", verify_file, made)
    clips = {**footage, "reenactment": made}
    traces, rows = {}, []
    for role, path in clips.items():
        tracks = _step(f"tracking {path.name}", track_video, path)
        save_tracks(tracks, out / "tracks" / f"{role}.npz")
        if tracks:
            traces[role] = traces_of(tracks[0], reconstruct(tracks[0]))
        rows.append(_step(f"scanning {path.name}", scan_file, path))
    save_traces(traces, out / "traces.npz")
    paths = {role: str(p.relative_to(out) if p.is_relative_to(out) else p.absolute()) for role, p in clips.items()}
    return {
        "schema": "facewitness.demo/1",
        **paths,
        "actor": actor.card,
        "traces": "traces.npz",
        "rows": [plain(row) for row in rows],
        "audits": [plain(verify_file(p)) for p in footage.values()] + [plain(audit)],
    }


def _report(out: Path) -> Path:
    from facewitness.dashboard.report import demo_report

    made = out / "reenactment.mp4"
    commands = (f"facewitness dashboard --results {out}", f"facewitness verify {made}", f"facewitness scan {made}")
    return demo_report(out, commands=commands)


def _step(what: str, do: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Run one step and say on stderr what it is and how long it took."""
    start = time.perf_counter()
    print(f"  {what} ...", file=sys.stderr, flush=True)
    result = do(*args, **options)
    print(f"    {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return result


def _samples(out: Path) -> dict[str, Path]:
    """Sample footage, made once: a target and a driver who are two different sample actors."""
    from facewitness.datasets import SAMPLES, make_sample

    made = {}
    for (role, seconds), name in zip(SAMPLE_SECONDS.items(), SAMPLES, strict=False):
        made[role] = out / f"{role}.mp4"
        if not made[role].exists():
            _step(f"making sample footage of {name}", make_sample, name, made[role], seconds=seconds,
                  seed=SAMPLE_SEEDS[role])  # fmt: skip
    return made


def _from_clips(folder: Path, target: str | None, driver: str | None) -> dict[str, Path]:
    """The clips named, or else the longest of the folder as the target and the next one as the driver."""
    from facewitness.media import probe

    if not folder.is_dir():
        raise UnreadableInputError(f"{folder} is not a folder; --clips wants a folder of videos.")
    durations: dict[Path, float] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES):
        try:
            durations[path] = probe(path).duration_s
        except FacewitnessError as e:
            print(f"  left out: {e}", file=sys.stderr)
    longest = sorted(durations, key=lambda p: -durations[p])
    chosen: dict[str, Path] = {}
    for role, name in (("target", target), ("driver", driver)):
        if name and not (folder / name).is_file():
            raise UnreadableInputError(f"there is no {name} in {folder}; --{role} names a file of that folder.")
        rest = [p for p in longest if p not in chosen.values() and p.name not in (target, driver)]
        if not name and not rest:
            raise UsageError(f"{folder} holds too few readable videos for a target and a driver.")
        chosen[role] = folder / name if name else rest[0]
    return chosen
