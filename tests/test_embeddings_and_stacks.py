"""Embeddings of any model, and what is built like a Transformer, against other weights."""

from __future__ import annotations

import copy

import pytest
import torch
from reference_lstm import run_encoder
from torch import nn
from toy import (
    SOURCE,
    TARGET,
    batch,
    beam_search,
    log_probabilities,
    lstm_model,
    net_input,
    previous_tokens,
    stack_model,
    toy_model,
)

import fairseq_neuron_plugin as fnp

TOLERANCE = 1e-5
NEURONS = [1, 4, 11]
# Weights that hold a neuron at 0.7 for good: rows (of a table: columns) of 0, a bias of 0.7.
EDITS = {
    "ffn": "fc1",
    "encoder_attn": "encoder_attn.out_proj",
    "self_attn": "self_attn.out_proj",
}
EDITED = [
    ("lightconv", "encoder.embed_tokens"),
    ("lightconv", "encoder.layers.0"),
    ("lightconv", "encoder.layers.1.ffn"),
    ("lightconv", "decoder.embed_tokens"),
    ("lightconv", "decoder.layers.0"),
    ("lightconv", "decoder.layers.1.ffn"),
    ("lightconv", "decoder.layers.0.encoder_attn"),
    ("lightconv_lm", "decoder.embed_tokens"),
    ("lightconv_lm", "decoder.layers.1.ffn"),
    ("fconv", "encoder.embed_tokens"),
    ("fconv", "decoder.embed_tokens"),
    ("transformer_align", "encoder.layers.1"),
    ("transformer_align", "decoder.layers.1.self_attn"),
    ("bart_base", "encoder.layers.0.self_attn"),
    ("bart_base", "decoder.embed_tokens"),
    ("lstm", "encoder.embed_tokens"),
    ("lstm", "decoder.embed_tokens"),
    ("lstm_lm", "decoder.embed_tokens"),
]


def edited(arch: str, layer: str) -> nn.Module:
    """The same model once more, which holds the neurons at 0.7 by its weights alone."""
    model = toy_model(arch)
    side, *path = layer.split(".")
    owner = getattr(model, side)
    with torch.no_grad():
        if path == ["embed_tokens"]:
            owner.embed_tokens = copy.deepcopy(owner.embed_tokens)  # not the output layer's
            owner.embed_tokens.weight[:, NEURONS] = 0.7
            return model
        block = owner.layers[int(path[1])]
        if len(path) == 3:
            module = block.get_submodule(EDITS[path[2]])
        else:  # post-norm: the block ends in a layer norm
            module = getattr(block, "final_layer_norm", None) or block.layer_norm2
        module.weight[NEURONS] = 0.0
        module.bias[NEURONS] = 0.7
    return model


@pytest.mark.parametrize(("arch", "layer"), EDITED)
def test_clamp_equals_a_copy_with_other_weights(arch, layer, record_property) -> None:
    model = toy_model(arch)
    copied, inputs = edited(arch, layer), net_input(model)
    is_word = previous_tokens(TARGET).ne(1)
    plain, want = log_probabilities(model, inputs), log_probabilities(copied, inputs)
    with fnp.ablate(model, {layer: NEURONS}, 0.7) as ablation, fnp.tap(model, layer) as layers:
        got = log_probabilities(model, inputs)
        found = beam_search(model)
        ablation.check_fired()
    worst = (got - want)[is_word].abs().max().item()
    for ours, theirs in zip(found, beam_search(copied), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one["tokens"], other["tokens"])
            difference = one["positional_scores"] - other["positional_scores"]
            worst = max(worst, difference.abs().max().item())
    record_property("maximum difference", worst)
    assert worst < TOLERANCE
    assert (got - plain)[is_word].abs().max() > 1e-3
    assert (layers[layer][..., NEURONS] - 0.7 * layers[layer].any(dim=2, keepdim=True) == 0).all()


def test_roberta() -> None:
    model = stack_model("roberta")
    tokens, _ = batch(SOURCE)
    layer = "encoder.layers.0"
    copied = copy.deepcopy(model)
    norm = copied.encoder.sentence_encoder.layers[0].final_layer_norm
    with torch.no_grad(), fnp.ablate(model, {layer: NEURONS}, 0.7):
        norm.weight[NEURONS], norm.bias[NEURONS] = 0.0, 0.7
        got, want = model(tokens)[0], copied(tokens)[0]
    assert torch.allclose(got[tokens.ne(1)], want[tokens.ne(1)], atol=TOLERANCE)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("left_pad", [False, True])
def test_lstm_encoder_embeddings_equal_the_step_by_step_loop(shared: bool, left_pad: bool) -> None:
    model = lstm_model(share_all_embeddings=shared, decoder_out_embed_dim=6)
    model.encoder.left_pad = left_pad
    tokens, lengths = batch(SOURCE, left_pad)
    with torch.no_grad(), fnp.ablate(model, {"encoder.embed_tokens": [1, 4]}, 0.7) as ablation:
        with fnp.tap(model, "encoder.embed_tokens,encoder.layers.*") as layers:
            model.encoder(tokens, src_lengths=lengths)
        ablation.check_fired()
    for row, length in enumerate(SOURCE):
        words = slice(-length, None) if left_pad else slice(0, length)
        embedded = model.encoder.embed_tokens.weight[tokens[row, words]].detach().clone()
        embedded[:, [1, 4]] = 0.7
        with torch.no_grad():
            want, _, _ = run_encoder(model.encoder.lstm, embedded, {}, 0.0, "recurrent")
        assert torch.equal(layers["encoder.embed_tokens"][row, words], embedded)
        assert torch.allclose(layers["encoder.layers.1"][row, words], want[1], atol=TOLERANCE)
    assert (layers["encoder.embed_tokens"][tokens.eq(1)] == 0).all()


@pytest.mark.parametrize("arch", ["transformer", "lightconv", "lstm"])
def test_shared_embeddings_are_clamped_on_one_side_only(arch: str) -> None:
    shared = {"share_all_embeddings": True}
    model = (
        lstm_model(**shared, decoder_out_embed_dim=6)
        if arch == "lstm"
        else stack_model(arch, **shared)
    )
    assert model.encoder.embed_tokens is model.decoder.embed_tokens
    inputs, before = net_input(model), copy.deepcopy(model.state_dict())
    taps = fnp.tap(model, "*.embed_tokens")
    for clamped, other in (("encoder", "decoder"), ("decoder", "encoder")):
        with torch.no_grad(), taps, fnp.ablate(model, {f"{clamped}.embed_tokens": [1, 4]}, 0.7):
            model(**inputs)
            assert (taps[f"{other}.embed_tokens"] != 0.7).all()
            assert (taps[f"{clamped}.embed_tokens"] == 0.7).any()
            now = model.state_dict()
            assert list(now) == list(before)
            assert all(torch.equal(now[name], tensor) for name, tensor in before.items())
