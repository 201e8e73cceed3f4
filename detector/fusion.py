"""Fusion of network, surface and cues into one probability: scikit-learn estimators that know what a missing value is.

``LikelihoodRatios`` turns every column into the logarithm of its likelihood ratio, looking at both tails (too little
and too much
motion are both suspicious); ``Fusion`` weighs them with weights that cannot be negative; both keep numbers only, so
that they are
stored as JSON.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

TAIL = 0.03
"""Share of reals in each of the outermost bins."""
MAX_RATIO = 20.0
"""No single cue says more than this, however rare its value."""


class LikelihoodRatios(TransformerMixin, BaseEstimator):
    """(N, F) values, NaN where a cue abstains -> (N, F) log likelihood ratios fake over real, 0 where it abstains.

    Each column is cut at quantiles of the reals, their tails apart. The counts in the bins, with ``prior`` clips added
    and smoothed over neighbours, give the ratio, with straight lines between the bins' middles. A column in
    ``monotone`` is a learned score: its ratio rises all along, as in a logistic regression, and bends to the largest.
    """

    def __init__(self, *, bins: int = 8, prior: float = 3.0, monotone: tuple[int, ...] = ()):
        self.bins = bins
        self.prior = prior
        self.monotone = monotone

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to values (N, F) and labels (N,), 1 for fake."""
        x, label = np.asarray(X, float), np.asarray(y, int)
        weight = np.ones(len(label)) if sample_weight is None else np.asarray(sample_weight, float)
        if self.bins < 2 or self.prior <= 0:
            raise ValueError("bins must be at least 2 and prior above 0.")
        self.knots_: list[NDArray] = []
        self.ratios_: list[NDArray] = []
        self.medians_ = np.array(
            [
                float(np.median(c[ok & (label == 0)]))
                if (ok := np.isfinite(c)).any() and (ok & (label == 0)).any()
                else 0.0
                for c in x.T
            ]
        )
        for column, values in enumerate(x.T):
            knots, ratios = self._column(values, label, weight, rising=column in self.monotone)
            self.knots_.append(knots)
            self.ratios_.append(ratios)
        self.n_features_in_ = x.shape[1]
        return self

    def _column(self, values: NDArray, label: NDArray, weight: NDArray, *, rising: bool) -> tuple[NDArray, NDArray]:
        ok = np.isfinite(values)
        v, c, w = values[ok], label[ok], weight[ok]
        if len(v) < 4 * self.bins or len(set(c)) < 2:
            return np.array([0.0]), np.array([0.0])
        if rising:
            return _rising(v, c, w)
        # cut where the reals are: what hardly any of them does has a bin of its own, however few fakes do it
        spaced = np.linspace(0, 1, self.bins - 1)[1:-1]
        inner = np.unique(np.quantile(v[c == 0], [TAIL, *spaced, 1 - TAIL]))
        edges = np.concatenate([[-np.inf], inner, [np.inf]])
        at = np.searchsorted(inner, v, side="right")
        counts = np.stack([np.bincount(at, w * (c == k), len(edges) - 1) for k in (0, 1)])
        padded = np.pad(counts, ((0, 0), (1, 1)), mode="edge")
        smooth = 0.15 * padded[:, :-2] + 0.7 * padded[:, 1:-1] + 0.15 * padded[:, 2:]
        share = smooth / smooth.sum(1, keepdims=True)
        total = share.mean(0)
        # the prior pulls both classes to their common share, so that few clips say little
        density = (smooth + self.prior * total) / (smooth.sum(1, keepdims=True) + self.prior)
        ratios = np.clip(np.log(density[1] / density[0]), -np.log(MAX_RATIO), np.log(MAX_RATIO))
        middles = np.array([np.median(v[at == k]) if (at == k).any() else np.nan for k in range(len(ratios))])
        filled = np.isfinite(middles)
        middles, ratios = middles[filled], ratios[filled]
        return middles, ratios

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log likelihood ratios; 0 for NaN."""
        check_is_fitted(self, "knots_")
        x = np.asarray(X, float)
        columns = [np.interp(v, k, r) for v, k, r in zip(x.T, self.knots_, self.ratios_, strict=True)]
        return np.where(np.isfinite(x), np.stack(columns, 1), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Everything fitted, as plain numbers."""
        return {
            "medians": self.medians_.tolist(),
            "knots": [k.tolist() for k in self.knots_],
            "ratios": [r.tolist() for r in self.ratios_],
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The estimator that ``to_dict`` described."""
        out = cls()
        out.medians_ = np.array(stored["medians"])
        out.knots_ = [np.array(k) for k in stored["knots"]]
        out.ratios_ = [np.array(r) for r in stored["ratios"]]
        out.n_features_in_ = len(out.knots_)
        return out


def _rising(v: NDArray, label: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Knots and log ratios of a learned score, without plateaus: two clips with different scores stay apart."""
    from sklearn.linear_model import LogisticRegression

    middle, spread = float(np.median(v)), max(float(np.std(v)), 1e-6)
    balanced = weight / np.where(label == 1, weight[label == 1].sum(), weight[label == 0].sum()) * len(v)
    z = ((v - middle) / spread)[:, None]
    model = LogisticRegression(C=1.0).fit(z, label, sample_weight=balanced)
    slope, start = max(float(model.coef_[0, 0]), 0.0), float(model.intercept_[0])
    steps = np.linspace(-6, 6, 49)
    most = np.log(MAX_RATIO)
    return middle + spread * steps, most * np.tanh((slope * steps + start) / most)


class Fusion(ClassifierMixin, BaseEstimator):
    """Logistic regression over log likelihood ratios, weights at least 0 and pulled to a prior; missing values weigh
    nothing.

    ``rising`` numbers the columns that are learned scores: their ratio may only rise, and their weight is pulled to
    ``score_pull``;
    that of the cues, which are many and overlap, to ``cue_pull``. ``strength`` is how hard. Columns in ``silent`` weigh
    nothing, because a learned score speaks for them; their ratios are known all the same.
    """

    def __init__(
        self,
        *,
        bins: int = 8,
        prior: float = 3.0,
        strength: float = 30.0,
        score_pull: float = 0.8,
        cue_pull: float = 0.05,
        rising: tuple[int, ...] = (),
        silent: tuple[int, ...] = (),
    ):
        self.bins = bins
        self.prior = prior
        self.strength = strength
        self.score_pull = score_pull
        self.cue_pull = cue_pull
        self.rising = rising
        self.silent = silent

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to values (N, F), NaN where missing, and labels (N,), 1 for fake."""
        from scipy.optimize import minimize

        x, label = np.asarray(X, float), np.asarray(y, int)
        if set(np.unique(label)) != {0, 1}:
            raise ValueError("both real (0) and fake (1) examples are needed.")
        weight = np.ones(len(label)) if sample_weight is None else np.asarray(sample_weight, float)
        self.ratios_ = LikelihoodRatios(bins=self.bins, prior=self.prior, monotone=self.rising).fit(x, label, weight)
        z = self.ratios_.transform(x)
        sign = 2.0 * label - 1
        prior = np.full(z.shape[1], self.cue_pull)
        prior[list(self.rising)] = self.score_pull
        prior[list(self.silent)] = 0.0

        def loss(w: NDArray) -> tuple[float, NDArray]:
            margin = sign * (z @ w[1:] + w[0])
            grad = -weight * sign / (1 + np.exp(np.clip(margin, -50, 50)))
            pull = w[1:] - prior
            value = (weight * np.logaddexp(0, -margin)).sum() + self.strength / 2 * (pull**2).sum()
            return float(value), np.concatenate([[grad.sum()], z.T @ grad + self.strength * pull])

        start = np.concatenate([[0.0], prior])
        bounds = [(None, None)] + [(0.0, 0.0 if k in self.silent else None) for k in range(z.shape[1])]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        self.intercept_, self.coef_ = float(found.x[0]), found.x[1:]
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = x.shape[1]
        return self

    def contributions(self, X: ArrayLike) -> NDArray[np.float64]:
        """(N, F) what each column adds to the log odds."""
        check_is_fitted(self, "coef_")
        return self.ratios_.transform(X) * self.coef_

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log odds of being fake."""
        return self.contributions(X).sum(1) + self.intercept_

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) probabilities of real and fake, before calibration."""
        p = 1 / (1 + np.exp(-np.clip(self.decision_function(X), -50, 50)))
        return np.stack([1 - p, p], 1)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """1 where fake is likelier."""
        return (self.decision_function(X) > 0).astype(int)

    def to_dict(self) -> dict[str, Any]:
        """Everything fitted, as plain numbers."""
        return {"intercept": self.intercept_, "weights": self.coef_.tolist(), **self.ratios_.to_dict()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The estimator that ``to_dict`` described."""
        out = cls()
        out.ratios_ = LikelihoodRatios.from_dict(stored)
        out.intercept_, out.coef_ = float(stored["intercept"]), np.array(stored["weights"])
        out.classes_, out.n_features_in_ = np.array([0, 1]), len(out.coef_)
        return out
