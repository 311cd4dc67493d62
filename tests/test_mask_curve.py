"""Against masking the data itself, one share at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.probing import mask_curve as module
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.mask_curve import curve_area, mask_accuracies, mask_curve
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rows import NonFiniteError, View

NEURONS = 23


def fitted(labels: int, tokens: int = 400):
    """A probe on noisy neurons, a ranking of them in no particular order, and test data."""
    rng = np.random.default_rng(labels)
    names = np.asarray([f"L{label}" for label in range(labels)])
    y = rng.integers(0, labels, 2 * tokens)
    X = rng.normal(size=(2 * tokens, NEURONS)) + 0.4 * rng.normal(size=(labels, NEURONS))[y]
    probe = ElasticNetProbe(1e-3, 1e-3, tol=1e-4).fit(X[:tokens], names[y[:tokens]])
    ranking = Ranking("any", rng.permutation(NEURONS), np.zeros(NEURONS))
    return probe, ranking, X[tokens:].astype(np.float32), names[y[tokens:]]


def masked_one_by_one(probe, ranking, X, y, shares, order="top"):
    accuracies = []
    for share in shares:
        count = max(1, round(NEURONS * share / 100)) if share else 0
        kept = ranking.order(order)[:count]
        zeroed = np.zeros_like(X)
        zeroed[:, kept] = X[:, kept]
        accuracies.append(np.mean(probe.predict(zeroed) == y))
    return accuracies


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("order", ["top", "bottom"])
def test_curve_is_that_of_masked_data(labels, order):
    probe, ranking, X, y = fitted(labels)
    shares = [0, 1, 5, 12.5, 20, 37, 50, 80, 99, 100]
    found = mask_curve(probe, ranking, (X, y), shares, order)
    assert found == masked_one_by_one(probe, ranking, X, y, shares, order)
    assert len(set(found)) > 5, "the curve must rise for this to be a test"
    assert found[-1] == probe.score(X, y)


def test_shares_in_any_order_and_repeated():
    probe, ranking, X, y = fitted(3)
    shares = [60, 10, 60, 0]
    assert mask_curve(probe, ranking, (X, y), shares) == masked_one_by_one(
        probe, ranking, X, y, shares
    )
    assert mask_curve(probe, ranking, (X, y), []) == []


def test_blocks_and_views_change_nothing(monkeypatch):
    probe, ranking, X, y = fitted(3)
    rows = np.arange(3, 390, 2)
    expected = masked_one_by_one(probe, ranking, X[rows], y[rows], [0, 30, 70])

    def small_blocks(shape):
        return (slice(start, min(start + 50, shape[0])) for start in range(0, shape[0], 50))

    monkeypatch.setattr(module, "row_blocks", small_blocks)
    found = mask_curve(probe, ranking, (View(X, rows=rows), y[rows]), [0, 30, 70])
    assert found == expected


def test_labels_that_training_did_not_have_are_wrong():
    probe, ranking, X, y = fitted(3)
    renamed = y.astype("U8")
    renamed[:100] = "later"
    right = probe.predict(X)[100:] == y[100:]
    assert mask_curve(probe, ranking, (X, renamed), [100]) == [right.sum() / len(y)]


def test_part_of_the_neurons_may_be_listed():
    probe, _, X, y = fitted(3)
    zeroed = np.zeros_like(X)
    zeroed[:, [4, 9]] = X[:, [4, 9]]
    assert mask_accuracies(probe, np.array([9, 4]), [2], X, y) == [probe.score(zeroed, y)]


def test_area():
    shares, accuracies = [0, 1, 10, 50, 100], [0.2, 0.5, 0.7, 0.8, 0.9]
    assert curve_area(shares, accuracies) == pytest.approx(auc(shares, accuracies) / 100)
    assert curve_area([0, 20], [0.5, 0.7]) == pytest.approx(0.6)
    assert curve_area(shares, [1.0] * 5) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shares", "accuracies", "message"),
    [([0], [1.0], "no area"), ([0, 1], [1.0], "no area"), ([0, 5, 5], [1.0] * 3, "ascend")],
)
def test_no_area(shares, accuracies, message):
    with pytest.raises(ValueError, match=message):
        curve_area(shares, accuracies)


def test_errors():
    probe, ranking, X, y = fitted(3)
    with pytest.raises(UserError, match="0 to 100 percent, not 101"):
        mask_curve(probe, ranking, (X, y), [101])
    with pytest.raises(UserError, match="unknown order 'middle'"):
        mask_curve(probe, ranking, (X, y), [10], "middle")
    short = Ranking("other", np.arange(5), np.zeros(5))
    with pytest.raises(UserError, match="over 5 neurons, the probe over 23"):
        mask_curve(probe, short, (X, y), [10])
    X[7, 5] = np.nan
    with pytest.raises(NonFiniteError, match="row 7, column 5"):
        mask_curve(probe, ranking, (X, y), [10])
