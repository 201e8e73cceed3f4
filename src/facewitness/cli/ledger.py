"""``facewitness ledger``: check, show or serve the ledger of what was made and signed here."""

from typing import Annotated

import typer

from facewitness.errors import EXIT_NEGATIVE

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Check, show or serve the ledger of what was made here."
)

Where = Annotated[
    str | None, typer.Option("--ledger", metavar="PATH|URL", help="Another ledger: a file, or postgresql://...")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def check(ledger: Where = None, json: Json = False) -> None:
    """Walk the chain: was an entry changed, removed or cut off? Leaves with 1 where it was."""
    from facewitness.files import to_json
    from facewitness.provenance.ledger import Ledger

    with Ledger(ledger) as book:
        found = book.check()
    if json:
        typer.echo(to_json({"schema": "facewitness.ledger-check/1", **vars(found)}))
    else:
        for problem in found.problems:
            typer.echo(problem)
        verdict = "the chain holds" if found.ok else "THE CHAIN DOES NOT HOLD"
        typer.echo(f"{found.entries} entries, head {found.head[:16]}: {verdict}")
    if not found.ok:
        raise typer.Exit(EXIT_NEGATIVE)


@app.command()
def show(
    what: Annotated[
        str | None, typer.Argument(metavar="[ENTRY]", help="Number, watermark, manifest label or SHA-256 of one entry.")
    ] = None,
    ledger: Where = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries shown, the latest.")] = 50,
    json: Json = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON line an entry.")] = False,
) -> None:
    """Show the latest entries, or one of them with its label."""
    from facewitness.errors import UsageError
    from facewitness.files import to_json
    from facewitness.provenance.inert import visible
    from facewitness.provenance.ledger import Ledger, LedgerEntry

    def line(e: LedgerEntry) -> str:
        mark = e.watermark or "-" * 16
        return f"{e.seq:>6}  {e.created_at[:19]}  {e.kind:<6}  {mark}  {e.duration_s:7.1f} s  {visible(e.name)}"

    with Ledger(ledger) as book:
        if what is not None:
            found = book.find(what)
            if found is None:
                raise UsageError(f"no entry of the ledger has the number, watermark, manifest or hash {what!r}.")
            typer.echo(to_json(found, indent=None if json or jsonl else 2))
            return
        total = len(book)
        latest = book.entries(after=max(0, total - limit))
        if json:
            typer.echo(to_json({"schema": "facewitness.ledger/1", "total": total, "entries": list(latest)}))
            return
        for entry in latest:
            typer.echo(to_json(entry) if jsonl else line(entry))
        if not jsonl:
            typer.echo(f"{total} entries" if total else "nothing was made or signed here yet")


@app.command()
def serve(
    ledger: Where = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine only behind a proxy.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8478,
    upload_mb: Annotated[int, typer.Option(min=1, max=4096, help="Largest video taken, in megabytes.")] = 256,
) -> None:
    """Answer the C2PA soft-binding resolution API: which manifests may a watermark, a fingerprint or a video belong
    to?"""
    import uvicorn

    from facewitness.provenance.ledger import Ledger
    from facewitness.provenance.service import Limits, create_app

    with Ledger(ledger) as book:
        typer.echo(f"soft-binding resolution over {len(book)} entries on http://{host}:{port}", err=True)
        application = create_app(book, limits=Limits(upload_bytes=upload_mb << 20))
        uvicorn.run(
            application, host=host, port=port, log_level="warning", limit_concurrency=64, timeout_keep_alive=5,
            h11_max_incomplete_event_size=64 << 10, server_header=False,
        )  # fmt: skip
