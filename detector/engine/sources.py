"""What is to be scanned: files, folders and lists, in an order that does not depend on luck; what identifies a file."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".mov",
        ".m4v",
        ".webm",
        ".mkv",
        ".avi",
        ".gif",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".3g2",
        ".ogv",
        ".mxf",
    ]
)
"""Files of a folder that are scanned; a file named by itself is scanned whatever its name."""


@dataclass(frozen=True)
class Signature:
    """What a file's metadata say; a file whose contents change does not keep it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    def encode(self) -> str:
        """One line of text, as the store keeps it."""
        return f"{self.size}:{self.mtime_ns}:{self.ctime_ns}:{self.inode}:{self.device}"


def signature_of(path: Path) -> Signature | None:
    """The signature of a regular file; None where there is none to read."""
    try:
        s = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(s.st_mode):
        return None
    return Signature(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)


def text_of(path: Path | str) -> str:
    r"""A path as text that can be printed and stored: bytes that are no UTF-8 appear as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def find_clips(paths: Iterable[Path | str]) -> Iterator[Path | str]:
    """Every clip of ``paths``, once: files as they are named, folders walked in the order of their names.

    Addresses (``s3://bucket/folder``) stay text; a bucket's folder gives the addresses of its clips.

    Folders that are links are entered, but no folder twice, so that loops end. Files that do not exist are given too:
    the scan turns them into rows that say so.
    """
    given: set[bytes] = set()
    for path in paths:
        for clip in _found(path):
            name = os.fsencode(clip)
            if name not in given:
                given.add(name)
                yield clip


def _found(path: Path | str) -> Iterator[Path | str]:
    from facewitness.detector.engine.fetch import find_remote, is_uri

    if isinstance(path, str) and path.startswith("file://"):
        path = url2pathname(urlsplit(path).path)
    if isinstance(path, str) and is_uri(path):
        yield from find_remote(path)
    else:
        yield from _walk(Path(path), set())


def _walk(path: Path, entered: set[tuple[int, int]]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    try:
        where = path.stat()
        if (where.st_dev, where.st_ino) in entered:
            return
        entered.add((where.st_dev, where.st_ino))
        entries = sorted(os.scandir(path), key=lambda e: os.fsencode(e.name))
    except OSError:  # a folder that may not be read becomes a row of its own
        yield path
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        inner = path / entry.name
        if _is_dir(entry):
            yield from _walk(inner, entered)
        elif inner.suffix.lower() in VIDEO_SUFFIXES:
            yield inner


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def listed(lines: Iterable[bytes]) -> Iterator[Path]:
    """Paths from a list, one a line (or ended by NUL, as ``find -print0`` gives them, where the list has a NUL)."""
    data = b"".join(lines)
    parts = data.split(b"\0") if b"\0" in data else data.splitlines()
    for part in parts:
        if part:
            yield Path(os.fsdecode(part))
