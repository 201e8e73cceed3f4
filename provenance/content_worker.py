"""A process that reads one hostile file for its watermark and fingerprint, so that it can be killed: one JSON line
in, one out."""

import base64
import json
import sys
from pathlib import Path

MEMORY_BYTES = 6 << 30
"""Address space the process may use; an 8K frame and the decoder fit."""


def limit_resources(cpu_s: int) -> None:
    """Cap processor time and memory where the platform can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def analyse(path: Path, key: bytes, seconds: float, *, watermark: bool, fingerprint: bool) -> dict[str, object]:
    """``{watermark: {payload, distance} | None, sketch: base64 of float16 | None, start_s}`` of a file.

    Raises UnreadableInputError where it cannot be decoded.
    """
    import numpy as np

    from facewitness.provenance import fingerprint as fp
    from facewitness.provenance import watermark as wm

    found: dict[str, object] = {"watermark": None, "sketch": None, "start_s": 0.0}
    if watermark and (match := wm.detect(path, key, seconds=seconds)):
        found["watermark"] = {"payload": match.payload.hex(), "distance": match.distance}
    if fingerprint:
        sketch = fp.sketch_of(path, end_s=seconds)
        found["sketch"] = base64.b64encode(sketch.luma.astype(np.float16).tobytes()).decode()
        found["start_s"] = sketch.start_s
    return found


def main() -> None:
    """Answer the one request on stdin."""
    from facewitness.errors import FacewitnessError

    asked = json.loads(sys.stdin.readline())
    limit_resources(int(asked["cpu_s"]))
    try:
        answer = analyse(
            Path(asked["path"]), bytes.fromhex(asked["key"]), asked["seconds"],
            watermark=asked["watermark"], fingerprint=asked["fingerprint"],
        )  # fmt: skip
    except (FacewitnessError, MemoryError):
        answer = {"error": "the content cannot be read as a video"}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
