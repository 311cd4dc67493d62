"""Rankings against NeuroX, the field's own package, on the same weights and activations.

NeuroX 1.0.9, the last release on PyPI, has no `gaussian_probe` (and the one of its repository calls
torch.eig, which torch no longer has); tests/test_gaussian.py compares with scipy's normals instead.
"""

from __future__ import annotations

import contextlib
import functools
import io

import numpy as np
import probe_toy
import pytest
import torch

from fairseq_neuron_plugin import ElasticNetProbe
from fairseq_neuron_plugin.rankings import linguistic, probeless, salient

theirs = pytest.importorskip(
    "neurox.interpretation.linear_probe",
    reason="neurox is not installed; scripts/setup.sh does it where it can",
)
their_probeless = pytest.importorskip("neurox.interpretation.probeless")


@pytest.fixture(autouse=True)
def quiet():
    """NeuroX prints, and shows progress."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def dense():
    return np.random.default_rng(0).normal(size=(5, 80))


def heavy_tailed():
    return np.random.default_rng(1).normal(size=(4, 60)) ** 5


def sparse():
    """Most weights are 0, and so are all weights of many neurons."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(6, 100)) * (rng.random((6, 100)) < 0.08)


def many_labels():
    return np.random.default_rng(3).laplace(size=(100, 150))


def one_neuron_each():
    return np.eye(4, 12) * [[1.0], [-2.0], [0.5], [3.0]]


@functools.cache
def fitted():
    """A probe's, of a strength at which many weights are exactly 0."""
    X, y = probe_toy.with_rare_labels(600, 40, 8)
    coef = ElasticNetProbe(l1=0.01, l2=1e-4).fit(X, y).coef_
    assert (coef == 0).mean() > 0.2
    # NeuroX takes an arbitrary neuron for a label without any weight, Algorithm 1 none.
    assert coef.any(axis=1).all()
    return coef


WEIGHTS = [dense, heavy_tailed, sparse, many_labels, one_neuron_each, fitted]


def probe_of(coef):
    """NeuroX's probe with these weights, in float64 so that both add up the same numbers."""
    probe = theirs.LinearProbe(coef.shape[1], len(coef)).double()
    with torch.no_grad():
        probe.linear.weight.copy_(torch.from_numpy(coef))
    return probe, {str(label): label for label in range(len(coef))}


def top_neurons(coef, share):
    probe, labels = probe_of(coef)
    return theirs.get_top_neurons(probe, share, labels)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("pieces", [100, 20])
def test_algorithm_1_takes_the_same_neurons_up_to_each_cutoff(weights, pieces):
    coef = weights()
    ordering, cutoffs = theirs.get_neuron_ordering(*probe_of(coef), search_stride=pieces)
    ours = linguistic(coef, step=100 / pieces).neurons.tolist()
    # Their first cutoff is that of 0%, which is a part of the first step here; the last needs the
    # sum of all weights to come out the same twice, and so may end early or take all.
    assert len(cutoffs) == pieces + 1
    for cutoff in cutoffs[1:-1]:
        assert set(ours[:cutoff]) == set(ordering[:cutoff])
    assert set(ordering[: cutoffs[0]]) <= set(ours[: cutoffs[1]])
    omitted = sorted(set(ours) - set(ordering))
    rounding = 1e-12 * np.abs(coef).sum(axis=1, keepdims=True)
    assert (np.abs(coef[:, omitted]) <= rounding).all()


def test_neurons_without_weight_that_neurox_omits_come_last():
    coef = np.zeros((2, 6))
    coef[0, 4], coef[1, 1] = 1.0, 2.0
    ordering, _ = theirs.get_neuron_ordering(*probe_of(coef))
    assert set(ordering) == {1, 4}
    assert linguistic(coef).neurons.tolist() == [1, 4, 0, 2, 3, 5]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_salient_neurons_of_each_label(weights, share):
    coef = weights()
    union, of_label = top_neurons(coef, share)
    ours = [salient(row, share).tolist() for row in coef]
    assert ours == [neurons.tolist() for neurons in of_label.values()]
    assert set(union.tolist()) == {neuron for neurons in ours for neuron in neurons}


@pytest.mark.parametrize("weights", [dense, heavy_tailed, many_labels])
def test_order_of_neurons_for_each_label(weights):
    coef = weights()
    _, of_label = top_neurons(coef, 1.01)  # which no sum reaches: all of them
    ours = linguistic(coef).per_label
    assert {label: order.tolist() for label, order in ours.items()} == {
        label: order.tolist() for label, order in of_label.items()
    }


@pytest.mark.parametrize("labels", [2, 3, 30])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probeless(labels, dtype):
    rng = np.random.default_rng(labels)
    y = rng.integers(0, labels, 900)
    X = rng.normal(size=(900, 50)) + rng.normal(size=(labels, 50))[y]
    X = X.astype(dtype)
    names = [f"label {code:02d}" for code in range(labels)]
    ranking = probeless(X, [names[code] for code in y])
    X64 = X.astype(np.float64)  # they add up in the precision of what they are given
    assert ranking.neurons.tolist() == their_probeless.get_neuron_ordering(X64, y)
    overall, by_tag = their_probeless.get_neuron_ordering_for_all_tags(
        X64, y, dict(enumerate(names))
    )
    assert ranking.neurons.tolist() == overall
    assert {label: order.tolist() for label, order in ranking.per_label.items()} == by_tag
