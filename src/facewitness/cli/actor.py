"""``facewitness actor``: train an actor from footage, or show its card."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def train(
    video: Annotated[Path, typer.Argument(help="Footage of one person in one shot; 20 s or more are best.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the actor.")],
    rights: Annotated[
        str, typer.Option(help="Who consented to, or licensed, the footage, in a sentence. Needed.")
    ] = "",
    minutes: Annotated[float, typer.Option(help="Wall-clock minutes, footage reading included.")] = 5.0,
    size: Annotated[int, typer.Option(help="Pixels of the face's square, at most.")] = 256,
    preset: Annotated[str, typer.Option(help="fast | paper (published in 2018; wants a GPU).")] = "fast",
    device: Annotated[str, typer.Option(help="auto | cpu | cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Train so many steps, whatever the clock says, instead of --minutes.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Use only the beginning of the footage.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the actor (the file's name otherwise).")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Train an actor: follow the face, remember the footage, train its network against the clock, judge it."""
    from facewitness.generator import train_actor

    actor = train_actor(
        video, out, rights=rights, minutes=minutes, size=size, preset=preset, device=device, seed=seed,
        steps=steps, max_seconds=max_seconds, name=name, progress=not json,
    )  # fmt: skip
    _show(actor.card, out, json)


@app.command()
def info(
    actor: Annotated[Path, typer.Argument(help="Folder of an actor.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show an actor's card: rights, footage, poses seen, and how near its frames come to footage it never saw."""
    from facewitness.generator import load_actor

    _show(load_actor(actor).card, actor, json)


def _show(card: dict[str, Any], folder: Path, json: bool) -> None:
    from facewitness.files import to_json

    if json:
        typer.echo(to_json({"path": str(folder), **card}))
        return
    held, poses, source, done = card["held_out"], card["poses"], card["source"], card["training"]
    rows = {
        "rights": card["rights"],
        "footage": f"{source['file']}, {source['seconds']:.1f} s, {card['frames']} frames of {card['frame']['width']}x"
        f"{card['frame']['height']}; the face's square of {card['square']['side']} px is modelled at {card['size']} px",
        "training": f"{done['steps']} steps in {done['seconds']:.0f} s ({card['seconds']:.0f} s in all), "
        f"network used at {card['finish']['strength']:.0%}",
        "held out": f"PSNR face {held['psnr_face']:.1f}, mouth {held['psnr_mouth']:.1f}, eyes {held['psnr_eyes']:.1f}, "
        f"head {held['psnr_head']:.1f} dB; SSIM face {held['ssim_face']:.3f}; "
        f"fine detail {held['fine']:.2f} of the footage's",
        "motion": f"r of mouth {held['r_mouth']}, lids {held['r_lids']}, gaze {held['r_gaze']}, made against real",
        "seen": ", ".join(f"{k} {low:g} to {high:g}" for k, (low, high) in poses.items()),
    }
    lines = [f"{card['name']}   {folder}", *(f"  {what:11} {text}" for what, text in rows.items())]
    lines += [f"  {'note':11} {note}" for note in card["notes"]]
    typer.echo("\n".join(lines))
