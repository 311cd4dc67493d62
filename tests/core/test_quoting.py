"""Labels that hold separators can be named in every spec."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_neuron_plugin.core.quoting import quoted, split_unquoted, unquote
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.specs import parse_settings, parse_spec
from fairseq_neuron_plugin.sweeps.curves import read_curves
from fairseq_neuron_plugin.tasks.flags import AblationConfig
from fairseq_neuron_plugin.tasks.started import split_specs

LABELS = [
    *("NN|VB", "Case=Nom|Number=Sing", "a;b", "x:y", ",", '"', "''", "\\", 'a"b', "plain", "ä b"),
    *("top:5", "=", "", "|", '\\"'),
]
LAYERS = [Layer("encoder.layers.0", 2 * len(LABELS))]


@pytest.fixture
def path(tmp_path) -> str:
    """A ranking in which label ``i`` has neuron ``i`` first."""
    neurons = np.arange(LAYERS[0].width)
    orders = {label: np.roll(neurons, -number) for number, label in enumerate(LABELS)}
    space = NeuronSpace(tuple(LAYERS))
    zeros = np.zeros(len(neurons))
    ranking = Ranking("linguistic", neurons, zeros, space=space, per_label=orders)
    ranking.save(tmp_path / "r.json")
    return str(tmp_path / "r.json")


@pytest.mark.parametrize("label", LABELS)
def test_every_label_can_be_written(label) -> None:
    assert unquote(quoted(label)) == label
    for separator in "|;:,=":
        assert split_unquoted(f"a{separator}{quoted(label)}{separator}b", separator) == [
            *("a", quoted(label), "b")
        ]


@pytest.mark.parametrize("label", LABELS)
def test_every_label_can_be_ablated(path, label) -> None:
    first = LABELS.index(label)
    spec = f"{path}:label={quoted(label)}:top:1"
    assert parse_spec(spec, LAYERS) == {"encoder.layers.0": [first]}
    ensemble = AblationConfig(ablate=f"{spec}|3")
    assert split_specs(ensemble) == [spec, "3"]
    neurons, values = parse_settings(f"{spec}=0.5;encoder.layers.0:31=1", LAYERS)
    assert neurons == {"encoder.layers.0": [first, 31]}
    assert values["encoder.layers.0"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("label", [label for label in LABELS if label])
def test_every_label_can_be_a_curve(path, label) -> None:
    (one,) = read_curves([f"{path}:label={quoted(label)}"]).values()
    others = read_curves([path], f"{quoted(label)},plain").values()
    for ranking in (one, next(iter(others))):
        assert ranking.neurons[0] == LABELS.index(label)


@pytest.mark.parametrize("label", ["x:y", "''", "plain", "ä b", "top:5"])
def test_labels_without_separators_need_no_quotes(path, label) -> None:
    found = parse_spec(f"{path}:label={label}:top:1", LAYERS)
    assert found == {"encoder.layers.0": [LABELS.index(label)]}


def test_a_label_cut_at_its_separator_is_explained(path) -> None:
    with pytest.raises(UserError, match='in double quotes: label="NN'):
        parse_spec(split_specs(AblationConfig(ablate=f"{path}:label=NN|VB:top:1"))[0], LAYERS)
