"""``facewitness dashboard``: the screens, in a browser on this machine."""

from pathlib import Path

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def dashboard(
    results: Path | None = typer.Option(
        None,
        "--results",
        help="Folder of a demo, a scan or an audit; out/demo where not named.",
        envvar="FACEWITNESS_RESULTS",
    ),
    port: int = typer.Option(8501, "--port", min=1, max=65535, help="Port to listen on."),
    address: str = typer.Option(
        "127.0.0.1", "--address", help="Address to listen on; others than this machine's open it to the network."
    ),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page in the default browser."),
) -> None:
    """Open the dashboard: compare, scan, provenance, edit, benchmark."""
    import threading
    import webbrowser

    from facewitness.dashboard.server import serve
    from facewitness.errors import UnreadableInputError

    if results is not None and not results.is_dir():
        raise UnreadableInputError(f"{results} is not a folder; --results wants one that demo, scan or verify wrote.")
    url = f"http://{'localhost' if address == '127.0.0.1' else address}:{port}"
    typer.echo(f"dashboard at {url}   (Ctrl+C ends it)")
    if browser:
        threading.Timer(2.0, webbrowser.open, [url]).start()
    serve(results=results, port=port, address=address)
