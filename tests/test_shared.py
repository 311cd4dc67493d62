"""Shared neurons against sets, and what chance gives against every way to draw them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest

from fairseq_neuron_plugin.analysis.shared import (
    SalientSet,
    sets_of_probe,
    sets_of_ranking,
    shared,
)
from fairseq_neuron_plugin.analysis.shared_plot import plot_shared
from fairseq_neuron_plugin.cli.analyze_shared_tables import neuron_rows, pair_rows
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.ranking import Ranking

BY_HAND = [("pos", "N", [4, 0, 2]), ("pos", "V", [4, 1]), ("sem", "NEG", [2, 4, 6])]


def sets(given):
    return [SalientSet(name, label, np.array(ids, dtype=np.int64)) for name, label, ids in given]


def drawn(labels, neurons, seed):
    """Sets of random size, two labels a property."""
    rng = np.random.default_rng(seed)
    return [
        (f"p{row // 2}", f"l{row}", rng.permutation(neurons)[: rng.integers(0, neurons)].tolist())
        for row in range(labels)
    ]


def test_planted_by_hand():
    table = shared(sets(BY_HAND), 8)
    assert table.common.tolist() == [[3, 1, 2], [1, 2, 1], [2, 1, 3]]
    assert table.properties == ("pos", "sem")
    assert table.common_of_properties.tolist() == [[4, 2], [2, 3]]
    assert table.times.tolist() == [1, 1, 2, 0, 3, 0, 1, 0]
    assert table.order.tolist() == [4, 2, 0, 1, 6]
    assert table.found.tolist() == [3, 3, 1, 1]


def test_of_equally_many_labels_more_properties_come_first():
    given = [("a", "x", [1, 5]), ("a", "y", [1]), ("b", "x", [5, 3]), ("c", "z", [3, 0])]
    assert shared(sets(given), 6).order.tolist() == [3, 5, 1, 0]


@pytest.mark.parametrize("seed", range(4))
def test_against_sets(seed):
    neurons = 12
    given = drawn(5, neurons, seed)
    table = shared(sets(given), neurons)
    own = [set(ids) for _, _, ids in given]
    assert table.common.tolist() == [[len(a & b) for b in own] for a in own]
    union: dict[str, set[int]] = {}
    for name, _, ids in given:
        union.setdefault(name, set()).update(ids)
    assert table.common_of_properties.tolist() == [
        [len(a & b) for b in union.values()] for a in union.values()
    ]
    times = Counter(neuron for ids in own for neuron in ids)
    spread = {neuron: sum(neuron in ids for ids in union.values()) for neuron in times}
    assert table.order.tolist() == sorted(times, key=lambda n: (-times[n], -spread[n], n))
    held = Counter(times[neuron] for neuron in range(neurons))
    assert table.found.tolist() == [held[number] for number in range(6)]


@pytest.mark.parametrize("sizes", [(2, 1), (0, 3), (2, 2, 1), (4, 4), (1, 2, 3)])
def test_chance_is_the_mean_over_all_draws(sizes):
    neurons = 4
    total, draws = Counter(), 0
    for choice in product(*(combinations(range(neurons), size) for size in sizes)):
        draws += 1
        total.update(sum(neuron in ids for ids in choice) for neuron in range(neurons))
    table = shared(sets([("p", str(n), range(size)) for n, size in enumerate(sizes)]), neurons)
    expected = [total[times] / draws for times in range(len(sizes) + 1)]
    assert table.chance.tolist() == pytest.approx(expected)


def test_sets_of_a_probe():
    weight = [[0, -3, 1, 0], [2, -2, 2, 2], [0, 0, 0, 0]]
    found = sets_of_probe("pos", weight, ["N", "V", "X"], 0.5)
    assert [(one.property, one.label) for one in found] == [("pos", x) for x in "NVX"]
    assert [one.neurons.tolist() for one in found] == [[1], [0, 1], []]
    assert [one.weights.tolist() for one in found] == [[-3], [2, -2], []]


@pytest.mark.parametrize(
    ("weight", "labels"),
    [
        ([[-1, 0, 4], [1, 0, -4]], ["no/yes"]),
        ([[-1, 0, 4], [1 + 1e-7, 0, -4]], ["no/yes"]),  # up to the rounding of the solver
        ([[0, 0, 0], [0, 0, 0]], ["no/yes"]),
        ([[-1, 0, 4], [1, 0, 4]], ["no", "yes"]),
        ([[-1, 0, 4], [1, 0, -3.9]], ["no", "yes"]),
    ],
)
def test_two_labels_of_one_direction_are_one(weight, labels):
    found = sets_of_probe("neg", weight, ["no", "yes"])
    assert [one.label for one in found] == labels
    if len(found) == 1 and len(found[0].neurons):
        assert found[0].neurons.tolist() == [2]
        assert found[0].weights.tolist() == [-4]  # a positive weight speaks for "yes"


def test_sets_of_a_ranking():
    orders = {"N": np.array([2, 0, 1]), "V": np.array([1, 2, 0])}
    ranking = Ranking("planted", np.arange(3), np.zeros(3), per_label=orders)
    found = sets_of_ranking("r", ranking, 2)
    assert [(x.property, x.label, x.neurons.tolist(), x.weights) for x in found] == [
        ("r", "N", [2, 0], None),
        ("r", "V", [1, 2], None),
    ]
    for top in (0, -1, 4):
        with pytest.raises(UserError, match=f"of the 3 neurons of ranking r, .* not {top}"):
            sets_of_ranking("r", ranking, top)
    with pytest.raises(UserError, match="planted ranking r has no labels of its own"):
        sets_of_ranking("r", Ranking("planted", np.arange(3), np.zeros(3)), 2)


def test_rows_of_neurons():
    weighted = [
        SalientSet("pos", "N", np.array([3, 1]), np.array([-2.0, 1.0])),
        SalientSet("sem", "V", np.array([1]), np.array([5.0])),
    ]
    rows = neuron_rows(shared(weighted, 4), None)
    assert [row["id"] for row in rows] == [1, 3]
    assert rows[0] == {
        "neuron": "1",
        "id": 1,
        "labels": 2,
        "properties": 2,
        # That in which it ranks highest comes first.
        "which": [
            {"property": "sem", "label": "V", "rank": 1, "weight": 5.0},
            {"property": "pos", "label": "N", "rank": 2, "weight": 1.0},
        ],
    }


def test_pairs_that_share_most_beyond_chance_come_first():
    rows = pair_rows(shared(sets(BY_HAND), 8))
    assert [(row["label"], row["other_label"], row["common"]) for row in rows] == [
        ("N", "NEG", 2),  # 9 / 8 by chance
        ("N", "V", 1),  # 6 / 8
        ("V", "NEG", 1),
    ]
    assert [row["chance"] for row in rows] == [9 / 8, 6 / 8, 6 / 8]
    assert (rows[0]["property"], rows[0]["other_property"]) == ("pos", "sem")
    assert (rows[1]["neurons"], rows[1]["other_neurons"]) == (3, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (BY_HAND[:1], "two labels or more; there are 1"),
        ([], "there are 0"),
        ([BY_HAND[0], BY_HAND[0]], "one label is given twice"),
        ([BY_HAND[0], ("pos", "X", [8])], "neurons of label 'X' are not some of 8 ids"),
        ([BY_HAND[0], ("pos", "X", [-1])], "not some of 8"),
        ([BY_HAND[0], ("pos", "X", [1, 1])], "not some of 8"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(UserError, match=message):
        shared(sets(given), 8)


@pytest.mark.parametrize(
    ("weight", "labels", "mass", "message"),
    [
        (np.eye(3), ["a", "b"], 0.25, "do not fit 2 labels"),
        (np.ones(3), ["a"], 0.25, "do not fit"),
        (np.eye(3), ["a", "b", "c"], 1.5, "share must be between"),
        ([[np.nan, 1], [1, np.nan]], ["a", "b"], 0.25, "NaN"),
        (np.zeros((2, 0)), ["a", "b"], 0.25, "matrix"),
    ],
)
def test_bad_probes(weight, labels, mass, message):
    with pytest.raises(UserError, match=message):
        sets_of_probe("p", weight, labels, mass)


@pytest.mark.parametrize("labels", [2, 12, 41])
def test_pictures(tmp_path, labels):
    from matplotlib.image import imread

    table = shared(sets(drawn(labels, 30, 0)), 30)
    path = tmp_path / "shared.png"
    plot_shared(table, [f"$_{number}^" for number in range(labels)], path)
    height, width = imread(path).shape[:2]
    assert 300 < height < 3000
    assert 300 < width < 3000
