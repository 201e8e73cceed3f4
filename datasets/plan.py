"""From a recipe and its footage to a list of jobs, one a clip: drawn from the seed, balanced so that nothing but
content differs.

Every stretch of footage has one length, rate, size and quality, and every actor has the same number of stretches and
the
same methods; so width, height, rate, duration and quality say nothing of the label.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from facewitness.datasets.factors import FACTORS
from facewitness.datasets.footage import MIN_SECONDS, Problem, Take
from facewitness.datasets.labels import FAKE, REAL, SPLITS
from facewitness.datasets.layouts.base import slug
from facewitness.datasets.recipe import SELF_METHODS, TAKES, EditSpec, FactorSpec, MethodSpec, Recipe
from facewitness.datasets.splits import Groups
from facewitness.files import to_json

SECONDS_A_FRAME = 0.055
"""Rendering, marking and encoding one frame at 256 px on one core (measured on the shared clips)."""
TRACK_S_A_FRAME = 0.03
BYTES_A_PIXEL = {18: 0.020, 23: 0.011, 30: 0.005, 40: 0.002}
"""Measured on the sample actors and the shared clips, by quality."""
LEAST_PEOPLE = 2
"""A part with one person has nobody to drive them."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One clip to be made; everything it depends on but the footage itself."""

    clip_id: str
    label: str
    method: str
    person: str
    driver: str
    """Person whose motion it is."""
    split: str
    stretch: int
    """Number of the stretch in the person's footage."""
    of: int
    """How many stretches the footage is divided into."""
    crf: int
    seed: int
    take: tuple[str, ...] = ()
    mode: str = "relative"
    segment: float = 1.0
    factor: str = ""
    degree: float = 0.0
    edits: dict[str, float] = field(default_factory=dict)

    def digest(self, *more: object) -> str:
        """Changes when anything the clip depends on does."""
        return hashlib.sha256(to_json([self, *more]).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be built."""

    jobs: tuple[Job, ...]
    actors: dict[str, Take]
    """The take each person's actor is made of."""
    split: dict[str, str]
    problems: tuple[Problem, ...] = ()

    def estimate(self, recipe: Recipe, *, cores: int) -> dict[str, float]:
        """Clips, bytes on disk and seconds of work that the plan will take, roughly."""
        pixels = recipe.clips.size**2
        frames = sum(self.actors[j.person].frame_rate * recipe.clips.seconds for j in self.jobs)
        qualities = sorted(BYTES_A_PIXEL)
        per_pixel = [float(np.interp(j.crf, qualities, [BYTES_A_PIXEL[q] for q in qualities])) for j in self.jobs]
        clip_bytes = sum(
            b * pixels * self.actors[j.person].frame_rate * recipe.clips.seconds + 40_000
            for b, j in zip(per_pixel, self.jobs, strict=True)
        )
        footage = sum(min(t.seconds, recipe.actors.max_seconds) * t.frame_rate for t in self.actors.values())
        actor_bytes = sum(
            min(t.seconds, recipe.actors.max_seconds) * t.frame_rate * (t.width * t.height * 0.03 + 30_000)
            for t in self.actors.values()
        )
        work = frames * SECONDS_A_FRAME * pixels / 256**2 + footage * TRACK_S_A_FRAME
        training = len(self.actors) * recipe.actors.minutes * 60
        return {
            "clips": len(self.jobs), "actors": len(self.actors), "frames": round(frames),
            "bytes": round(clip_bytes + actor_bytes), "seconds": round((work + training) / max(cores, 1)),
        }  # fmt: skip


def choose_actors(takes: Sequence[Take], recipe: Recipe) -> tuple[dict[str, Take], list[Problem]]:
    """The longest take of each person, as many persons as the recipe wants; the rest with the reason."""
    problems = []
    by_person: dict[str, list[Take]] = defaultdict(list)
    for take in takes:
        by_person[take.person].append(take)
    best = {
        p: max(ts, key=lambda t: (min(t.seconds, recipe.actors.max_seconds), t.sha256)) for p, ts in by_person.items()
    }
    need = max(MIN_SECONDS, recipe.clips.seconds + 2.0)
    for person in sorted(best):
        if best[person].seconds < need:
            problems.append(
                Problem(what=person, reason=f"only {best[person].seconds:.1f} s of footage; {need:.0f} s are needed")
            )
            del best[person]
    ranked = sorted(best, key=lambda p: (-min(best[p].seconds, recipe.actors.max_seconds), p))
    kept = ranked[: recipe.actors.most] if recipe.actors.most else ranked
    return {p: best[p] for p in sorted(kept)}, problems


def split_people(people: Sequence[str], recipe: Recipe, *, together: Iterable[Iterable[str]] = ()) -> dict[str, str]:
    """A part for every person: shares as near as whole persons allow, two at least in a part where there are enough.

    ``together`` are sets of persons who must not be parted (near-duplicate footage).
    """
    groups = Groups()
    for same in together:
        groups.join(same)
    sets: dict[str, list[str]] = defaultdict(list)
    for person in sorted(people):
        sets[groups.find(person)].append(person)
    shares = {s: getattr(recipe.splits, s) for s in SPLITS}
    parts = [s for s in SPLITS if shares[s] > 0]
    while len(parts) > 1 and len(people) < LEAST_PEOPLE * len(parts):
        parts.remove(min(parts, key=lambda s: (shares[s], s != "val")))
    total = sum(shares[s] for s in parts)
    wanted = {s: max(shares[s] / total * len(people), LEAST_PEOPLE) for s in parts}
    rng = np.random.default_rng([recipe.seed, 1])
    names = sorted(sets)
    order = rng.permutation(len(names))
    names = sorted((names[i] for i in order), key=lambda n: -len(sets[n]))
    have = dict.fromkeys(parts, 0)
    split = {}
    for name in names:
        best = max(parts, key=lambda s: ((wanted[s] - have[s]) / wanted[s], -parts.index(s)))
        short = [s for s in parts if have[s] < LEAST_PEOPLE]
        left = len(people) - sum(have.values())
        if short and left <= sum(LEAST_PEOPLE - have[s] for s in short):
            best = min(short, key=lambda s: have[s])
        have[best] += len(sets[name])
        split.update(dict.fromkeys(sets[name], best))
    return split


def make_plan(
    takes: Sequence[Take], recipe: Recipe, *, together: Iterable[Iterable[str]] = (), problems: Sequence[Problem] = ()
) -> Plan:
    """All jobs of a recipe over its takes, sorted by clip id."""
    actors, left_out = choose_actors(takes, recipe)
    split = split_people(list(actors), recipe, together=together)
    jobs: list[Job] = []
    notes = [*problems, *left_out]
    qualities = np.random.default_rng([recipe.seed, 3]).permutation(recipe.clips.crf)
    for number, person in enumerate(sorted(actors)):
        others = [p for p in sorted(actors) if p != person and split[p] == split[person]]
        if not others and any(m.name in TAKES for m in recipe.methods):
            notes.append(Problem(what=person, reason=f"nobody else is in {split[person]} to drive them"))
        count = recipe.clips.each + recipe.clips.reals
        dealt = deal(recipe, number)
        for stretch in range(count):
            rng = np.random.default_rng([recipe.seed, 2, number, stretch])
            crf = int(qualities[(number + stretch) % len(qualities)])
            base = {"person": person, "split": split[person], "stretch": stretch, "of": count, "crf": crf}
            mine = dealt[stretch] if stretch < recipe.clips.each else None
            jobs += _stretch_jobs(recipe, actors[person], base, mine, others, rng)
    return Plan(
        jobs=tuple(sorted(jobs, key=lambda j: j.clip_id)), actors=actors, split=split, problems=tuple(notes)
    )  # fmt: skip


Spec = MethodSpec | FactorSpec | EditSpec


def deal(recipe: Recipe, number: int) -> list[list[Spec]]:
    """What is made of each stretch of person ``number``: where a method wants some of the stretches only, those that
    have the fewest fakes so far, and for each person others."""
    each = recipe.clips.each
    hands: list[list[Spec]] = [[] for _ in range(each)]
    load = [0] * each
    specs: list[Spec] = [*recipe.methods, *recipe.factors, *recipe.edits]
    for turn, spec in enumerate(specs):
        order = sorted(range(each), key=lambda s, t=turn: (load[s], (s - t - number) % each))  # type: ignore[misc]
        for stretch in order[: spec.stretches or each]:
            hands[stretch].append(spec)
            load[stretch] += _clips_of(spec)
    return hands


def _clips_of(spec: Spec) -> int:
    if isinstance(spec, MethodSpec):
        return spec.each
    return len(_degrees(spec)) if isinstance(spec, FactorSpec) else 1


def _degrees(spec: FactorSpec) -> list[float]:
    return [d for d in spec.degrees or FACTORS[spec.name].degrees if d != 0]


def _stretch_jobs(
    recipe: Recipe, take: Take, base: dict, specs: list[Spec] | None, others: list[str], rng: np.random.Generator
) -> list[Job]:
    """The real clip of a stretch, and its fakes; ``specs`` is None for a stretch that only stays real."""
    person, stem = base["person"], f"{take.name}-s{base['stretch']}"

    def job(name: str, method: str, **more) -> Job:
        seed = int.from_bytes(hashlib.sha256(f"{recipe.seed} {stem} {name}".encode()).digest()[:4], "big") >> 1
        label = FAKE if method else REAL
        return Job(clip_id=f"{stem}-{name}", label=label, method=method, driver=more.pop("driver", person), seed=seed,
                   **base, **more)  # fmt: skip

    jobs = [job("real", "")]
    for spec in specs or ():
        if isinstance(spec, MethodSpec) and spec.name in SELF_METHODS:
            part = f"-{round(100 * spec.segment)}" if spec.segment < 1 else ""
            jobs.append(job(slug(spec.name) + part, spec.name, segment=spec.segment, take=TAKES["reenactment"]))
        elif isinstance(spec, MethodSpec):
            for driver in (others[i] for i in rng.permutation(len(others))[: spec.each]):
                name = f"{slug(spec.name)}-{slug(driver)}"
                jobs.append(job(name, spec.name, driver=driver, take=TAKES[spec.name], mode=spec.mode))
        elif isinstance(spec, FactorSpec):
            jobs += [
                job(f"{slug(spec.name)}-{d:g}", spec.name, factor=spec.name, degree=d, edits={spec.name: d})
                for d in _degrees(spec)
            ]
        else:
            said = "-".join(f"{slug(k)}-{v:g}" for k, v in sorted(spec.set.items()))
            jobs.append(job(f"{slug(spec.name)}-{said}", spec.name, edits=dict(spec.set)))
    if any(j.factor for j in jobs) and not any(j.method in SELF_METHODS and j.segment == 1 for j in jobs):
        jobs.append(job("self-reenactment", "self_reenactment", take=TAKES["reenactment"]))  # the factors' control
    return jobs
