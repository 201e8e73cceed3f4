"""Building a dataset from a recipe: on all cores, resumable, and valid at every moment."""

import contextlib
import errno
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from facewitness.datasets.footage import Problem, Take, gather
from facewitness.datasets.labels import CSV, HIDDEN, PARQUET, REAL, Clip, write_labels
from facewitness.datasets.plan import Job, Plan, make_plan
from facewitness.datasets.recipe import HOMES, Recipe
from facewitness.errors import FacewitnessError, UsageError
from facewitness.files import plain, to_json, write_text
from facewitness.progress import Bar

CHUNK = 12
"""Clips of one actor that a worker makes in one go: opening an actor costs a second or two."""
SPARE_BYTES = 200 << 20
PROBLEMS = "problems.csv"


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build ended with."""

    folder: Path
    clips: int
    made: int
    """Of these, made now; the others were there already."""
    problems: tuple[Problem, ...]
    labels_sha256: str
    """Of the labels without hashes; the same for every build of a recipe."""
    methods: dict[str, int]
    splits: dict[str, int]
    actors: int


def plan_dataset(recipe: Recipe, folder: Path, *, make_samples: bool = True, prints: bool = True) -> Plan:
    """The plan of a recipe; with ``prints`` near-duplicate footage is found by fingerprint and kept together."""
    work = folder / HIDDEN
    takes, problems = gather(recipe, work, make_samples=make_samples)
    together = _duplicates(takes, work) if prints else []
    plan = make_plan(takes, recipe, together=together, problems=problems)
    if not plan.jobs:
        reasons = "; ".join(f"{Path(p.what).name}: {p.reason}" for p in plan.problems[:3])
        raise UsageError(f"the recipe yields no clip ({reasons or 'its footage is empty'}).")
    return plan


def build_dataset(recipe: Recipe, folder: Path, *, workers: int | None = None, limit: int | None = None) -> Built:
    """Build ``recipe`` into ``folder``: clips, masks, parameters, labels and card. Finished clips are kept.

    ``limit`` makes the first so many clips of the plan only, spread over methods (a preview). Raises UsageError
    where the
    disk is too small or the folder holds something else.
    """
    folder = Path(folder)
    _check_folder(folder)
    with _alone(folder):
        return _build(recipe, folder, workers, limit)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other build works in ``folder`` meanwhile; what a killed one left half-written is removed."""
    from filelock import FileLock, Timeout

    (folder / HIDDEN).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / HIDDEN / "lock", timeout=0):
            for place in (folder, folder / "clips", folder / "masks", folder / "parameters"):
                for left in place.glob(".*.part*"):
                    left.unlink(missing_ok=True)
            yield
    except Timeout as e:
        raise UsageError(f"another build is at work in {folder}; wait for it or give another folder.") from e


def _build(recipe: Recipe, folder: Path, workers: int | None, limit: int | None) -> Built:
    plan = plan_dataset(recipe, folder)
    cores = workers or os.cpu_count() or 1
    _check_disk(plan, recipe, folder, cores)
    jobs = preview(plan.jobs, limit) if limit else list(plan.jobs)
    rows, missing = _finished(jobs, recipe, folder)
    actors, problems = _make_actors(recipe, plan, missing, folder, cores)
    missing = [j for j in missing if j.person in actors and j.driver in actors]
    problems = [*plan.problems, *problems]
    before = len(rows)
    try:
        _make_clips(recipe, plan, missing, actors, folder, cores, rows, problems)
    except BaseException:  # interrupted, or the disk is full: what is there is a dataset all the same
        with contextlib.suppress(OSError):
            _finish(recipe, folder, rows, len(rows) - before, problems)
        raise
    return _finish(recipe, folder, rows, len(rows) - before, problems)


def preview(jobs: Sequence[Job], count: int) -> list[Job]:
    """``count`` jobs that show as many methods as possible, a real clip first, of as few people as will do."""
    by_method: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_method[job.method].append(job)
    chosen: list[Job] = []
    while len(chosen) < min(count, len(jobs)):
        for method in sorted(by_method):
            if by_method[method] and len(chosen) < count:
                chosen.append(by_method[method].pop(0))
    return sorted(chosen, key=lambda j: j.clip_id)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder.")
    known = (HIDDEN, PARQUET, CSV)
    if folder.exists() and any(folder.iterdir()) and not any((folder / n).exists() for n in known):
        raise UsageError(f"{folder} holds something else; give a new folder or one that this command made.")


def _check_disk(plan: Plan, recipe: Recipe, folder: Path, cores: int) -> None:
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    need = plan.estimate(recipe, cores=cores)["bytes"]
    free = shutil.disk_usage(folder).free
    if need + SPARE_BYTES > free:
        raise UsageError(
            f"the dataset needs about {need / 1e9:.1f} GB and only {free / 1e9:.1f} GB are free; build elsewhere."
        )


def _duplicates(takes: Sequence[Take], work: Path) -> list[set[str]]:
    """Sets of persons whose footage is nearly the same, by fingerprint (kept in ``work``)."""
    import numpy as np

    from facewitness.datasets.splits import near_duplicates
    from facewitness.files import whole_file
    from facewitness.provenance import fingerprint

    prints = {}
    for take in takes:
        stored = work / "prints" / f"{take.sha256}.npz"
        if not stored.exists():
            try:
                print_ = fingerprint.of_video(take.path)
            except FacewitnessError:
                continue
            with whole_file(stored) as part, part.open("wb") as f:
                np.savez_compressed(f, vectors=print_.vectors, starts_s=print_.starts_s, duration_s=print_.duration_s)
        with np.load(stored, allow_pickle=False) as arrays:
            prints[take.sha256] = fingerprint.Fingerprint(
                vectors=arrays["vectors"], starts_s=arrays["starts_s"], duration_s=float(arrays["duration_s"])
            )
    person = {t.sha256: t.person for t in takes}
    filmed = {t.sha256 for t in takes if t.kind != "sample"}  # samples share two backdrops, and show nobody
    same = near_duplicates({k: v for k, v in prints.items() if k in filmed})
    return [persons for persons in ({person[s] for s in group} for group in same) if len(persons) > 1]


def _make_actors(
    recipe: Recipe, plan: Plan, jobs: Iterable[Job], folder: Path, cores: int
) -> tuple[dict[str, Path], list[Problem]]:
    """The actor folders by person; those whose footage is unfit are missing, with the reason."""
    needed = sorted({j.person for j in jobs} | {j.driver for j in jobs})
    actors, problems = {}, []
    tasks = {person: (plan.actors[person], _actor_folder(recipe, plan.actors[person], folder)) for person in needed}
    with Bar("making actors", total=len(tasks)) as bar:
        arguments = [(take, where, recipe.actors, recipe.seed) for take, where in tasks.values()]
        for (person, (_, where)), result in _run(_train, list(tasks.items()), arguments, cores):
            if isinstance(result, str):
                problems.append(Problem(what=person, reason=result))
            else:
                actors[person] = where
            bar.advance(note=person)
    return actors, problems


def _actor_folder(recipe: Recipe, take: Take, folder: Path) -> Path:
    spec = recipe.actors
    return (
        folder / HIDDEN / "actors" / f"{take.name}-{spec.minutes:g}min-{spec.size}-{spec.max_seconds:g}s-{recipe.seed}"
    )


def _train(take: Take, where: Path, spec: Any, seed: int) -> None:
    from facewitness.errors import UnreadableInputError
    from facewitness.generator.actor import load_actor
    from facewitness.generator.training import train_actor

    try:
        load_actor(where)
    except UnreadableInputError:
        train_actor(
            take.path, where, rights=take.rights, minutes=spec.minutes, size=spec.size, preset=spec.preset,
            device=spec.device, seed=seed, max_seconds=spec.max_seconds, name=take.person, progress=False,
        )  # fmt: skip


def _finished(jobs: Sequence[Job], recipe: Recipe, folder: Path) -> tuple[list[Clip], list[Job]]:
    """Rows of clips that are there already, and the jobs that are left."""
    rows, missing = [], []
    for job in jobs:
        stored = folder / HIDDEN / "rows" / f"{job.clip_id}.json"
        try:
            content = json.loads(stored.read_text(encoding="utf-8"))
            clip = _row_from(content["row"])
            there = content["job"] == job.digest(recipe.clips) and (folder / clip.path).exists()
        except (OSError, ValueError, KeyError, TypeError):
            there = False
        if there:
            rows.append(clip)
        else:
            missing.append(job)
    return rows, missing


def _row_from(values: dict[str, Any]) -> Clip:
    from facewitness.datasets.labels import _clip

    return _clip(values)


def _make_clips(
    recipe: Recipe, plan: Plan, jobs: Sequence[Job], actors: dict[str, Path], folder: Path, cores: int, rows:
    list[Clip],
    problems: list[Problem],
) -> None:  # fmt: skip
    """Make the clips of ``jobs``; ``rows`` and ``problems`` grow as they come."""
    # everybody's first clips before anybody's last, so that what a build leaves when it is stopped is of all people
    made_of: dict[str, int] = defaultdict(int)
    rounds: dict[tuple[int, str], list[Job]] = defaultdict(list)
    left = {j.clip_id for j in jobs}
    for job in plan.jobs:
        if job.clip_id in left:
            rounds[made_of[job.person] // CHUNK, job.person].append(job)
        made_of[job.person] += 1
    chunks = [rounds[key] for key in sorted(rounds)]
    arguments = []
    for chunk in chunks:
        people = {chunk[0].person} | {j.driver for j in chunk}
        cast = {p: (actors[p], plan.actors[p]) for p in sorted(people)}
        arguments.append((chunk, cast, recipe.clips, folder))
    with Bar("making clips", total=len(jobs)) as bar:
        for chunk, result in _run(_make_chunk, chunks, arguments, cores):
            if isinstance(result, str):
                problems += [Problem(what=j.clip_id, reason=result) for j in chunk]
            else:
                rows += result[0]
                problems += result[1]
            bar.advance(len(chunk), note=chunk[-1].clip_id)


def _make_chunk(
    jobs: Sequence[Job], cast: dict[str, tuple[Path, Take]], spec: Any, folder: Path
) -> tuple[list[Clip], list[Problem]]:
    from facewitness.datasets.make import make_clip
    from facewitness.datasets.rendering import open_studio
    from facewitness.generator.actor import load_actor

    people = {person: (load_actor(path, check=False), take) for person, (path, take) in cast.items()}
    actor, take = people[jobs[0].person]
    studio = open_studio(actor, take, spec, folder)
    rows, problems = [], []
    for job in jobs:
        try:
            clip = make_clip(job, studio, people)
        except FacewitnessError as e:
            problems.append(Problem(what=job.clip_id, reason=str(e)))
            continue
        write_text(
            folder / HIDDEN / "rows" / f"{job.clip_id}.json", to_json({"job": job.digest(spec), "row": plain(clip)})
        )
        rows.append(clip)
    return rows, problems


def _run(work: Any, items: Sequence[Any], arguments: Sequence[tuple], cores: int) -> Iterator[tuple[Any, Any]]:
    """Yield (item, result) as they finish, on ``cores`` processes; a mistake of the footage comes as its sentence.

    Raises UsageError where the disk is full; what was finished stays.
    """
    if not items:
        return
    with ProcessPoolExecutor(min(cores, len(items)), mp_context=get_context("spawn"), initializer=_quiet) as pool:
        futures = {pool.submit(work, *a): item for item, a in zip(items, arguments, strict=True)}
        try:
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except FacewitnessError as e:
                    yield futures[future], str(e)
                except OSError as e:
                    if e.errno == errno.ENOSPC:
                        raise UsageError("the disk is full; free some space and run the same command again.") from e
                    yield futures[future], f"{type(e).__name__}: {e}"
                except (ValueError, RuntimeError, IndexError, AssertionError, MemoryError) as e:
                    yield futures[future], f"{type(e).__name__}: {e}"
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _quiet() -> None:
    """One core for each worker, which ends with the build that started it."""
    import threading
    from multiprocessing import parent_process

    if parent := parent_process():
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    import cv2

    cv2.setNumThreads(1)


def _end_with(parent: Any) -> None:
    """Wait until the build has ended, killed perhaps, and leave: nobody waits for the rest. Files appear whole or not
    at all, so nothing is lost."""
    parent.join()
    os._exit(1)


def _finish(recipe: Recipe, folder: Path, rows: list[Clip], made: int, problems: Sequence[Problem]) -> Built:
    """Labels, card and the list of what was left out."""
    import csv
    import io

    from facewitness.datasets.card import write_card

    digest = write_labels(folder, rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", "reason"])
    writer.writerows(sorted({(Path(p.what).name, p.reason) for p in problems}))
    write_text(folder / PROBLEMS, text.getvalue())
    recipe_json = {k: v for k, v in plain(recipe).items() if k not in HOMES}
    write_text(folder / "recipe.json", to_json(recipe_json, indent=2))
    write_card(folder, recipe, rows, problems)
    methods: dict[str, int] = defaultdict(int)
    splits: dict[str, int] = defaultdict(int)
    for clip in rows:
        methods[clip.method or REAL] += 1
        splits[clip.split] += 1
    return Built(
        folder=folder, clips=len(rows), made=made, problems=tuple(problems), labels_sha256=digest,
        methods=dict(sorted(methods.items())), splits=dict(sorted(splits.items())),
        actors=len({c.target_id for c in rows}),
    )  # fmt: skip
