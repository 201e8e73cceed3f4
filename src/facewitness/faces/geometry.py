"""Make ``canonical_face.npz``: the canonical face mesh, read from the geometry file inside ``face_landmarker.task``.

    python -m facewitness.faces.geometry face_landmarker.task src/facewitness/faces/canonical_face.npz

The geometry file is MediaPipe's (Apache-2.0, Google): ``mediapipe/tasks/cc/vision/face_geometry/proto/mesh_3d.proto``.
"""

import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
VERTEX_FLOATS = 5
"""A vertex of the file is x, y, z (centimetres), u, v."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of every field of a protocol-buffer message; numbers as int, all else as bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        yield key >> 3, message[at : at + size]
        at += size


def read_geometry(task: Path) -> dict[str, NDArray]:
    """Read the canonical mesh of a ``face_landmarker.task``.

    Returns ``xyz`` (468, 3) float32 in centimetres with the house's axes (x right in the picture, y down, z away),
    ``uv`` (468, 2) float32 in 0..1, ``triangles`` (898, 3) int16, ``rigid`` (n,) int16 the landmarks that pose is
    estimated from and ``rigid_weights`` (n,) float32.
    """
    with zipfile.ZipFile(task) as archive:
        message = archive.read(GEOMETRY)
    vertices: list[float] = []
    indices: list[int] = []
    rigid: list[tuple[int, float]] = []
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            for inner, item in fields(value):
                if inner == 3 and isinstance(item, bytes):
                    vertices += struct.unpack(f"<{len(item) // 4}f", item)
                elif inner == 4:
                    indices += [item] if isinstance(item, int) else list(item)
        elif number == 2 and isinstance(value, bytes):
            parts = dict(fields(value))
            weight = parts.get(2, b"\0\0\0\0")
            rigid.append((int(parts.get(1, 0)), struct.unpack("<f", weight)[0] if isinstance(weight, bytes) else 0.0))
    table = np.array(vertices, np.float32).reshape(-1, VERTEX_FLOATS)
    return {
        "xyz": table[:, :3] * np.array([1, -1, -1], np.float32),
        "uv": table[:, 3:],
        "triangles": np.array(indices, np.int16).reshape(-1, 3),
        "rigid": np.array([i for i, _ in rigid], np.int16),
        "rigid_weights": np.array([w for _, w in rigid], np.float32),
    }


if __name__ == "__main__":
    np.savez_compressed(Path(sys.argv[2]), **read_geometry(Path(sys.argv[1])))  # type: ignore[arg-type]
