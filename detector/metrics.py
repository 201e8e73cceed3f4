"""Metrics of scores as plain functions of arrays, with intervals that resample persons, and DeLong's test."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 1000
BINS = 10


def auc(y: ArrayLike, p: ArrayLike) -> float:
    """Area under the ROC curve; NaN where only one class is there."""
    from sklearn.metrics import roc_auc_score

    label = np.asarray(y)
    return float(roc_auc_score(label, p)) if 0 < label.sum() < len(label) else float("nan")


def average_precision(y: ArrayLike, p: ArrayLike) -> float:
    """Average precision; NaN where only one class is there."""
    from sklearn.metrics import average_precision_score

    label = np.asarray(y)
    return float(average_precision_score(label, p)) if 0 < label.sum() < len(label) else float("nan")


def equal_error_rate(y: ArrayLike, p: ArrayLike) -> float:
    """Rate at which false positives and false negatives are equally frequent, between thresholds by a straight line."""
    from sklearn.metrics import roc_curve

    if len(set(np.asarray(y).tolist())) < 2:
        return float("nan")
    fpr, tpr, _ = roc_curve(y, p, drop_intermediate=False)
    gap = fpr - (1 - tpr)
    i = int(np.argmax(gap >= 0))
    if i == 0:
        return float(fpr[0])
    a = gap[i - 1] / (gap[i - 1] - gap[i])
    return float(fpr[i - 1] + a * (fpr[i] - fpr[i - 1]))


def tpr_at(y: ArrayLike, p: ArrayLike, rate: float) -> float:
    """Share of fakes found at the highest threshold whose false-positive rate is at most ``rate``."""
    from sklearn.metrics import roc_curve

    if len(set(np.asarray(y).tolist())) < 2:
        return float("nan")
    fpr, tpr, _ = roc_curve(y, p, drop_intermediate=False)
    return float(tpr[fpr <= rate + 1e-12].max())


def calibration_error(y: ArrayLike, p: ArrayLike, *, bins: int = BINS) -> float:
    """Expected calibration error over equally wide bins of the probability."""
    label, q = np.asarray(y, float), np.asarray(p, float)
    at = np.minimum((q * bins).astype(int), bins - 1)
    total = 0.0
    for k in range(bins):
        inside = at == k
        if inside.any():
            total += inside.mean() * abs(label[inside].mean() - q[inside].mean())
    return float(total)


METRICS: dict[str, Callable[[NDArray, NDArray], float]] = {
    "auc": auc,
    "average_precision": average_precision,
    "equal_error_rate": equal_error_rate,
    "tpr_at_fpr_1": lambda y, p: tpr_at(y, p, 0.01),
    "tpr_at_fpr_5": lambda y, p: tpr_at(y, p, 0.05),
    "calibration_error": calibration_error,
}


def with_intervals(
    y: ArrayLike, p: ArrayLike, persons: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Every metric as {value, low, high}: 95 % bootstrap intervals in which persons, with all their clips, are drawn
    again."""
    label, score, who = np.asarray(y, int), np.asarray(p, float), np.asarray(persons)
    groups = [np.flatnonzero(who == g) for g in np.unique(who)]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(draws):
        rows = np.concatenate([groups[k] for k in rng.integers(0, len(groups), len(groups))])
        if 0 < label[rows].sum() < len(rows):
            for name, metric in METRICS.items():
                drawn[name].append(metric(label[rows], score[rows]))
    out = {}
    for name, metric in METRICS.items():
        low, high = np.percentile(drawn[name], [2.5, 97.5]) if drawn[name] else (float("nan"), float("nan"))
        out[name] = {"value": metric(label, score), "low": float(low), "high": float(high)}
    return out


def delong(y: ArrayLike, first: ArrayLike, second: ArrayLike) -> dict[str, float]:
    """DeLong's test of two detectors' AUC on the same clips: both, their difference, its standard error, two-sided p.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, with placements by ranks (Sun and Xu, 2014).
    """
    from scipy.stats import norm, rankdata

    label = np.asarray(y, int)
    scores = np.stack([np.asarray(first, float), np.asarray(second, float)])
    fake, real = scores[:, label == 1], scores[:, label == 0]
    m, n = fake.shape[1], real.shape[1]
    if not m or not n:
        raise ValueError("both classes are needed.")
    both = np.concatenate([fake, real], 1)
    rank_all = np.stack([rankdata(s) for s in both])
    rank_fake = np.stack([rankdata(s) for s in fake])
    rank_real = np.stack([rankdata(s) for s in real])
    areas = (rank_all[:, :m].sum(1) - m * (m + 1) / 2) / (m * n)
    v_fake = (rank_all[:, :m] - rank_fake) / n
    v_real = 1 - (rank_all[:, m:] - rank_real) / m
    covariance = np.atleast_2d(np.cov(v_fake)) / m + np.atleast_2d(np.cov(v_real)) / n
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = float(areas[0] - areas[1])
    error = float(np.sqrt(max(variance, 0.0)))
    p = float(2 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    return {
        "first": float(areas[0]),
        "second": float(areas[1]),
        "difference": difference,
        "standard_error": error,
        "p": p,
    }
