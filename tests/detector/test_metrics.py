"""Metrics against cases worked out by hand, and against each other."""

import numpy as np
import pytest

from facewitness.detector import metrics as m

Y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
P = np.array([0.1, 0.2, 0.3, 0.8, 0.4, 0.7, 0.85, 0.9])


def test_auc_counts_pairs_ranked_rightly():
    assert m.auc(Y, P) == pytest.approx(14 / 16)


def test_detection_rate_at_a_false_positive_rate():
    assert m.tpr_at(Y, P, 0.0) == 0.5
    assert m.tpr_at(Y, P, 0.25) == 1.0


def test_equal_error_rate_of_a_perfect_and_a_reversed_detector():
    assert m.equal_error_rate(Y, Y) == 0
    assert m.equal_error_rate(Y, 1 - Y) == 1


def test_a_calibrated_score_has_no_calibration_error():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    y = rng.random(20000) < p
    assert m.calibration_error(y, p) < 0.02
    assert m.calibration_error(y, np.where(p > 0.5, 1.0, 0.0)) > 0.2


def test_intervals_resample_persons_and_hold_the_value():
    told = m.with_intervals(Y, P, ["a", "b", "c", "d", "a", "b", "e", "f"], draws=200)
    assert told["auc"]["low"] <= told["auc"]["value"] <= told["auc"]["high"]


def test_delong_finds_a_difference_where_there_is_one_and_none_where_not():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], 150)
    good, poor = y * 2 + rng.normal(size=300), y * 0.3 + rng.normal(size=300)
    assert m.delong(y, good, poor)["p"] < 1e-4
    same = m.delong(y, good, good)
    assert (same["difference"], same["p"]) == (0.0, 1.0)
    assert m.delong(y, good, poor)["first"] == pytest.approx(m.auc(y, good))
