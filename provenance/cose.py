"""Just enough of JUMBF and CBOR to read what the library keeps to itself: certificates, padding, exact numbers.

Nothing here decides validity. The input is hostile: depth and counts are bounded, every fault is a ValueError.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 128
MAX_ITEMS = 100_000
SIGNATURE_LABEL = "c2pa.signature"
ASSERTIONS_LABEL = "c2pa.assertions"
X5CHAIN = 33
"""COSE header label of the certificate chain (RFC 9360)."""


def signature_of(store: bytes, manifest: str) -> list[Any]:
    """The COSE_Sign1 array of ``manifest`` in a manifest store; raises ValueError if it is not there or malformed."""
    for part, body in _parts(store, manifest):
        if part == SIGNATURE_LABEL:
            return _cose_array(*body)
    raise ValueError("no signature box")


def assertion_of(store: bytes, manifest: str, label: str) -> Any:
    """The content of one assertion (CBOR or JSON) of ``manifest``, or None; raises ValueError if malformed.

    The library's own JSON turns lists of numbers into base64 text, in which fractions are lost.
    """
    for part, body in _parts(store, manifest):
        if part == ASSERTIONS_LABEL:
            for name, inside in _superboxes(*body, 3):
                if name == label:
                    return _content(*inside)
    return None


def certificate_chain(signature: list[Any]) -> list[bytes]:
    """The certificates of a COSE_Sign1 array as DER, leaf first; empty where there are none."""
    protected = decode(signature[0]) if isinstance(signature[0], bytes) and signature[0] else {}
    for header in (protected, signature[1]):
        chain = header.get(X5CHAIN) or header.get("x5chain") if isinstance(header, dict) else None
        if chain:
            return [c for c in (chain if isinstance(chain, list) else [chain]) if isinstance(c, bytes)]
    return []


def carried_in_padding(signature: list[Any]) -> int:
    """How many bytes other than zero the padding of a signature holds, in which anything could be hidden."""
    header = signature[1] if isinstance(signature[1], dict) else {}
    pads = (header.get(name) for name in ("pad", "pad2"))
    return sum(len(p) - p.count(0) for p in pads if isinstance(p, bytes))


def decode(data: bytes) -> Any:
    """The first CBOR item of ``data`` as Python values (RFC 8949); tags are dropped. Raises ValueError if malformed."""
    return _Decoder(data).item(0)


class _Decoder:
    def __init__(self, data: bytes):
        self._data, self._at, self._count = data, 0, 0

    def _take(self, n: int) -> bytes:
        if n > len(self._data) - self._at:
            raise ValueError("CBOR ends early")
        self._at += n
        return self._data[self._at - n : self._at]

    def item(self, depth: int) -> Any:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_ITEMS:
            raise ValueError("CBOR too deep or too large")
        first = self._take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        if info == 31:
            return self._indefinite(major, depth)
        if info > 27:
            raise ValueError("CBOR length reserved")
        n = info if info < 24 else int.from_bytes(self._take(1 << (info - 24)), "big")
        match major:
            case 0:
                return n
            case 1:
                return -1 - n
            case 2:
                return self._take(n)
            case 3:
                return self._take(n).decode("utf-8", "replace")
            case 4:
                return [self.item(depth + 1) for _ in range(self._bounded(n))]
            case 5:
                return {_key(self.item(depth + 1)): self.item(depth + 1) for _ in range(self._bounded(n))}
        return self.item(depth + 1)

    def _bounded(self, n: int) -> int:
        if n > len(self._data) - self._at:
            raise ValueError("CBOR ends early")
        return n

    def _simple(self, info: int) -> Any:
        if info in (20, 21, 22, 23):
            return {20: False, 21: True}.get(info)
        if info in (25, 26, 27):
            form = {25: ">e", 26: ">f", 27: ">d"}[info]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if info == 31:
            raise ValueError("CBOR break out of place")
        return self._take(1)[0] if info == 24 else info

    def _indefinite(self, major: int, depth: int) -> Any:
        parts = []
        while self._data[self._at : self._at + 1] != b"\xff":
            parts.append(self.item(depth + 1))
        self._take(1)
        match major:
            case 2:
                return b"".join(p for p in parts if isinstance(p, bytes))
            case 3:
                return "".join(p for p in parts if isinstance(p, str))
            case 4:
                return parts
            case 5 if len(parts) % 2 == 0:
                return {_key(k): v for k, v in zip(parts[::2], parts[1::2], strict=True)}
        raise ValueError("CBOR of indefinite length out of place")


def _key(value: Any) -> Any:
    return value if isinstance(value, int | str | bytes) else repr(value)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start of content and end of every box between two offsets."""
    at = start
    while end - at >= 8:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            if end - at < 16:
                raise ValueError("box header ends early")
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = end - at
        if size < head or size > end - at:
            raise ValueError("box runs over its end")
        yield kind, at + head, at + size
        at += size


def _superboxes(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[str, tuple[bytes, int, int]]]:
    """Label and content (without the description box) of every JUMBF superbox between two offsets (ISO 19566-5)."""
    if depth > MAX_DEPTH:
        raise ValueError("JUMBF too deep")
    for kind, inside, stop in _boxes(data, start, end):
        if kind != b"jumb":
            continue
        description = next(_boxes(data, inside, stop), None)
        if description is None or description[0] != b"jumd" or description[2] - description[1] < 18:
            raise ValueError("JUMBF box without a description")
        text = data[description[1] + 17 : description[2]].split(b"\0", 1)[0]
        yield text.decode("utf-8", "replace"), (data, description[2], stop)


def _parts(store: bytes, manifest: str) -> Iterator[tuple[str, tuple[bytes, int, int]]]:
    """The labelled boxes of one manifest of a store."""
    for label, content in _superboxes(store, 0, len(store), 0):
        if label == "c2pa":
            for name, inside in _superboxes(*content, 1):
                if name == manifest:
                    yield from _superboxes(*inside, 2)


def _content(data: bytes, start: int, end: int) -> Any:
    for kind, inside, stop in _boxes(data, start, end):
        if kind == b"cbor":
            return decode(data[inside:stop])
        if kind == b"json":
            return json.loads(data[inside:stop])
    return None


def _cose_array(data: bytes, start: int, end: int) -> list[Any]:
    for kind, inside, stop in _boxes(data, start, end):
        if kind == b"cbor":
            value = decode(data[inside:stop])
            if isinstance(value, list) and len(value) == 4:
                return value
    raise ValueError("the signature box holds no COSE_Sign1")
