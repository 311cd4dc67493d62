"""Weights of other versions of fairseq give today's model the same outputs as its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest
import torch
from honest_checkpoints import add_copies, old_weights
from torch import Tensor, nn

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.backends.fairseq.checkpoints.weights import KEY_CHANGES, current_weights
from fairseq_neuron_plugin.errors import UserError

Weights = dict[str, Tensor]

SIZES = {
    f"{stack}_{name}": size
    for stack in ("encoder", "decoder")
    for name, size in {"embed_dim": 16, "ffn_embed_dim": 24, "layers": 2}.items()
} | {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
LIGHTCONV = SIZES | {
    f"{stack}_{name}": value
    for stack in ("encoder", "decoder")
    for name, value in {"conv_dim": 16, "kernel_size_list": [3, 3], "glu": False}.items()
}
LIGHTCONV |= {"encoder_conv_type": "dynamic", "decoder_conv_type": "dynamic"}
LIGHTCONV |= {"weight_softmax": True, "weight_dropout": 0.0, "input_dropout": 0.0}
FCONV = {
    f"{stack}_{name}": value
    for stack in ("encoder", "decoder")
    for name, value in {"embed_dim": 16, "layers": "[(16, 3)]"}.items()
} | {"decoder_out_embed_dim": 16}


@pytest.fixture(scope="module")
def task(tiny):
    return fnp.load_model(tiny.stock, tiny.data)[1]


@pytest.fixture(scope="module")
def build(task) -> Callable[..., nn.Module]:
    """Build a model of random weights, none of which has its initial value."""

    def build(arch: str, **settings) -> nn.Module:
        from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

        args = argparse.Namespace(
            arch=arch, max_source_positions=64, max_target_positions=64, **settings
        )
        ARCH_CONFIG_REGISTRY[arch](args)
        model = ARCH_MODEL_REGISTRY[arch].build_model(args, task)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
        return model.eval()

    return build


def logits(model: nn.Module) -> Tensor:
    source = torch.tensor([[5, 6, 7, 2], [1, 8, 9, 2]])
    target = torch.tensor([[2, 4, 5], [2, 7, 8]])
    with torch.no_grad():
        output: Tensor = model(source, torch.tensor([4, 3]), target)[0]
    return output


def wrapped(weights: Weights) -> Weights:
    return {f"module.{name}": weight for name, weight in weights.items()}


def with_copies(change: Callable[[Tensor], Tensor]) -> Callable[[Weights], Weights]:
    def copied(weights: Weights) -> Weights:
        add_copies(weights, change)
        return weights

    return copied


def of_widths(weights: Weights) -> Weights:
    """As 0.7 and 0.8 wrote attention where keys and queries differ in width."""
    old = dict(weights)
    for name in weights:
        attention, _, rest = name.partition("encoder_attn.q_proj.weight")
        if name.endswith("encoder_attn.q_proj.weight") and not rest:
            attention += "encoder_attn"
            for part in "qkv":
                old[f"{attention}.{part}_proj_weight"] = old.pop(f"{attention}.{part}_proj.weight")
            biases = [old.pop(f"{attention}.{part}_proj.bias") for part in "qkv"]
            old[f"{attention}.in_proj_bias"] = torch.cat(biases)
    return old


def without_versions(weights: Weights) -> Weights:
    return {name: weight for name, weight in weights.items() if not name.endswith(".version")}


def old_lightconv(weights: Weights) -> Weights:
    """As 0.6.1 to 0.12.2 wrote it."""
    old = {}
    for name, weight in weights.items():
        if name.endswith("conv.conv_bias"):
            continue
        name = name.replace("layer_norm1", "layer_norms.0").replace("layer_norm2", "layer_norms.1")
        if name == "decoder.output_projection.weight":
            if weight.equal(weights["decoder.embed_tokens.weight"]):
                continue  # shared
            name = "decoder.embed_out"
        old[name] = weight
    return old


def with_placeholders(weights: Weights) -> Weights:
    nothing = torch.full((1,), float("nan"))
    return {**weights, "encoder.embed_positions._float_tensor": nothing}


def with_positions(weights: Weights) -> Weights:
    return {**weights, "decoder.embed_positions.weights": torch.ones(66, 16)}


def with_linearized(weights: Weights) -> Weights:
    return {**weights, "decoder.convolutions.0._linearized_weight": torch.ones(3, 3)}


PRE_NORM = SIZES | {"encoder_normalize_before": True, "decoder_normalize_before": True}

# Name of a change, architecture and settings of a model with it, its weights as they were.
EXAMPLES: list[tuple[str, str, dict, Callable[[Weights], Weights]]] = [
    ("wrapper", "transformer", SIZES, wrapped),
    ("fast path copies", "transformer", SIZES, with_copies(torch.zeros_like)),
    ("fast path copies", "transformer", SIZES, with_copies(lambda copy: copy + 1)),
    (
        "projections of another width",
        "transformer",
        SIZES | {"decoder_embed_dim": 24, "decoder_output_dim": 24, "decoder_input_dim": 24},
        of_widths,
    ),
    (
        "normalisation after the last layer",
        "transformer",
        PRE_NORM,
        lambda weights: old_weights(weights, version=2.0),
    ),
    ("normalisation after the last layer", "transformer", PRE_NORM, without_versions),
    ("layer norms of LightConv", "lightconv", LIGHTCONV, old_lightconv),
    ("output layer of LightConv", "lightconv", LIGHTCONV, old_lightconv),
    (
        "output layer of LightConv",
        "lightconv",
        LIGHTCONV
        | {"share_decoder_input_output_embed": True, "encoder_conv_type": "lightweight"}
        | {"decoder_conv_type": "lightweight"},
        old_lightconv,
    ),
    ("bias of dynamic convolutions", "lightconv", LIGHTCONV, old_lightconv),
    ("placeholders", "transformer", SIZES, with_placeholders),
    (
        "numbered layer norms",
        "transformer",
        SIZES,
        lambda weights: old_weights(weights, numbered_norms=True),
    ),
    ("fused projections", "transformer", SIZES, old_weights),
    ("output layer of Transformers", "transformer", SIZES, old_weights),
    (
        "output layer of Transformers",
        "transformer",
        SIZES | {"share_decoder_input_output_embed": True},
        lambda weights: {
            name: weight for name, weight in weights.items() if "output_projection" not in name
        },
    ),
    ("sinusoidal positions", "transformer", SIZES, with_positions),
    ("linearised convolutions", "fconv", FCONV, with_linearized),
]
REFUSED = {
    "adaptive softmax without version": "decoder.adaptive_softmax.head.weight",
    "encoders of LSTM cells": "encoder.layers.0.weight_ih",
}


def test_every_row_of_the_table_has_an_example():
    names = [change.name for change in KEY_CHANGES]
    assert len(set(names)) == len(names)
    assert set(names) == {name for name, *_ in EXAMPLES} | set(REFUSED)


@pytest.mark.parametrize(("name", "arch", "settings", "make_old"), EXAMPLES)
def test_old_weights_make_the_same_model(name, arch, settings, make_old, build):
    (change,) = [change for change in KEY_CHANGES if change.name == name]
    model = build(arch, **settings)
    expected = logits(model)
    today = {key: weight.clone() for key, weight in model.state_dict().items()}
    old = make_old(today)
    if not settings.get("share_decoder_input_output_embed"):  # where it is the key that is missing
        assert change.matches(old)

    renewed = build(arch, **settings)
    with torch.no_grad():
        renewed.decoder.embed_tokens.weight.zero_()
    renewed.load_state_dict(current_weights(old, "checkpoint.pt"), strict=True)
    assert logits(renewed).equal(expected)
    if name != "placeholders":  # fairseq drops them, after the plugin has refused what is NaN
        alone = loads_without_the_plugin(build(arch, **settings), old, expected)
        assert alone == (change.by == "fairseq")


def loads_without_the_plugin(model: nn.Module, old: Weights, expected: Tensor) -> bool:
    """Tell if fairseq alone makes the same model of old weights."""
    try:
        model.load_state_dict(dict(old), strict=True)
    except RuntimeError:
        return False
    return logits(model).equal(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_today_mean_something_else_are_refused(name):
    weights = {REFUSED[name]: torch.zeros(2, 2)}
    (change,) = [change for change in KEY_CHANGES if change.name == name]
    assert change.matches(weights)
    with pytest.raises(UserError, match=REFUSED[name].rpartition(".head")[0] or "not supported"):
        current_weights(weights, "checkpoint.pt")


def test_placeholders_become_zeros_whatever_was_in_the_memory():
    head = "decoder.adaptive_softmax.head"
    weights = {
        f"{head}._float_tensor": torch.tensor([float("inf")]),
        "decoder.adaptive_softmax.version": torch.tensor([1]),
        "encoder.layers.0.conv.weight_linear.weight": torch.zeros(12, 4),
        "encoder.layers.0.conv.conv_bias": torch.tensor([[[float("nan"), 1.0, 2.0, 3.0]]]),
    }
    current = current_weights(weights, "checkpoint.pt")
    assert current[f"{head}._float_tensor"].tolist() == [0]
    assert current["encoder.layers.0.conv.conv_bias"].tolist() == [[[0, 0, 0, 0]]]


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        (lambda weights: {"encoder.layers.0.fc1_weight": torch.zeros(3, 3)}, "fc1_weight"),
        (lambda weights: {"encoder.layers.7.in_proj_bias": torch.zeros(48)}, "7.in_proj_bias"),
        (
            lambda weights: {"encoder.layers.1.self_attn.k_proj.bias": torch.tensor(1.0)},
            "1.in_proj_bias",
        ),
    ],
    ids=["of another shape", "of nothing", "of a number"],
)
def test_copies_that_cannot_be_copies_are_refused(spoil, key, build):
    weights = build("transformer", **SIZES).state_dict()
    add_copies(weights, torch.zeros_like)
    with pytest.raises(UserError, match=rf"checkpoint.pt: weight .*{key} .*copy"):
        current_weights({**weights, **spoil(weights)}, "checkpoint.pt")


@pytest.mark.parametrize("bias", [torch.tensor(1.0), torch.zeros(4), torch.zeros(3, 3)])
def test_a_fused_bias_that_is_not_three_is_refused(bias):
    attention = "decoder.layers.0.encoder_attn"
    weights = {f"{attention}.q_proj_weight": torch.zeros(2, 2), f"{attention}.in_proj_bias": bias}
    with pytest.raises(UserError, match=r"in_proj_bias has shape \["):
        current_weights(weights, "checkpoint.pt")


def test_todays_weights_stay_as_they_are(build):
    for arch, settings in (("transformer", PRE_NORM), ("lightconv", LIGHTCONV), ("fconv", FCONV)):
        weights = dict(build(arch, **settings).state_dict())
        current = current_weights(weights, "checkpoint.pt")
        assert list(current) == list(weights)
        assert all(current[name] is weights[name] for name in weights)


def test_a_prefix_that_not_every_key_has_stays():
    weights = {"module.encoder.x": torch.zeros(1), "decoder.x": torch.zeros(1)}
    assert current_weights(weights, "checkpoint.pt") == weights


def test_a_language_model_of_0_6_gets_no_last_norm():
    weights = {
        "decoder.version": torch.tensor([2.0]),
        "decoder.embed_tokens.weight": torch.zeros(5, 4),
        "decoder.layers.0.final_layer_norm.weight": torch.zeros(4),
    }
    assert current_weights(weights, "checkpoint.pt")["decoder.version"].item() == 2


def test_lightconv_keeps_its_names_where_fairseq_has_the_old_ones(build, monkeypatch):
    from fairseq.models.lightconv import LightConvEncoderLayer

    old = old_lightconv(dict(build("lightconv", **LIGHTCONV).state_dict()))
    assert set(current_weights(old, "checkpoint.pt")) != set(old)

    def init_of_0_12_2(self):
        self.layer_norms = nn.ModuleList()

    monkeypatch.setattr(LightConvEncoderLayer, "__init__", init_of_0_12_2)
    assert current_weights(old, "checkpoint.pt") == old
