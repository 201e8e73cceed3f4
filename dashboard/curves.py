"""Where the curves and landmarks of a scanned clip's faces are kept, and how they are made when they are not there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewitness.dashboard import words
from facewitness.dashboard.clips import read_demo
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


def place(row: Mapping[str, Any]) -> Path | None:
    """The file that ``follow`` keeps a row's curves in; None where the row has no hash."""
    sha = str(row.get("sha256") or "")
    return cache_dir() / "traces" / f"{sha}-{VERSION}.npz" if re.fullmatch(r"[0-9a-f]{64}", sha) else None


def follow(path: Path, kept: Path) -> None:
    """Follow the faces of a clip and keep their curves; raises UnreadableInputError where it is no video."""
    from facewitness.faces import track_video
    from facewitness.generator.reconstruct import reconstruct

    save_traces({str(t.face_id): traces_of(t, reconstruct(t)) for t in track_video(path)}, kept)
