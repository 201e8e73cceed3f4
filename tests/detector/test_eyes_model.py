"""What the cues of the eyes say together."""

import json

import numpy as np
import pytest

from facewitness.detector.eyes_model import EyeMixture
from facewitness.detector.metrics import auc


@pytest.fixture(scope="module")
def looks():
    """Cues of real eyes, and of eyes that fail in the first cue or in the second one only, among six of noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 8))
    kinds = np.repeat(["", "frozen", "unshut"], 200)
    x[kinds == "frozen", 0] -= 2.5
    x[kinds == "unshut", 1] += 2.5
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, (kinds != "").astype(int), kinds


def test_each_way_of_failing_is_found_by_its_own_cue(looks):
    x, y, kinds = looks
    score = EyeMixture().fit(x[::2], y[::2], kinds[::2]).decision_function(x[1::2])
    for kind in ("frozen", "unshut"):
        part = np.isin(kinds[1::2], ["", kind])
        assert auc(y[1::2][part], score[part]) > 0.85


def test_eyes_that_were_not_measured_get_no_score(looks):
    model = EyeMixture().fit(*looks)
    assert np.isnan(model.decision_function(np.full((1, 8), np.nan))[0])


def test_what_is_stored_as_json_scores_the_same_eyes_the_same(looks):
    model = EyeMixture().fit(*looks)
    again = EyeMixture.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.decision_function(looks[0]) == pytest.approx(model.decision_function(looks[0]))


def test_real_eyes_alone_are_refused():
    with pytest.raises(ValueError, match="real"):
        EyeMixture().fit(np.zeros((10, 2)), np.zeros(10), [""] * 10)
