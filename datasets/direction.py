"""Direction: what a fake is to show. The target's own performance, changed or with something of a driver's in it."""

import dataclasses
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.factors import FACTORS
from facewitness.datasets.footage import Take
from facewitness.datasets.plan import Job
from facewitness.datasets.recipe import SELF_METHODS, TAKES
from facewitness.datasets.rendering import Studio, Wanted
from facewitness.datasets.stretch import Stretch, find_stretch
from facewitness.generator.actor import Actor
from facewitness.generator.performance import Performance


def direct(job: Job, studio: Studio, stretch: Stretch, drivers: dict[str, tuple[Actor, Take]]) -> Wanted:
    """What the clip of ``job`` shows; ``drivers`` are the actors of the same part by person.

    Raises UsageError where the footage is too short for it.
    """
    from facewitness.generator.editing import apply_edits
    from facewitness.generator.reenactment import within_reach

    own = studio.actor.performance
    mine = cut(own, stretch.frames)
    factor, rng = FACTORS.get(job.factor), np.random.default_rng(job.seed)
    if factor and factor.order:  # the pictures themselves are dropped and repeated, not the performance
        order = factor.order(stretch.count, job.degree, rng)
        frames = stretch.grown(int(order.max()) + 1)
        return Wanted(result=cut(own, frames), driver=mine, shown=frames, order=order)
    if factor:
        return Wanted(result=factor.apply(mine, job.degree, rng), driver=mine, shown=stretch.frames)
    if job.method in SELF_METHODS:
        return Wanted(result=mine, driver=mine, shown=stretch.frames)
    if job.method in TAKES:
        driver, _ = drivers[job.driver]
        theirs = _at_rate(driver, studio.spec.seconds, job, stretch)
        result = _transferred(theirs, driver.performance, own, stretch, job)
        return Wanted(result=within_reach(result, studio.actor)[0], driver=theirs, shown=stretch.frames)
    result = within_reach(apply_edits(mine, job.edits)[0], studio.actor)[0]
    return Wanted(result=result, driver=mine, shown=stretch.frames, edited_from=mine)


def _at_rate(driver: Actor, seconds: float, job: Job, stretch: Stretch) -> Performance:
    """The driver's stretch of the same number, at the target's frame rate, with the target's number of frames."""
    from facewitness.generator.recombine import at_times

    rate = Fraction(driver.card["frame"]["rate"])
    theirs = find_stretch(driver.performance, rate, seconds, job.stretch, job.of)
    start = driver.performance.times_s[theirs.first]
    moved = at_times(driver.performance, start + np.arange(stretch.count) / float(stretch.rate))
    return dataclasses.replace(moved, time_base=1 / stretch.rate, pts=np.arange(stretch.count, dtype=np.int64))


def _transferred(
    theirs: Performance, driver_all: Performance, own: Performance, stretch: Stretch, job: Job
) -> Performance:
    """The target's stretch with what is taken from the driver; both people's rest is judged over all of their
    footage."""
    from facewitness.generator.recombine import join, transfer

    driver = join([theirs, driver_all])
    inside = np.array(stretch.frames)
    rest = np.setdiff1d(np.arange(len(own)), inside)
    target = join([cut(own, inside), cut(own, rest)]) if len(rest) else cut(own, inside)
    steady = np.arange(len(target), dtype=np.int64)
    target = dataclasses.replace(target, time_base=1 / stretch.rate, pts=steady)
    result = transfer(driver, target, job.take, job.mode)
    return dataclasses.replace(
        cut(result, range(stretch.count)), time_base=1 / stretch.rate, pts=np.arange(stretch.count, dtype=np.int64)
    )


def cut(performance: Performance, frames: range | NDArray) -> Performance:
    """The performance of these frames alone."""
    from facewitness.generator.reconstruct.model import pick

    return pick(performance, np.asarray(frames))
