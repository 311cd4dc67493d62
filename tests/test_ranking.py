"""The ranking file and what can be selected from it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.specs import parse_spec

SPACE = NeuronSpace((Layer("encoder.layers.0", 6), Layer("encoder.layers.1", 4)))
ORDER = np.array([7, 2, 0, 9, 1, 3, 4, 5, 6, 8])


def ranking(**changes) -> Ranking:
    settings = {
        "method": "linguistic",
        "neurons": ORDER,
        "scores": np.linspace(1, 0.1, 10),
        "per_label": {"VERB": ORDER[::-1].copy(), "a:b": np.arange(10)},
        "signature": "method:linguistic",
        "space": SPACE,
        "model": "abc",
        "details": {"best_match": [1, 2]},
    }
    return Ranking(**{**settings, **changes})


def test_round_trip(tmp_path) -> None:
    path = tmp_path / "r.json"
    ranking().save(path)
    loaded = Ranking.load(path)
    assert loaded.neurons.tolist() == ORDER.tolist()
    assert loaded.scores.tolist() == pytest.approx(np.linspace(1, 0.1, 10).tolist())
    assert loaded.per_label["VERB"].tolist() == ORDER[::-1].tolist()
    assert (loaded.space, loaded.model) == (SPACE, "abc")
    assert loaded.details == {"best_match": [1, 2]}
    fields = json.loads(path.read_text())
    assert fields["layers"] == [
        {"name": "encoder.layers.0", "width": 6},
        {"name": "encoder.layers.1", "width": 4},
    ]


@pytest.mark.parametrize(
    ("selector", "neurons"),
    [
        ("top:0", []),
        ("top:3", [0, 2, 7]),
        ("bottom:2", [6, 8]),
        ("bottom:20%", [6, 8]),
        ("top:100%", list(range(10))),
        ("label=VERB:top:2", [6, 8]),
        ("label=a:b:bottom:1", [9]),
    ],
)
def test_select(selector: str, neurons: list[int]) -> None:
    assert ranking().select(selector) == neurons


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("top", "cannot read"),
        ("middle:3", "unknown order 'middle'"),
        ("top:11", "more than the 10"),
        ("top:x", "not a number"),
        ("label=NOUN:top:1", "no label 'NOUN'.*VERB"),
    ],
)
def test_select_refuses(selector: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ranking().select(selector)


@pytest.mark.parametrize(
    "changes",
    [
        {"neurons": np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8])},
        {"scores": np.zeros(9)},
        {"per_label": {"X": np.arange(9)}},
        {"space": NeuronSpace((Layer("encoder.layers.0", 6),))},
    ],
)
def test_ranking_must_hold_each_neuron_once(changes) -> None:
    with pytest.raises(UserError):
        ranking(**changes)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "fairseq-neuron-ranking/1", "layers": null}']
)
def test_damaged_file(tmp_path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"r\.json"):
        Ranking.load(path)


@pytest.mark.parametrize(
    ("spec", "neurons"),
    [
        ("", {}),
        ("1,7", {"encoder.layers.0": [1], "encoder.layers.1": [1]}),
        ("decoder.attention:2", {"decoder.attention": [2]}),
        ("{file}:top:2", {"encoder.layers.0": [2], "encoder.layers.1": [1]}),
        ("{file}:label=VERB:top:1", {"encoder.layers.1": [2]}),
    ],
)
def test_parse_spec(tmp_path, spec: str, neurons: dict[str, list[int]]) -> None:
    ranking().save(tmp_path / "r.json")
    available = [*SPACE.layers, Layer("decoder.attention", 3)]
    assert parse_spec(spec.format(file=tmp_path / "r.json"), available) == neurons


def test_ranking_without_a_selection(tmp_path) -> None:
    with pytest.raises(UserError, match=r"which neurons of r\.json"):
        parse_spec("r.json", list(SPACE.layers))


def test_ranking_of_another_model_is_refused(tmp_path) -> None:
    ranking().save(tmp_path / "r.json")
    wider = [Layer("encoder.layers.0", 8), Layer("encoder.layers.1", 4)]
    with pytest.raises(UserError, match=r"made for another model.*\(6\).*\(8\)"):
        parse_spec(f"{tmp_path}/r.json:top:1", wider)
    with pytest.raises(UserError, match="ranking not found"):
        parse_spec(f"{tmp_path}/none.json:top:1", wider)
    ranking(space=None).save(tmp_path / "flat.json")
    with pytest.raises(UserError, match="holds 10 neurons, the model has 12"):
        parse_spec(f"{tmp_path}/flat.json:top:1", wider)
