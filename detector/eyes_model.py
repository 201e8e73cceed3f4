"""A third learned score: what the cues of the eyes say together, for every way in which made eyes are known to fail.

Eyes that stand still, that never shut and that move apart fail in different cues. One weight a cue averages the ways
and dilutes each; here each has likelihood ratios of its own, and the score is that of their mixture.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from facewitness.detector.fusion import LikelihoodRatios


class EyeMixture(BaseEstimator):
    """Log of the mean, over kinds of made eyes, of the product of the cues' likelihood ratios to the power ``share``.

    The cues overlap, which a plain product would count several times.
    """

    def __init__(self, *, share: float = 0.4, prior: float = 2.0):
        self.share = share
        self.prior = prior

    def fit(self, X: ArrayLike, y: ArrayLike, kinds: ArrayLike) -> Self:
        """Fit to cues (N, F), NaN where missing, labels (N,), 1 for fake, and the kind of each fake."""
        x, label, kind = np.asarray(X, float), np.asarray(y, int), np.asarray(kinds)
        names = sorted(set(kind[label == 1].tolist()))
        if not names or not (label == 0).any():
            raise ValueError("real (0) and fake (1) examples are needed.")
        self.kinds_ = tuple(map(str, names))
        self.ratios_ = []
        for name in self.kinds_:
            rows = (label == 0) | (kind == name)
            self.ratios_.append(LikelihoodRatios(prior=self.prior).fit(x[rows], label[rows]))
        self.n_features_in_ = x.shape[1]
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log likelihood ratio (N,) of made eyes over real ones; NaN where no cue is measured."""
        check_is_fitted(self, "ratios_")
        x = np.asarray(X, float)
        each = np.stack([self.share * r.transform(x).sum(1) for r in self.ratios_])
        score = np.logaddexp.reduce(each, 0) - np.log(len(each))
        return np.where(np.isfinite(x).any(1), score, np.nan)

    def to_dict(self) -> dict[str, Any]:
        """Everything fitted, as plain numbers."""
        told = dict(zip(self.kinds_, (r.to_dict() for r in self.ratios_), strict=True))
        return {"share": self.share, "kinds": told}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The estimator that ``to_dict`` described."""
        out = cls(share=stored["share"])
        out.kinds_ = tuple(stored["kinds"])
        out.ratios_ = [LikelihoodRatios.from_dict(r) for r in stored["kinds"].values()]
        out.n_features_in_ = out.ratios_[0].n_features_in_
        return out
