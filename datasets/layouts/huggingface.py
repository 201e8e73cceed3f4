"""Hugging Face's video folder: ``data/<split>/metadata.csv`` with ``file_name`` and the labels, videos beside it.

Reads with ``datasets.load_dataset("videofolder", data_dir=...)`` or, without decoding, as plain CSV.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from facewitness.datasets.labels import REAL, Clip
from facewitness.datasets.layouts.base import place, relative, slug, unique
from facewitness.errors import UnreadableInputError
from facewitness.files import to_json, whole_file, write_text

SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}
BACK = {v: k for k, v in SPLIT_NAMES.items()}


def _tables(folder: Path) -> list[Path]:
    return sorted([*folder.glob("metadata.csv"), *folder.glob("*/metadata.csv"), *folder.glob("data/*/metadata.csv")])


def fits(folder: Path) -> bool:
    """Whether a ``metadata.csv`` with a column ``file_name`` is where the loader looks for it."""
    for table in _tables(folder):
        with table.open(encoding="utf-8", newline="") as f:
            if "file_name" in next(csv.reader(f), []):
                return True
    return False


def read(folder: Path) -> list[Clip]:
    """The clips of a video folder; needs a column ``label`` that says real or fake (or 0 for real and 1 for fake)."""
    clips = []
    for table in _tables(folder):
        split = BACK.get(table.parent.name, table.parent.name if table.parent.name in SPLIT_NAMES else "")
        with table.open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                label = {"0": "real", "1": "fake"}.get(row.get("label", ""), row.get("label", "").lower())
                if label not in ("real", "fake"):
                    raise UnreadableInputError(f"{table}: {row['file_name']} is labelled {row.get('label')!r}.")
                target = row.get("target_id", "") or f"hf-{Path(row['file_name']).stem}"
                clips.append(
                    Clip(
                        clip_id=row.get("clip_id") or slug(f"hf-{split}-{Path(row['file_name']).stem}"),
                        path=relative(table.parent / row["file_name"], folder), label=label, split=split,
                        method=row.get("method", "") or ("" if label == "real" else "unknown"), target_id=target,
                        driver_id=row.get("driver_id", "") or target,
                    )
                )  # fmt: skip
    return clips


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Write ``data/<split>/`` and a ``README.md`` that names the splits."""
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    taken: set[str] = set()
    moved = []
    for clip in clips:
        split = SPLIT_NAMES.get(clip.split, "train")
        name = unique(f"{slug(clip.clip_id)}", taken) + Path(clip.path).suffix
        where = f"data/{split}/{name}"
        place(dataset / clip.path, out / where)
        said = {k: v for k, v in asdict(clip).items() if k not in ("path", "split", "mask_path", "parameters_path")}
        said = {k: to_json(v) if isinstance(v, list | tuple | dict) else v for k, v in said.items()}
        rows[split].append({"file_name": name, **said, "is_fake": int(clip.label != REAL)})
        moved.append(replace(clip, path=where, mask_path=""))
    for split, found in rows.items():
        with (
            whole_file(out / "data" / split / "metadata.csv") as part,
            part.open("w", encoding="utf-8", newline="") as f,
        ):
            writer = csv.DictWriter(f, list(found[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
    files = "".join(f"  - split: {s}\n    path: data/{s}/**\n" for s in SPLIT_NAMES.values() if s in rows)
    write_text(
        out / "README.md",
        "---\ntask_categories:\n- video-classification\nconfigs:\n- config_name: default\n  data_files:\n"
        f"{files}---\n\n"
        f"{len(moved)} clips exported by facewitness; `label` is real or fake.\n",
    )
    return moved
