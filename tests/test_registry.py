"""What holds for every registered ranking method."""

from __future__ import annotations

import re

import numpy as np
import pytest
from class_toy import DEAD, named, planted

from fairseq_neuron_plugin.cli.rank_options import _described
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import METHODS
from fairseq_neuron_plugin.rankings.registry import INPUTS
from fairseq_neuron_plugin.sharded_rows import ShardedRows

NO_SOURCE = {"random"}
IGNORES_VALUES = {"random"}
# A dead neuron's mean may be the farthest from the others'.
DEAD_MAY_LEAD = {"random", "mean-distance"}
READS = sorted(name for name in METHODS if METHODS[name].inputs in ("activations", "labels"))
every = pytest.mark.parametrize("name", sorted(METHODS))
reading = pytest.mark.parametrize("name", READS)


def rank(name, X, codes, **options):
    method = METHODS[name]
    given = (X, named(codes)) if method.inputs == "labels" else (X,)
    return method.rank(*given, **options)


@every
def test_is_described(name):
    method = METHODS[name]
    assert method.inputs in INPUTS
    assert method.summary.endswith(".")
    first_part = (method.function.__doc__ or "").partition("Args:")[0]
    if name not in NO_SOURCE:
        assert re.search(r"\b(19|20)\d\d\b", first_part), "no source with a year"
    described = _described(method.function)
    assert [option for option in method.options if not described.get(option)] == []


@reading
def test_gives_a_permutation_with_finite_scores(name):
    X, codes = planted(300)
    ranking = rank(name, X, codes)
    assert sorted(ranking.neurons.tolist()) == list(range(8))
    assert np.isfinite(ranking.scores).all()
    assert ranking.method == name
    assert f"method:{name}|" in ranking.signature
    if METHODS[name].inputs == "labels":
        assert set(ranking.per_label) <= {"noun", "verb", "adj"}
    for order in (ranking.neurons, *ranking.per_label.values()):
        assert name in DEAD_MAY_LEAD or order[0] != DEAD


@reading
def test_a_dead_neuron_does_not_lead_even_with_the_first_id(name):
    X, codes = planted(300)
    X[:, [0, DEAD]] = X[:, [DEAD, 0]]
    ranking = rank(name, X, codes)
    for order in (ranking.neurons, *ranking.per_label.values()):
        assert name in DEAD_MAY_LEAD or order[0] != 0


@reading
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_no_number(name, value):
    X, codes = planted(300)
    X[217, 5] = value
    if name in IGNORES_VALUES:
        assert rank(name, X, codes).neurons.size == 8
        return
    with pytest.raises(UserError, match=r"row 217, neuron 5"):
        rank(name, X, codes)


@reading
def test_is_the_same_for_a_store_an_array_and_the_same_seed(name):
    X, codes = planted(700)
    options = {key: 300 for key in METHODS[name].options if key == "tokens"}
    if "seed" in METHODS[name].options:
        options["seed"] = 5
    first = rank(name, X, codes, **options)
    shards = ShardedRows([X[:1], X[1:500], X[500:]])
    for source in (X, shards, X.astype(np.float64)):
        other = rank(name, source, codes, **options)
        assert other.neurons.tolist() == first.neurons.tolist()
        np.testing.assert_allclose(other.scores, first.scores, rtol=1e-6)
        assert {k: v.tolist() for k, v in other.per_label.items()} == {
            k: v.tolist() for k, v in first.per_label.items()
        }
