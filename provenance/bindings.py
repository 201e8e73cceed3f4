"""Soft bindings: how a watermark payload and a fingerprint are written in a manifest and in a request (C2PA 2.2, 9.3
and 18.14)."""

import base64
import binascii
import struct

import numpy as np

from facewitness.errors import UsageError
from facewitness.provenance import fingerprint as fp
from facewitness.provenance import watermark as wm
from facewitness.provenance.manifest import SoftBinding

LONGEST_VALUE_ROWS = 120
"""Fingerprint rows (seconds) that fit an assertion; the ledger keeps all of them."""
LONGEST_VALUE = 32_768
"""Characters of a value that are looked at: 120 rows take 20,500."""
_HEAD = struct.Struct(">4sIiI")
_MAGIC = b"fwf1"


def soft_bindings(
    *, watermark: bytes | None = None, fingerprint: fp.Fingerprint | None = None
) -> tuple[SoftBinding, ...]:
    """The ``c2pa.soft-binding`` assertions of a file that carries this watermark and has this fingerprint."""
    made = []
    if watermark is not None:
        made.append(SoftBinding(alg=wm.ALGORITHM, value=watermark_value(watermark)))
    if fingerprint is not None and len(fingerprint):
        rows = min(len(fingerprint), LONGEST_VALUE_ROWS)
        scope = {}
        if rows < len(fingerprint):
            scope = {"timespan": {"start": 0, "end": round(1000 * float(fingerprint.starts_s[rows]))}}
        made.append(SoftBinding(alg=fp.ALGORITHM, value=fingerprint_value(fingerprint), scope=scope))
    return tuple(made)


def watermark_value(payload: bytes) -> str:
    """A payload as the base64 text that stands in an assertion or a request."""
    return base64.b64encode(payload).decode()


def payload_of(value: str) -> bytes:
    """The 8-byte payload of a value, base64 or 16 hexadecimal digits; raises UsageError where it is none."""
    if len(value) == 2 * wm.PAYLOAD_BYTES and set(value) <= set("0123456789abcdef"):
        return bytes.fromhex(value)
    payload = _bytes_of(value)
    if len(payload) != wm.PAYLOAD_BYTES:
        raise UsageError(f"a {wm.ALGORITHM} value is {wm.PAYLOAD_BYTES} bytes in base64.")
    return payload


def fingerprint_value(print_: fp.Fingerprint) -> str:
    """The first 120 rows as base64: magic, duration ms, first start ms, number of rows (big-endian), then the signed
    bytes."""
    rows = print_.vectors[:LONGEST_VALUE_ROWS]
    first = round(1000 * float(print_.starts_s[0])) if len(print_) else 0
    head = _HEAD.pack(_MAGIC, round(1000 * print_.duration_s), first, len(rows))
    return base64.b64encode(head + rows.tobytes()).decode()


def fingerprint_of(value: str) -> fp.Fingerprint:
    """The fingerprint of a value; raises UsageError where it is none."""
    content = _bytes_of(value)
    if len(content) < _HEAD.size:
        raise UsageError(f"this is no {fp.ALGORITHM} value: it is too short.")
    magic, duration_ms, first_ms, rows = _HEAD.unpack_from(content)
    if magic != _MAGIC or not 0 < rows <= LONGEST_VALUE_ROWS or len(content) != _HEAD.size + rows * fp.DIMENSIONS:
        raise UsageError(f"this is no {fp.ALGORITHM} value: its head and its length do not fit.")
    vectors = np.frombuffer(content, np.int8, offset=_HEAD.size).reshape(rows, fp.DIMENSIONS)
    return fp.Fingerprint(
        vectors=vectors,
        starts_s=first_ms / 1000 + np.arange(rows) * (fp.STEP / fp.SAMPLES_PER_S),
        duration_s=duration_ms / 1000,
    )


def _bytes_of(value: str) -> bytes:
    if len(value) > LONGEST_VALUE:
        raise UsageError(f"a soft binding value has at most {LONGEST_VALUE} characters.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as e:
        raise UsageError("a soft binding value is base64 text.") from e
