"""Common first neurons against sets, and their probability against a sum of binomials."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest

from fairseq_neuron_plugin.analysis import overlap_plot
from fairseq_neuron_plugin.analysis.heatmap import draw_heatmap
from fairseq_neuron_plugin.analysis.inputs import Origin, check_same_neurons, unique_names
from fairseq_neuron_plugin.analysis.overlap import origin, overlap
from fairseq_neuron_plugin.analysis.overlap_plot import plot_overlap
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

SPACE = NeuronSpace((Layer("encoder.layers.0", 4), Layer("encoder.layers.1", 2)))
OTHER = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 3)))


def ranking(neurons, **more):
    neurons = np.asarray(neurons)
    return Ranking("planted", neurons, -np.arange(len(neurons), dtype=float), **more)


def shuffled(count, neurons, seed=0):
    rng = np.random.default_rng(seed)
    return {f"r{number}": ranking(rng.permutation(neurons)) for number in range(count)}


def probability(common, k, neurons):
    """That k drawn of all neurons hold as many or more of k given ones."""
    ways = sum(comb(k, hits) * comb(neurons - k, k - hits) for hits in range(common, k + 1))
    return Fraction(ways, comb(neurons, k))


def test_planted_by_hand():
    given = {
        "a": ranking([5, 1, 0, 2, 3, 4]),
        "b": ranking([1, 5, 2, 0, 4, 3]),
        "c": ranking([4, 3, 2, 0, 1, 5]),
    }
    two = overlap(given, 2)
    assert two.names == ("a", "b", "c")
    assert two.common.tolist() == [[2, 2, 0], [2, 2, 0], [0, 0, 2]]
    assert two.share.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert two.chance == pytest.approx(1 / 3)
    # Of the 15 pairs of 6 neurons one is {1, 5}; every pair shares 0 or more.
    assert two.p[0, 1] == pytest.approx(1 / 15)
    assert two.p[0, 2] == 1
    assert overlap(given, 4).common[0].tolist() == [4, 4, 2]


def test_bottom_begins_at_the_other_end():
    given = {"a": ranking([0, 1, 2, 3]), "b": ranking([3, 0, 1, 2]), "c": ranking([0, 3, 2, 1])}
    found = overlap(given, 1, "bottom")
    assert found.common.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert overlap(given, 2, "bottom").common[0].tolist() == [2, 1, 1]
    assert (found.end, overlap(given, 1).end) == ("last", "first")


def test_one_label_of_a_ranking():
    labels = {"N": np.array([3, 2, 1, 0]), "V": np.array([0, 1, 2, 3])}
    one = ranking([1, 0, 2, 3], per_label=labels)
    given = {"whole": one, "N": one, "V": one}
    found = overlap(given, 2, labels={"N": "N", "V": "V"})
    assert found.common.tolist() == [[2, 0, 2], [0, 2, 0], [2, 0, 2]]
    assert overlap(given, 2, "bottom", {"N": "N"}).common[0].tolist() == [2, 0, 2]


@pytest.mark.parametrize("order", ["top", "bottom"])
@pytest.mark.parametrize("neurons", [7, 40])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_against_sets(neurons, k, order):
    given = shuffled(4, neurons, seed=k)
    found = overlap(given, k, order)
    ends = [list(one.neurons)[:: 1 if order == "top" else -1][:k] for one in given.values()]
    for (row, first), (column, second) in combinations(enumerate(map(set, ends)), 2):
        common = len(first & second)
        expected = probability(common, k, neurons)
        assert found.common[row, column] == found.common[column, row] == common
        assert found.share[row, column] == pytest.approx(common / k)
        assert found.p[row, column] == pytest.approx(float(expected), rel=1e-9)
    assert np.diag(found.common).tolist() == [k] * 4


@pytest.mark.parametrize(("neurons", "k"), [(5, 2), (8, 3)])
def test_chance_is_the_mean_over_all_draws(neurons, k):
    """One ranking against each set that a ranking can begin with."""
    shares, tails = [], []
    for drawn in combinations(range(neurons), k):
        rest = [neuron for neuron in range(neurons) if neuron not in drawn]
        found = overlap({"a": ranking(range(neurons)), "b": ranking([*drawn, *rest])}, k)
        shares.append(found.share[0, 1])
        tails.append((found.common[0, 1], found.p[0, 1]))
    assert np.mean(shares) == pytest.approx(found.chance)
    for common, p in tails:
        assert p == pytest.approx(np.mean([other >= common for other, _ in tails]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be between 1 and the 6 neurons there are, not 0"),
        ({"k": 7}, "not 7"),
        ({"k": -1}, "not -1"),
        ({"order": "middle"}, "unknown order 'middle'"),
        ({"labels": {"r0": "N"}}, "the planted ranking has no label 'N'; it has: none"),
        ({"rankings": shuffled(1, 6)}, "needs two"),
        ({"rankings": {}}, "needs two"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(UserError, match=message):
        overlap(**{"rankings": shuffled(2, 6), "k": 2, **change})


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ((6, SPACE, "sha-a"), (6, SPACE, "sha-a"), None),
        ((6, SPACE, "sha-a"), (6, None, None), None),
        ((6, None, "sha-a"), (6, SPACE, None), None),
        ((6, None, None), (6, None, None), None),
        ((6, None, None), (5, None, None), "different numbers of neurons, .*: 6 and 5"),
        ((6, SPACE, None), (6, OTHER, None), r"different layers, .*layers.0 \(4\).*layers.0 \(3\)"),
        ((6, None, "a" * 64), (6, SPACE, "b" * 64), "different checkpoints, .*: a{12} and b{12}$"),
    ],
)
def test_ids_must_mean_the_same_neurons(one, other, message):
    # What is known of the third must not depend on the second, of which nothing is known.
    origins = {"x": Origin(*one), "unknown": Origin(6, None, None), "y": Origin(*other)}
    if message is None:
        check_same_neurons("ranking", origins)
        return
    with pytest.raises(UserError, match=message):
        check_same_neurons("ranking", origins)
    if other[0] == 6:
        given = {
            name: ranking(range(6), space=x.space, model=x.model) for name, x in origins.items()
        }
        assert origin(given["y"]) == origins["y"]
        with pytest.raises(UserError, match=message):
            overlap(given, 2)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/pos.json", "runs/sem.json"], ["pos", "sem"]),
        (["a/x/r.json", "b/x/r.json"], ["a/x/r", "b/x/r"]),
        (["a/pos.json", "b/pos.json", "b/sem.json"], ["a/pos", "b/pos", "sem"]),
        (["/r.json", "/a/r.json"], ["//r", "a/r"]),
        (["a/r.json", "a/r"], ["r.json", "r"]),
        (["probe.pos", "x/probe.pos/"], None),
        ([], []),
    ],
)
def test_names_are_short_and_different(paths, names):
    found = unique_names(paths)
    assert len(set(found)) == len(paths)
    if names is not None:
        assert found == names


@pytest.mark.parametrize("paths", [["r.json", "r.json"], ["r.json", "x/../r.json"], ["p", "./p/"]])
def test_one_path_twice(paths):
    with pytest.raises(UserError, match="is given twice"):
        unique_names(paths)


@pytest.mark.parametrize(("count", "points"), [(2, 1), (12, 1), (3, 5)])
def test_pictures(tmp_path, count, points):
    from matplotlib.image import imread

    given = {f"a ranking, $\\x^{name}": one for name, one in shuffled(count, 30).items()}
    path = tmp_path / "overlap.png"
    plot_overlap([overlap(given, k, "bottom") for k in range(1, points + 1)], path)
    height, width = imread(path).shape[:2]
    assert 200 < height < 4500
    assert 300 < width < 4500


@pytest.mark.parametrize(("k", "highest"), [(2, 10), (5, 40), (6, 70)])
def test_the_scale_ends_above_the_largest_share(tmp_path, monkeypatch, k, highest):
    """A ranking's share with itself, 100%, does not count; no overlap has a scale too."""
    scales = []

    def draw(*arguments, **named):
        scales.append(arguments[-1])
        return draw_heatmap(*arguments, **named)

    monkeypatch.setattr(overlap_plot, "draw_heatmap", draw)
    given = {"a": ranking(range(8)), "b": ranking([7, 6, 5, 4, 3, 2, 1, 0])}
    plot_overlap([overlap(given, k)], tmp_path / "overlap.png")
    assert scales == [highest]
