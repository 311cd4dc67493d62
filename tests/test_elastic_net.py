"""The probe finds the optimum: against scikit-learn, and against the optimality conditions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fairseq_neuron_plugin.probing import objective as objective_module
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.objective import NonFiniteError
from fairseq_neuron_plugin.probing.penalty import _best_shift
from fairseq_neuron_plugin.probing.rows import View


def problem(tokens: int, neurons: int, labels: int, correlated: bool = False, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(tokens, neurons))
    if correlated:
        X = X @ rng.normal(size=(neurons, neurons)) / np.sqrt(neurons) + rng.normal(
            size=(tokens, 1)
        )
    weight = rng.normal(size=(labels, neurons)) * (rng.random((labels, neurons)) < 0.4)
    y = (X @ weight.T + 1.5 * rng.gumbel(size=(tokens, labels))).argmax(axis=1)
    return X, y


def value(weight, intercept, X, y, l1, l2) -> float:
    logits = X.astype(np.float64) @ weight.T + intercept
    top = logits.max(axis=1, keepdims=True)
    norm = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    entropy = (norm - logits[np.arange(len(y)), y]).mean()
    return entropy + l1 * np.abs(weight).sum() + l2 * (weight**2).sum()


def kkt_residual(probe: ElasticNetProbe, X, y) -> float:
    """Written anew from the definition of the subgradient."""
    chances = probe.predict_proba(X)
    chances[np.arange(len(y)), y] -= 1
    centred = X.astype(np.float64) - X.astype(np.float64).mean(axis=0)
    worst = np.abs(chances.mean(axis=0)).max()
    slopes = chances.T @ centred / len(y) + 2 * probe.l2 * probe.coef_
    for slope, weight in zip(slopes.ravel(), probe.coef_.ravel(), strict=True):
        if weight == 0:
            worst = max(worst, abs(slope) - probe.l1)
        else:
            worst = max(worst, abs(slope + probe.l1 * np.sign(weight)))
    return float(worst)


def saga(X, y, l1, l2):
    """scikit-learn's optimum as weights of all labels.

    Its objective is ``C sum CE + ratio |w|_1 + (1 - ratio)/2 |w|²``. With two labels it has one
    row ``w``; the optimum with two rows is ``∓w/2``, whose penalty is ``l1 |w|_1 + l2/2 |w|²``.
    """
    two = len(np.unique(y)) == 2
    ridge = l2 if two else 2 * l2
    model = LogisticRegression(
        C=1 / (len(y) * (l1 + ridge)),
        l1_ratio=l1 / (l1 + ridge),
        solver="saga",
        tol=1e-10,
        max_iter=5000,
        random_state=0,
    ).fit(X, y)
    if not two:
        return model.coef_, model.intercept_
    halves = np.array([[-0.5], [0.5]])
    return halves * model.coef_, (halves * model.intercept_)[:, 0]


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("shape", "correlated", "l1", "l2"),
    [
        ((400, 15, 2), False, 1e-2, 1e-2),
        ((500, 20, 5), True, 3e-3, 1e-3),
        ((600, 12, 4), True, 2e-2, 1e-5),
        ((300, 10, 3), False, 1e-4, 1e-3),
        ((300, 8, 2), True, 5e-3, 1e-3),
    ],
)
def test_optimum_is_that_of_scikit_learn(shape, correlated, l1, l2):
    X, y = problem(*shape, correlated)
    probe = ElasticNetProbe(l1, l2).fit(X, y)
    weight, intercept = saga(X, y, l1, l2)
    theirs = value(weight, intercept, X, y, l1, l2)
    ours = value(probe.coef_, probe.intercept_, X, y, l1, l2)
    assert probe.objective_ == pytest.approx(ours, abs=1e-10)
    assert abs(ours - theirs) < 1e-5
    assert ours <= theirs + 1e-9
    np.testing.assert_array_equal(probe.coef_ != 0, np.abs(weight) > 1e-6)
    np.testing.assert_allclose(probe.coef_, weight, atol=1e-3)


@pytest.mark.parametrize("seed", [1, 2])
def test_kkt_residual_is_what_it_says(seed):
    X, y = problem(400, 25, 6, True, seed)
    probe = ElasticNetProbe(1e-3, 1e-4).fit(X, y)
    assert probe.kkt_residual_ <= probe.tol == 1e-6
    assert kkt_residual(probe, X, y) == pytest.approx(probe.kkt_residual_, abs=1e-9)
    assert 0 < (probe.coef_ == 0).sum() < probe.coef_.size


def test_default_strength_on_a_separable_problem():
    """More neurons than tokens and next to no penalty: large weights, still an optimum."""
    X, y = problem(60, 100, 3)
    probe = ElasticNetProbe().fit(X, y)
    assert kkt_residual(probe, X, y) <= 1.1e-6
    assert probe.score(X, y) == 1.0


def test_scikit_learn_estimator_checks():
    results = check_estimator(ElasticNetProbe(), on_skip=None, on_fail=None)
    assert len(results) > 40
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert failed == []
    # These two want an environment variable and pandas; they are skipped for every estimator.
    skipped = {r["check_name"] for r in results if r["status"] != "passed"}
    assert skipped <= {"check_array_api_input", "check_classifier_data_not_an_array"}


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


def test_same_data_same_weights():
    X, y = problem(300, 12, 4)
    first, second = ElasticNetProbe().fit(X, y), ElasticNetProbe().fit(X, y)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert first.get_params() == ElasticNetProbe().get_params()


def test_number_of_threads_does_not_matter(monkeypatch):
    monkeypatch.setattr(objective_module, "BLOCK_BYTES", 1)
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
    for name, limit in {
        "BLOCK_BYTES": 1,
        "CACHE_BYTES": 0,
        "CURVATURE_BYTES": 0,
        "SMALL": 0,
    }.items():
        monkeypatch.setattr(objective_module, name, limit)
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


def test_units_of_the_neurons_do_not_matter_to_convergence():
    """Scales from 1e-3 to 1e3 and a mean far from 0."""
    X, y = problem(400, 8, 3)
    X = X * np.logspace(-3, 3, 8) + 50
    probe = ElasticNetProbe(1e-5, 1e-7).fit(X, y)
    assert kkt_residual(probe, X, y) < 1e-5
    assert probe.kkt_residual_ <= 1e-6


def test_constant_and_duplicate_neurons():
    X, y = problem(300, 6, 3)
    X[:, 2] = 0.1
    X[:, 4] = X[:, 3]
    probe = ElasticNetProbe(1e-3, 1e-2).fit(X, y)
    assert (probe.coef_[:, 2] == 0).all()
    # The squared penalty shares the weight equally between equal neurons.
    np.testing.assert_allclose(probe.coef_[:, 3], probe.coef_[:, 4], atol=1e-4)
    assert kkt_residual(probe, X, y) <= 1.1e-6


def test_all_activations_zero_gives_label_frequencies():
    y = np.array([0] * 6 + [1] * 3 + [2])
    probe = ElasticNetProbe().fit(np.zeros((10, 4)), y)
    assert (probe.coef_ == 0).all()
    np.testing.assert_allclose(probe.predict_proba(np.zeros((1, 4)))[0], [0.6, 0.3, 0.1], atol=1e-6)


def test_label_seen_once():
    X, y = problem(100, 5, 3)
    y[0], labels = 7, 4
    probe = ElasticNetProbe().fit(X, y)
    assert probe.coef_.shape == (labels, 5)
    assert probe.classes_.tolist() == [0, 1, 2, 7]


def test_strong_penalty_leaves_no_weight():
    X, y = problem(200, 5, 3)
    probe = ElasticNetProbe(l1=10.0).fit(X, y)
    assert (probe.coef_ == 0).all()
    frequency = np.bincount(y) / len(y)
    np.testing.assert_allclose(probe.predict_proba(X[:1])[0], frequency, atol=1e-6)


def test_bad_input_is_refused():
    X, y = problem(50, 4, 3)
    with pytest.raises(ValueError, match="at least two labels"):
        ElasticNetProbe().fit(X, np.zeros(50))
    for bad in (np.nan, np.inf):
        broken = X.copy()
        broken[31, 2] = bad
        with pytest.raises(NonFiniteError, match="row 31, column 2"):
            ElasticNetProbe().fit(broken, y)
    with pytest.raises(ValueError, match="l1"):
        ElasticNetProbe(l1=-1).fit(X, y)


def test_too_few_steps_warn():
    X, y = problem(200, 10, 3)
    with pytest.warns(ConvergenceWarning, match="KKT residual"):
        ElasticNetProbe(max_iter=1, tol=1e-12).fit(X, y)


def test_works_in_pipeline_and_grid_search():
    X, y = problem(200, 6, 3)
    pipeline = make_pipeline(StandardScaler(), ElasticNetProbe())
    grid = {"elasticnetprobe__l1": [1e-4, 1.0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = GridSearchCV(clone(pipeline), grid, cv=3).fit(X, y)
    assert search.best_params_ == {"elasticnetprobe__l1": 1e-4}


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.0, 0.1), (0.3, 0.05), (0.01, 0.5)])
def test_best_shift_against_a_fine_grid(l1, l2):
    rng = np.random.default_rng(3)
    shifts = np.linspace(-4, 4, 80001)
    for labels in (2, 3, 6):
        weights = rng.normal(size=labels) * (rng.random(labels) < 0.7)
        moved = weights[:, None] + shifts
        cost = (l1 * np.abs(moved) + l2 * moved**2).sum(axis=0)
        best = weights + _best_shift(weights, l1, l2)
        assert (l1 * np.abs(best) + l2 * best**2).sum() <= cost.min() + 1e-9
