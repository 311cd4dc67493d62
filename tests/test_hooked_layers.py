"""Hooks and stand-ins come and go: nesting, errors, precision, and a model as it was before."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from toy import (
    CROSS,
    DECODER,
    ENCODER,
    SOURCE,
    batch,
    log_probabilities,
    lstm_model,
    net_input,
    parallel_batch,
    stack_model,
    toy_model,
)

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.errors import UserError

NEURONS = [1, 4, 11]


@pytest.mark.parametrize("arch", ["transformer", "transformer_lm", "lightconv", "fconv", "lstm"])
def test_clamping_to_what_a_tap_reads_changes_nothing(arch: str) -> None:
    """One word on each side, so that a neuron has one value."""
    model = toy_model(arch)
    inputs = parallel_batch([1], [1])
    if not hasattr(model, "encoder"):
        inputs = {"src_tokens": inputs["prev_output_tokens"]}
    names = [
        layer.name for layer in fnp.list_layers(model) if arch != "lstm" or "emb" in layer.name
    ]
    plain = log_probabilities(model, inputs)
    for name in names:
        with fnp.tap(model, name) as layers:
            log_probabilities(model, inputs)
        values = layers[name][0, 0]
        every = {name: range(len(values))}
        with fnp.ablate(model, every, {name: values}), fnp.tap(model, name) as again:
            assert torch.equal(log_probabilities(model, inputs), plain), name
        assert torch.equal(again[name][0, 0], values)


def fingerprint(model: nn.Module) -> list[object]:
    """What an intervention could leave behind anywhere in a model."""
    return [
        (
            name,
            sorted(vars(module)),
            [len(value) for key, value in vars(module).items() if "hooks" in key],
        )
        for name, module in model.named_modules()
    ]


@pytest.mark.parametrize("arch", ["transformer", "transformer_lm", "lightconv", "fconv", "lstm"])
def test_model_is_restored_bit_for_bit_after_an_exception(arch: str) -> None:
    model = toy_model(arch)
    inputs = net_input(model)
    plain = log_probabilities(model, inputs)
    state, traces = copy.deepcopy(model.state_dict()), fingerprint(model)
    neurons = {layer.name: [0, 2] for layer in fnp.list_layers(model)}

    def fail_inside() -> None:
        outer, inner = fnp.ablate(model, neurons), fnp.ablate(model, neurons, 0.7)
        with fnp.tap(model, ",".join(neurons)) as layers, outer, inner, layers:
            log_probabilities(model, inputs)
            assert set(layers) == set(neurons)
            assert fingerprint(model) != traces
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert fingerprint(model) == traces
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(log_probabilities(model, inputs), plain)


@pytest.mark.parametrize("layer", [*ENCODER, *DECODER, *CROSS])
def test_nested_clamps_and_taps(layer: str) -> None:
    model = stack_model()
    inputs = net_input(model)
    is_word = (inputs["src_tokens"] if layer.startswith("e") else inputs["prev_output_tokens"]).ne(
        1
    )
    outside = fnp.tap(model, layer)
    outer, inner = fnp.ablate(model, {layer: [1, 2]}, 0.5), fnp.ablate(model, {layer: [2, 3]}, 0.25)

    def read() -> tuple[list[float], bool]:
        """The values of neurons 1, 2 and 3 (0 where they are not constant); if all taps agree."""
        with fnp.tap(model, layer) as inside:
            log_probabilities(model, inputs)
        seen = outside[layer][is_word][:, 1:4]
        constant = (seen == seen[0]).all(dim=0)
        return (seen[0] * constant).tolist(), torch.equal(inside[layer], outside[layer])

    with outside:
        outer.__enter__()
        with inner, inner:
            assert read() == ([0.5, 0.25, 0.25], True)
        assert read() == ([0.5, 0.5, 0.0], True)
        inner.__enter__()
        assert read() == ([0.5, 0.25, 0.25], True)
        outer.__exit__()
        assert read() == ([0.0, 0.25, 0.25], True)
        with outside:
            inner.__exit__()
        assert read() == ([0.0, 0.0, 0.0], True)


@pytest.mark.parametrize("layer", [*ENCODER, *DECODER, *CROSS])
def test_clamps_follow_the_model_to_another_precision(layer: str) -> None:
    model = stack_model()
    with fnp.ablate(model, {layer: NEURONS}, 0.7), fnp.tap(model, layer) as layers:
        model.bfloat16()
        model(**net_input(model))
    assert layers[layer].dtype == torch.bfloat16
    assert (
        layers[layer][0, -1 if layer.startswith("e") else 0, NEURONS]
        == torch.tensor(0.7).bfloat16()
    ).all()


def test_training_with_a_clamp() -> None:
    """Gradients pass, and every block keeps its name where blocks are left out at random."""
    model = stack_model(encoder_layerdrop=0.5, decoder_layerdrop=0.5).train()
    names = [layer.name for layer in fnp.list_layers(model)]
    assert names == [layer.name for layer in fnp.list_layers(stack_model())]
    model = stack_model().train()
    with fnp.ablate(model, {"encoder.layers.0.ffn": [3]}):
        model(**net_input(model))[0].sum().backward()
    gradient = model.encoder.layers[0].fc1.weight.grad
    assert (gradient[3] == 0).all()
    assert gradient[4].any()


def test_embeddings_instead_of_tokens() -> None:
    """A clamp works; a tap cannot know where the padding is, and says so."""
    model = stack_model()
    tokens, lengths = batch(SOURCE)
    embedded = torch.randn(*tokens.shape, 12)
    with fnp.ablate(model, {"encoder.layers.1": NEURONS}, 0.7) as ablation:
        out = model.encoder(tokens, lengths, token_embeddings=embedded)
    ablation.check_fired()
    assert (out["encoder_out"][0][..., NEURONS] == 0.7).all()
    with fnp.tap(model, "encoder.layers.1"), pytest.raises(UserError, match="call the model with"):
        model.encoder(tokens, lengths, token_embeddings=embedded)


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (stack_model, ("encoder.embed_tokens", "encoder.layers.0", "decoder.layers.1.ffn")),
        (lstm_model, ("encoder.embed_tokens", "encoder.layers.0", "decoder.layers.1")),
    ],
)
def test_a_copy_of_a_clamped_model_is_not_clamped(make, layers) -> None:
    """What is on the original cannot be taken off the copy, so the copy begins without it."""
    model = make()
    plain = log_probabilities(model, net_input(model))
    with fnp.tap(model, "*.layers.*"), fnp.ablate(model, {layer: [1, 4] for layer in layers}, 0.7):
        copied = copy.deepcopy(model)
        assert not torch.allclose(log_probabilities(model, net_input(model)), plain, atol=1e-3)
    torch.testing.assert_close(log_probabilities(copied, net_input(copied)), plain)
    torch.testing.assert_close(log_probabilities(model, net_input(model)), plain)


def test_padding_of_an_earlier_pass_is_not_used() -> None:
    model = stack_model()
    tokens, lengths = batch(SOURCE)
    embedded = torch.randn(*tokens.shape, 12)
    with fnp.tap(model, "encoder.layers.1"):
        model.encoder(tokens, lengths)
        with pytest.raises(UserError, match="call the model with"):
            model.encoder(tokens, lengths, token_embeddings=embedded)


@pytest.mark.parametrize(
    ("arch", "layer", "message"),
    [
        (
            "transformer",
            "encoder.layers.2",
            r"the model has: encoder\.embed_tokens, enc.*layers\.1$",
        ),
        ("transformer", "decoder.attention", "unknown layer"),
        ("transformer_lm", "decoder.layers.0.encoder_attn", "unknown layer"),
        ("lightconv", "encoder.layers.0.self_attn", "unknown layer"),
        (
            "fconv",
            "encoder.layers.0",
            r"the model has: encoder\.embed_tokens, decoder\.embed_tokens$",
        ),
    ],
)
def test_unknown_layers(arch: str, layer: str, message: str) -> None:
    model = stack_model(arch)
    with pytest.raises(UserError, match=message):
        fnp.ablate(model, {layer: [0]})
    with pytest.raises(UserError, match="the model has"):
        fnp.tap(model, layer)
