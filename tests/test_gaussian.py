"""The greedy Gaussian probe against full covariances and a naive loop, and planted neurons."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from fairseq_neuron_plugin import rows
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import METHODS, f_statistic, gaussian
from fairseq_neuron_plugin.sharded_rows import ShardedRows


def mixed_tokens(tokens=700, neurons=6, labels=4, seed=0):
    """Every label with its own mean and covariance; the last label is rare."""
    rng = np.random.default_rng(seed)
    shares = [0.45, 0.3, 0.2, 0.05][:labels]
    y = rng.choice(labels, tokens, p=np.array(shares) / sum(shares))
    means = rng.normal(size=(labels, neurons)) * np.linspace(1, 0.2, neurons)
    mixing = np.eye(neurons) + 0.5 * rng.normal(size=(labels, neurons, neurons))
    X = means[y] + np.einsum("tij,tj->ti", mixing[y], rng.normal(size=(tokens, neurons)))
    return X, np.array(["N", "V", "A", "rare"])[y]


def split(y, share=0.2, most=10_000, seed=0):
    """The tokens that are held out: drawn at random, but a label keeps its last ones."""
    drawn = np.random.default_rng(seed).choice(len(y), min(most, int(share * len(y))), False)
    held = np.zeros(len(y), dtype=bool)
    held[drawn] = True
    for label in np.unique(y):
        if held[y == label].all():
            held[y == label] = False
    return held


def posterior(X, y, held, chosen, estimate):
    """Log2-probability of each label for the held-out tokens, from full covariance matrices."""
    train, names, scores = X[~held], np.unique(y), []
    within = sum(
        ((X[~held & (y == name)] - X[~held & (y == name)].mean(axis=0)) ** 2).sum(axis=0)
        for name in names
    ) / len(train)
    for name in names:
        of_label = X[~held & (y == name)]
        n, d = of_label.shape
        scatter = (of_label - of_label.mean(axis=0)).T @ (of_label - of_label.mean(axis=0))
        if estimate == "mean":
            covariance = (scatter + np.diag(within)) / (n + 1)
        else:
            covariance = (scatter + np.diag(np.diag(scatter) / n)) / (n + 2 * d + 4)
        normal = multivariate_normal(
            of_label.mean(axis=0)[chosen], covariance[np.ix_(chosen, chosen)]
        )
        scores.append(normal.logpdf(X[held][:, chosen]) + np.log(n / len(train)))
    scores = np.stack(scores, axis=1)
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)) / np.log(2)


def naive_greedy(X, y, criterion, estimate, **of_split):
    held = split(y, **of_split)
    codes = np.unique(y, return_inverse=True)[1][held]
    chosen, steps = [], []
    while len(chosen) < X.shape[1]:
        tried = []
        for neuron in sorted(set(range(X.shape[1])) - set(chosen)):
            log2 = posterior(X, y, held, [*chosen, neuron], estimate)
            bits = log2[np.arange(len(codes)), codes].mean()
            accuracy = (log2.argmax(axis=1) == codes).mean()
            first = accuracy if criterion == "accuracy" else bits
            tried.append((first, bits, -neuron, accuracy))
        _, bits, neuron, accuracy = max(tried)
        chosen.append(-neuron)
        steps.append((bits, accuracy))
    return chosen, np.array(steps)


@pytest.mark.parametrize("criterion", ["log-likelihood", "accuracy"])
@pytest.mark.parametrize("estimate", ["mean", "mode"])
@pytest.mark.parametrize("seed", [0, 1])
def test_is_the_naive_greedy_loop(criterion, estimate, seed):
    X, y = mixed_tokens(seed=seed)
    ranking = gaussian(X, y, criterion=criterion, estimate=estimate, seed=seed)
    chosen, steps = naive_greedy(X, y, criterion, estimate, seed=seed)
    assert ranking.neurons.tolist() == chosen
    greedy = ranking.details["greedy"]
    np.testing.assert_allclose(greedy["log_likelihood"], steps[:, 0], atol=1e-9)
    np.testing.assert_allclose(greedy["accuracy"], steps[:, 1], atol=1e-12)
    gains = np.diff([greedy["log_likelihood_before"], *greedy["log_likelihood"]])
    np.testing.assert_allclose(greedy["gain"], gains)
    if criterion == "log-likelihood":
        np.testing.assert_allclose(ranking.scores, gains)


def test_before_any_neuron_a_label_is_as_probable_as_it_is_frequent():
    X, y = mixed_tokens()
    held = split(y)
    shares = {name: (y[~held] == name).mean() for name in np.unique(y)}
    expected = np.mean([np.log2(shares[name]) for name in y[held]])
    greedy = gaussian(X, y, steps=1).details["greedy"]
    assert greedy["log_likelihood_before"] == pytest.approx(expected)


def test_the_rest_follows_by_what_it_would_have_added():
    X, y = mixed_tokens()
    ranking = gaussian(X, y, steps=2)
    chosen, _ = naive_greedy(X, y, "log-likelihood", "mean")
    assert ranking.neurons[:2].tolist() == chosen[:2]
    held = split(y)
    codes = np.unique(y, return_inverse=True)[1][held]

    def bits(neurons):
        return posterior(X, y, held, neurons, "mean")[np.arange(len(codes)), codes].mean()

    added = [bits([chosen[0], int(neuron)]) - bits(chosen[:1]) for neuron in ranking.neurons[2:]]
    assert added == sorted(added, reverse=True)
    np.testing.assert_allclose(ranking.scores[2:], added, atol=1e-5)


@pytest.fixture(scope="module")
def planted():
    """2,000 tokens of two labels, 20 neurons: 3 tells the label, 17 is its copy, 8 tells it less.

    Neuron 11 has a slight difference of the means; 14 alone says nothing, but within one label it
    goes with 11 and within the other against it. Neuron 5 is constant.
    """
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 2000)
    X = rng.normal(size=(2000, 20))
    X[:, 3] += 1.2 * y
    X[:, 17] = X[:, 3]
    X[:, 8] += 0.6 * y
    X[:, 5] = 0.1
    X[:, 14] = np.where(y, 1, -1) * 0.8 * X[:, 11] + 0.6 * X[:, 14]
    X[:, 11] += 0.5 * y
    return X, y


def test_neurons_that_tell_the_label_together_are_found(planted):
    X, y = planted
    ranking = gaussian(X, y)
    place = ranking.neurons.tolist().index(14)
    assert place < 4
    assert ranking.neurons[place - 1] == 11
    assert ranking.scores[place] > 3 * ranking.scores[place - 1]
    alone = f_statistic(X, y)
    noise = [neuron for neuron in range(20) if neuron not in (3, 5, 8, 11, 14, 17)]
    places = {neuron: place for place, neuron in enumerate(alone.neurons.tolist())}
    assert places[14] > min(places[neuron] for neuron in noise)


def test_a_copy_adds_nothing(planted):
    X, y = planted
    ranking = gaussian(X, y, steps=4)
    assert set(ranking.neurons[:4].tolist()) == {3, 8, 11, 14}
    assert ranking.scores[ranking.neurons.tolist().index(17)] == 0
    assert f_statistic(X, y).neurons[:2].tolist() == [3, 17]
    everything = gaussian(X, y).neurons.tolist()
    assert everything[-2:] == [17, 5]  # never chosen: the copy, then the constant


def test_a_copy_of_the_neuron_chosen_last_adds_nothing_either(planted):
    X, y = planted
    copied = gaussian(X[:, [8, 8, 11]], y, steps=1)
    assert copied.neurons.tolist() == [0, 2, 1]
    assert copied.scores[2] == 0


def test_a_sum_of_chosen_neurons_adds_nothing():
    X, y = mixed_tokens(neurons=3)
    X += 5 * np.random.default_rng(5).normal(size=(len(X), 1))  # alike, but none determines another
    X = np.hstack([X, X @ [[0.5], [-2.0], [1.0]]])
    ranking = gaussian(X, y)
    assert len(ranking.details["greedy"]["gain"]) == 3
    assert ranking.scores[3] == 0


def test_place_and_scale_of_a_neuron_do_not_matter():
    X, y = mixed_tokens()
    moved = X * [1e-6, 1e6, 1, 3, 1e-3, 10] + [1, 1e7, 1e4, 0, 0, -5]
    ranking, found = gaussian(X, y), gaussian(moved, y)
    assert found.neurons.tolist() == ranking.neurons.tolist()
    np.testing.assert_allclose(found.scores, ranking.scores, atol=1e-7)


def test_labels_of_one_token_and_neurons_that_are_silent_in_a_label():
    X, y = mixed_tokens()
    y = y.astype("<U9")
    y[[5, 50]] = "once", "also once"
    X[:, 2] = np.where(y == "N", 0, X[:, 2])
    X[:, 4] = y == "V"  # constant within each label, and tells one of them
    for estimate in ("mean", "mode"):
        ranking = gaussian(X, y, estimate=estimate)
        assert np.isfinite(ranking.scores).all()
        assert np.isfinite(ranking.details["greedy"]["log_likelihood"]).all()
        assert sorted(ranking.neurons.tolist()) == list(range(6))
    assert 4 in gaussian(X, y).neurons[:2]
    assert 2 in gaussian(X, y).neurons[:2]


def test_no_neuron_varies():
    ranking = gaussian(np.full((20, 3), 0.3), ["N", "V"] * 10)
    assert ranking.neurons.tolist() == [0, 1, 2]
    assert ranking.scores.tolist() == [0, 0, 0]


def test_stores_are_read_block_by_block(monkeypatch):
    X, y = mixed_tokens()
    X = X.astype(np.float16)
    whole = gaussian(X.astype(np.float64), y)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 1)  # blocks of 256 rows
    shards = gaussian(ShardedRows([X[:100], X[100:650], X[650:]]), y)
    assert shards.neurons.tolist() == whole.neurons.tolist()
    np.testing.assert_allclose(shards.scores, whole.scores, atol=1e-12)


def test_fewer_held_out_tokens_and_other_seeds():
    X, y = mixed_tokens()
    ranking = gaussian(X, y, tokens=50, seed=3)
    assert ranking.details["greedy"]["held_out_tokens"] == split(y, most=50, seed=3).sum()
    assert "held_out:50" in ranking.signature
    assert gaussian(X, y, seed=3).scores.tolist() != gaussian(X, y, seed=4).scores.tolist()
    assert gaussian(X, y, seed=3).scores.tolist() == gaussian(X, y, seed=3).scores.tolist()


def test_in_the_registry_and_shows_progress():
    X, y = mixed_tokens()
    seen = []
    method = METHODS["gaussian"]
    assert method.inputs == "labels"
    method.rank(X, y, steps=3, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "1 step or more"),
        ({"held_out": 1.0}, "cannot hold out 1 of"),
        ({"tokens": 0}, "at most 0"),
        ({"seed": -1}, "seed -1"),
        ({"held_out": 0.001}, "leave none to hold out"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        gaussian(np.zeros((20, 3)), ["N", "V"] * 10, **options)


@pytest.mark.parametrize("row", [3, 11])
def test_not_a_number(row):
    X = np.random.default_rng(0).normal(size=(20, 3))
    X[row, 1] = np.nan
    with pytest.raises(UserError, match=f"row {row}, neuron 1"):
        gaussian(X, ["N", "V"] * 10)
