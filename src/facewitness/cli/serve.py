"""``facewitness serve``: scans over HTTP."""

import os
import sys
from pathlib import Path

import typer

from facewitness.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def serve(
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on."),
    port: int = typer.Option(8600, "--port", help="Port to listen on."),
    out: str = typer.Option("out/scan", "--out", envvar="FACEWITNESS_RESULTS", help="Folder of the results."),
    root: Path | None = typer.Option(None, "--root", help="Folder whose files may be scanned by path."),
    token_file: Path | None = typer.Option(None, "--token-file", help="Tokens, one a line (or FACEWITNESS_TOKENS)."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Clips at a time."),
    model: Path | None = typer.Option(None, "--model", help="Model folder; default: the shipped model."),
    queue: int = typer.Option(64, "--queue", min=1, help="Jobs that may wait; more are answered 429."),
    upload_mb: int = typer.Option(512, "--upload-mb", min=1, help="Largest upload in megabytes."),
    rate: int = typer.Option(240, "--rate", min=1, help="Requests a minute of one token."),
) -> None:
    """Serve scans over HTTP until stopped; running scans finish, waiting ones are kept for the next start."""
    if root is not None and not root.is_dir():
        raise UsageError(f"--root {root} is not a folder.")
    import uvicorn

    from facewitness.detector.engine.http import HttpSettings, make_app, new_token, tokens_from
    from facewitness.detector.engine.pool import default_workers
    from facewitness.detector.engine.scanner import default_scanner
    from facewitness.detector.engine.service import ServiceSettings

    text = os.environ.get("FACEWITNESS_TOKENS", "")
    if token_file is not None:
        try:
            text = token_file.read_text()
        except OSError as e:
            raise UsageError(f"the tokens in {token_file} cannot be read ({e.strerror}).") from e
    tokens = tokens_from(text)
    if not tokens:
        tokens = (new_token(),)
        print(f"token for this run: {tokens[0]}", file=sys.stderr)
    service = ServiceSettings(
        out=out, scanner=default_scanner(model), workers=workers or default_workers(), queue=queue
    )  # fmt: skip
    made = make_app(
        HttpSettings(service=service, tokens=tokens, root=root, upload_bytes=upload_mb << 20, requests_per_minute=rate)
    )
    print(f"http://{host}:{port}/docs describes the interface", file=sys.stderr)
    uvicorn.run(made, host=host, port=port, log_level="warning", timeout_graceful_shutdown=10)
