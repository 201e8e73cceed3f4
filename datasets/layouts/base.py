"""What a layout is, the table of them, and the two ways through it."""

import importlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facewitness.datasets.labels import CSV, Clip, read_labels, to_csv
from facewitness.errors import UnreadableInputError, UsageError
from facewitness.files import write_text

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg")
BESIDE = "facewitness.csv"
"""The full labels of an exported dataset, with paths in the layout."""
KEPT = ".facewitness"
"""Where masks and parameters go that a layout has no place for; hidden, so that no reader takes a mask for a clip."""

Reader = Callable[[Path], list[Clip]]
Writer = Callable[[Sequence[Clip], Path, Path], list[Clip]]
"""(clips, dataset folder, new folder) -> the clips with their new paths."""


@dataclass(frozen=True)
class Layout:
    """One layout of the field."""

    name: str
    title: str
    module: str
    splits: tuple[str, ...] = ("train", "val", "test")
    """What it can tell apart."""

    def read(self, folder: Path) -> list[Clip]:
        """The clips of a folder in this layout."""
        return importlib.import_module(f"facewitness.datasets.layouts.{self.module}").read(folder)

    def write(self, clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
        """Lay ``clips`` of ``dataset`` out in ``out``; returns them with their new paths."""
        return importlib.import_module(f"facewitness.datasets.layouts.{self.module}").write(clips, dataset, out)

    def fits(self, folder: Path) -> bool:
        """Whether ``folder`` looks like this layout."""
        return importlib.import_module(f"facewitness.datasets.layouts.{self.module}").fits(folder)


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("ffpp", "FaceForensics++", "ffpp"),
        Layout("celebdf", "Celeb-DF v2", "celebdf", ("train", "test")),
        Layout("dfdc", "DFDC", "dfdc"),
        Layout("deeperforensics", "DeeperForensics-1.0", "deeperforensics"),
        Layout("deepfakebench", "DeepfakeBench JSON", "deepfakebench"),
        Layout("huggingface", "Hugging Face video folder", "huggingface"),
        Layout("fiftyone", "FiftyOne classification tree", "fiftyone"),
        Layout("folder", "plain folder of real and fake", "folder"),
    )
}
"""By name on the command line, in the order in which a folder's layout is guessed."""


def detect_layout(folder: Path) -> Layout:
    """The layout ``folder`` is in; raises UnreadableInputError where it looks like none."""
    if not folder.is_dir():
        raise UnreadableInputError(f"{folder} is not a folder.")
    for layout in LAYOUTS.values():
        if layout.fits(folder):
            return layout
    raise UnreadableInputError(
        f"{folder} is in none of the layouts {', '.join(LAYOUTS)}; name one, or use real/ and fake/."
    )


def import_dataset(folder: Path, layout: str | None = None) -> list[Clip]:
    """The clips of a folder in one of the field's layouts (guessed where not named), paths relative to ``folder``.

    Raises UsageError for an unknown layout, UnreadableInputError where the folder holds no clip in it.
    """
    chosen = _layout(layout) if layout else detect_layout(folder)
    clips = chosen.read(folder)
    if not clips:
        raise UnreadableInputError(f"{folder} holds no clip in the layout of {chosen.title}.")
    return sorted(_filled(clips, folder, chosen), key=lambda c: c.clip_id)


def export_dataset(dataset: Path, layout: str, out: Path) -> list[Clip]:
    """Write the dataset into ``out`` in one of the field's layouts; files are hard-linked where possible, else copied.

    Raises UsageError for an unknown layout or where ``out`` holds something already.
    """
    chosen = _layout(layout)
    clips = read_labels(dataset)
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; give a new folder.")
    for clip in clips:
        if not (dataset / clip.path).exists():
            raise UnreadableInputError(f"{dataset / clip.path} is missing; run `facewitness dataset check {dataset}`.")
    out.mkdir(parents=True, exist_ok=True)
    before = {c.clip_id: c for c in clips}
    moved = [_kept(clip, before[clip.clip_id], dataset, out) for clip in chosen.write(clips, dataset, out)]
    write_text(out / BESIDE, to_csv(moved))
    return moved


def _kept(moved: Clip, before: Clip, dataset: Path, out: Path) -> Clip:
    """The clip with its mask and parameters, beside it where the layout has no place for them."""
    mask, parameters = moved.mask_path, ""
    if before.mask_path and not mask and (dataset / before.mask_path).is_file():
        mask = f"{KEPT}/masks/{slug(before.clip_id)}{Path(before.mask_path).suffix}"
        place(dataset / before.mask_path, out / mask)
    if before.parameters_path and (dataset / before.parameters_path).is_file():
        parameters = f"{KEPT}/parameters/{slug(before.clip_id)}.npz"
        place(dataset / before.parameters_path, out / parameters)
    return replace(moved, mask_path=mask, parameters_path=parameters)


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise UsageError(f"there is no layout {name!r}; choose one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]


def _filled(clips: list[Clip], folder: Path, layout: Layout) -> list[Clip]:
    """What the layout left open, from the labels beside it; what the layout says stands."""
    import csv
    import tempfile

    if not (folder / BESIDE).exists():
        return clips
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(folder / BESIDE, Path(scratch) / CSV)
        full = {c.path: c for c in read_labels(Path(scratch))}
    with (folder / BESIDE).open(encoding="utf-8") as f:
        known = set(next(csv.reader(f), []))
    filled = []
    for clip in clips:
        other = full.get(clip.path)
        if other is None:
            filled.append(clip)
            continue
        says_split = clip.split and other.split in (*layout.splits, "")
        label = clip.label if "label" in known else other.label
        split = clip.split if says_split and "split" in known else other.split
        filled.append(replace(other, label=label, split=split))
    return filled


def place(source: Path, target: Path) -> None:
    """Put a file where a layout wants it: a hard link where the file system allows it, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def videos(folder: Path) -> list[Path]:
    """All video files below ``folder``, sorted; nothing hidden."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def relative(path: Path, folder: Path) -> str:
    """``path`` as it stands in labels: relative, with forward slashes."""
    return path.relative_to(folder).as_posix()


def slug(text: str) -> str:
    """``text`` as part of a file name: letters, digits, dot and hyphen."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-") or "x"


def unique(name: str, taken: set[str]) -> str:
    """``name``, or ``name--2`` and so on where it is taken; remembers it."""
    chosen, n = name, 1
    while chosen in taken:
        n += 1
        chosen = f"{name}--{n}"
    taken.add(chosen)
    return chosen


def plain_name(name: str) -> str:
    """The name before ``unique`` changed it."""
    return re.sub(r"--\d+$", "", name)
