"""The probe finds the optimum: against scikit-learn, by the KKT conditions, and by duality."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from probe_toy import (
    duality_gap,
    kkt_residual,
    problem,
    saga,
    slopes,
    value,
    with_rare_labels,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.path import ProbePath

CASES = {
    "well-conditioned": (problem(500, 12, 5), 1e-3, 1e-3),
    "correlated": (problem(500, 20, 5, correlated=True), 3e-3, 1e-3),
    "correlated, little ridge": (problem(600, 12, 4, correlated=True), 2e-2, 1e-5),
    "14 labels, rare ones": (with_rare_labels(700, 15, 14), 1e-3, 1e-3),
    "mostly zeros": (problem(600, 25, 4, seed=3), 3e-2, 1e-3),
    "mostly ridge": (problem(300, 10, 3), 1e-4, 1e-3),
    "two labels": (problem(400, 15, 2), 1e-2, 1e-2),
    "two labels, correlated": (problem(300, 8, 2, correlated=True), 5e-3, 1e-3),
}


def case(name: str):
    (X, y), l1, l2 = CASES[name]
    return X, y, l1, l2


def check_support(found, theirs, X, y, l1: float, l2: float) -> None:
    """The same weights are zero, up to ties.

    Where one solution has a zero and the other has none, the weight must be next to nothing, or
    the zero's subgradient at its bound: there a weight may leave zero at no cost.
    """
    weight, intercept = found
    gradient = slopes(weight, intercept, X, y, centred=True)[0] + 2 * l2 * weight
    for row, column in np.argwhere((weight == 0) != (np.abs(theirs) <= 1e-6)):
        tiny = max(abs(weight[row, column]), abs(theirs[row, column])) < 1e-4
        at_bound = abs(abs(gradient[row, column]) - l1) < 1e-4 * l1
        assert tiny or at_bound, (row, column, weight[row, column], theirs[row, column])


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", CASES)
def test_optimum_is_that_of_scikit_learn(name):
    X, y, l1, l2 = case(name)
    probe = ElasticNetProbe(l1, l2).fit(X, y)
    weight, intercept = saga(X, y, l1, l2)
    theirs = value(weight, intercept, X, y, l1, l2)
    ours = value(probe.coef_, probe.intercept_, X, y, l1, l2)
    assert probe.objective_ == pytest.approx(ours, abs=1e-10)
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    assert ours <= theirs + 1e-8
    assert (weight != 0).any()
    check_support((probe.coef_, probe.intercept_), weight, X, y, l1, l2)
    np.testing.assert_allclose(probe.coef_, weight, atol=1e-3)


def test_cases_have_zeros_where_they_should():
    X, y, l1, l2 = case("mostly zeros")
    share = (ElasticNetProbe(l1, l2).fit(X, y).coef_ != 0).mean()
    assert 0.05 < share < 0.5
    assert np.bincount(case("14 labels, rare ones")[1]).min() < 10


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_ridge_alone_is_that_of_scikit_learn(l2):
    """Without l1 there is a smooth solver to compare with: Newton, to many digits."""
    X, y = problem(400, 10, 6, correlated=True)
    probe = ElasticNetProbe(0.0, l2, tol=1e-8).fit(X, y)
    model = LogisticRegression(C=1 / (2 * l2 * len(y)), solver="newton-cg", tol=1e-10).fit(X, y)
    np.testing.assert_allclose(probe.coef_, model.coef_, atol=1e-6 / l2**0.5)
    np.testing.assert_allclose(probe.predict_proba(X), model.predict_proba(X), atol=1e-5)


def test_no_penalty_at_all_is_that_of_scikit_learn():
    X, y = problem(600, 6, 3)
    probe = ElasticNetProbe(0.0, 0.0, tol=1e-8).fit(X, y)
    model = LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-10).fit(X, y)
    np.testing.assert_allclose(probe.predict_proba(X), model.predict_proba(X), atol=1e-5)
    assert kkt_residual(probe, X, y) <= 1.1e-8


@pytest.mark.parametrize("name", CASES)
def test_kkt_residual_is_what_it_says(name):
    """In the convention of the class (neurons as centred), and on the neurons as given."""
    X, y, l1, l2 = case(name)
    X = X + np.linspace(-3, 3, X.shape[1])
    probe = ElasticNetProbe(l1, l2).fit(X, y)
    assert probe.kkt_residual_ <= probe.tol == 1e-6
    assert kkt_residual(probe, X, y) == pytest.approx(probe.kkt_residual_, abs=1e-9)
    # G_raw = G_centred + (gradient of the intercept) x mean
    longest = 1 + np.abs(X.mean(axis=0)).max()
    assert kkt_residual(probe, X, y, centred=False) <= longest * probe.kkt_residual_ + 1e-9


@pytest.mark.parametrize("name", CASES)
def test_duality_gap_closes(name):
    """No other solver is needed for this one: the dual bounds the optimum from below."""
    X, y, l1, l2 = case(name)
    gap = duality_gap(ElasticNetProbe(l1, l2, tol=1e-8).fit(X, y), X, y)
    assert -1e-12 < gap < 1e-7
    far = ElasticNetProbe(l1, l2).fit(X, y)
    far.coef_ = 0.9 * far.coef_
    assert duality_gap(far, X, y) > 1e-5  # the bound is no empty one


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_duality_gap_closes_on_a_store_of_real_shape(dtype):
    """Large enough that the products are not done in float64."""
    rng = np.random.default_rng(0)
    y = rng.choice(8, 9000, p=np.arange(8, 0, -1) / 36)
    factors = 0.7 * rng.normal(size=(8, 40))[y] + rng.normal(size=(9000, 40))
    mixed = factors @ rng.normal(size=(40, 250)) / 6 + 0.5 * rng.normal(size=(9000, 250))
    X = np.tanh(mixed).astype(dtype)
    probe = ElasticNetProbe(1e-4, 1e-3).fit(X, y)
    assert probe.kkt_residual_ <= 1e-6
    assert kkt_residual(probe, X, y) <= 2e-6
    assert duality_gap(probe, X, y) < 1e-6
    assert probe.objective_ == pytest.approx(
        value(probe.coef_, probe.intercept_, X, y, 1e-4, 1e-3), abs=1e-7
    )


def test_warm_starts_end_at_the_same_optimum():
    X, y = problem(400, 15, 4, correlated=True)
    strengths = [
        (1e-2, 1e-2),
        (1e-3, 1e-2),
        (1e-3, 1e-3),
        (3e-2, 1e-3),
    ]  # from strong to weak, back
    probe = None
    with ProbePath(X, y, tol=1e-8) as path:
        for l1, l2 in strengths:
            probe = path.fit(l1, l2, start=probe)
            assert (probe.l1, probe.l2) == (l1, l2)
            assert duality_gap(probe, X, y) < 1e-7
            cold = ElasticNetProbe(l1, l2, tol=1e-8).fit(X, y)
            np.testing.assert_allclose(probe.coef_, cold.coef_, atol=1e-5)
            np.testing.assert_array_equal(probe.classes_, cold.classes_)


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


def test_pipeline_grid_search_and_cross_validation():
    X, y = problem(200, 6, 3)
    names = np.array(["ADJ", "NOUN", "VERB"])[y]
    pipeline = make_pipeline(StandardScaler(), ElasticNetProbe())
    grid = {"elasticnetprobe__l1": [1e-4, 1.0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = GridSearchCV(clone(pipeline), grid, cv=3).fit(X, names)
        accuracy = cross_val_score(ElasticNetProbe(1e-3, 1e-3), X, names, cv=4)
    assert search.best_params_ == {"elasticnetprobe__l1": 1e-4}
    assert accuracy.mean() > np.bincount(y).max() / len(y) + 0.1
    assert search.best_estimator_.predict(X).dtype == names.dtype


def test_clone_keeps_the_settings_and_forgets_the_fit():
    X, y = problem(100, 4, 2)
    probe = ElasticNetProbe(1e-3, 1e-2, tol=1e-5, max_iter=7).fit(X, y)
    copy = clone(probe)
    assert copy.get_params() == probe.get_params()
    assert copy.get_params()["l2"] == 1e-2
    assert not hasattr(copy, "coef_")
