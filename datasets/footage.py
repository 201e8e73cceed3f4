"""The footage of a recipe: files, persons and rights, as takes that can be followed and cut."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facewitness.datasets.labels import Clip
from facewitness.datasets.layouts.base import VIDEO_SUFFIXES, slug, videos
from facewitness.datasets.recipe import FootageSpec, Recipe
from facewitness.errors import FacewitnessError, UnreadableInputError, UsageError
from facewitness.files import sha256_file

MIN_SECONDS = 5.0
"""Shorter footage makes no actor (see generator/footage.py)."""


@dataclass(frozen=True, kw_only=True)
class Take:
    """One real recording of one person."""

    path: Path
    person: str
    rights: str
    kind: str
    """``filmed`` or ``sample``."""
    sha256: str
    seconds: float
    frame_rate: float
    width: int
    height: int
    audio: bool

    @property
    def name(self) -> str:
        """A short name that goes into clip ids."""
        return slug(f"{self.person}-{self.sha256[:6]}")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that was left out, and why."""

    what: str
    reason: str


def gather(recipe: Recipe, work: Path, *, make_samples: bool = True) -> tuple[list[Take], list[Problem]]:
    """The takes of a recipe, in an order that depends on their names alone, and what could not be used.

    Sample footage is made in ``work`` (only listed, by its length, where ``make_samples`` is false).
    Raises UnreadableInputError for a folder or a list that is not there.
    """
    takes: list[Take] = []
    problems: list[Problem] = []
    for spec in recipe.footage:
        found = _samples(spec, recipe, work, make_samples) if spec.samples else _files(spec, recipe, problems)
        for path, person, rights in found:
            if (spec.only and person not in spec.only) or person in spec.without:
                continue
            if not rights.strip():
                problems.append(Problem(what=str(path), reason="no statement of rights"))
                continue
            try:
                takes.append(_take(path, person, rights, spec))
            except FacewitnessError as e:
                problems.append(Problem(what=str(path), reason=str(e)))
    seen: set[str] = set()
    kept = []
    for take in sorted(takes, key=lambda t: (t.person, t.path.name, t.sha256)):
        if take.sha256 in seen:
            problems.append(Problem(what=str(take.path), reason="the same bytes as another file of the footage"))
            continue
        seen.add(take.sha256)
        kept.append(take)
    return kept, problems


def _take(path: Path, person: str, rights: str, spec: FootageSpec) -> Take:
    from facewitness.media import probe

    if not path.exists():  # a sample that a dry run did not make
        return Take(
            path=path, person=person, rights=rights, kind="sample", sha256=path.stem, seconds=spec.seconds,
            frame_rate=25.0,
            width=spec.size, height=spec.size, audio=False,
        )  # fmt: skip
    info = probe(path)
    return Take(
        path=path, person=person, rights=rights, kind="sample" if spec.samples else spec.kind, sha256=sha256_file(path),
        seconds=info.duration_s, frame_rate=float(info.frame_rate), width=info.width, height=info.height,
        audio=info.audio_codec is not None,
    )  # fmt: skip


def _samples(spec: FootageSpec, recipe: Recipe, work: Path, make: bool) -> Iterable[tuple[Path, str, str]]:
    from facewitness.datasets.samples import RIGHTS, make_sample

    for name in spec.samples:
        for take in range(spec.takes):
            path = work / "samples" / f"{name}-{spec.seconds:g}s-{spec.size}-{recipe.seed}-{take}.mp4"
            if make and not path.exists():
                make_sample(name, path, seconds=spec.seconds, seed=recipe.seed * 1000 + take, size=spec.size)
            yield path, f"sample-{name}", spec.rights or RIGHTS


def _files(spec: FootageSpec, recipe: Recipe, problems: list[Problem]) -> Iterable[tuple[Path, str, str]]:
    folder = ((recipe.footage_home or recipe.home) / spec.folder).resolve()
    if not folder.is_dir():
        raise UnreadableInputError(f"the footage folder {folder} is not there.")
    if spec.layout:
        yield from _from_layout(spec, folder)
    elif spec.list:
        yield from _from_list(spec, folder, recipe.home / spec.list, problems)
    else:
        for path in videos(folder):
            found = re.search(spec.person, path.name)
            if not found:
                continue
            yield path, slug(found[1] if found.groups() else found[0]), spec.rights


def _from_layout(spec: FootageSpec, folder: Path) -> Iterable[tuple[Path, str, str]]:
    from facewitness.datasets.labels import REAL
    from facewitness.datasets.layouts import import_dataset

    clips: list[Clip] = import_dataset(folder, spec.layout)
    for clip in clips:
        if clip.label == REAL and (folder / clip.path).suffix.lower() in VIDEO_SUFFIXES:
            yield folder / clip.path, slug(clip.target_id), clip.rights or spec.rights


def _from_list(
    spec: FootageSpec, folder: Path, table: Path, problems: list[Problem]
) -> Iterable[tuple[Path, str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
    except OSError as e:
        raise UnreadableInputError(f"the list {table} cannot be read ({e.strerror}).") from e
    if rows and "file" not in rows[0]:
        raise UsageError(f"{table.name} needs a column 'file'; it has {', '.join(rows[0])}.")
    for row in rows:
        path = folder / row["file"]
        if row.get("label", "real").lower() not in ("real", "0", ""):
            continue
        if not path.exists():
            path = folder / Path(row["file"]).name
        if not path.exists():
            problems.append(Problem(what=row["file"], reason=f"{table.name} names it, and it is not there"))
            continue
        found = re.search(spec.person, path.name)
        person = row.get("person_id") or (found[1] if found and found.groups() else path.stem)
        yield path, slug(person), row.get("rights") or spec.rights
