"""Data that break a careless solver: each has a right answer, or one clear error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from probe_toy import FLOATS, duality_gap, fitted, kkt_residual, large, problem
from sklearn.exceptions import ConvergenceWarning

from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe

# Nothing below overflows, divides by zero, or complains of an array it may not write to.
pytestmark = pytest.mark.filterwarnings("error")


# Labels


@pytest.mark.parametrize("label", ["NOUN", 3])
def test_one_label_only_is_an_error(label):
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=f"at least two labels.*{label}"):
        ElasticNetProbe().fit(X, np.array([label] * 20))


def test_one_token_is_an_error_of_its_label():
    with pytest.raises(ValueError, match="two labels"):
        ElasticNetProbe().fit(np.ones((1, 3)), ["NOUN"])


@pytest.mark.parametrize("dtype", FLOATS)
def test_two_tokens(dtype):
    X, y = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 0.0]], dtype), np.array([0, 1])
    probe = fitted(X, y)
    assert probe.predict(X).tolist() == [0, 1]
    assert probe.predict(X[:1]).tolist() == [0]
    assert (probe.coef_[:, 1] == 0).all()
    assert kkt_residual(probe, X, y) <= 1.1e-6


def test_two_tokens_that_are_the_same_but_for_the_label():
    probe = fitted(np.ones((2, 3)), np.array(["a", "b"]))
    assert (probe.coef_ == 0).all()
    np.testing.assert_allclose(probe.predict_proba(np.ones((1, 3))), [[0.5, 0.5]], atol=1e-6)


def test_label_seen_once():
    X, y = problem(200, 8, 3)
    y[17] = 3
    probe = fitted(X, y)
    assert probe.coef_.shape == (4, 8)
    assert kkt_residual(probe, X, y) <= 1.1e-6
    assert duality_gap(probe, X, y) < 1e-6


@pytest.mark.parametrize(
    "names",
    [
        np.array([3, 70, -2, 0]),
        np.array([2**40, -(2**40), 7, 9]),
        np.array(["VERB", "ADJ", "", "Ünïcode tag"]),
        np.array(["VERB", "ADJ", "X", "_"], dtype=object),
        np.array([0.0, 5.0, 2.0, -1.0]),
    ],
)
def test_label_ids_need_not_count_from_zero(names):
    X, y = problem(150, 5, 4)
    expected = fitted(X, np.argsort(np.argsort(names))[y])
    probe = fitted(X, names[y])
    assert probe.classes_.tolist() == sorted(names.tolist())
    np.testing.assert_array_equal(probe.coef_, expected.coef_)
    assert set(probe.predict(X).tolist()) <= set(names.tolist())
    np.testing.assert_array_equal(probe.predict(X), np.sort(names)[expected.predict(X)])
    np.testing.assert_array_equal(fitted(X, names[y].tolist()).coef_, expected.coef_)


def test_separable_data_without_penalty_stops():
    """There is no optimum: the weights would grow for ever."""
    X = np.random.default_rng(0).normal(size=(80, 5))
    y = (X[:, 0] > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="KKT residual"):
        probe = fitted(X, y, 0.0, 0.0, tol=0.0, max_iter=60)
    assert np.isfinite(probe.coef_).all()
    assert np.isfinite(probe.objective_)
    assert probe.n_iter_ <= 60
    assert probe.score(X, y) == 1.0
    assert probe.kkt_residual_ > probe.tol


# Neurons


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("constant", [0.0, 0.1, -3.3, 1e4])
@pytest.mark.parametrize("l1", [1e-3, 0.0])
def test_constant_neuron_has_no_weight(dtype, constant, l1):
    """Also where the mean of the column, as floats are added up, is not quite its value."""
    X, y = problem(1001, 5, 3)
    X[:, 2] = constant
    X = X.astype(dtype)
    probe = fitted(X, y, l1, 1e-3)
    assert (probe.coef_[:, 2] == 0).all()
    assert (probe.coef_[:, [0, 1, 3, 4]] != 0).any(axis=0).all()
    assert kkt_residual(probe, X, y) <= 1.1e-6


def test_constant_neuron_of_a_large_problem_has_no_weight():
    X, y = large(labels=3)
    X[:, 7] = 0.1
    probe = fitted(X, y, 1e-3, 1e-2)
    assert (probe.coef_[:, 7] == 0).all()
    assert np.isfinite(probe.coef_).all()


@pytest.mark.parametrize(("l1", "l2"), [(1e-3, 1e-2), (1e-3, 1e-3), (0.0, 1e-2)])
def test_duplicated_neuron_shares_its_weight(l1, l2):
    """The squared penalty is least where equal neurons have equal weights."""
    X, y = problem(300, 6, 3)
    X[:, 4] = X[:, 3]
    probe = fitted(X, y, l1, l2, tol=1e-8)
    np.testing.assert_allclose(probe.coef_[:, 3], probe.coef_[:, 4], atol=1e-4)
    assert kkt_residual(probe, X, y) <= 1.1e-8


def test_duplicated_neuron_under_l1_alone_changes_no_objective():
    X, y = problem(300, 6, 3)
    twice = np.concatenate([X, X[:, 3:4]], axis=1)
    once, both = fitted(X, y, 1e-3, 0.0), fitted(twice, y, 1e-3, 0.0)
    assert both.objective_ == pytest.approx(once.objective_, abs=1e-6)
    assert kkt_residual(both, twice, y) <= 1.1e-6


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("filler", [0.0, 1.5])
def test_activations_that_are_all_the_same_give_the_majority(dtype, filler):
    y = np.array(["NOUN"] * 6 + ["VERB"] * 3 + ["X"])
    X = np.full((10, 4), filler, dtype)
    probe = fitted(X, y)
    assert (probe.coef_ == 0).all()
    assert set(probe.predict(X)) == {"NOUN"}
    np.testing.assert_allclose(probe.predict_proba(X[:1])[0], [0.6, 0.3, 0.1], atol=1e-6)


@pytest.mark.parametrize("tokens", [3, 12, 60])
def test_more_neurons_than_tokens(tokens):
    X, y = problem(tokens, 150, 3)
    y[:3] = [0, 1, 2]
    probe = fitted(X, y)
    assert kkt_residual(probe, X, y) <= 1.1e-6
    assert duality_gap(probe, X, y) < 1e-5
    assert probe.score(X, y) == 1.0


def test_neurons_of_different_scale():
    """From 1e-3 to 1e3, and a mean far from 0: converges as ever."""
    X, y = problem(400, 8, 3)
    X = X * np.logspace(-3, 3, 8) + 50
    probe = fitted(X, y, 1e-5, 1e-7)
    assert probe.kkt_residual_ <= 1e-6
    assert kkt_residual(probe, X, y) < 1e-5


def test_neurons_of_very_different_scale():
    """From 1e-6 to 1e6: still the optimum, by duality."""
    X, y = problem(400, 8, 3)
    X = X * np.logspace(-6, 6, 8)
    with warnings.catch_warnings():
        # A residual of 1e-6 in the units of a neuron of 1e6 may be below what floats resolve.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = fitted(X, y, 1e-5, 1e-5)
    assert np.isfinite(probe.coef_).all()
    assert duality_gap(probe, X, y) < 1e-5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_far_from_zero(dtype):
    """1e4 ± 1: the weights are those of the centred neurons."""
    X, y = problem(500, 6, 3)
    moved = (X + 1e4).astype(dtype)
    centred = moved.astype(np.float64) - 1e4
    probe, expected = fitted(moved, y), fitted(centred, y)
    np.testing.assert_allclose(probe.coef_, expected.coef_, atol=1e-5)
    np.testing.assert_allclose(
        probe.predict_proba(moved), expected.predict_proba(centred), atol=1e-5
    )


def test_mean_far_from_zero_in_a_large_problem():
    X, y = large(4200, 500, 3)
    moved = X.astype(np.float32)
    moved[:, :40] += 1e3
    probe, expected = fitted(moved, y), fitted(moved - np.float32(1e3) * (np.arange(500) < 40), y)
    assert kkt_residual(probe, moved, y) <= 2e-6
    assert probe.objective_ == pytest.approx(expected.objective_, abs=1e-6)
