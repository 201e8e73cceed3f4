"""Fusion, calibration and surface model as scikit-learn estimators."""

import json

import numpy as np
import pytest
from sklearn.base import clone

from facewitness.detector.calibration import Calibration
from facewitness.detector.fusion import Fusion, LikelihoodRatios
from facewitness.detector.surface_model import SurfaceModel


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 200)
    x = rng.normal(size=(400, 4))
    x[:, 0] += 1.5 * y
    x[:, 1] *= np.where(y == 1, 3.0, 1.0)  # both tails are suspicious
    x[rng.random(x.shape) < 0.2] = np.nan
    return x, y


def test_a_cue_with_two_suspicious_tails_says_so_at_both(data):
    ratios = LikelihoodRatios().fit(*data)
    low, middle, high = ratios.transform(np.array([[np.nan, v, np.nan, np.nan] for v in (-4.0, 0.0, 4.0)]))[:, 1]
    assert low > 0.5 and high > 0.5 and middle < 0


def test_a_missing_value_says_nothing(data):
    fusion = Fusion().fit(*data)
    assert fusion.contributions(np.full((1, 4), np.nan)) == pytest.approx(0)


def test_a_column_of_noise_says_little(data):
    ratios = LikelihoodRatios().fit(*data)
    assert np.abs(ratios.transform(np.random.default_rng(1).normal(size=(50, 4)))[:, 3]).max() < 0.8


def test_fusion_is_an_estimator_that_separates_and_can_be_cloned(data):
    x, y = data
    fusion = clone(Fusion(rising=(0,))).fit(x[::2], y[::2])
    assert (fusion.predict(x[1::2]) == y[1::2]).mean() > 0.7
    assert (fusion.coef_ >= 0).all()


def test_a_score_never_counts_against_being_higher(data):
    fusion = Fusion(rising=(0,)).fit(*data)
    grid = np.full((50, 4), np.nan)
    grid[:, 0] = np.linspace(-5, 6, 50)
    assert (np.diff(fusion.decision_function(grid)) > 0).all()  # and no two scores fall together


def test_a_silent_column_weighs_nothing_and_still_knows_its_ratio(data):
    fusion = Fusion(silent=(1,)).fit(*data)
    assert fusion.coef_[1] == 0
    assert fusion.ratios_.transform(np.full((1, 4), 4.0))[0, 1] > 0.5


def test_no_window_of_the_network_reaches_over_a_gap():
    from facewitness.detector.verdict import windows_of

    rows = np.r_[np.arange(0, 24, 8), np.arange(60, 100, 8), 108 + np.arange(0, 48, 16)]  # a gap; later half as many
    found = windows_of(rows)
    assert [len(w) for w in found] == [3, 4, 4, 4]
    assert all(np.diff(rows[w]).max() <= 16 for w in found)


def test_what_is_stored_as_json_scores_the_same(data):
    x, y = data
    fusion = Fusion().fit(x, y)
    again = Fusion.from_dict(json.loads(json.dumps(fusion.to_dict())))
    assert again.decision_function(x) == pytest.approx(fusion.decision_function(x))


def test_fusion_without_fakes_is_refused():
    with pytest.raises(ValueError, match="real"):
        Fusion().fit(np.zeros((10, 2)), np.zeros(10))


def test_at_most_the_stated_share_of_reals_is_called_manipulated():
    rng = np.random.default_rng(2)
    fit, fresh = rng.normal(size=400), rng.normal(size=4000)
    calibration = Calibration(false_positive_rate=0.01).fit(
        np.concatenate([fit, rng.normal(3, 1, 400)]), np.repeat([0, 1], 400)
    )
    verdicts = [calibration.verdict(p) for p in calibration.probability(fresh)]
    assert np.mean([v == "manipulated" for v in verdicts]) < 0.02
    assert calibration.doubt_ <= calibration.threshold_
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))).verdict(0.0) == "no_evidence"


def test_a_surface_model_kept_as_arrays_scores_as_scikit_learn_does():
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from facewitness.detector.surface_model import LINEAR_C, LINEAR_SHARE

    rng = np.random.default_rng(3)
    x = rng.normal(3, 2, size=(300, 12)).astype(np.float32)
    y = ((x[:, 0] - 3) * (x[:, 1] - 3) + x[:, 2] > 3).astype(int)
    ours = SurfaceModel(trees=30).fit(x, y)
    theirs = GradientBoostingClassifier(
        n_estimators=30,
        max_depth=4,
        learning_rate=0.06,
        subsample=0.5,
        max_features=0.15,
        min_samples_leaf=8,
        random_state=0,
    ).fit(x, y)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=LINEAR_C, max_iter=500)).fit(x, y)
    both = theirs.decision_function(x) + LINEAR_SHARE * linear.decision_function(x)
    assert ours.decision_function(x) == pytest.approx(both, abs=1e-4)
    trees = {k: v for k, v in ours.arrays_.items() if k not in ("weights", "bias")}  # as models before had them
    assert SurfaceModel.from_arrays(trees, depth=4).decision_function(x) == pytest.approx(
        theirs.decision_function(x), abs=1e-4
    )
