"""The boxes of an ISO base media file: how many there are, and which of them no hash covers."""

import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from facewitness.errors import FacewitnessError

MAX_TOP_BOXES = 12_000
"""A fragmented film of three hours has some 11,000; the library's time grows with the square (40,000 take 10 s)."""
MAX_INNER_BOXES = 50_000
"""Boxes inside ``moov``, ``moof`` and ``meta`` that may be walked."""
CONTAINERS = frozenset(
    (
        b"moov",
        b"trak",
        b"mdia",
        b"minf",
        b"stbl",
        b"moof",
        b"traf",
        b"mvex",
        b"udta",
        b"edts",
        b"dinf",
        b"mfra",
        b"sinf",
        b"schi",
    )
)
MAX_DEPTH = 16
MAX_BRANDS_BYTES = 128
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
UNHASHED = frozenset((b"free", b"skip", b"mfra"))
"""Top-level boxes a claim may leave out of its hash, beside ``ftyp`` and the manifest (C2PA 2.2, 18.7)."""


class TooManyBoxesError(FacewitnessError):
    """The file has more boxes than any honest file, which would keep a validator busy for ever."""


def top_boxes(f: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Type, offset, header length and length of each top-level box; stops at the first that does not fit the file."""
    yield from _walk(f, 0, size)


def check_boxes(f: BinaryIO, size: int) -> None:
    """Raise TooManyBoxesError if a file of ``size`` bytes has more boxes than an honest one has."""
    inner = 0
    for n, (kind, at, head, length) in enumerate(top_boxes(f, size), 1):
        if n > MAX_TOP_BOXES:
            raise TooManyBoxesError(f"the file has more than {MAX_TOP_BOXES} top-level boxes, which no honest file has")
        if kind in CONTAINERS:
            inner = _count(f, at + head, at + length, inner, 1)


def extra_boxes(f: BinaryIO, size: int) -> list[dict[str, Any]]:
    """Top-level boxes outside every hash that carry data (``{type, offset, bytes}``), and what follows the last box."""
    found, end = [], 0
    for kind, at, head, length in top_boxes(f, size):
        end = at + length
        strange = kind == b"ftyp" and not _only_brands(f, at + head, length - head)
        if strange or (kind in UNHASHED and _carries_data(f, at + head, length - head)):
            found.append({"type": kind.decode("latin-1"), "offset": at, "bytes": length - head})
    if end < size:
        found.append({"type": "(after the last box)", "offset": end, "bytes": size - end})
    return found


def _only_brands(f: BinaryIO, at: int, length: int) -> bool:
    """Whether a file-type box holds what it should: a few brands of four printable characters and a version."""
    f.seek(at)
    body = f.read(min(length, MAX_BRANDS_BYTES))
    brands = body[:4] + body[8:]
    return length <= MAX_BRANDS_BYTES and length % 4 == 0 and all(32 <= b < 127 for b in brands)


def _carries_data(f: BinaryIO, at: int, length: int) -> bool:
    f.seek(at)
    while length > 0:
        block = f.read(min(length, 1 << 20))
        if not block:
            return False
        if block.strip(b"\0"):
            return True
        length -= len(block)
    return False


def _count(f: BinaryIO, start: int, end: int, so_far: int, depth: int) -> int:
    for kind, at, head, length in _walk(f, start, end):
        so_far += 1
        if so_far > MAX_INNER_BOXES:
            raise TooManyBoxesError(f"the file has more than {MAX_INNER_BOXES} inner boxes, which no honest file has")
        if kind in CONTAINERS and depth < MAX_DEPTH:
            so_far = _count(f, at + head, at + length, so_far, depth + 1)
    return so_far


def _walk(f: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    at = start
    while end - at >= 8:
        f.seek(at, os.SEEK_SET)
        header = f.read(16)
        if len(header) < 8:
            return
        length, kind = struct.unpack_from(">I4s", header)
        head = 8
        if length == 1:
            if len(header) < 16:
                return
            length, head = struct.unpack_from(">Q", header, 8)[0], 16
        elif length == 0:
            length = end - at
        if length < head or length > end - at:
            return
        yield kind, at, head, length
        at += length
