"""From log odds to a probability that means what it says, and to a verdict at a stated false-positive rate."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

FALSE_POSITIVE_RATE = 0.01
"""Share of real clips that may be called manipulated."""
DOUBT_RATE = 0.10
"""Share of real clips that may be called more than ``no_evidence``; between the two rates a clip is inconclusive."""


class Calibration(BaseEstimator):
    """Platt scaling of scores of persons that were not fitted on, and the thresholds at two false-positive rates.

    With few real clips the highest of them says little about one in a hundred, so the threshold is the larger of the
    empirical
    quantile and that of a normal distribution through their upper half.
    """

    def __init__(self, *, false_positive_rate: float = FALSE_POSITIVE_RATE, doubt_rate: float = DOUBT_RATE):
        self.false_positive_rate = false_positive_rate
        self.doubt_rate = doubt_rate

    def fit(self, scores: ArrayLike, y: ArrayLike, *, reals: ArrayLike | None = None) -> Self:
        """Fit to log odds (N,) and labels (N,), 1 for fake; ``reals`` are further scores of real clips for the
        thresholds alone."""
        from sklearn.linear_model import LogisticRegression

        s, label = np.asarray(scores, float), np.asarray(y, int)
        model = LogisticRegression(C=10.0, class_weight="balanced").fit(s[:, None], label)
        self.slope_, self.intercept_ = float(max(model.coef_[0, 0], 1e-3)), float(model.intercept_[0])
        real = s[label == 0] if reals is None else np.concatenate([s[label == 0], np.asarray(reals, float)])
        self.real_clips_ = len(real)
        self.threshold_ = self.probability(_upper(real, self.false_positive_rate))
        self.doubt_ = min(self.probability(_upper(real, self.doubt_rate)), self.threshold_)
        return self

    def probability(self, scores: ArrayLike) -> Any:
        """Calibrated probability of log odds, at even odds of real and fake; a number for a number."""
        z = np.clip(np.asarray(scores, float) * self.slope_ + self.intercept_, -30, 30)
        p = 1 / (1 + np.exp(-z))
        return float(p) if np.ndim(scores) == 0 else p

    def verdict(self, p: float) -> str:
        """``manipulated | inconclusive | no_evidence`` for a calibrated probability."""
        if p >= self.threshold_:
            return "manipulated"
        return "inconclusive" if p >= self.doubt_ else "no_evidence"

    def to_dict(self) -> dict[str, Any]:
        """Everything fitted, as plain numbers."""
        return {
            "slope": self.slope_,
            "intercept": self.intercept_,
            "threshold": self.threshold_,
            "doubt": self.doubt_,
            "false_positive_rate": self.false_positive_rate,
            "doubt_rate": self.doubt_rate,
            "real_clips": self.real_clips_,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The calibration that ``to_dict`` described."""
        out = cls(false_positive_rate=stored["false_positive_rate"], doubt_rate=stored["doubt_rate"])
        out.slope_, out.intercept_ = stored["slope"], stored["intercept"]
        out.threshold_, out.doubt_, out.real_clips_ = stored["threshold"], stored["doubt"], stored["real_clips"]
        return out


def _upper(scores: NDArray, rate: float) -> float:
    """Score that a share ``rate`` of real clips exceeds."""
    from scipy.stats import norm

    empirical = float(np.quantile(scores, 1 - rate, method="higher"))
    middle = float(np.median(scores))
    spread = float(np.quantile(scores, 0.84) - middle)
    return max(empirical, middle + float(norm.ppf(1 - rate)) * spread)
