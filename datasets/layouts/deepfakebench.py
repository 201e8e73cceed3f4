"""DeepfakeBench (Yan et al., NeurIPS 2023): JSON of frame lists, {dataset: {label: {split: {video: {label, frames}}}}}.

FaceForensics++ alone has one level more, of compressions, between split and video. Its reader (training/dataset/
abstract_dataset.py) asks every label for the split it wants, so each has all three, empty perhaps. It looks for the
mask of ``frames/.../007.png`` at ``masks/.../007.png``, by replacing the word wherever it stands. It needs every label
in its ``label_dict``: the lines to add lie in ``label_dict.yaml``. Exported frames are PNG files, evenly spread.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facewitness.datasets.labels import FAKE, REAL, SPLITS, Clip
from facewitness.datasets.layouts.base import place, relative, slug, unique
from facewitness.errors import UnreadableInputError
from facewitness.files import to_json, write_text

FRAMES_A_CLIP = 32
NAME = "facewitness"
SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def _json_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.json"), *folder.glob("dataset_json/*.json")])


def fits(folder: Path) -> bool:
    """Whether a JSON of DeepfakeBench's form lies here or in ``dataset_json``."""
    for path in _json_files(folder):
        try:
            if any(True for _ in _entries(json.loads(path.read_text(encoding="utf-8")))):
                return True
        except (OSError, ValueError):
            continue
    return False


def _entries(tree: Any) -> Iterator[tuple[str, str, str, str, str, dict[str, Any]]]:
    """(dataset, label, split, compression, video, entry) of every video in the tree."""
    if not isinstance(tree, dict):
        return
    for dataset, labels in tree.items():
        for label, splits in labels.items() if isinstance(labels, dict) else ():
            for split, content in splits.items() if isinstance(splits, dict) else ():
                for name, value in content.items() if isinstance(content, dict) else ():
                    if isinstance(value, dict) and "frames" in value:
                        yield dataset, label, split, "", name, value
                    elif isinstance(value, dict):
                        for video, entry in value.items():
                            if isinstance(entry, dict) and "frames" in entry:
                                yield dataset, label, split, name, video, entry


def read(folder: Path) -> list[Clip]:
    """The videos of the JSON files; a clip's path is the folder of its frames, or the video where one lies beside."""
    clips = []
    for path in _json_files(folder):
        for dataset, label, split, compression, video, entry in _entries(json.loads(path.read_text(encoding="utf-8"))):
            frames = [str(f).replace("\\", "/") for f in entry["frames"]]
            if not frames:
                continue
            real = str(entry.get("label", label)).lower().endswith("real")
            target, _, driver = video.partition("_")
            home = entry.get("video") or str(Path(frames[0]).parent.as_posix())
            if not (folder / home).exists():
                raise UnreadableInputError(f"{path.name} names {home}, which is not in {folder}.")
            clips.append(
                Clip(
                    clip_id=slug(f"{dataset}-{label}-{compression}-{video}"), path=home, label=REAL if real else FAKE,
                    method="" if real else label, target_id=f"{dataset}-{target}",
                    driver_id=f"{dataset}-{driver or target}",
                    split=SPLIT_NAMES.get(split, ""), frames=len(frames), source=video,
                    crf=int(compression[1:]) if compression[1:].isdigit() else -1,
                )
            )  # fmt: skip
    return clips


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Write frames, masks, ``dataset_json/facewitness.json`` and ``label_dict.yaml``."""
    labels = sorted({_label(c) for c in clips})
    tree: dict[str, Any] = {label: {split: {} for split in SPLITS} for label in labels}
    moved, taken = [], set[str]()
    for clip in clips:
        name = unique(slug(clip.clip_id).replace("frames", "frame"), taken)  # every "frames" in a path is replaced
        frames = _frames(dataset / clip.path, out / "frames" / name)
        if clip.mask_path:
            _frames(dataset / clip.mask_path, out / "masks" / name, grey=True)
        video = Path("videos") / (name + Path(clip.path).suffix)
        place(dataset / clip.path, out / video)
        entry = {"label": _label(clip), "frames": [relative(f, out) for f in frames], "video": video.as_posix()}
        tree[_label(clip)][clip.split or "train"][name] = entry
        moved.append(replace(clip, path=video.as_posix(), mask_path=""))
    write_text(out / "dataset_json" / f"{NAME}.json", to_json({NAME: tree}, indent=1))
    numbers = "".join(f"  {label}: {int(not label.endswith('real'))}\n" for label in labels)
    write_text(out / "label_dict.yaml", f"label_dict:\n{numbers}")
    return moved


def _label(clip: Clip) -> str:
    return f"{NAME}-real" if clip.label == REAL else clip.method


def _frames(video: Path, home: Path, *, grey: bool = False) -> list[Path]:
    """Evenly spread frames of a video as PNG files."""
    import cv2
    import numpy as np

    from facewitness.media import probe, read_frames

    count = probe(video).frames or sum(1 for _ in read_frames(video))
    wanted = set(
        np.unique(np.linspace(0, max(count - 1, 0), min(FRAMES_A_CLIP, max(count, 1))).round().astype(int)).tolist()
    )
    home.mkdir(parents=True, exist_ok=True)
    written = []
    for frame in read_frames(video):
        if frame.index in wanted:
            path = home / f"{frame.index:03d}.png"
            cv2.imwrite(str(path), np.ascontiguousarray(frame.image[..., 1] if grey else frame.image[..., ::-1]))
            written.append(path)
    return written
