"""Points of a sweep: amounts, ranges, orders."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.sweeps.points import parse_points, plan_points

LAYERS = [Layer("encoder.layers.0", 12), Layer("encoder.layers.1", 8)]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("0", [0]),
        ("5,0,10%,5", [0, 2, 5]),
        ("0:20:5", [0, 5, 10, 15, 20]),
        ("3:10:4", [3, 7]),
        ("4:4:1", [4]),
        ("0:30%:10%", [0, 2, 4, 6]),
        ("10%:20%:2.5%", [2, 3, 4]),  # 2, 2.5, 3, 3.5, 4
        ("0.1%:0.3%:0.1%", [1]),
        (" 0 , 5:10:5 ", [0, 5, 10]),
    ],
)
def test_amounts(text, counts):
    assert parse_points(text, 20) == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no point"),
        (" , ", "names no point"),
        ("x", "not a number of neurons"),
        ("0:21:7,0:22:2", "more than the 20 neurons"),
        ("0:10", "cannot read the range '0:10'"),
        ("0:10:1:2", "cannot read the range"),
        ("1%:20:1%", "cannot read the range"),
        ("0:10:x", "cannot read the range"),
        ("0:10:0", "must rise"),
        ("0:10:nan", "must rise"),
        ("10:0:1", "must rise"),
        ("0:inf:1", "must rise"),
        ("-5:10:5", "not a number of neurons"),
        ("0:1.5:0.5", "not a number of neurons"),
        ("0:100%:0.01%", "10001 points; 1000 are the most"),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(UserError, match=message):
        parse_points(text, 20)


def ids_of(point):
    starts = {"encoder.layers.0": 0, "encoder.layers.1": 12}
    return {starts[name] + unit for name, units in point.neurons.items() for unit in units}


def test_orders():
    order = np.random.default_rng(1).permutation(20)
    rankings = {
        name: Ranking("x", neurons, np.zeros(20))
        for name, neurons in {"one": order, "two": order[::-1].copy()}.items()
    }
    points = plan_points(rankings, "0,4,10", ["top", "bottom", "random"], LAYERS[:2], seed=3)
    found = {point.name: ids_of(point) for point in points}
    assert len(found) == 18
    assert found["one.top.00004"] == set(order[:4].tolist()) == found["two.bottom.00004"]
    drawn = np.random.default_rng(3).permutation(20)
    for name in rankings:
        assert found[f"{name}.random.00010"] == set(drawn[:10].tolist())
        assert found[f"{name}.random.00004"] < found[f"{name}.random.00010"]
    keys = {point.key for point in points if point.order == "random"}
    assert len(keys) == 3  # each is evaluated once for both rankings


def test_bad_orders():
    rankings = {"one": Ranking("x", np.arange(20), np.zeros(20))}
    with pytest.raises(UserError, match=r"unknown order 'middle'; there are: top, bottom, random"):
        plan_points(rankings, "0", ["top", "middle"], LAYERS)
    with pytest.raises(UserError, match="seed must be 0 or more"):
        plan_points(rankings, "0", ["random"], LAYERS, seed=-1)
