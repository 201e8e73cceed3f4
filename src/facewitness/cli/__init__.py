"""The command line: one module per command group, each imported only when one of its commands runs."""

import importlib
import sys
from typing import Any

import typer
import typer.core

from facewitness import __version__
from facewitness.errors import EXIT_INTERRUPTED, FacewitnessError

# name -> (module below facewitness.cli, one line for --help). A module's attribute `app` is a typer.Typer; a group
# when it stands for several commands (`actor train`), else the command of the same name inside it.
COMMANDS = {
    "demo": ("demo", "The whole story in one command: footage, actor, reenactment, proof, detection, report."),
    "track": ("track", "Follow the faces of a video and save their landmarks."),
    "actor": ("actor", "Train an actor from footage, or show its card."),
    "reenact": ("generator", "Drive an actor with somebody else's performance."),
    "edit": ("generator", "Change an actor's performance: gaze, lids, mouth, shape, hair."),
    "dataset": ("dataset", "Build, check and export benchmark data sets."),
    "detector": ("detector", "Fit, evaluate or describe a detector."),
    "scan": ("scan", "Score clips for signs of manipulation."),
    "sign": ("provenance", "Sign a file with a C2PA manifest."),
    "verify": ("provenance", "Verify the C2PA manifests of files and folders."),
    "trust": ("trust", "Make, show or extend the trust list and the signing keys."),
    "ledger": ("ledger", "Check, show or serve the ledger of what was made here."),
    "results": ("results", "Show, query, export or review the results of scans."),
    "serve": ("serve", "Serve scans over HTTP."),
    "dashboard": ("dashboard", "Open the dashboard in a browser."),
    "bench": ("bench", "Measure a room against its baselines, in one run."),
    "doctor": ("doctor", "What is installed, reachable, cached, and what each missing piece costs."),
}


class LazyGroup(typer.core.TyperGroup):
    """A group that knows its commands by name and imports the module of one only when it is called."""

    _overview = False

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself; for the overview of ``--help`` a light stand-in with its line of help."""
        if cmd_name not in COMMANDS:
            return None
        module, line = COMMANDS[cmd_name]
        if self._overview:
            return typer.core.TyperCommand(cmd_name, help=line)
        command: Any = typer.main.get_command(importlib.import_module(f"facewitness.cli.{module}").app)
        command = getattr(command, "commands", {}).get(cmd_name, command)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the overview from the table alone, so that it needs no room of the house."""
        self._overview = True
        super().format_help(ctx, formatter)


app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facewitness {__version__}")
        raise typer.Exit


@app.callback(help="Make labelled reenactments, prove where a video came from, find what was faked.")
def root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Options before the command."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line, leave with its exit code; a user's mistake is one sentence on stderr, never a traceback."""
    try:
        app(args=argv)
    except FacewitnessError as e:
        print(f"facewitness: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        print("facewitness: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
