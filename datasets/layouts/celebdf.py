"""Celeb-DF v2 (Li et al., CVPR 2020). In its list of testing videos **1 means real**.

``Celeb-real/idT_NNNN.mp4``, ``YouTube-real/NNNNN.mp4``, ``Celeb-synthesis/idT_idS_NNNN.mp4`` and
``List_of_testing_videos.txt`` with lines such as ``1 YouTube-real/00170.mp4``; what is not listed is for training.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facewitness.datasets.labels import FAKE, REAL, Clip
from facewitness.datasets.layouts.base import place, relative, videos
from facewitness.errors import UnreadableInputError
from facewitness.files import write_text

REALS, YOUTUBE, FAKES = "Celeb-real", "YouTube-real", "Celeb-synthesis"
TEST_LIST = "List_of_testing_videos.txt"
METHOD = "celebdf-synthesis"


def fits(folder: Path) -> bool:
    """Whether the folders of Celeb-DF are there."""
    return (folder / FAKES).is_dir() or (folder / REALS).is_dir()


def read(folder: Path) -> list[Clip]:
    """The clips of a Celeb-DF v2 tree; raises UnreadableInputError where list and folders contradict each other."""
    listed = _test_list(folder)
    clips = []
    for home, label in ((REALS, REAL), (YOUTUBE, REAL), (FAKES, FAKE)):
        for path in videos(folder / home):
            where = relative(path, folder)
            if where in listed and listed[where] != label:
                raise UnreadableInputError(f"{TEST_LIST} calls {where} {listed[where]}, its folder says {label}.")
            named = re.fullmatch(r"(id\d+)_(?:(id\d+)_)?\d+", path.stem)
            target = f"celebdf-{named[1]}" if named else f"celebdf-youtube-{path.stem}"
            driver = f"celebdf-{named[2]}" if named and named[2] else target
            clips.append(
                Clip(
                    clip_id=f"celebdf-{home}-{path.stem}", path=where, label=label, target_id=target, driver_id=driver,
                    method=METHOD if label == FAKE else "", split="test" if where in listed else "train",
                    source=path.name,
                )
            )  # fmt: skip
    return clips


def _test_list(folder: Path) -> dict[str, str]:
    path = folder / TEST_LIST
    if not path.exists():
        return {}
    lines = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {where.strip(): REAL if flag == "1" else FAKE for flag, where in lines}


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Lay the clips out with numbered persons; ``val`` counts as training in the list, as Celeb-DF has only two
    parts."""
    persons = {p: f"id{n}" for n, p in enumerate(sorted({c.target_id for c in clips} | {c.driver_id for c in clips}))}
    count: dict[str, int] = {}
    lines, moved = [], []
    for home in (REALS, FAKES):
        (out / home).mkdir(parents=True, exist_ok=True)
    for clip in clips:
        real = clip.label == REAL
        stem = persons[clip.target_id] if real else f"{persons[clip.target_id]}_{persons[clip.driver_id]}"
        number = count[stem] = count.get(stem, -1) + 1
        where = f"{REALS if real else FAKES}/{stem}_{number:04d}{Path(clip.path).suffix}"
        place(dataset / clip.path, out / where)
        if clip.split == "test":
            lines.append(f"{int(real)} {where}")
        moved.append(replace(clip, path=where, mask_path=""))
    write_text(out / TEST_LIST, "".join(f"{line}\n" for line in lines))
    return moved
