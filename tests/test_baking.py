"""A baked model against the live ablation, in logits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from toy import (
    batch,
    lstm_lm,
    lstm_model,
    multilingual_model,
    parallel_batch,
    previous_tokens,
    stack_model,
)

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.baking.bake import TOLERANCE, bake_weights
from fairseq_neuron_plugin.baking.edits import format_ranges
from fairseq_neuron_plugin.errors import UserError

SCOPES = ("recurrent", "full", "output")
MAKERS: dict[str, Callable] = {
    "lstm": lstm_model,
    "lstm, one layer": lambda: lstm_model(encoder_layers=1, decoder_layers=1),
    "lstm, nothing to project": lambda: lstm_model(
        encoder_bidirectional=False, decoder_hidden_size=8
    ),
    "lstm, no attention": lambda: lstm_model(decoder_attention="0"),
    "lstm, tied": lambda: lstm_model(
        share_all_embeddings=True, encoder_embed_dim=10, decoder_embed_dim=10,
        decoder_out_embed_dim=10,
    ),
    "lstm, adaptive softmax": lambda: lstm_model(
        criterion="adaptive_loss", adaptive_softmax_cutoff="10,20"
    ),
    "lstm_lm": lstm_lm,
    "lstm_lm, residuals": lambda: lstm_lm(residuals=True, decoder_layers=3),
    "lstm_lm, tied": lambda: lstm_lm(
        share_decoder_input_output_embed=True, decoder_embed_dim=9, decoder_out_embed_dim=9
    ),
    "transformer": stack_model,
    "transformer, pre-norm": lambda: stack_model(
        encoder_normalize_before=True, decoder_normalize_before=True, scale_fc=True
    ),
    "transformer, shared": lambda: stack_model(share_all_embeddings=True),
    "transformer_lm": lambda: stack_model("transformer_lm"),
    "roberta": lambda: stack_model("roberta"),
    "lightconv": lambda: stack_model("lightconv"),
    "fconv": lambda: stack_model("fconv"),
    "multilingual": lambda: multilingual_model(distinct_encoders=False),
    "multilingual, two encoders": lambda: multilingual_model(distinct_encoders=True),
}  # fmt: skip

# Where no exact way is: model, layer, scopes, whether 0 is refused too, the reason. The first line
# that fits holds.
STARTS_DECODER, NO_BIAS, ONE_MATRIX = "starts decoder", "no bias", "serves another|word|of words"
REFUSALS: tuple[tuple[str, str, str, str, str], ...] = (
    ("lstm, one layer", "encoder.layers.0", "full", "none", ""),
    ("lstm.*", "encoder.layers.*", "recurrent|full", "other", STARTS_DECODER),
    ("lstm, no attention", "encoder.layers.1", "output", "none", ""),
    ("lstm, one layer", "encoder.layers.0", "output", "other", NO_BIAS),
    ("lstm.*", "encoder.layers.1", "output", "other", NO_BIAS),
    ("lstm, no attention", "decoder.layers.1", "output", "other", "fed back"),
    ("lstm, one layer", "decoder.layers.0", "output", "other", NO_BIAS),
    ("lstm|lstm, .*", "decoder.layers.1", "output", "other", NO_BIAS),
    ("lstm, tied", ".*embed_tokens", ".*", "all", ONE_MATRIX),
    ("lstm, tied", "decoder.attention", "output", "all", ONE_MATRIX),
    ("lstm, tied", "decoder.attention", "recurrent|full", "other", ONE_MATRIX),
    ("lstm, adaptive softmax", "decoder.attention", ".*", "other", NO_BIAS),
    ("lstm_lm, tied", "decoder.embed_tokens", ".*", "all", ONE_MATRIX),
    ("lstm_lm, tied", "decoder.layers.1", "output", "all", ONE_MATRIX),
    ("lstm_lm, tied", "decoder.layers.1", "recurrent|full", "far", ONE_MATRIX),
    ("transformer, pre-norm|transformer_lm", r".*layers\.\d", ".*", "all", "pre-norm"),
    ("transformer, shared|roberta", ".*embed_tokens", ".*", "all", ONE_MATRIX),
)
VALUES = {"zero": 0.0, "near": 0.4, "far": -0.9}
REFUSED_VALUES = {
    "none": (),
    "all": tuple(VALUES),
    "other": ("near", "far"),
    "far": ("far",),
}


def reason(model: str, layer: str, scope: str, value: str) -> str | None:
    """Why the table says that this cannot be baked."""
    for models, layers, scopes, values, why in REFUSALS:
        pairs = ((models, model), (layers, layer), (scopes, scope))
        if all(re.fullmatch(pattern, text) for pattern, text in pairs):
            return why if value in REFUSED_VALUES[values] else None
    return None


def scores(model) -> Tensor:
    """Scores or, with an adaptive softmax, log-probabilities of one batch of mixed lengths."""
    parts = list(model.models.values()) if hasattr(model, "models") else [model]
    outputs = []
    for part in parts:
        target = previous_tokens([4, 2, 3])
        if hasattr(part, "encoder") and hasattr(part, "decoder"):
            output = part(**parallel_batch([6, 3, 1], [4, 2, 3]))
        elif hasattr(part, "decoder"):
            output = part(src_tokens=target)
        else:
            target, _ = batch([6, 3, 1], left_pad=False)
            output = part(src_tokens=target)
        if getattr(getattr(part, "decoder", None), "adaptive_softmax", None) is not None:
            output = (part.get_normalized_probs(output, log_probs=True),)
        outputs.append(output[0][target.ne(1)])
    return torch.cat(outputs)


@torch.no_grad()
@pytest.mark.parametrize("name", MAKERS)
def test_baked_equals_live_or_is_refused(name: str, record_property) -> None:
    model, baked = MAKERS[name](), MAKERS[name]()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    plain, worst, tried = scores(model), 0.0, 0
    for layer in fnp.list_layers(model):
        neurons = {layer.name: [0, 3, layer.width - 1]}
        steady = "ffn" in layer.name or "attn" in layer.name or "embed" in layer.name
        scopes = ("recurrent",) if steady or "lstm" not in name else SCOPES
        for scope, value in itertools.product(scopes, VALUES):
            case = (name, layer.name, scope, value)
            why = reason(*case)
            if why is not None:
                with pytest.raises(UserError, match=why) as refusal:
                    bake_weights(model, neurons, VALUES[value], scope, before)
                message = str(refusal.value)
                assert f"{layer.name}:0,3,{layer.width - 1}" in message, case
                assert f"at {VALUES[value]:g}, scope {scope}" in message, case
                continue
            weights = bake_weights(model, neurons, VALUES[value], scope, before)
            baked.load_state_dict(weights)
            with fnp.ablate(model, neurons, VALUES[value], scope):
                live = scores(model)
            unread = name == "lstm, no attention" and case[1:3] == ("encoder.layers.1", "output")
            assert torch.allclose(live, plain, atol=1e-6, rtol=0) == unread, case
            difference = ((scores(baked) - live).abs().max() / live.abs().max()).item()
            worst, tried = max(worst, difference), tried + 1
            assert difference < TOLERANCE, (*case, difference)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    record_property("maximum relative difference", worst)
    print(f"{name}: {tried} cases, maximum relative difference {worst:.1e}")
    assert tried


def test_half_precision_is_kept_where_it_loses_nothing() -> None:
    model = stack_model()
    stored = {name: value.half() for name, value in model.state_dict().items()}
    model.load_state_dict(stored)
    neurons = {"encoder.layers.0.ffn": [1, 2], "encoder.layers.1.self_attn": [5]}
    zeroed = bake_weights(model, neurons, 0.0, "recurrent", stored)
    assert all(zeroed[name].dtype == stored[name].dtype for name in stored)
    moved = bake_weights(model, neurons, 0.3, "recurrent", stored)
    singles = [name for name, value in moved.items() if value.dtype != stored[name].dtype]
    biases = ("encoder.layers.0.fc2.bias", "encoder.layers.1.self_attn.out_proj.bias")
    assert sorted(singles) == sorted(biases)


def test_closed_gates_are_exactly_closed_in_half_precision() -> None:
    model = lstm_model()
    neurons = {"encoder.layers.1": [0, 11]}
    weights = bake_weights(model, neurons, 0.0, "full", model.state_dict())
    model.load_state_dict(weights)
    tokens, lengths = batch([6, 3])
    with torch.no_grad():
        output, hidden, cell, _ = model.half().encoder(tokens, src_lengths=lengths)
    assert (output[:3, :, [0, 11]] == 0).all()
    assert (hidden[1][:, [0, 11]] == 0).all()
    assert (cell[1][:, [0, 11]] == 0).all()
    assert (output[:3, :, [1, 12]] != 0).all()


def test_ranges() -> None:
    assert format_ranges([3, 17, 18, 19, 5]) == "3,5,17-19"
