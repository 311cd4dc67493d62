"""Entropy of activation probabilities against a loop, and planted language neurons."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import language_entropy

LANGUAGES = ("de", "en", "fr")


def speakers(tokens=900):
    """0 to 2 are active for one language, 3 for all alike, 4 rarely, 5 never, 6 always; and y."""
    rng = np.random.default_rng(0)
    y = np.array(LANGUAGES)[rng.choice(3, tokens, p=[0.6, 0.3, 0.1])]
    chance = np.stack(
        [np.where(y == language, 0.9, 0.05) for language in LANGUAGES]
        + [np.full(tokens, 0.7), np.where(y == "de", 0.03, 0.0), np.zeros(tokens), np.ones(tokens)],
        axis=1,
    )
    active = rng.random(chance.shape) < chance
    return np.where(active, 0.5, -0.5).astype(np.float32) * (1 + rng.random(chance.shape)), y


def loop(X, y, threshold=0.0):
    """Probabilities and entropies, from the paper's definition."""
    p = [[np.mean(X[y == k][:, j] > threshold) for k in LANGUAGES] for j in range(X.shape[1])]
    shares = [[value / sum(row) for value in row] if sum(row) else [] for row in p]
    return p, [-sum(q * math.log(q) for q in row if q) for row in shares]


def test_scores_are_the_entropy_of_the_loop():
    X, y = speakers()
    p, entropy = loop(X, y)
    ranking = language_entropy(X, y, quantile=0.0)
    scores = ranking.scores[np.argsort(ranking.neurons)]
    np.testing.assert_allclose(scores[:5], entropy[:5], atol=1e-12)
    np.testing.assert_allclose(scores[5:], 3 * math.log(3))
    found = [[ranking.details["active"][k][j] for k in LANGUAGES] for j in range(7)]
    np.testing.assert_allclose(found, p, atol=1e-6)
    # Rarely active, but for one language only: without the bar it is first.
    assert ranking.neurons[0] == 4


@pytest.mark.parametrize("quantile", [0.5, 0.6, 0.7])
def test_the_bar_keeps_rarely_active_neurons_behind(quantile):
    X, y = speakers()
    p, entropy = loop(X, y)
    bar = sorted(np.ravel(p))[round(quantile * 21) - 1]
    passes = [max(row) > bar for row in p]
    ranking = language_entropy(X, y, quantile=quantile)
    assert ranking.details["bar"] == pytest.approx(bar)
    order = sorted(range(5), key=lambda j: (not passes[j], entropy[j]))
    assert ranking.neurons.tolist() == [*order, 5, 6]
    assert set(ranking.neurons[:3].tolist()) == {0, 1, 2}
    for label, language in enumerate(LANGUAGES):
        assert ranking.per_label[language][0] == label
        assert ranking.details["specific_to"][label][0] == language
    assert ranking.details["specific_to"][5:] == [[], []]
    assert list(ranking.scores) == sorted(ranking.scores)


def test_where_nothing_is_above_the_bar_what_is_at_it_passes():
    X, y = speakers()
    ranking = language_entropy(X, y)  # the always active neuron holds 3 of 21 probabilities
    assert ranking.details["bar"] == 1
    X[:, 2] = np.where(y == "fr", 1.0, -1.0)
    ranking = language_entropy(X, y)
    assert ranking.neurons[0] == 2
    assert ranking.scores[0] == 0
    assert ranking.details["specific_to"][2] == ["fr"]
    assert ranking.neurons[-2:].tolist() == [5, 6]


def test_threshold_and_bad_options():
    X, y = speakers()
    high = language_entropy(X, y, threshold=0.75, quantile=0.0)
    scores = high.scores[np.argsort(high.neurons)]
    np.testing.assert_allclose(scores[:5], loop(X, y, 0.75)[1][:5], atol=1e-12)
    assert "threshold:0.75|quantile:0|" in high.signature
    for options in ({"quantile": 1.5}, {"quantile": -0.1}, {"threshold": float("nan")}):
        with pytest.raises(UserError, match="must be between 0 and 1, threshold"):
            language_entropy(X, y, **options)
