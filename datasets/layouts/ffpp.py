"""FaceForensics++ (Rössler et al., ICCV 2019): numbered originals, ``<target>_<source>`` fakes by method and quality.

``original_sequences/youtube/<c>/videos/NNN.mp4``, ``manipulated_sequences/<Method>/<c>/videos/NNN_MMM.mp4``, masks
under
``manipulated_sequences/<Method>/masks/videos``, ``splits/{train,val,test}.json`` with pairs of numbers.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facewitness.datasets.labels import FAKE, REAL, Clip
from facewitness.datasets.layouts.base import place, plain_name, relative, slug, unique, videos
from facewitness.files import to_json, write_text

ORIGINALS, FAKES = "original_sequences", "manipulated_sequences"
QUALITIES = {0: "raw", 23: "c23", 40: "c40"}
CRF_OF = {"raw": 0, "c0": 0, "c23": 23, "c40": 40}


def fits(folder: Path) -> bool:
    """Whether there are originals or fakes where FaceForensics++ keeps them."""
    return (folder / ORIGINALS).is_dir() or (folder / FAKES).is_dir()


def read(folder: Path) -> list[Clip]:
    """The clips of a FaceForensics++ tree; person ids are the numbers of the videos (``ffpp-000``)."""
    split = _splits(folder)
    clips = []
    for path in videos(folder / ORIGINALS):
        quality, number = path.parent.parent.name, plain_name(path.stem)
        person = f"ffpp-{number}"
        clips.append(_clip(folder, path, REAL, "", person, person, split.get(number, ""), quality))
    for path in videos(folder / FAKES):
        method, quality = path.relative_to(folder / FAKES).parts[:2]
        if quality == "masks":
            continue
        target, _, source = plain_name(path.stem).partition("_")
        mask = folder / FAKES / method / "masks" / "videos" / path.name
        clip = _clip(
            folder, path, FAKE, method, f"ffpp-{target}", f"ffpp-{source or target}", split.get(target, ""), quality
        )
        clips.append(replace(clip, mask_path=relative(mask, folder) if mask.exists() else ""))
    return clips


def _clip(
    folder: Path, path: Path, label: str, method: str, target: str, driver: str, split: str, quality: str
) -> Clip:
    crf = CRF_OF.get(quality)
    if crf is None:
        crf = int(quality[1:]) if re.fullmatch(r"c\d+", quality) else -1
    name = f"ffpp-{slug(method or path.parents[2].name)}-{quality}-{path.stem}"
    return Clip(
        clip_id=name, path=relative(path, folder), label=label, method=method, target_id=target, driver_id=driver,
        split=split, crf=crf, source=path.name,
    )  # fmt: skip


def _splits(folder: Path) -> dict[str, str]:
    split = {}
    for part in ("train", "val", "test"):
        for home in (folder / "splits", folder, folder / "dataset" / "splits"):
            if (home / f"{part}.json").is_file():
                for pair in json.loads((home / f"{part}.json").read_text(encoding="utf-8")):
                    split.update(dict.fromkeys(map(str, pair), part))
                break
    return split


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Lay the clips out; each stretch of footage becomes one number, each fake ``<target>_<source>``."""
    number, person_number = _numbers(clips)
    pairs: dict[str, set[tuple[str, str]]] = {"train": set(), "val": set(), "test": set()}
    taken: set[str] = set()
    moved = []
    for clip in clips:
        quality = QUALITIES.get(clip.crf, f"c{clip.crf}" if clip.crf >= 0 else "raw")
        target = number[_stretch(clip)]
        source = target if clip.driver_id == clip.target_id else person_number[clip.driver_id]
        suffix = Path(clip.path).suffix
        if clip.label == REAL:
            home = Path(ORIGINALS) / "youtube" / quality / "videos"
            where = unique(str(home / target), taken) + suffix
        else:
            home = Path(FAKES) / slug(clip.method) / quality / "videos"
            where = unique(str(home / f"{target}_{source}"), taken) + suffix
        place(dataset / clip.path, out / where)
        mask = ""
        if clip.mask_path:
            mask = str(Path(FAKES) / slug(clip.method) / "masks" / "videos" / Path(where).name)
            if not (out / mask).exists():
                place(dataset / clip.mask_path, out / mask)
        if clip.split:
            pairs[clip.split].update({(target, source), (source, target)})
        moved.append(replace(clip, path=Path(where).as_posix(), mask_path=Path(mask).as_posix() if mask else ""))
    for part, found in pairs.items():
        write_text(out / "splits" / f"{part}.json", to_json(sorted(found)))
    return moved


def _stretch(clip: Clip) -> str:
    return clip.pair_id or (clip.clip_id if clip.label == REAL else f"person {clip.target_id}")


def _numbers(clips: Sequence[Clip]) -> tuple[dict[str, str], dict[str, str]]:
    """A number for each stretch of footage, and for each person the number of their first."""
    stretches: dict[str, str] = {}
    persons: dict[str, str] = {}
    for clip in sorted(clips, key=lambda c: (c.label != REAL, c.clip_id)):
        if _stretch(clip) not in stretches:
            stretches[_stretch(clip)] = f"{len(stretches):03d}"
        persons.setdefault(clip.target_id, stretches[_stretch(clip)])
    for person in sorted({c.driver_id for c in clips}):
        persons.setdefault(person, f"{len(stretches) + len(persons):03d}")
    return stretches, persons
