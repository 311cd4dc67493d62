"""The probe as an estimator: shapes, settings, blocks of rows.

That it finds the optimum is tested in test_probe_optimum.py, unusual data in
test_probe_edge_cases.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from probe_toy import problem, value
from sklearn.exceptions import ConvergenceWarning

from fairseq_neuron_plugin import rows
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.solver import design, objective
from fairseq_neuron_plugin.probing.solver.penalty import Penalty
from fairseq_neuron_plugin.rows import View


def test_shapes_and_two_labels():
    X, y = problem(200, 5, 2)
    probe = ElasticNetProbe(1e-3, 1e-3).fit(X, np.array(["no", "yes"])[y])
    assert probe.coef_.shape == (2, 5)
    assert probe.intercept_.shape == (2,)
    assert probe.decision_function(X).shape == (200,)
    assert probe.predict_proba(X).shape == (200, 2)
    assert ((probe.decision_function(X) > 0) == (probe.predict(X) == "yes")).all()
    assert probe.n_features_in_ == 5
    assert probe.n_passes_ >= probe.n_iter_ >= 1


def test_number_of_threads_does_not_matter(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 1)
    X, y = problem(2000, 12, 4)
    weights = []
    for cores in ({0}, {0, 1, 2}):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        weights.append(ElasticNetProbe(1e-3, 1e-3).fit(X, y).coef_)
    np.testing.assert_array_equal(weights[0], weights[1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_memory_map_in_blocks(tmp_path, monkeypatch, dtype):
    """Small blocks, no cache, float32 products: the optimum of the float64 problem."""
    X, y = problem(900, 12, 4, True)
    X = (X + 3).astype(dtype)
    np.save(tmp_path / "x.npy", X)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    exact = ElasticNetProbe(1e-3, 1e-3, tol=1e-9).fit(X.astype(np.float64), y)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 1)
    monkeypatch.setattr(design, "CACHE_BYTES", 0)
    monkeypatch.setattr(design, "SMALL", 0)
    monkeypatch.setattr(objective, "PROBABILITY_BYTES", 20_000)
    probe = ElasticNetProbe(1e-3, 1e-3).fit(stored, y)
    assert value(probe.coef_, probe.intercept_, X, y, 1e-3, 1e-3) <= exact.objective_ + 1e-7
    np.testing.assert_allclose(probe.coef_, exact.coef_, atol=1e-3)
    assert (probe.predict(stored) == exact.predict(X.astype(np.float64))).mean() > 0.99


def test_view_of_rows_and_columns_is_the_copy():
    X, y = problem(300, 12, 3)
    rows, columns = np.arange(0, 300, 2), np.array([7, 1, 4])
    probe = ElasticNetProbe(1e-3, 1e-3).fit(View(X, rows, columns), y[rows])
    copied = ElasticNetProbe(1e-3, 1e-3).fit(X[rows][:, columns], y[rows])
    np.testing.assert_array_equal(probe.coef_, copied.coef_)
    with pytest.raises(ValueError, match="12 neurons, but the probe knows 3"):
        probe.predict(View(X))
    with pytest.raises(ValueError, match="150 rows of activations, but 300 labels"):
        probe.fit(View(X, rows), y)


def test_strong_penalty_leaves_no_weight():
    X, y = problem(200, 5, 3)
    probe = ElasticNetProbe(l1=10.0).fit(X, y)
    assert (probe.coef_ == 0).all()
    frequency = np.bincount(y) / len(y)
    np.testing.assert_allclose(probe.predict_proba(X[:1])[0], frequency, atol=1e-6)


def test_bad_settings_are_refused():
    X, y = problem(50, 4, 3)
    with pytest.raises(ValueError, match="l1"):
        ElasticNetProbe(l1=-1).fit(X, y)


def test_too_few_steps_warn():
    X, y = problem(200, 10, 3)
    with pytest.warns(ConvergenceWarning, match="KKT residual"):
        ElasticNetProbe(max_iter=1, tol=1e-12).fit(X, y)


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.0, 0.1), (0.3, 0.05), (0.01, 0.5)])
def test_centred_weights_against_a_fine_grid_of_shifts(l1, l2):
    generator = np.random.default_rng(3)
    shifts = np.linspace(-4, 4, 80001)
    scale = np.array([1.0, 0.25, 3.0])
    penalty = Penalty(l1, l2, scale)
    for labels in (2, 3, 6):
        parameters = generator.normal(size=(labels, 4)) * (generator.random((labels, 4)) < 0.7)
        found = penalty.centred(torch.from_numpy(parameters)).numpy()
        np.testing.assert_allclose(found[:, 3], parameters[:, 3] - parameters[:, 3].mean())
        for column in range(3):
            moved = (parameters[:, column, None] + shifts) / scale[column]
            cost = (l1 * np.abs(moved) + l2 * moved**2).sum(axis=0)
            best = found[:, column] / scale[column]
            assert (l1 * np.abs(best) + l2 * best**2).sum() <= cost.min() + 1e-9
            np.testing.assert_allclose(
                np.ptp(found[:, column] - parameters[:, column]), 0, atol=1e-12
            )
