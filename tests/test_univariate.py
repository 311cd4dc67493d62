"""F statistic and mutual information against scikit-learn, and planted neurons."""

from __future__ import annotations

import numpy as np
import pytest
from class_toy import CARRIES, DEAD, NOISE, PERFECT, named, planted, scores_by_id
from scipy.special import digamma
from sklearn.feature_selection import f_classif, mutual_info_classif

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import f_statistic, mutual_information


@pytest.mark.parametrize("labels", [2, 3, 12])
def test_f_is_scikit_learns(labels):
    rng = np.random.default_rng(labels)
    codes = rng.permutation(np.arange(500) % labels)
    X = rng.normal(size=(500, 6)) + rng.normal(size=(labels, 6))[codes] * [0, 0.1, 1, 10, 0, 0] + 3
    ranking = f_statistic(X, codes)
    np.testing.assert_allclose(scores_by_id(ranking), f_classif(X, codes)[0], rtol=1e-6)
    for code in range(labels):
        one, _ = f_classif(X, codes == code)
        assert ranking.per_label[str(code)].tolist() == np.argsort(-one, kind="stable").tolist()


def test_f_of_means_far_from_zero():
    X, codes = planted()
    X = X[:, :4].astype(np.float64)
    np.testing.assert_allclose(
        scores_by_id(f_statistic(1e5 + 1e-3 * X, codes)), f_classif(X, codes)[0], rtol=1e-6
    )


def test_planted_neurons():
    X, codes = planted()
    ranking = f_statistic(X, named(codes))
    assert ranking.neurons[0] == PERFECT
    assert 1e27 < ranking.scores[0] < np.inf
    assert ranking.neurons[-1] == DEAD
    assert ranking.scores[-1] == 0
    assert set(ranking.neurons[5:7].tolist()) == set(NOISE)
    for label, carriers in CARRIES.items():
        assert set(ranking.per_label[label][: len(carriers)].tolist()) == carriers
    assert ranking.per_label["adj"][0] == PERFECT
    ranking = mutual_information(X, named(codes), per_label=True)
    assert set(ranking.neurons[:5].tolist()) == {0, 1, 2, 3, PERFECT}
    assert ranking.scores[-1] == 0
    assert scores_by_id(ranking)[DEAD] == 0
    for label, carriers in CARRIES.items():
        assert set(ranking.per_label[label][: len(carriers)].tolist()) == carriers


@pytest.mark.parametrize("neighbours", [1, 3, 8])
def test_mutual_information_is_scikit_learns(neighbours):
    rng = np.random.default_rng(neighbours)
    codes = np.concatenate([[3], rng.integers(0, 3, 400)])  # one label once
    X = rng.normal(size=(401, 6)) + codes[:, None] * [0, 0.2, 1, 3, 0, 0]
    X[:, 4] = np.round(2 * X[:, 4])  # ties
    X[:, 5] = np.exp(5 * X[:, 5])  # skewed
    ranking = mutual_information(X, codes, neighbours=neighbours, seed=7, per_label=True)

    def independent(y):
        settings = {"n_neighbors": neighbours, "random_state": 7}
        return np.concatenate([mutual_info_classif(X[:, [j]], y, **settings) for j in range(6)])

    np.testing.assert_allclose(scores_by_id(ranking), independent(codes), atol=1e-9)
    one = independent(codes == 1)
    assert ranking.per_label["1"][:2].tolist() == np.argsort(-one, kind="stable")[:2].tolist()


def test_mutual_information_of_small_labels():
    """Scikit-learn rounds distances within labels of few tokens; this is Ross 2014."""
    rng = np.random.default_rng(0)
    codes = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 3])
    X = rng.normal(size=(11, 4)) + codes[:, None]
    tokens = [i for i in range(11) if codes[i] != 2]
    for neuron, found in enumerate(scores_by_id(mutual_information(X, codes))):
        terms = []
        for i in tokens:
            away = {j: abs(X[i, neuron] - X[j, neuron]) for j in tokens if j != i}
            same = sorted(away[j] for j in away if codes[j] == codes[i])
            k = min(3, len(same))
            m = 1 + sum(distance < same[k - 1] for distance in away.values())
            terms.append(digamma(k) - digamma(len(same) + 1) - digamma(m))
        assert found == pytest.approx(max(0.0, digamma(len(tokens)) + np.mean(terms)), abs=1e-12)


def test_mutual_information_of_a_sample():
    X, codes = planted(3000)
    ranking = mutual_information(X, codes, tokens=500, seed=1)
    again = mutual_information(X, codes, tokens=500, seed=1)
    assert ranking.scores.tolist() == again.scores.tolist()
    assert ranking.scores.tolist() != mutual_information(X, codes, tokens=500).scores.tolist()
    assert set(ranking.neurons[:5].tolist()) == {0, 1, 2, 3, PERFECT}
    assert "tokens:500|of:3000|neighbours:3|seed:1" in ranking.signature
    calls = []
    mutual_information(X, codes, tokens=50, progress=lambda *step: calls.append(step))
    assert calls == [(done, 8) for done in range(1, 9)]


def test_bad_input():
    X, codes = planted(30)
    with pytest.raises(UserError, match="30 labels needs more than 30 tokens"):
        f_statistic(X, range(30))
    with pytest.raises(UserError, match="one of which occurs twice"):
        mutual_information(X, range(30))
    with pytest.raises(UserError, match="1 neighbour or more, not 0"):
        mutual_information(X, codes, neighbours=0)
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match="seed must be from 0"):
            mutual_information(X, codes, seed=seed)
    with pytest.raises(UserError, match="cannot draw"):
        mutual_information(X, codes, tokens=1)
