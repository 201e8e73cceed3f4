"""What another threshold would cost and find, as far as a model's own card lets one say."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Of clips that the model was not fitted on: the share of real ones called manipulated, and of made ones found."""

    false_alarms: float
    found: float | None
    """None where the card gives no figure to take it from."""
    told: str
    """Where the figures come from, in a sentence."""


def rates_at(model: Any, p: float) -> Rates:
    """The rates of ``model`` (a detector's Model) with a threshold of ``p``, 0..1 exclusive.

    The card states two points of the real clips' scores, the probabilities that 1 % and 10 % of them exceed. A normal
    distribution of log odds through both gives the false alarms; what is found follows from the held-out AUC, with
    fakes spread like reals (the binormal model). Estimates, and said to be.
    """
    from scipy.stats import norm

    c = model.calibration
    high, low = _log_odds(c.threshold_), _log_odds(c.doubt_)
    z_high, z_low = norm.isf(c.false_positive_rate), norm.isf(c.doubt_rate)
    spread = (high - low) / (z_high - z_low)
    at = _log_odds(p)
    if spread <= 1e-6:
        return Rates(
            false_alarms=c.false_positive_rate if at >= high else c.doubt_rate, found=None,
            told=f"The card of {model.id} gives one threshold only, from {c.real_clips_} real clips.",
        )  # fmt: skip
    middle = high - z_high * spread
    fusion = (model.notes or {}).get("fusion") or {}
    area = fusion.get("auc_held_out")
    found = None
    if isinstance(area, float) and 0.5 < area < 1:
        found = float(norm.sf((at - middle) / spread - np.sqrt(2) * norm.ppf(area)))
    made = (fusion.get("examples") or {}).get("fake")
    of = f"{c.real_clips_} real" + (f" and {made} made" if made else "") + " clips"
    return Rates(
        false_alarms=float(norm.sf((at - middle) / spread)), found=found,
        told=f"Estimated from the card of {model.id}: {of} of people it was not fitted on.",
    )  # fmt: skip


def _log_odds(p: float) -> float:
    p = min(max(float(p), 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))
