"""The benchmark page."""

from facewitness.dashboard.screens import shell


def show() -> None:
    """Draw the page."""
    shell.heading("Benchmark")
