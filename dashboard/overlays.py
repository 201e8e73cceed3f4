"""What is drawn over a playing picture: landmarks, mesh, gaze rays, the mask of what was made; and the map of heat."""

import json
import struct
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewitness.dashboard.traces import Traces

UNIT = 8.0
"""Steps per pixel of an overlay's coordinates: 1/8 px, up to 4095 px in 16 bits."""
GAP = -32768
MASK_POINTS = 64
LONGEST_MASK = 4000
"""Frames of a mask video that are read; a benchmark's clips have some hundred."""


def pack(traces: Traces | None, *, width: int, mask: tuple[NDArray, NDArray] | None = None) -> bytes | None:
    """Layers as the player reads them: length of a JSON head, the head, then each layer's 16-bit eighths of a pixel.

    ``width`` is that of the picture the coordinates are of. ``mask`` is what ``mask_outline`` gave; without one the
    mask is the oval of the face. None where there is nothing to draw.
    """
    layers: list[tuple[dict[str, Any], NDArray]] = []

    def add(name: str, times: NDArray, points: NDArray, **more: Any) -> None:
        if len(points) and len(points) == len(times):
            flat = points.reshape(len(points), -1, 2)
            told = {"name": name, "points": flat.shape[1], "times": [round(float(t), 5) for t in times], **more}
            layers.append((told, flat))

    if traces is not None and traces.outline.size:
        add("outline", traces.t_s, traces.outline, ends=list(traces.paths))
        add("rays", traces.t_s, traces.gaze_rays)
        add("mesh", traces.t_s, traces.mesh, edges=_edges())
        if mask is None:
            add("mask", traces.t_s, traces.outline[:, : traces.paths[0] if traces.paths else 0], of="face")
    if mask is not None:
        add("mask", mask[0], mask[1], of="label")
    if not layers:
        return None
    head = json.dumps({"unit": UNIT, "width": width, "layers": [told for told, _ in layers]}).encode()
    start = struct.pack("<I", len(head)) + head
    return start + b"\0" * (-len(start) % 4) + b"".join(_steps(points) for _, points in layers)


def _steps(pixels: NDArray) -> bytes:
    inside = np.isfinite(pixels) & (np.abs(pixels) < 4095)
    return np.where(inside, np.round(np.where(inside, pixels, 0) * UNIT), GAP).astype("<i2").tobytes()


@cache
def _edges() -> list[int]:
    """Pairs of landmarks that the mesh joins, one after the other."""
    from facewitness.faces import landmarks as marks

    corners = marks.triangles()
    pairs = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    return [int(i) for i in np.unique(pairs, axis=0).ravel()]


def mask_beside(clip: Path) -> Path | None:
    """The mask video of a clip of a data set (``masks/NAME`` beside its ``clips/``), where there is one."""
    mask = clip.parent.parent / "masks" / clip.with_suffix(".mp4").name
    return mask if clip.parent.name != "masks" and mask.is_file() else None


@lru_cache(maxsize=32)
def mask_outline(mask: Path, changed: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(T,) times and (T, MASK_POINTS, 2) outline in pixels of the white of a mask video; NaN where a frame has none.

    The largest white part of each frame counts. ``changed`` tells the cache when to read again.
    """
    import cv2

    from facewitness.media import read_frames

    del changed
    times, outlines = [], []
    for frame in read_frames(mask):
        white = (frame.image[..., 1] > 127).astype(np.uint8)
        found, _ = cv2.findContours(white, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outline = np.full((MASK_POINTS, 2), np.nan, np.float32)
        if found and len(ring := max(found, key=cv2.contourArea)[:, 0]) >= 8:
            outline = ring[np.linspace(0, len(ring) - 1, MASK_POINTS).round().astype(int)].astype(np.float32)
        times.append(frame.time_s)
        outlines.append(outline)
        if len(times) >= LONGEST_MASK:
            break
    return np.array(times), np.array(outlines, np.float32).reshape(-1, MASK_POINTS, 2)


def heat(path: Path) -> Any:
    """A function that answers ``{"t": seconds}`` with the map of heat of that frame, for ``served.answer_address``."""
    from facewitness.detector.heatmap import HeatMap, heat_maps
    from facewitness.detector.scan import cached_model

    @lru_cache(maxsize=64)
    def maps(t: float) -> tuple[HeatMap, ...]:
        return tuple(heat_maps(path, t, cached_model(None)))

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        t = float(question["t"])
        if not 0 <= t < 1e6:
            raise ValueError("no time of a clip")
        faces = [
            {"box": m.box, "size": len(m.values), "values": [round(float(v), 3) for v in m.values.ravel()],
             "logit": round(m.logit, 2)}
            for m in maps(round(t, 4))
        ]  # fmt: skip
        return {"t": t, "faces": faces}

    return answer
