"""Which files a request means: files as they are named, folders by what may carry a manifest, lists from stdin."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from facewitness.provenance.formats import FOREIGN, SUFFIXES

IN_FOLDERS = SUFFIXES | (frozenset(FOREIGN) - {".json"})
"""Suffixes taken from a folder. Kinds that cannot be read are rows too: silence would read as fine."""


def gather(paths: Iterable[Path], stdin: BinaryIO | None = None) -> Iterator[Path]:
    """Yield every file meant by ``paths``: folders by name, files before subfolders; ``-`` is the list on ``stdin``.

    Nothing is held in memory but the names of one folder. A path that is not there is yielded: its row says so.
    """
    for path in paths:
        if str(path) == "-" and stdin is not None:
            yield from listed(stdin)
        elif path.is_dir():
            yield from _inside(path)
        else:
            yield path


def listed(stream: BinaryIO) -> Iterator[Path]:
    """The paths of a list: one a line, or separated by NUL (``find -print0``) where the list has one."""
    rest = b""
    separator = b""
    while block := stream.read1(1 << 16) if hasattr(stream, "read1") else stream.read(1 << 16):
        rest += block
        separator = separator or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
        if separator:
            *whole, rest = rest.split(separator)
            yield from (Path(os.fsdecode(name.rstrip(b"\r"))) for name in whole if name.strip())
    if rest.strip():
        yield Path(os.fsdecode(rest.rstrip(b"\r")))


def _inside(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in IN_FOLDERS and not name.startswith("."):
                yield Path(root, name)
