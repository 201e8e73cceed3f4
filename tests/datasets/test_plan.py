"""A plan is drawn from its seed, keeps people apart, and gives nothing but content to tell real from fake by."""

from collections import Counter
from pathlib import Path

import pytest

from facewitness.datasets.footage import Take
from facewitness.datasets.labels import REAL
from facewitness.datasets.plan import make_plan, split_people
from facewitness.datasets.recipe import ClipSpec, EditSpec, FactorSpec, FootageSpec, MethodSpec, Recipe


def take(person: str, *, seconds: float = 20.0, sha: str = "") -> Take:
    return Take(path=Path(f"{person}.mp4"), person=person, rights="r", kind="filmed",
    sha256=sha or f"{hash(person):x}"[-8:] * 8,
                seconds=seconds, frame_rate=25.0, width=256, height=256, audio=False)  # fmt: skip


def recipe(**more) -> Recipe:
    return Recipe(
        name="x", footage=(FootageSpec(folder="a", rights="r"),), clips=ClipSpec(each=2, reals=1),
        methods=(MethodSpec(name="reenactment", each=2), MethodSpec(name="self_reenactment")),
        factors=(FactorSpec(name="gaze_frozen", degrees=(0.5, 1.0)),), **more,
    )  # fmt: skip


@pytest.fixture
def takes() -> list[Take]:
    return [take(f"p{n:02d}", sha=f"{n:064x}") for n in range(12)]


def test_the_same_seed_gives_the_same_plan(takes):
    assert make_plan(takes, recipe(seed=1)) == make_plan(takes[::-1], recipe(seed=1))
    assert make_plan(takes, recipe(seed=1)) != make_plan(takes, recipe(seed=2))


def test_drivers_come_from_the_same_part_and_ids_are_unique(takes):
    plan = make_plan(takes, recipe())
    assert all(plan.split[j.driver] == plan.split[j.person] == j.split for j in plan.jobs)
    assert len({j.clip_id for j in plan.jobs}) == len(plan.jobs)
    assert set(plan.split.values()) == {"train", "val", "test"}
    assert min(Counter(plan.split.values()).values()) >= 2


def test_every_stretch_has_one_quality_and_a_real_clip(takes):
    plan = make_plan(takes, recipe())
    for person in plan.actors:
        for stretch in range(3):
            jobs = [j for j in plan.jobs if j.person == person and j.stretch == stretch]
            assert len({j.crf for j in jobs}) == 1
            assert sum(j.label == REAL for j in jobs) == 1


def test_every_factor_has_its_control(takes):
    plan = make_plan(takes, recipe())
    for job in plan.jobs:
        if job.factor:
            assert any(
                j.method == "self_reenactment" and (j.person, j.stretch) == (job.person, job.stretch) for j in plan.jobs
            )


def test_people_with_the_same_footage_stay_together(takes):
    split = split_people([t.person for t in takes], recipe(), together=[{"p00", "p07", "p11"}])
    assert split["p00"] == split["p07"] == split["p11"]


def test_short_footage_is_left_out_with_its_reason(takes):
    plan = make_plan([*takes, take("p99", seconds=3.0)], recipe())
    assert "p99" not in plan.actors
    assert any(p.what == "p99" and "3.0 s" in p.reason for p in plan.problems)


def test_the_estimate_counts_what_will_be_made(takes):
    plan = make_plan(takes, recipe())
    estimate = plan.estimate(recipe(), cores=2)
    assert estimate["clips"] == len(plan.jobs) and estimate["bytes"] > 0 and estimate["seconds"] > 0


def test_what_is_made_of_some_stretches_is_dealt_so_that_every_quality_has_as_many_fakes(takes):
    names = ("gaze_only", "lids_only", "mouth_only", "pose_only", "expression_only", "reenactment")
    wanted = Recipe(
        name="x", footage=(FootageSpec(folder="a", rights="r"),), clips=ClipSpec(each=3, crf=(18, 23, 30)),
        methods=tuple(MethodSpec(name=n, stretches=1) for n in names),
        edits=(EditSpec(set={"smile": 0.5}, stretches=1), EditSpec(set={"smile": 0.9}, name="grin", stretches=1)),
        factors=(FactorSpec(name="gaze_frozen", stretches=1), FactorSpec(name="eye_delay", stretches=1)),
    )  # fmt: skip
    plan = make_plan(takes, wanted)
    for person in plan.actors:
        mine = [j for j in plan.jobs if j.person == person and j.label != REAL]
        for name in (*names, "gaze_frozen", "eye_delay"):
            assert len({j.stretch for j in mine if j.method == name}) == 1
        sizes = Counter(j.stretch for j in mine)
        assert set(sizes) == {0, 1, 2} and max(sizes.values()) - min(sizes.values()) <= 2, sizes
        assert {j.crf for j in mine} == {18, 23, 30}
    quality = {label: Counter(j.crf for j in plan.jobs if j.label == label) for label in ("real", "fake")}
    assert len(set(quality["real"].values())) == 1
    assert max(quality["fake"].values()) / min(quality["fake"].values()) < 1.1
    placed = {j.stretch for j in plan.jobs if j.method == "gaze_only"}
    assert placed == {0, 1, 2}  # of one person the first, of another the last


def test_a_preview_shows_every_method_before_any_twice(takes):
    from facewitness.datasets.build import preview

    jobs = make_plan(takes, recipe()).jobs
    methods = {j.method for j in jobs}
    shown = preview(jobs, len(methods))
    assert {j.method for j in shown} == methods and len({j.person for j in shown}) == 1
    assert {j.method for j in preview(jobs, 1)} == {""}
    assert len(preview(jobs, 10_000)) == len(jobs)
