"""Layer names, neuron ids and amounts."""

from __future__ import annotations

import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace, choose_layers, parse_amount

TWO = NeuronSpace((Layer("encoder.layers.0", 20), Layer("encoder.layers.1", 10)))
MODEL = [
    Layer("encoder.embed_tokens", 6),
    Layer("encoder.layers.0", 20),
    Layer("encoder.layers.0.ffn", 40),
    Layer("encoder.layers.1", 10),
    Layer("decoder.layers.0", 8),
]


@pytest.mark.parametrize(
    ("text", "neurons"),
    [
        ("", []),
        ("3", [3]),
        ("3,17-19", [3, 17, 18, 19]),
        ("29,0", [0, 29]),
        ("encoder.layers.1:0", [20]),
        ("encoder.layers.0:3,17-19;encoder.layers.1:7", [3, 17, 18, 19, 27]),
        ("encoder.layers.1:7; encoder.layers.0:3", [3, 27]),
        ("5,5,4-6", [4, 5, 6]),
    ],
)
def test_parse(text: str, neurons: list[int]) -> None:
    assert TWO.parse(text) == neurons


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30", "out of range: the chosen layers have 0 to 29"),
        ("encoder.layers.1:10", "layer encoder.layers.1 has 0 to 9"),
        ("encoder.layers.2:0", "unknown layer 'encoder.layers.2'.*encoder.layers.0, encoder"),
        ("encoder.layers.0:", "names no neuron"),
        ("7-3", "not a neuron or a range"),
        ("x", "not a neuron or a range"),
        ("-1", "not a neuron or a range"),
    ],
)
def test_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TWO.parse(text)


def test_names_and_flat_ids_are_inverse() -> None:
    for neuron in range(TWO.size):
        assert TWO.parse(TWO.name_of(neuron)) == [neuron]
    assert TWO.name_of(20) == "encoder.layers.1:0"
    assert TWO.by_layer([21, 3, 0]) == {"encoder.layers.0": [0, 3], "encoder.layers.1": [1]}
    with pytest.raises(UserError, match="out of range"):
        TWO.locate(30)


def test_json_round_trip() -> None:
    assert NeuronSpace.from_json(TWO.to_json()) == TWO


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        (None, ["encoder.layers.0", "encoder.layers.1"]),
        ("encoder.layers.*", ["encoder.layers.0", "encoder.layers.1"]),
        ("encoder.layers.*.ffn", ["encoder.layers.0.ffn"]),
        ("decoder.layers.0,encoder.layers.1", ["encoder.layers.1", "decoder.layers.0"]),
        ("*.layers.0", ["encoder.layers.0", "decoder.layers.0"]),
    ],
)
def test_choose_layers(globs: str | None, names: list[str]) -> None:
    assert [layer.name for layer in choose_layers(MODEL, globs).layers] == names


def test_language_model_default() -> None:
    assert choose_layers(MODEL[-1:], None).layers == (Layer("decoder.layers.0", 8),)


@pytest.mark.parametrize("globs", ["decoder.layers.7", "encoder.layers.*,nope", ","])
def test_choose_layers_refuses(globs: str) -> None:
    with pytest.raises(UserError, match="no layer"):
        choose_layers(MODEL, globs)


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("50", 50), ("10%", 51), ("0%", 0), ("0.01%", 1), ("100%", 512)]
)
def test_parse_amount(text: str, count: int) -> None:
    assert parse_amount(text, 512) == count


@pytest.mark.parametrize("text", ["", "-1", "x", "513", "101%", "1.5"])
def test_parse_amount_refuses(text: str) -> None:
    with pytest.raises(UserError):
        parse_amount(text, 512)


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (("encoder.embed_tokens", "encoder.layers.0", "decoder.layers.0"), ["encoder.layers.0"]),
        (
            ("decoder.embed_tokens", "decoder.layers.0", "decoder.layers.0.ffn"),
            ["decoder.layers.0"],
        ),
        (
            ("models.en-de.encoder.layers.0", "models.fr-de.encoder.layers.0", "decoder.layers.0"),
            ["models.en-de.encoder.layers.0", "models.fr-de.encoder.layers.0"],
        ),
    ],
)
def test_default_layers(available, chosen):
    space = choose_layers([Layer(name, 2) for name in available], None)
    assert [layer.name for layer in space.layers] == chosen
