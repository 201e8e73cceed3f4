"""FiftyOne's video classification tree, one a split: ``<split>/<label>/<clip>.mp4``.

Reads with ``fiftyone.Dataset.from_dir(dataset_dir=..., dataset_type=fiftyone.types.VideoClassificationDirectoryTree)``.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facewitness.datasets.labels import FAKE, REAL, SPLITS, Clip
from facewitness.datasets.layouts.base import place, relative, slug, unique, videos


def fits(folder: Path) -> bool:
    """Whether every video lies directly in ``<split>/real`` or ``<split>/fake``."""
    found = [p.relative_to(folder).parts for p in videos(folder)]
    return bool(found) and all(len(p) == 3 and p[0] in SPLITS and p[1] in (REAL, FAKE) for p in found)


def read(folder: Path) -> list[Clip]:
    """The clips of the trees; file names tell the persons apart, as nothing else does."""
    return [
        Clip(
            clip_id=slug(f"{split}-{label}-{path.stem}"), path=relative(path, folder), label=label, split=split,
            method="" if label == REAL else "unknown", target_id=path.stem, driver_id=path.stem, source=path.name,
        )
        for split in SPLITS
        for label in (REAL, FAKE)
        for path in videos(folder / split / label)
    ]  # fmt: skip


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Lay the clips out by split and label."""
    taken: set[str] = set()
    moved = []
    for clip in clips:
        where = unique(f"{clip.split or 'train'}/{clip.label}/{slug(clip.clip_id)}", taken) + Path(clip.path).suffix
        place(dataset / clip.path, out / where)
        moved.append(replace(clip, path=where, mask_path=""))
    return moved
