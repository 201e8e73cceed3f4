"""Stretches: some consecutive seconds of an actor's footage, of which one real clip and its fakes are made."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from facewitness.datasets.plan import Job
from facewitness.errors import UsageError
from facewitness.generator.performance import Performance

MARGIN_S = 1.0
"""Stored frames this near to the stretch are not retrieved for it: they would be the real clip again."""
LEAST_ALLOWED = 50
"""Fewer frames than this outside the stretch show too little to make the person of."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some seconds of an actor's footage: consecutive stored frames."""

    first: int
    count: int
    rate: Fraction
    run: tuple[int, int]
    """First and one past the last of the consecutive stored frames it lies in."""

    @property
    def frames(self) -> range:
        """Numbers of the stored frames."""
        return range(self.first, self.first + self.count)

    def grown(self, count: int) -> range:
        """Numbers of ``count`` consecutive stored frames that begin with the stretch, or as near before it as they
        must; raises UsageError where the footage has no room for them."""
        start, end = self.run
        if count > end - start:
            needed, there = count / float(self.rate), (end - start) / float(self.rate)
            raise UsageError(f"{needed:.1f} s of the face are needed and only {there:.1f} s follow each other")
        first = min(self.first, end - count)
        return range(first, first + count)


def find_stretch(performance: Performance, rate: Fraction, seconds: float, number: int, of: int) -> Stretch:
    """Stretch ``number`` of ``of`` in the longest run of consecutive frames; raises UsageError where it does not
    fit."""
    count = round(seconds * rate)
    steps = np.diff(performance.pts) * float(performance.time_base)
    breaks = np.flatnonzero(steps > 1.5 / float(rate)) + 1
    edges = np.r_[0, breaks, len(performance)]
    longest = int(np.argmax(np.diff(edges)))
    start, length = int(edges[longest]), int(np.diff(edges)[longest])
    if length < count * (number + 1):
        raise UsageError(
            f"the face is followed for {length / float(rate):.1f} s at a time, too short for {number + 1} stretches of "
            f"{seconds:g} s"
        )
    room = length - count
    at = start if of == 1 else start + round(number * room / (of - 1))
    if of > 1 and room / (of - 1) < count:
        at = start + number * count
    return Stretch(first=at, count=count, rate=rate, run=(start, start + length))


def segments(job: Job, stretch: Stretch) -> tuple[tuple[float, float], ...]:
    """The manipulated stretches of a fake in seconds."""
    first, last = changed(job, stretch)
    return ((round(first / float(stretch.rate), 4), round(last / float(stretch.rate), 4)),)


def changed(job: Job, stretch: Stretch) -> tuple[int, int]:
    """First and one past the last manipulated frame of the clip."""
    length = max(1, round(job.segment * stretch.count))
    first = (stretch.count - length) // 2
    return first, first + length


def allowed_frames(count: int, shown: range, rate: Fraction) -> NDArray[np.bool_]:
    """(count,) which stored frames may be used: not those that are ``shown``, nor around them while enough are left.

    Raises UsageError where too few are.
    """
    for margin_s in (MARGIN_S, 0.4, 0.0):
        margin = round(margin_s * rate)
        allowed = np.ones(count, bool)
        allowed[max(shown.start - margin, 0) : shown.stop + margin] = False
        if allowed.sum() >= LEAST_ALLOWED:
            return allowed
    raise UsageError("the footage is too short to make this stretch of the rest of it")
