"""Settings of a checkpoint are plain data, of a bounded size."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict

import numpy as np
import pytest
import torch
from settings_examples import PATH, flat, refusal, sections

from fairseq_neuron_plugin.backends.fairseq.checkpoints.settings import vet_settings
from fairseq_neuron_plugin.backends.fairseq.checkpoints.settings_bounds import (
    MAX_FLAT_CHARACTERS,
    MAX_LISTED_VALUES,
    MAX_PARSED_VALUES,
    MAX_TEXT,
    MAX_VALUES,
)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *((b"1", "bytes"), (bytearray(b"1"), "bytearray"), (1j, "complex"), ({1}, "set")),
        *((print, "builtin_function_or_method"), (np.float64(1), "float64"), (..., "ellipsis")),
        *((torch.zeros(1), "Tensor"), (OrderedDict(), "OrderedDict"), (range(2), "range")),
        *((type("text", (str,), {})("x"), "text"), (type("number", (int,), {})(1), "number")),
    ],
)
def test_plain_data_alone(value, kind):
    settings = sections(decoder_attention=value)
    assert f"setting model.decoder_attention is a {kind} object, which is not" in refusal(settings)
    assert f"setting x[0].y is a {kind} object" in refusal(flat(x=[{"y": value}]))


@pytest.mark.parametrize("key", [b"a", True, None, 1.5, ("a",)])
def test_keys_are_texts(key):
    assert f"has a {type(key).__name__} as its name" in refusal(sections(x={key: 1}))
    assert "a setting at the top has a" in refusal({**sections(), key: 1})


def test_keys_are_numbers_where_fairseq_has_them():
    assert vet_settings(sections(x={1: "a"}), PATH) == []
    assert "has a int as its name" in refusal({**sections(), 1: "a"})
    assert "does not fit into 64 bits" in refusal(sections(x={2**64: "a"}))


@pytest.mark.parametrize(
    "key",
    [
        "decoder_embed_path\nx",
        "xformers_att_config\r",
        "__dict__",
        "__class__",
        "a\ud800",
        "k" * 999,
    ],
)
def test_keys_that_fairseq_would_read_as_others(key):
    for settings in (sections(**{key: "x"}), sections(x={"y": {key: 1}}), flat()):
        if isinstance(settings, Namespace):
            vars(settings)["x"] = {key: 1}
        assert "has the name '" in refusal(settings)


@pytest.mark.parametrize(
    "number", [2**64, -(2**63) - 1, 10**5000], ids=["above", "below", "far above"]
)
def test_numbers_beyond_64_bits(number):
    line = refusal(sections(encoder_layers=number))
    assert "setting model.encoder_layers is a number that does not fit into 64 bits" in line


def test_numbers_within_64_bits():
    settings = sections(a=2**63 - 1, b=-(2**63), c=2**64 - 1, d=float("nan"), e=float("inf"))
    assert vet_settings(settings, PATH) == []


def nested(depth, kind):
    value = 1
    for _ in range(depth):
        value = (
            {"a": value}
            if kind is dict
            else Namespace(a=value)
            if kind is Namespace
            else kind([value])
        )
    return value


@pytest.mark.parametrize("kind", [list, tuple, dict, Namespace])
def test_depth(kind):
    assert vet_settings(sections(x=nested(18, kind)), PATH) == []
    for depth in (19, 100, 900):
        assert "is nested more than 20 deep" in refusal(sections(x=nested(depth, kind)))


def test_depth_of_shared_parts():
    """A part that is shallow where it is met first lies too deep elsewhere."""
    part = nested(15, list)
    assert "is nested more than 20 deep" in refusal(sections(a=part, b={"c": {"d": {"e": [part]}}}))


def cycles():
    in_list = []
    in_list.append(in_list)
    in_dict = {"a": {}}
    in_dict["a"]["b"] = in_dict
    in_namespace = Namespace()
    in_namespace.a = [in_namespace]
    return [in_list, in_dict, in_namespace]


@pytest.mark.parametrize("cycle", cycles(), ids=lambda cycle: type(cycle).__name__)
def test_cycles(cycle):
    assert "contains itself" in refusal(sections(x=cycle))
    assert "contains itself" in refusal(flat(x=cycle))


def test_a_cycle_through_the_top():
    settings = sections()
    settings["model"]["x"] = settings
    assert "setting model.x contains itself" in refusal(settings)


@pytest.mark.parametrize("kind", [list, tuple, dict, Namespace])
def test_shared_containers_that_expand_to_billions(kind):
    value = "x"
    for _ in range(15):
        ten = [value] * 100
        value = (
            kind(ten)
            if kind in (list, tuple)
            else dict(enumerate(ten))
            if kind is dict
            else Namespace(**{f"a{i}": one for i, one in enumerate(ten)})
        )
    for settings in (sections(x=value), flat(x=value)):
        assert "its settings have more than" in refusal(settings)


def test_sharing_within_bounds():
    pairs = [f"a{i}-b{i}" for i in range(9_900)]
    settings = sections()
    for section in ("model", "task", "criterion", "optimizer", "lr_scheduler"):
        settings[section] = Namespace(_name="x", lang_pairs=pairs, text=",".join(pairs))
    assert vet_settings(settings, PATH) == []
    assert vet_settings(flat(lang_pairs=pairs, text=",".join(pairs)), PATH) == []


def test_numbers_of_values():
    assert vet_settings(sections(x=[0] * (MAX_PARSED_VALUES - 100)), PATH) == []
    assert "values outside of namespaces" in refusal(sections(x=[0] * MAX_PARSED_VALUES))
    assert vet_settings(sections(x=Namespace(y=[0] * (MAX_VALUES - 100))), PATH) == []
    assert f"more than {MAX_VALUES} values" in refusal(sections(x=Namespace(y=[0] * MAX_VALUES)))
    assert vet_settings(flat(x=[0] * (MAX_LISTED_VALUES - 1)), PATH) == []
    assert "values in lists" in refusal(flat(x=[0] * 1_000, y=(0,) * 1_001))


def test_lengths_of_texts():
    assert vet_settings(sections(x="a" * MAX_TEXT), PATH) == []
    assert "setting model.x is a text of" in refusal(sections(x="a" * (MAX_TEXT + 1)))
    assert "characters of text" in refusal(sections(x=["a" * MAX_TEXT] * 6))
    assert vet_settings(flat(x="a" * (MAX_FLAT_CHARACTERS - 100)), PATH) == []
    assert "characters of text" in refusal(flat(x="a" * MAX_FLAT_CHARACTERS))
