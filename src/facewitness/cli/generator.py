"""``facewitness reenact`` and ``facewitness edit``: make labelled, signed videos of an actor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from facewitness.generator.publishing import Made

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def reenact(
    actor: Annotated[Path, typer.Argument(help="Folder of the actor to be driven.")],
    driver: Annotated[Path, typer.Option(help="Video of the person who drives.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The video to make (.mp4).")],
    take: Annotated[str, typer.Option(help="Of head,expression,gaze,lids,mouth: what is taken from the driver.")] = (
        "head,expression,gaze,lids"
    ),
    mode: Annotated[str, typer.Option(help="relative (departures from rest) | absolute.")] = "relative",
    hold: Annotated[
        str, typer.Option(help="Of head,expression,gaze,lids: what stands still where it is not taken.")
    ] = "",
    ease: Annotated[float, typer.Option(help="Seconds to come out of the actor's rest, and back into it.")] = 0.0,
    compare: Annotated[bool, typer.Option("--compare", help="Also make OUT-compare.mp4, side by side.")] = False,
    driver_rights: Annotated[str, typer.Option(help="Licence or consent of the driver's footage.")] = "",
    driver_face: Annotated[int, typer.Option(help="Which face of the driver's video; 0 is the main one.", min=0)] = 0,
    engine: Annotated[str, typer.Option(help="openvino | torch.")] = "openvino",
    device: Annotated[str, typer.Option(help="auto | cpu | cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Drive an actor with somebody else's performance; the result is watermarked, labelled and signed."""
    from facewitness.generator import load_actor
    from facewitness.generator import reenact as make

    made = make(
        load_actor(actor), driver, out, take=_names(take), mode=mode, hold=_names(hold), ease_s=ease,
        compare=compare, driver_rights=driver_rights, driver_face=driver_face, engine=engine, device=device,
        progress=not json,
    )  # fmt: skip
    _show(made, json)


@app.command()
def edit(
    actor: Annotated[Path | None, typer.Argument(help="Folder of the actor.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The video to make (.mp4).")] = None,
    performance: Annotated[
        Path | None, typer.Option(help="Footage of the same person to change; the actor's own where not given.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An edit: smile=0.5, or keyed smile=0@0s,1@2s."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Length, where the actor's own performance is edited.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show every edit with unit, range and meaning.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Change a performance: gaze, lids, expression, head, face shape. What is outside the head stays as it was."""
    from facewitness.errors import UsageError
    from facewitness.files import to_json
    from facewitness.generator import edit as make
    from facewitness.generator import load_actor
    from facewitness.generator.editing import EDITS, parse_settings

    if list_:
        rows = [{"name": e.name, "unit": e.unit, "low": e.low, "high": e.high, "meaning": e.meaning} for e in EDITS]
        if json:
            typer.echo(to_json({"schema": "facewitness.edits/1", "edits": rows}))
        else:
            for row in rows:
                limits = f"{row['low']:g} to {row['high']:g} {row['unit']}"
                typer.echo(f"{row['name']:18} {limits:22} {row['meaning']}")
        return
    if actor is None or out is None:
        raise UsageError("edit wants an actor and -o OUT.mp4 (or --list to see what can be edited).")
    made = make(
        load_actor(actor), out, settings=parse_settings(settings or []), performance=performance, seconds=seconds,
        progress=not json,
    )  # fmt: skip
    _show(made, json)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(made: "Made", json: bool) -> None:
    from facewitness.files import to_json

    if json:
        typer.echo(to_json({"schema": "facewitness.made/1", **vars(made)}))
        return
    typer.echo(f"{made.path}   {made.frames} frames, {made.seconds:.1f} s")
    typer.echo(f"  label     {made.label_path}")
    typer.echo(f"  manifest  {made.manifest_id}")
    typer.echo(f"  watermark {made.watermark_payload}, ledger entry {made.ledger_entry}")
    for note in made.notes:
        typer.echo(f"  note      {note}")
