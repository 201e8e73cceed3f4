"""Tracks in a file: npz without pickle, versioned."""

import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from facewitness.errors import UnreadableInputError
from facewitness.faces.types import PER_FRAME, FaceTrack
from facewitness.files import whole_file

FORMAT = "facewitness.track/1"


def save_tracks(tracks: list[FaceTrack], path: Path) -> Path:
    """Write tracks as npz, whole or not at all; returns ``path``."""
    out: dict[str, np.ndarray] = {"format": np.array(FORMAT), "count": np.array(len(tracks))}
    for i, track in enumerate(tracks):
        out[f"{i}.face_id"] = np.array(track.face_id)
        out[f"{i}.tracker"] = np.array(track.tracker)
        out[f"{i}.size"] = np.array([track.width, track.height])
        out[f"{i}.time_base"] = np.array([track.time_base.numerator, track.time_base.denominator])
        for name in PER_FRAME:
            if (value := getattr(track, name)) is not None:
                out[f"{i}.{name}"] = value
    with whole_file(path) as part, part.open("wb") as f:
        np.savez_compressed(f, **out)  # type: ignore[arg-type]
    return path


def load_tracks(path: Path) -> list[FaceTrack]:
    """Read what ``save_tracks`` wrote. Raises UnreadableInputError for anything else."""
    try:
        with path.open("rb") as f, np.load(f, allow_pickle=False) as stored:
            if str(stored["format"]) != FORMAT:
                raise UnreadableInputError(
                    f"{path} was written by another version ({stored['format']}); track the video again."
                )
            return [_load(stored, i) for i in range(int(stored["count"]))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise UnreadableInputError(f"{path} is not a track file; make one with facewitness track.") from e


def _load(stored: "np.lib.npyio.NpzFile", i: int) -> FaceTrack:
    width, height = (int(v) for v in stored[f"{i}.size"])
    arrays = {name: stored[f"{i}.{name}"] if f"{i}.{name}" in stored.files else None for name in PER_FRAME}
    return FaceTrack(
        face_id=int(stored[f"{i}.face_id"]),
        tracker=str(stored[f"{i}.tracker"]),
        width=width,
        height=height,
        time_base=Fraction(*(int(v) for v in stored[f"{i}.time_base"])),
        **arrays,  # type: ignore[arg-type]
    )
