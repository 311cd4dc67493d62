"""Probeless against the sum over pairs as the paper prints it, and planted neurons."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from class_toy import CARRIES, DEAD, PERFECT, named, planted, scores_by_id

from fairseq_neuron_plugin.rankings import probeless
from fairseq_neuron_plugin.rankings.probeless import _distances


@pytest.mark.parametrize("labels", [2, 3, 9])
def test_is_the_sum_over_pairs(labels):
    rng = np.random.default_rng(labels)
    codes = rng.permutation(np.arange(400) % labels)
    X = rng.normal(size=(400, 6)) + 7 * rng.normal(size=(labels, 6))[codes] - 50
    X[:, 5] = np.round(X[:, 5] / 10)  # means that are equal
    means = [X[codes == code].mean(axis=0) for code in range(labels)]
    ranking = probeless(X, codes)
    overall = sum(np.abs(one - two) for one, two in itertools.combinations(means, 2))
    np.testing.assert_allclose(scores_by_id(ranking), overall, rtol=1e-9)
    assert ranking.neurons.tolist() == np.argsort(-overall, kind="stable").tolist()
    for code in range(labels):
        own = sum(np.abs(means[code] - other) for other in means)
        assert ranking.per_label[str(code)].tolist() == np.argsort(-own, kind="stable").tolist()


def test_planted_neurons():
    X, codes = planted()
    ranking = probeless(X, named(codes))
    assert set(ranking.neurons[:5].tolist()) == {0, 1, 2, 3, PERFECT}
    assert ranking.neurons[-1] == DEAD
    assert ranking.scores[-1] == 0
    # The perfect detector of adjectives has half the distance of the others.
    for label, carriers in CARRIES.items():
        carriers = carriers - {PERFECT}
        assert set(ranking.per_label[label][: len(carriers)].tolist()) == carriers


def test_many_labels_take_no_time():
    means = np.random.default_rng(0).normal(size=(70, 2000))
    before = time.perf_counter()
    found = _distances(means)
    assert time.perf_counter() - before < 1
    np.testing.assert_allclose(found[3], np.abs(means - means[3]).sum(axis=0), rtol=1e-9)
