"""``facewitness trust``: make, show or extend the trust list and the signing keys."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, show or extend the trust list and the keys.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def init(
    algorithm: Annotated[str, typer.Option(help="es256 | es384 | ed25519 | ps256.")] = "es256",
    days: Annotated[int, typer.Option(help="How long a signing certificate lives, 1 to 366.")] = 90,
    force: Annotated[
        bool, typer.Option("--force", help="Set an authority that is there aside and make a new one.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a development authority (root, issuer, signer) whose keys only you can read.

    Files signed with it are trusted here; elsewhere, give the root to `facewitness trust add` or `verify --anchors`.
    """
    from facewitness.provenance.trust import init_trust

    folder = init_trust(algorithm=algorithm, days=days, force=force)
    if json:
        return show(json=True)
    typer.echo(f"authority made in {folder}; its root, to give to others: {folder / 'root.pem'}")


@app.command()
def show(json: Json = False) -> None:
    """Show which authorities are trusted for what, since when, and the signing certificate."""
    from facewitness.files import to_json
    from facewitness.provenance.inert import visible
    from facewitness.provenance.trust import describe_trust

    described = describe_trust()
    if json:
        typer.echo(to_json(described))
        return
    if not described["lists"]:
        typer.echo("nothing is trusted yet: `facewitness trust init` makes an authority, `trust add` takes one over.")
    for entry in described["lists"]:
        typer.echo(f"{entry['kind']:<12} {entry['name']:<20} since {entry['added_at']}  {visible(entry['source'])}")
        for cert in entry["certificates"]:
            typer.echo(
                f"             {visible(cert['common_name'])}, until {cert['not_after']}, {cert['sha256'][:16]}…"
            )
    if signer := described["signer"]:
        typer.echo(
            f"signing as   {visible(signer['common_name'])} ({signer['algorithm']}), until {signer['not_after']}"
        )


@app.command()
def add(
    pem: Annotated[Path, typer.Argument(help="PEM file of the authorities' certificates.")],
    name: Annotated[str, typer.Option(help="What to call the list; the file's name by default.")] = "",
    time_stamps: Annotated[
        bool, typer.Option("--time-stamps", help="Trust it for time stamps, and for nothing else.")
    ] = False,
    json: Json = False,
) -> None:
    """Trust the authorities of a PEM file: for signers, or with --time-stamps for time stamps alone."""
    from facewitness.files import to_json
    from facewitness.provenance.trust import add_trust_list

    kind = "time-stamps" if time_stamps else "signers"
    added = add_trust_list(pem, name=name or pem.stem.lower(), kind=kind)
    if json:
        typer.echo(to_json({"name": added.name, "kind": added.kind, "added_at": added.added_at}))
    else:
        typer.echo(f"{added.name} is trusted for {added.kind} from now on ({added.added_at})")
