"""Where the curves and landmarks of a scanned clip's faces are kept, and how they are made when they are not there."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewitness.dashboard import words
from facewitness.dashboard.clips import read_demo, stills_of
from facewitness.dashboard.traces import Traces, load_traces, save_traces, traces_of
from facewitness.files import cache_dir

VERSION = 2


def stored(folder: Path, row: Mapping[str, Any], track: int) -> Traces | None:
    """Curves of a face where they were made before: by the demo in ``folder``, or by ``follow``."""
    if (folder / "demo.json").is_file():
        demo = read_demo(folder)
        role = next((r for r in words.ROLES if Path(str(demo.get(r, ""))).name == Path(row["path"]).name), None)
        if role and demo.get("traces") and (folder / str(demo["traces"])).is_file():
            return load_traces(folder / str(demo["traces"])).get(role)
    kept = place(row)
    return load_traces(kept).get(str(track)) if kept and kept.is_file() else None


def portraits(path: Path, faces: Sequence[Traces]) -> list[tuple[float, NDArray[np.uint8]]]:
    """A cut-out of each face, HxWx3 RGB, and its second: from the middle of the time that it is seen."""
    found = []
    for traces in faces:
        seen = np.flatnonzero(np.isfinite(traces.outline).all(axis=(1, 2)))
        if not len(seen):
            continue
        i = int(seen[len(seen) // 2])
        (x0, y0), (x1, y1) = traces.outline[i].min(0), traces.outline[i].max(0)
        margin = 0.3 * max(x1 - x0, y1 - y0)
        for still in stills_of(path, [float(traces.t_s[i])]):
            height, width = still.image.shape[:2]
            left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
            right, bottom = min(width, int(x1 + margin) + 1), min(height, int(y1 + margin) + 1)
            if right > left and bottom > top:
                found.append((still.time_s, np.ascontiguousarray(still.image[top:bottom, left:right])))
    return found


def place(row: Mapping[str, Any]) -> Path | None:
    """The file that ``follow`` keeps a row's curves in; None where the row has no hash."""
    sha = str(row.get("sha256") or "")
    return cache_dir() / "traces" / f"{sha}-{VERSION}.npz" if re.fullmatch(r"[0-9a-f]{64}", sha) else None


def follow(path: Path, kept: Path) -> None:
    """Follow the faces of a clip and keep their curves; raises UnreadableInputError where it is no video."""
    from facewitness.faces import track_video
    from facewitness.generator.reconstruct import reconstruct

    save_traces({str(t.face_id): traces_of(t, reconstruct(t)) for t in track_video(path)}, kept)
