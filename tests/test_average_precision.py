"""Average precision against scikit-learn, also with ties, and planted detectors."""

from __future__ import annotations

import numpy as np
import pytest
from class_toy import CARRIES, DEAD, NOISE, PERFECT, named, planted, scores_by_id
from sklearn.metrics import average_precision_score

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import average_precision
from fairseq_neuron_plugin.rankings.average_precision import average_precisions


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("round_to", [None, 1.0, 0.1, 100.0])
def test_is_scikit_learns(labels, round_to):
    rng = np.random.default_rng(labels)
    codes = rng.permutation(np.minimum(np.arange(300) % 9, labels - 1))
    values = rng.normal(size=300) + 0.5 * codes
    if round_to:
        values = np.round(values / round_to) * round_to
    high, low = average_precisions(values, codes, np.bincount(codes))
    for code in range(labels):
        wanted = [average_precision_score(codes == code, sign * values) for sign in (1, -1)]
        np.testing.assert_allclose([high[code], low[code]], wanted, rtol=1e-12)


@pytest.mark.parametrize("positive_only", [False, True])
def test_planted_detectors(positive_only):
    X, codes = planted()
    ranking = average_precision(X, named(codes), positive_only=positive_only)
    assert ranking.neurons[0] == PERFECT
    assert ranking.scores[0] == pytest.approx(1)
    scores = scores_by_id(ranking)
    assert scores[DEAD] == 0
    assert scores[list(NOISE)].max() < 0.1
    best = ranking.details["best_label"]
    assert best[DEAD] is None
    assert best[PERFECT] == {"label": "adj", "ap": pytest.approx(1), "sign": 1}
    assert best[0]["label"] == "noun"
    if positive_only:  # low for verbs: what is high are the others
        assert best[3]["label"] != "verb"
    else:
        assert (best[3]["label"], best[3]["sign"]) == ("verb", -1)
        for label, carriers in CARRIES.items():
            assert set(ranking.per_label[label][: len(carriers)].tolist()) == carriers
            assert ranking.per_label[label][-1] == DEAD
    share = np.mean(codes == 0)
    ap = average_precision_score(codes == 0, X[:, 0])
    assert scores[0] == pytest.approx((ap - share) / (1 - share))


def test_a_frequent_label_gives_noise_no_score():
    rng = np.random.default_rng(0)
    codes = (rng.random(4000) < 0.95).astype(int)
    X = rng.normal(size=(4000, 3))
    X[:, 1] += 3.0 * (codes == 0)
    ranking = average_precision(X, codes)
    assert {best["label"] for best in ranking.details["best_label"]} == {"0"}
    assert ranking.neurons[0] == 1
    assert ranking.scores[1] < 0.3 < 0.7 < ranking.scores[0]


def test_a_sample():
    X, codes = planted(3000)
    first, again = (average_precision(X, codes, tokens=300, seed=3) for _ in range(2))
    assert first.scores.tolist() == again.scores.tolist()
    assert set(first.neurons[:5].tolist()) == {0, 1, 2, 3, PERFECT}
    assert "tokens:300|of:3000|seed:3" in first.signature
    # A label that the sample misses has no ranking.
    rare = np.where(np.arange(3000) == 0, "rare", "often")
    rare[1500:] = "other"
    assert set(average_precision(X, rare, tokens=50).per_label) == {"often", "other"}
    with pytest.raises(UserError, match="has the label 'often' only"):
        average_precision(X, np.where(np.arange(3000) == 0, "rare", "often"), tokens=5)
