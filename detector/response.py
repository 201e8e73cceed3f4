"""What a detector responds to: its score over the degree of each controlled forgery, against the control of the same
seconds of the same person, in which nothing else is different."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UsageError

if TYPE_CHECKING:
    from facewitness.datasets.labels import Clip

CONTROL = "self_reenactment"
"""The method of the control: rendered in the same way with nothing changed; the degree 0 of every factor."""
COLUMNS = 4
"""Curves in a row of the picture."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A detector's answer to one degree of one factor."""

    degree: float
    clips: int
    """With a score, and with a control that has one."""
    mean: float
    """Of the scores, 0..1."""
    change: float
    """Mean of the scores less those of the controls of the same seconds."""
    low: float
    high: float
    """95 % interval of the change over persons (Student's t of their means; NaN for one person)."""
    p: float
    """Probability of so large a mean change by chance (two-sided t test over persons; NaN for one person)."""
    auc: float
    """Of these clips against their controls; .5 where the detector does not tell them apart."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A detector's response to one factor, by rising degree; the control is the point of degree 0."""

    factor: str
    unit: str
    points: tuple[Point, ...]
    real: float
    """Mean score of the real clips of the same seconds; NaN where none has one."""


def responds_to(curves: Sequence[Curve], *, level: float = 0.05) -> list[str]:
    """Factors with a degree whose change is beyond chance; all degrees of all ``curves`` count as tests (Holm)."""
    tests = sorted((p.p, c.factor) for c in curves for p in c.points if p.degree != 0 and np.isfinite(p.p))
    found: list[str] = []
    for rank, (p, factor) in enumerate(tests):
        if p > level / (len(tests) - rank):
            break
        found.append(factor)
    return sorted(set(found))


def response_curves(clips: Sequence["Clip"], scores: Mapping[str, float]) -> list[Curve]:
    """One curve for each controlled factor among ``clips``; ``scores`` are p(fake) by clip id, NaN for none.

    Each clip is compared with the control of its ``pair_id``, so that the person and the seconds do not count.
    Raises UsageError where the set has no controlled forgery, or none with a control.
    """
    from facewitness.datasets.factors import FACTORS

    factors = sorted({c.factor for c in clips if c.factor})
    if not factors:
        raise UsageError("this set has no controlled forgeries; --by-factor needs labels with factor and degree.")
    known = {k: v for k, v in scores.items() if np.isfinite(v)}
    control = {c.pair_id: c.clip_id for c in clips if c.method == CONTROL and _whole(c)}
    real = {c.pair_id: c.clip_id for c in clips if c.label == "real"}
    curves = []
    for factor in factors:
        mine = [c for c in clips if c.factor == factor and c.clip_id in known and control.get(c.pair_id) in known]
        if not mine:
            continue
        pairs = sorted({c.pair_id for c in mine})
        zeros = np.array([known[control[p]] for p in pairs])
        points = [
            Point(degree=0.0, clips=len(zeros), mean=float(zeros.mean()), change=0.0, low=0.0, high=0.0, p=1.0, auc=0.5)
        ]
        for degree in sorted({c.degree for c in mine}):
            here = [c for c in mine if c.degree == degree]
            points.append(_point(degree, here, known, [known[control[c.pair_id]] for c in here]))
        filmed = [known[real[p]] for p in pairs if real.get(p) in known]
        unit = FACTORS[factor].unit if factor in FACTORS else ""
        curves.append(
            Curve(
                factor=factor, unit=unit, points=tuple(sorted(points, key=lambda p: p.degree)),
                real=float(np.mean(filmed)) if filmed else float("nan"),
            )
        )  # fmt: skip
    if not curves:
        raise UsageError(f"no controlled forgery has a score beside a scored control ({CONTROL} of the same pair_id).")
    return curves


def _whole(clip: "Clip") -> bool:
    """Whether the clip is manipulated from its first frame to its last."""
    length = clip.frames / clip.fps if clip.fps else 0.0
    return all(start <= 0.001 and end >= length - 0.06 for start, end in clip.segments)


def _point(degree: float, clips: Sequence["Clip"], known: Mapping[str, float], zeros: Sequence[float]) -> Point:
    from facewitness.detector.metrics import auc

    p, zero = np.array([known[c.clip_id] for c in clips]), np.array(zeros)
    low, high, chance = _over_persons(p - zero, [c.target_id for c in clips])
    told = auc(np.r_[np.ones(len(p)), np.zeros(len(zero))], np.r_[p, zero])
    return Point(
        degree=degree, clips=len(p), mean=float(p.mean()), change=float((p - zero).mean()), low=low, high=high,
        p=chance, auc=told,
    )  # fmt: skip


def _over_persons(changes: NDArray[np.float64], people: Sequence[str]) -> tuple[float, float, float]:
    """95 % interval of the mean change and its probability by chance; a person counts once, for their clips are
    alike."""
    from scipy import stats

    by_person: dict[str, list[float]] = defaultdict(list)
    for person, change in zip(people, changes, strict=True):
        by_person[person].append(float(change))
    means = np.array([np.mean(v) for v in by_person.values()])
    if len(means) < 2:
        return float("nan"), float("nan"), float("nan")
    if np.ptp(means) == 0:  # a detector that answers to nothing, or to all alike
        return float(means[0]), float(means[0]), float(means[0] == 0)
    test = stats.ttest_1samp(means, 0.0)
    interval = test.confidence_interval(0.95)
    return float(interval.low), float(interval.high), float(test.pvalue)


def curves_table(curves: Mapping[str, Sequence[Curve]]) -> str:
    """The curves as text, one line a degree, by detector."""
    lines = []
    for name, found in curves.items():
        lines += ["", f"{name}: score by degree (0 is the control: the same seconds rendered with nothing changed)"]
        lines.append(
            f"  {'factor':20s} {'degree':>8s} {'clips':>5s} {'score':>6s} {'change':>7s} {'95 %':>17s} {'AUC':>6s}"
        )
        for curve in found:
            for p in curve.points:
                interval = "" if p.degree == 0 else f"{p.low:+.3f} to {p.high:+.3f}"
                interval = interval if np.isfinite(p.low) else "one person"
                first = curve.factor if p is curve.points[0] else ""
                lines.append(
                    f"  {first:20s} {p.degree:8g} {p.clips:5d} {p.mean:6.3f} {p.change:+7.3f} {interval:>17s} "
                    f"{p.auc:6.3f}"
                )
        lines.append(f"  responds to: {', '.join(responds_to(found)) or 'none of them beyond chance'}")
    return "\n".join(lines)


def draw_curves(curves: Mapping[str, Sequence[Curve]], path: Path) -> None:
    """Draw the change of the score over the degree, a panel for each factor and a line for each detector.

    ``path`` ends in .svg, .png or .pdf; raises UsageError for another ending.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from facewitness.files import whole_file

    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise UsageError(f"{path.name}: curves are drawn as .svg, .png or .pdf.")
    factors = sorted({c.factor for found in curves.values() for c in found})
    rows = -(-len(factors) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(3.1 * COLUMNS, 2.5 * rows + 0.5), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, factor in zip(axes.flat, factors, strict=False):
        unit = ""
        for number, found in enumerate(curves.values()):
            for curve in (c for c in found if c.factor == factor):
                unit = curve.unit
                _draw(axis, curve, f"C{number}")
        axis.axhline(0, color="0.6", lw=0.8, zorder=0)
        axis.set_title(factor.replace("_", " "), fontsize=10)
        axis.set_xlabel(unit, fontsize=8)
        axis.tick_params(labelsize=8)
    for axis in axes.flat[len(factors) :]:
        axis.set_visible(False)
    low, high = axes[0, 0].get_ylim()  # shared; a score changes by 1 at most, whatever two persons' interval says
    axes[0, 0].set_ylim(max(low, -1.0), min(high, 1.0))
    for axis in axes[:, 0]:
        axis.set_ylabel("change of score", fontsize=8)
    handles = [plt.Line2D([], [], color=f"C{n}", marker="o", label=name) for n, name in enumerate(curves)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9)
    with whole_file(path) as part:
        figure.savefig(part, dpi=130)
    plt.close(figure)


def _draw(axis: Any, curve: Curve, colour: str) -> None:
    degree = [p.degree for p in curve.points]
    axis.plot(degree, [p.change for p in curve.points], color=colour, marker="o", ms=4, lw=1.5)
    axis.fill_between(
        degree, [p.low for p in curve.points], [p.high for p in curve.points], color=colour, alpha=0.18, lw=0
    )
