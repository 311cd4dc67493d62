"""Algorithm 1 against a word-by-word reading of its definition."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import linguistic, salient


def prefix(weights, percent):
    """The smallest prefix by descending |w| whose sum reaches the percentage."""
    order = sorted(range(len(weights)), key=lambda n: (-abs(weights[n]), n))
    mass = sum(abs(w) for w in weights)
    chosen, total = [], 0.0
    for neuron in order:
        if mass == 0 or weights[neuron] == 0 or total >= (percent / 100 - 1e-9) * mass:
            break
        chosen.append(neuron)
        total += abs(weights[neuron])
    return chosen


def literal(coef, step):
    labels, neurons = coef.shape
    first = [1.0] * neurons
    for row in coef:
        mass, total = sum(abs(w) for w in row), 0.0
        for neuron in sorted(range(neurons), key=lambda n: (-abs(row[n]), n)):
            if row[neuron] != 0:
                total += abs(row[neuron])
                first[neuron] = min(first[neuron], total / mass)
    found: list[int] = []
    percent = 0.0
    while percent < 100:
        percent = min(percent + step, 100)
        union = {n for row in coef for n in prefix(row, percent)} - set(found)
        largest = {n: max(abs(coef[k, n]) for k in range(labels)) for n in union}
        found += sorted(union, key=lambda n: (round(first[n], 12), -largest[n], n))
    return found + [n for n in range(neurons) if n not in set(found)]


def random_weights(kind, seed):
    rng = np.random.default_rng(seed)
    coef = rng.normal(size=(4, 30))
    if kind == "tied":
        coef = rng.integers(-2, 3, size=(4, 30)).astype(float)
    elif kind == "sparse":
        coef *= rng.random((4, 30)) < 0.2
        coef[2] = 0
    elif kind == "one-hot":
        coef = np.zeros((4, 30))
        coef[[0, 1, 2], [7, 7, 3]] = [1, -2, 0.5]
    elif kind == "heavy":
        coef = coef**5
    return coef


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("step", [1.0, 3.0, 25.0, 100.0])
@pytest.mark.parametrize("kind", ["normal", "tied", "sparse", "one-hot", "heavy"])
def test_against_the_definition(kind, step, seed):
    coef = random_weights(kind, seed)
    assert linguistic(coef, step=step).neurons.tolist() == literal(coef, step)


def test_worked_by_hand():
    # Shares of label a: neuron 1 60%, then 0 90%, then 2 100%; of label b: neuron 2 all of it.
    coef = np.array([[3.0, -6.0, 1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0, 0.0]])
    ranking = linguistic(coef, ["a", "b"])
    # Both 1 and 2 join at 1%; neuron 1 is reached at 60% of a's mass, neuron 2 at all of b's.
    assert ranking.neurons.tolist() == [1, 2, 0, 3, 4]
    assert ranking.scores.tolist() == [0.6, 1.0, 0.9, 1.0, 1.0]
    assert ranking.per_label["a"].tolist() == [1, 0, 2, 3, 4]
    assert ranking.per_label["b"].tolist() == [2, 0, 1, 3, 4]


def test_exactly_reached_share_takes_no_further_neuron():
    coef = np.full((1, 10), 0.1)  # ten tenths, whose sums are not exact
    assert [len(salient(coef[0], tenths / 10)) for tenths in range(11)] == list(range(11))


def test_salient_includes_the_crossing_neuron():
    row = np.array([0.0, 2.0, -5.0, 3.0])
    assert salient(row, 0.25).tolist() == [2]
    assert salient(row, 0.5).tolist() == [2]
    assert salient(row, 0.51).tolist() == [2, 3]
    assert salient(row, 1.0).tolist() == [2, 3, 1]
    assert salient(np.zeros(4), 0.25).tolist() == []


def test_planted_neurons_come_first():
    coef = np.random.default_rng(0).normal(scale=0.001, size=(3, 50))
    coef[[0, 1, 2], [40, 7, 23]] = [9.0, -4.0, 1.0]
    assert set(linguistic(coef).neurons[:3].tolist()) == {40, 7, 23}


def test_what_the_ranking_carries():
    ranking = linguistic(np.eye(2, 5), ["N", "V"], step=2.0)
    assert ranking.method == "linguistic"
    assert "step:2" in ranking.signature
    assert ranking.select("label=V:top:1") == [1]


def test_two_thousand_neurons_and_a_hundred_labels_take_no_time():
    coef = np.random.default_rng(0).normal(size=(100, 2000))
    start = time.process_time()
    linguistic(coef)
    assert time.process_time() - start < 2


def test_bad_input():
    with pytest.raises(UserError, match="NaN"):
        linguistic(np.array([[1.0, np.nan]]))
    with pytest.raises(UserError, match="matrix"):
        linguistic(np.zeros(3))
    with pytest.raises(UserError, match="as many different labels"):
        linguistic(np.eye(2), ["N", "N"])
    with pytest.raises(UserError, match="step"):
        linguistic(np.eye(2), step=0)
    with pytest.raises(UserError, match="share"):
        salient(np.ones(3), 1.5)
