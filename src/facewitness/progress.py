"""Progress on stderr: one bar for long work, silent when stderr is not a terminal."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def track(items: Iterable[T], description: str, *, total: float | None = None) -> Iterator[T]:
    """Yield ``items`` while a bar named ``description`` fills up; ``total`` is their number where it is known."""
    with Bar(description, total=total) as bar:
        for item in items:
            yield item
            bar.advance()


class Bar:
    """A progress bar moved by hand: ``with Bar("training", total=300) as bar: bar.advance(1, note="loss .12")``."""

    def __init__(self, description: str, *, total: float | None = None):
        self._description, self._total = description, total
        self._progress: Any = None

    def __enter__(self) -> "Bar":
        """Start drawing, if stderr is a terminal."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                console=Console(stderr=True), transient=False,
            )  # fmt: skip
            self._task = self._progress.add_task(self._description, total=self._total, note="")
            self._progress.start()
        return self

    def advance(self, by: float = 1, *, note: str | None = None) -> None:
        """Move the bar by ``by`` of its total and, where given, say ``note`` at its end."""
        if self._progress:
            self._progress.update(self._task, advance=by, **({} if note is None else {"note": note}))

    def __exit__(self, *exc: object) -> None:
        """Leave the bar as it stands."""
        if self._progress:
            self._progress.stop()
