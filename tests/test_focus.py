"""Neurons that a label needs, against a loop over its sorted weights and exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import exp, log

import numpy as np
import pytest

from fairseq_neuron_plugin.analysis.focus import focus, group_focus
from fairseq_neuron_plugin.analysis.focus_plot import plot_focus
from fairseq_neuron_plugin.errors import UserError

QUARTER = Fraction(1, 4)


def fewest(row, mass=QUARTER):
    """The ids of largest weight that together first reach the share, in exact arithmetic."""
    sizes = [abs(Fraction(float(weight))) for weight in row]
    chosen, total = [], Fraction(0)
    for neuron in sorted(range(len(sizes)), key=lambda n: (-sizes[n], n)):
        if total >= mass * sum(sizes) or not sizes[neuron]:
            break
        chosen.append(neuron)
        total += sizes[neuron]
    return chosen


def perplexity(row):
    mass = sum(abs(weight) for weight in row)
    return exp(-sum(abs(w) / mass * log(abs(w) / mass) for w in row if w)) if mass else 0.0


def test_planted_by_hand():
    weight = [
        [0, 0, -9, 0, 1, 0, 0, 0],  # 90% on one neuron
        [1, -1, 1, -1, 1, 1, 1, -1],  # two of eight equal ones are 25%
        [2, 1, 1, 1, 1, 1, 1, 1],  # 2 of 9 is too little, 3 of 9 is enough
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    found = focus(weight, ["one", "even", "odd", "none"])
    assert found.counts.tolist() == [1, 2, 2, 0]
    assert found.needs == {"one": 1, "even": 2, "odd": 2}
    assert found.effective[1] == pytest.approx(8)
    assert found.effective[0] == pytest.approx(0.9**-0.9 * 0.1**-0.1)
    assert found.effective[3] == 0
    assert (found.neurons, found.used) == (8, 8)
    assert found.salient == len({2} | {0, 1} | {0, 1})


def test_used_counts_neurons_with_weight_only():
    found = focus([[0, 3, 0, 0], [0, -1, 1, 0]], ["a", "b"])
    assert (found.used, found.salient, found.neurons) == (2, 1, 4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mass", [Fraction(1, 100), QUARTER, Fraction(1, 2), Fraction(1)])
def test_against_the_definition(mass, seed):
    rng = np.random.default_rng(seed)
    # Whole numbers: ties, and shares that are reached exactly.
    rows = [*rng.integers(-4, 5, size=(4, 16)), *rng.normal(size=(4, 16)), np.zeros(16)]
    weight = np.array(rows, dtype=float)
    names = [f"l{row}" for row in range(len(weight))]
    found = focus(weight, names, float(mass))
    chosen = [fewest(row, mass) for row in weight]
    assert found.counts.tolist() == [len(ids) for ids in chosen]
    assert found.effective.tolist() == pytest.approx([perplexity(row) for row in weight.tolist()])
    assert found.salient == len(set().union(*chosen))
    assert found.used == sum(any(column) for column in weight.T)


def test_all_of_the_mass_takes_every_weight():
    weight = np.array([[3.0, 0.0, -1e-6, 2.0]])
    assert focus(weight, ["a"], 1.0).counts.tolist() == [3]


def test_sizes_of_weights_do_not_matter():
    weight = np.random.default_rng(1).normal(size=(3, 20))
    one, other = (focus(factor * weight, "abc") for factor in (1, -1e-30))
    assert one.counts.tolist() == other.counts.tolist()
    assert one.effective.tolist() == pytest.approx(other.effective.tolist())


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["a", "b"], (2, 1.5, 1, 2)),
        (["b"], (1, 2.0, 2, 2)),
        (["a", "c", "empty", "absent"], (2, 3.0, 1, 5)),
        (["empty"], (0, None, None, None)),
        ([], (0, None, None, None)),
    ],
)
def test_groups(labels, expected):
    found = group_focus({"a": 1, "b": 2, "c": 5, "empty": 0}, labels)
    assert (found.labels, found.mean, found.smallest, found.largest) == expected


@pytest.mark.parametrize(
    ("weight", "labels", "mass", "message"),
    [
        (np.eye(2), ["a"], 0.25, r"shape \(2, 2\) do not fit 1 labels"),
        (np.ones(2), ["a", "b"], 0.25, "do not fit"),
        (1.0, [], 0.25, "do not fit"),
        (np.eye(2), ["a", "b"], 0.0, "above 0 and at most 1, not 0"),
        (np.eye(2), ["a", "b"], -0.1, "above 0"),
        (np.eye(2), ["a", "b"], 1.01, "at most 1, not 1.01"),
        (np.eye(2), ["a", "b"], float("nan"), "not nan"),
        ([[1.0, np.nan]], ["a"], 0.25, "NaN"),
        ([[1.0, np.inf]], ["a"], 0.25, "infinity"),
    ],
)
def test_refusals(weight, labels, mass, message):
    with pytest.raises(UserError, match=message):
        focus(weight, labels, mass)


@pytest.mark.parametrize(
    ("labels", "counts", "groups"),
    [
        (["NOUN"], {"pos": [3]}, None),
        (["$", "a_b", "^"], {"pos": [1, None, 2]}, {"open": (["$"], 1.0), "none": ([], None)}),
        ([f"L{row}" for row in range(30)], {f"p{n}": [n] * 30 for n in range(8)}, None),
        (["NOUN", "X"], {"pos": [None, None], "sem": [None, None]}, None),
    ],
)
def test_pictures(tmp_path, labels, counts, groups):
    from matplotlib.image import imread

    path = tmp_path / "focus.png"
    plot_focus(labels, counts, path, 0.25, groups)
    height, width = imread(path).shape[:2]
    assert width == 780  # 5.2 inches of 150 dots
    assert 150 < height < 10_000
