"""A plain folder: somewhere below it ``real`` and ``fake`` (or like names) hold videos."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facewitness.datasets.labels import FAKE, REAL, SPLITS, Clip
from facewitness.datasets.layouts.base import place, relative, slug, unique, videos

NAMES = {
    "real": REAL, "reals": REAL, "original": REAL, "originals": REAL, "genuine": REAL, "0_real": REAL,
    "fake": FAKE, "fakes": FAKE, "manipulated": FAKE, "forged": FAKE, "synthetic": FAKE, "1_fake": FAKE,
}  # fmt: skip


def fits(folder: Path) -> bool:
    """Whether any video lies below a folder called real or fake."""
    return any(_label(p, folder) for p in videos(folder))


def _label(path: Path, folder: Path) -> str | None:
    parts = path.relative_to(folder).parts[:-1]
    return next((NAMES[p.lower()] for p in reversed(parts) if p.lower() in NAMES), None)


def read(folder: Path) -> list[Clip]:
    """The clips by the nearest folder name that says real or fake; a split or a method may be folders too."""
    clips = []
    for path in videos(folder):
        label = _label(path, folder)
        if label is None:
            continue
        parts = path.relative_to(folder).parts[:-1]
        split = next((p for p in parts if p in SPLITS), "")
        rest = [p for p in parts if p not in SPLITS and p.lower() not in NAMES]
        clips.append(
            Clip(
                clip_id=slug("-".join(path.relative_to(folder).with_suffix("").parts)), path=relative(path, folder),
                label=label, method="" if label == REAL else (rest[-1] if rest else "unknown"), split=split,
                target_id=path.stem, driver_id=path.stem, source=path.name,
            )
        )  # fmt: skip
    return clips


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Lay the clips out as ``<split>/real/`` and ``<split>/fake/<method>/``."""
    taken: set[str] = set()
    moved = []
    for clip in clips:
        home = Path(clip.split or "train") / clip.label / (slug(clip.method) if clip.label == FAKE else "")
        where = unique((home / slug(clip.clip_id)).as_posix(), taken) + Path(clip.path).suffix
        place(dataset / clip.path, out / where)
        moved.append(replace(clip, path=where, mask_path=""))
    return moved
