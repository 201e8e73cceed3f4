"""``facewitness dataset``: build a benchmark from a recipe, prove it, and lay it out as others expect it."""

from pathlib import Path
from typing import Any

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

JSON = typer.Option(False, "--json", help="One JSON object on stdout.")


@app.callback(help="Build, check and export benchmark data sets.")
def dataset() -> None:
    """A group of commands."""


@app.command()
def build(
    recipe: Path = typer.Argument(..., help="Recipe, a TOML file; see `facewitness dataset template`."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder of the data set; taken up again where it was begun."),
    footage: Path | None = typer.Option(
        None, "--footage", help="Folder that the recipe's footage is relative to; the recipe's own where not given."
    ),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Say what would be built, how large and how long, and leave."
    ),
    preview: int = typer.Option(0, "--preview", min=0, help="Make only so many clips, of as many methods as possible."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; as many as cores where not given."),
    json: bool = JSON,
) -> None:
    """Build the data set of RECIPE: train actors, make every clip, label, sign and describe them."""
    from facewitness.datasets.build import build_dataset
    from facewitness.datasets.recipe import load_recipe

    wanted = load_recipe(recipe, footage=footage)
    if dry_run:
        _say_plan(wanted, out, workers, json)
        return
    built = build_dataset(wanted, out, workers=workers, limit=preview or None)
    if json:
        _print({"schema": "facewitness.dataset/1", **_plain(built), "left_out": len(built.problems)})
        return
    made = ", ".join(f"{count} {name}" for name, count in built.methods.items())
    typer.echo(f"{built.folder}: {built.clips} clips of {built.actors} people ({built.made} made now): {made}")
    for problem in built.problems[:10]:
        typer.echo(f"  left out {Path(problem.what).name}: {problem.reason}")
    if len(built.problems) > 10:
        typer.echo(f"  ... and {len(built.problems) - 10} more in {built.folder / 'problems.csv'}")
    typer.echo(f"next: facewitness dataset check {built.folder}")


def _say_plan(recipe: Any, out: Path, workers: int | None, json: bool) -> None:
    import os
    from collections import Counter

    from facewitness.datasets.build import plan_dataset

    plan = plan_dataset(recipe, out, make_samples=False, prints=False)
    cores = workers or os.cpu_count() or 1
    estimate = plan.estimate(recipe, cores=cores)
    methods = Counter(j.method or "real" for j in plan.jobs)
    splits = Counter(j.split for j in plan.jobs)
    if json:
        _print({"schema": "facewitness.dataset-plan/1", **estimate, "methods": dict(sorted(methods.items())),
                "splits": dict(sorted(splits.items())), "people": plan.split,
                "left_out": [_plain(p) for p in plan.problems]})  # fmt: skip
        return
    typer.echo(
        f"{estimate['clips']} clips of {estimate['actors']} people, about {estimate['bytes'] / 1e6:.0f} MB and "
        f"{estimate['seconds'] / 60:.0f} minutes on {cores} cores; {dict(splits)}"
    )
    for method, count in sorted(methods.items()):
        typer.echo(f"  {count:5d}  {method}")
    for problem in plan.problems:
        typer.echo(f"  left out {Path(problem.what).name}: {problem.reason}")


@app.command()
def check(
    folder: Path = typer.Argument(..., help="A data set made by `dataset build` or read by `dataset import`."),
    manifests: bool = typer.Option(True, help="Verify the manifest of every clip."),
    footage: bool = typer.Option(True, help="Look for near-duplicate footage across the parts."),
    workers: int | None = typer.Option(None, "--workers", min=1),
    json: bool = JSON,
) -> None:
    """Prove hashes, manifests, labels and splits, and that nothing but the content tells the label (exit code 1 if
    not)."""
    from facewitness.datasets.check import check_dataset, said_of
    from facewitness.errors import EXIT_NEGATIVE

    result = check_dataset(folder, manifests=manifests, footage=footage, workers=workers)
    if json:
        _print({**_plain(result), "ok": result.ok})
    else:
        for finding in result.findings:
            typer.echo(f"{finding.kind}: {finding.clip + ': ' if finding.clip else ''}{finding.text}")
        leak = (
            f"{result.leak.auc:.3f}"
            if result.leak and result.leak.auc == result.leak.auc
            else "not known (too few clips)"
        )
        states = ", ".join(f"{count} {state}" for state, count in result.manifests.items()) or "not verified"
        typer.echo(f"{result.clips} clips; manifests: {states}; attribute-only classifier AUC {leak}")
        if result.marks:
            typer.echo(f"our watermark {said_of(result.marks)}")
        typer.echo("nothing is wrong" if result.ok else f"{len(result.findings)} things are wrong")
    if not result.ok:
        raise typer.Exit(EXIT_NEGATIVE)


@app.command()
def export(
    folder: Path = typer.Argument(..., help="A data set."),
    layout: str = typer.Option(..., "--layout", "-l", help="ffpp, celebdf, dfdc, deeperforensics, deepfakebench, "
                               "huggingface, fiftyone or folder."),
    out: Path = typer.Option(..., "--out", "-o", help="A new folder."),
    json: bool = JSON,
) -> None:  # fmt: skip
    """Lay a data set out as another benchmark is, so that its readers read it."""
    from facewitness.datasets.layouts import export_dataset

    clips = export_dataset(folder, layout, out)
    if json:
        _print({"schema": "facewitness.dataset-export/1", "folder": str(out), "layout": layout, "clips": len(clips)})
    else:
        typer.echo(f"{out}: {len(clips)} clips in the layout {layout}")


@app.command(name="import")
def import_(
    source: Path = typer.Argument(..., help="A folder in one of the field's layouts."),
    out: Path = typer.Option(..., "--out", "-o", help="A new data set; files are linked, not copied, where possible."),
    layout: str | None = typer.Option(None, "--layout", "-l", help="Its layout; guessed where not given."),
    rights: str = typer.Option(..., "--rights", help="On what terms the footage may be used."),
    json: bool = JSON,
) -> None:
    """Read a benchmark of the field into a data set of ours, with its labels and splits."""
    from facewitness.datasets.adopt import adopt

    clips = adopt(source, out, layout=layout, rights=rights)
    if json:
        _print({"schema": "facewitness.dataset-import/1", "folder": str(out), "clips": len(clips)})
    else:
        fakes = sum(c.label == "fake" for c in clips)
        typer.echo(f"{out}: {len(clips)} clips, {fakes} of them fake; next: facewitness dataset check {out}")


@app.command()
def template(
    out: Path | None = typer.Option(None, "--out", "-o", help="Write it there; stdout where not given."),
) -> None:
    """Print a recipe with every method and factor, over the sample actors, to start from."""
    from facewitness.datasets.template import template_recipe
    from facewitness.files import write_text

    text = template_recipe()
    if out:
        write_text(out, text)
    else:
        typer.echo(text, nl=False)


def _plain(value: Any) -> Any:
    from facewitness.files import plain

    return plain(value)


def _print(value: Any) -> None:
    from facewitness.files import to_json

    typer.echo(to_json(value, indent=2))
