"""DeeperForensics-1.0 (Jiang et al., CVPR 2020): source videos by actor, fakes ``<target>_<actor>`` by way of making.

``source_videos/<actor>/...``, ``manipulated_videos/<method>/<target>_<actor>.mp4``,
``lists/splits/{train,val,test}.txt``.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facewitness.datasets.labels import FAKE, REAL, Clip
from facewitness.datasets.layouts.base import place, plain_name, relative, slug, unique, videos
from facewitness.files import write_text

REALS, FAKES = "source_videos", "manipulated_videos"
SPLITS = Path("lists") / "splits"


def fits(folder: Path) -> bool:
    """Whether fakes and sources are where DeeperForensics keeps them."""
    return (folder / FAKES).is_dir() and ((folder / REALS).is_dir() or (folder / "lists").is_dir())


def read(folder: Path) -> list[Clip]:
    """The clips of a DeeperForensics tree; in ``000_M101`` the target is video 000 and the face is actor M101's."""
    split = {}
    for part in ("train", "val", "test"):
        if (folder / SPLITS / f"{part}.txt").exists():
            lines = (folder / SPLITS / f"{part}.txt").read_text(encoding="utf-8").splitlines()
            split.update({line.strip(): part for line in lines if line.strip()})
    clips = []
    for path in videos(folder / REALS):
        where = relative(path, folder)
        actor = path.relative_to(folder / REALS).parts[0]
        person = f"deeperforensics-{Path(actor).stem}"
        clips.append(
            Clip(
                clip_id="deeperforensics-" + slug(where.rpartition(".")[0]), path=where, label=REAL, target_id=person,
                driver_id=person, split=split.get(path.name, ""), source=path.name,
            )
        )  # fmt: skip
    for path in videos(folder / FAKES):
        method = path.relative_to(folder / FAKES).parts[0]
        target, _, actor = plain_name(path.stem).partition("_")
        clips.append(
            Clip(
                clip_id=f"deeperforensics-{slug(method)}-{path.stem}", path=relative(path, folder), label=FAKE,
                method=method,
                target_id=f"deeperforensics-{target}", driver_id=f"deeperforensics-{actor or target}",
                split=split.get(path.name, ""), source=path.name,
            )
        )  # fmt: skip
    return clips


def write(clips: Sequence[Clip], dataset: Path, out: Path) -> list[Clip]:
    """Lay the clips out; file names are unique across methods, because the split lists hold names alone."""
    taken: set[str] = set()
    listed: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    moved = []
    for folder in (REALS, FAKES):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for clip in clips:
        target, driver = slug(clip.target_id).replace("_", "-"), slug(clip.driver_id).replace("_", "-")
        if clip.label == REAL:
            name = unique(f"{target}_source", taken) + Path(clip.path).suffix
            where = f"{REALS}/{target}/{name}"
        else:
            name = unique(f"{target}_{driver}", taken) + Path(clip.path).suffix
            where = f"{FAKES}/{slug(clip.method)}/{name}"
        place(dataset / clip.path, out / where)
        if clip.split:
            listed[clip.split].append(name)
        moved.append(replace(clip, path=where, mask_path=""))
    for part, names in listed.items():
        write_text(out / SPLITS / f"{part}.txt", "".join(f"{n}\n" for n in sorted(names)))
    return moved
