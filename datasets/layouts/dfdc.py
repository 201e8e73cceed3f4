"""DFDC (Dolhansky et al., 2020): numbered parts, each with a ``metadata.json`` of {label, split, original}."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facewitness.datasets.labels import FAKE, REAL, Clip
from facewitness.datasets.layouts.base import place, relative
from facewitness.errors import UnreadableInputError
from facewitness.files import to_json, write_text

METADATA, METHOD = "metadata.json", "dfdc"
SPLIT_NAMES = {"train": "train", "validation": "val", "val": "val", "test": "test"}
PART_SIZE = 1000


def fits(folder: Path) -> bool:
    """Whether a ``metadata.json`` of DFDC's form lies here or one folder down."""
    return any(_is_dfdc(p) for p in _metadata(folder))


def _metadata(folder: Path) -> list[Path]:
    return sorted([*folder.glob(METADATA), *folder.glob(f"*/{METADATA}")])


def _is_dfdc(path: Path) -> bool:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(entries, dict) and any(isinstance(v, dict) and "label" in v for v in entries.values())


def read(folder: Path) -> list[Clip]:
    """The clips of DFDC parts; DFDC names no persons, so a person is an original video and its fakes."""
    clips = []
    for metadata in _metadata(folder):
        if not _is_dfdc(metadata):
            continue
        entries: dict[str, dict[str, Any]] = json.loads(metadata.read_text(encoding="utf-8"))
        for name, entry in sorted(entries.items()):
            if not (metadata.parent / name).exists():
                continue
            label = str(entry["label"]).lower()
            if label not in (REAL, FAKE):
                raise UnreadableInputError(f"{metadata}: {name} is labelled {entry['label']!r}, not REAL or FAKE.")
            person = f"dfdc-{Path(entry.get('original') or name).stem}"
            clips.append(
                Clip(
                    clip_id=f"dfdc-{metadata.parent.name}-{Path(name).stem}", path=relative(metadata.parent / name,
                    folder),
                    label=label, method=METHOD if label == FAKE else "", target_id=person, driver_id=person,
                    split=SPLIT_NAMES.get(str(entry.get("split", "")), ""), source=name,
                )
            )  # fmt: skip
    return clips


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Lay the clips out in parts of a thousand, under names that tell nothing."""
    name = {c.clip_id: hashlib.sha256(c.clip_id.encode()).hexdigest()[:10] + Path(c.path).suffix for c in clips}
    original = {c.pair_id: name[c.clip_id] for c in reversed(clips) if c.label == REAL and c.pair_id}
    by_person = {c.target_id: name[c.clip_id] for c in reversed(clips) if c.label == REAL}
    parts: dict[int, dict[str, dict[str, str]]] = {}
    moved = []
    for n, clip in enumerate(clips):
        part = parts.setdefault(n // PART_SIZE, {})
        entry = {"label": clip.label.upper(), "split": clip.split or "train"}
        if clip.label == FAKE:
            entry["original"] = original.get(clip.pair_id) or by_person.get(clip.target_id) or f"{clip.target_id}.mp4"
        part[name[clip.clip_id]] = entry
        where = f"dfdc_part_{n // PART_SIZE}/{name[clip.clip_id]}"
        place(dataset / clip.path, out / where)
        moved.append(replace(clip, path=where, mask_path=""))
    for n, entries in parts.items():
        write_text(out / f"dfdc_part_{n}" / METADATA, to_json(entries, indent=1))
    return moved
