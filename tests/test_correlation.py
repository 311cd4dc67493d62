"""Streamed correlations against numpy.corrcoef in float64, and planted copies."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import cross_model, mean_distance, moments, random, variance
from fairseq_neuron_plugin.rankings.correlation import correlations


def expected(X, Y):
    width = X.shape[1]
    joint = np.corrcoef(np.hstack([X, Y]).astype(np.float64), rowvar=False)
    return joint[:width, width:]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(moments, "BLOCK_ROWS", 64)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_is_corrcoef(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 7)).astype(dtype)
    Y = (X[:, :4] @ rng.normal(size=(4, 9)) + rng.normal(size=(5000, 9))).astype(dtype)
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_mean_far_from_zero_and_tiny_variance():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(4000, 1))
    X = (1000 + 0.01 * (shared + rng.normal(size=(4000, 5)))).astype(np.float32)
    Y = (-1000 + 0.01 * (shared + rng.normal(size=(4000, 6)))).astype(np.float32)
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)
    X64 = 1e-12 * (shared + rng.normal(size=(4000, 5))) + 1e-6
    np.testing.assert_allclose(correlations(X64, [Y])[0], expected(X64, Y), atol=1e-6)
    X64 = 1e30 * (shared + rng.normal(size=(4000, 5)))
    np.testing.assert_allclose(correlations(X64, [Y])[0], expected(X64 / 1e30, Y), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_mean_that_drifts_along_the_corpus():
    rng = np.random.default_rng(2)
    drift = np.linspace(0, 500, 3000)[:, None]
    X = drift + rng.normal(size=(3000, 3))
    Y = np.hstack([drift, -drift]) + rng.normal(size=(3000, 2))
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("constant", [0.0, 0.1, 1000.1, -3e-7])
def test_constant_neuron_scores_zero(constant):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(1000, 4))
    X[:, 2] = constant
    Y = X[:, ::-1] + 0.1 * rng.normal(size=X.shape)
    Y[:, 0] = constant
    ranking = cross_model(X, [Y])
    assert ranking.neurons[-1] == 2
    assert ranking.scores[-1] == 0.0
    assert ranking.details["best_match"][2] is None
    assert np.isfinite(ranking.scores).all()


def planted():
    rng = np.random.default_rng(4)
    X, B, C = (rng.normal(size=(2000, 6)) for _ in range(3))
    B[:, 5] = 3 * X[:, 1] + 2  # a copy
    C[:, 0] = -0.5 * X[:, 4]  # a copy with the sign turned
    C[:, 3] = X[:, 2] + rng.normal(size=2000)  # rho = 0.71
    return X, B, C


def test_planted_copies_come_first():
    X, B, C = planted()
    ranking = cross_model(X, [B, C])
    assert set(ranking.neurons[:2].tolist()) == {1, 4}
    assert ranking.neurons[2] == 2
    np.testing.assert_allclose(ranking.scores[:3], [1, 1, 0.5**0.5], atol=0.03)
    match = ranking.details["best_match"]
    assert (match[1]["model"], match[1]["neuron"]) == (0, 5)
    assert (match[4]["model"], match[4]["neuron"]) == (1, 0)
    assert match[4]["rho"] == pytest.approx(-1, abs=1e-6)
    assert (match[2]["model"], match[2]["neuron"]) == (1, 3)
    assert ranking.details["by_model"][0][4] < 0.2


def test_signed_does_not_count_turned_copies():
    X, B, C = planted()
    ranking = cross_model(X, [B, C], signed=True)
    assert ranking.neurons[:2].tolist() == [1, 2]
    assert ranking.scores[ranking.neurons.tolist().index(4)] < 0.2
    assert "signed:True" in ranking.signature


def test_min_and_mean_over_models():
    X, B, C = planted()
    scores = {}
    for combine in ("max", "min", "mean"):
        ranking = cross_model(X, [B, C], combine=combine)
        scores[combine] = ranking.scores[np.argsort(ranking.neurons)]
    one = np.abs(expected(X, B)).max(axis=1)
    two = np.abs(expected(X, C)).max(axis=1)
    np.testing.assert_allclose(scores["max"], np.maximum(one, two), atol=1e-6)
    np.testing.assert_allclose(scores["min"], np.minimum(one, two), atol=1e-6)
    np.testing.assert_allclose(scores["mean"], (one + two) / 2, atol=1e-6)


def test_models_of_different_width_from_memory_maps(tmp_path):
    X, B, _ = planted()
    np.save(tmp_path / "x.npy", X.astype(np.float16))
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    ranking = cross_model(stored, [B[:, 3:], B])
    assert ranking.neurons[0] == 1
    assert ranking.details["best_match"][1]["neuron"] in (2, 5)


def test_memory_does_not_grow_with_the_tokens():
    peaks = []
    for tokens in (20_000, 80_000):
        X = np.random.default_rng(0).normal(size=(tokens, 8)).astype(np.float32)
        tracemalloc.start()
        cross_model(X, [X, X])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_bad_input():
    X = np.zeros((10, 3))
    with pytest.raises(UserError, match="at least one other"):
        cross_model(X, [])
    with pytest.raises(UserError, match="model 2 has 9 tokens, the ranked model 10"):
        cross_model(X, [X, X[:9]])
    with pytest.raises(UserError, match="unknown way to combine"):
        cross_model(X, [X], combine="sum")
    broken = np.ones((10, 3))
    broken[7, 1] = np.nan
    with pytest.raises(UserError, match="model 1: NaN or infinity at row 7, neuron 1"):
        cross_model(X, [broken])
    with pytest.raises(UserError, match="must be a matrix"):
        cross_model(np.zeros((0, 3)), [np.zeros((0, 3))])


@pytest.mark.usefixtures("small_blocks")
def test_variance_and_mean_distance():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(1000, 4)) * [1, 5, 0, 2] + [100, 0, 7, -3]
    ranking = variance(X)
    assert ranking.neurons.tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(ranking.scores, X.var(axis=0)[[1, 3, 0, 2]], rtol=1e-9)
    assert variance(X, reverse=True).neurons.tolist() == [2, 0, 3, 1]
    means = X.mean(axis=0)
    distance = np.abs(means - means.mean())
    ranking = mean_distance(X)
    assert ranking.neurons.tolist() == np.argsort(-distance).tolist()
    np.testing.assert_allclose(np.sort(ranking.scores), np.sort(distance), rtol=1e-9)
    assert mean_distance(X, reverse=True).neurons.tolist() == np.argsort(distance).tolist()


def test_random_order_is_the_same_for_the_same_seed():
    assert random(50, seed=3).neurons.tolist() == random(50, seed=3).neurons.tolist()
    assert random(50, seed=3).neurons.tolist() != random(50, seed=4).neurons.tolist()
    assert sorted(random(50, seed=3).neurons.tolist()) == list(range(50))
