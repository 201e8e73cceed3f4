"""What a detector learns from: the clips of a folder with their labels, and short bursts of face chips cut from
them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.detector.crops import CHIP_FACE_PX, cut_chip, face_size
from facewitness.detector.sampling import Follower, thin
from facewitness.errors import UnreadableInputError, UsageError
from facewitness.media import probe, read_frames
from facewitness.media.types import Frame

BURST_FRAMES = 32
"""Frames of a burst, 2.6 s at the rate of the analysis."""
MIN_BURST_FRAMES = 10
REPEAT_LEVEL = 0.25
"""Mean change in grey levels below which a frame repeats the one before and is left out."""
JPEG_QUALITY = 96
STILLS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One row of a labelled folder."""

    path: Path
    label: str
    """``real`` or ``fake``."""
    person: str
    """Whose face is seen; all clips of a person stay on one side of a split."""
    method: str = ""
    split: str = ""
    name: str = ""
    pair: str = ""
    """What a made clip and the real one of the same moment share, where the folder says so."""


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Consecutive chips of one face, cut at one place and scale: (T, H, W, 3) uint8 and their (T, 468, 2) meshes."""

    name: str
    person: str
    images: NDArray[np.uint8]
    meshes: NDArray[np.float32]
    irises: NDArray[np.float32]
    """(T, 2, 5, 2) in pixels of the chip."""

    def __len__(self) -> int:
        return len(self.images)


def read_clips(folder: Path) -> list[Clip]:
    """The clips of a data set: ``labels.parquet`` (a built one), or ``index.csv`` and ``index_more.csv`` with file,
    label, person_id.

    Raises UsageError where the folder has neither, or a row has no label.
    """
    if (parquet := folder / "labels.parquet").is_file():
        import pandas as pd

        rows = pd.read_parquet(parquet).to_dict("records")
        clips = [
            Clip(
                path=folder / r["path"],
                label=r["label"],
                person=str(r["target_id"]),
                method=str(r.get("method") or ""),
                split=str(r.get("split") or ""),
                name=str(r["clip_id"]),
                pair=str(r.get("pair_id") or ""),
            )
            for r in rows
        ]
    elif tables := sorted(folder.glob("index*.csv")) or sorted(folder.glob("clips.csv")):
        clips = [clip for table in tables for clip in _rows(folder, table)]
    elif folder.suffix == ".csv" and folder.is_file():
        clips = list(_rows(folder.parent, folder))
    else:
        raise UsageError(f"{folder} holds neither labels.parquet nor index.csv (file, label, person_id).")
    if bad := [c.name for c in clips if c.label not in ("real", "fake")]:
        raise UsageError(f"{bad[0]} in {folder} has a label other than real or fake.")
    return clips


def _rows(folder: Path, table: Path) -> Iterator[Clip]:
    with table.open(newline="", encoding="utf-8") as f:
        for r in csv.DictReader(f):
            try:
                yield Clip(
                    path=folder / r["file"],
                    label=r["label"],
                    person=r.get("person_id") or r["file"],
                    method=r.get("generator") or "",
                    split=r.get("split") or "",
                    name=r["file"],
                )
            except KeyError as e:
                raise UsageError(f"{table} has no column {e.args[0]}; it needs file, label, person_id.") from e


def bursts_of(clip: Clip, *, max_seconds: float = 20.0) -> list[Burst]:
    """The bursts of the largest face of a clip, repeats left out; a still photograph gives a burst of one frame.

    Raises UnreadableInputError for a file that cannot be decoded.
    """
    if clip.path.suffix.lower() in STILLS:
        return _burst_of_still(clip)
    follower = Follower(max_faces=2)
    kept: list[list[tuple[Frame, NDArray[np.float32]]]] = [[]]
    before: NDArray | None = None
    fps = float(probe(clip.path).frame_rate)
    main: int | None = None
    out: list[Burst] = []
    for frame in thin(read_frames(clip.path, end_s=max_seconds), fps):
        small = cv2.cvtColor(frame.image[::2, ::2], cv2.COLOR_RGB2GRAY).astype(np.float32)
        if before is not None and before.shape == small.shape and np.abs(small - before).mean() < REPEAT_LEVEL:
            continue
        before = small
        seen = follower.update(frame)
        largest = max(seen, key=lambda s: face_size(s.mesh), default=None)
        if largest is None or (main is not None and largest.face != main) or len(kept[-1]) == BURST_FRAMES:
            kept.append([])
        if largest is not None:
            main = largest.face
            kept[-1].append((frame, largest.mesh))
        if len(kept) > 1:
            out += _close(clip, kept.pop(0), len(out))
    out += _close(clip, kept[0], len(out))
    return out


def _close(clip: Clip, part: list[tuple[Frame, NDArray[np.float32]]], number: int) -> list[Burst]:
    if len(part) < MIN_BURST_FRAMES:
        return []
    meshes = np.stack([m for _, m in part])
    box = union_box(meshes)
    chips = [cut_chip(f.image, m, box=box[:3], face_px=box[3]) for f, m in part]
    return [
        Burst(
            name=f"{Path(clip.name).stem}_{number:02d}",
            person=clip.person,
            images=np.stack([c.image for c in chips]),
            meshes=np.stack([c.mesh for c in chips]),
            irises=np.zeros((len(chips), 2, 5, 2), np.float32),
        )
    ]


def union_box(meshes: NDArray[np.float32]) -> tuple[float, float, float, int]:
    """Centre x, y and side of the box that holds the face in every frame, and the size to which that side may
    shrink."""
    sides = [face_size(m) for m in meshes]
    low, high = meshes[..., :2].min((0, 1)), meshes[..., :2].max((0, 1))
    side = float((high - low).max())
    face_px = CHIP_FACE_PX * side / max(float(np.median(sides)), 1.0)
    return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2, side, round(min(face_px, 2 * CHIP_FACE_PX))


def _burst_of_still(clip: Clip) -> list[Burst]:
    stored = cv2.imread(str(clip.path))
    if stored is None:
        raise UnreadableInputError(f"{clip.path} is no picture that can be read.")
    image = np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)
    follower = Follower(max_faces=1)
    from fractions import Fraction

    seen = follower.update(Frame(index=0, pts=0, time_base=Fraction(1), image=image))
    if not seen:
        return []
    chip = cut_chip(image, seen[0].mesh)
    name = Path(clip.name).stem
    irises = np.zeros((1, 2, 5, 2), np.float32)
    return [Burst(name=name, person=clip.person, images=chip.image[None], meshes=chip.mesh[None], irises=irises)]


def save_burst(burst: Burst, path: Path) -> None:
    """Write a burst as one npz of JPEG pictures (quality 96) and meshes."""
    encoded = [
        cv2.imencode(".jpg", cv2.cvtColor(i, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].ravel()
        for i in burst.images
    ]
    ends = np.cumsum([len(e) for e in encoded])
    meta = np.array([burst.name, burst.person])
    np.savez(path, jpeg=np.concatenate(encoded), ends=ends, meshes=burst.meshes, irises=burst.irises, meta=meta)


def load_burst(path: Path, *, start: int = 0, frames: int | None = None) -> Burst:
    """Read a burst written by ``save_burst``, or ``frames`` of it from ``start``."""
    with np.load(path, allow_pickle=False) as z:
        jpeg, ends, meta = z["jpeg"], z["ends"], z["meta"]
        meshes, irises = z["meshes"], z["irises"]
    stop = len(ends) if frames is None else min(start + frames, len(ends))
    begins = np.concatenate([[0], ends[:-1]])
    images = [
        np.asarray(cv2.imdecode(jpeg[begins[i] : ends[i]], cv2.IMREAD_COLOR))[..., ::-1] for i in range(start, stop)
    ]
    part = slice(start, stop)
    return Burst(
        name=str(meta[0]), person=str(meta[1]), images=np.stack(images), meshes=meshes[part], irises=irises[part]
    )
