"""Taps and clamps of Transformers against a re-computation from the equations, without hooks."""

from __future__ import annotations

import pytest
import torch
from reference_transformer import Reference
from torch import Tensor, nn
from toy import (
    BEAM_SOURCE,
    CROSS,
    DECODER,
    ENCODER,
    SOURCE,
    TARGET,
    batch,
    beam_search,
    dictionary,
    log_probabilities,
    multilingual_model,
    net_input,
    parallel_batch,
    previous_tokens,
    stack_model,
)

import fairseq_neuron_plugin as fnp

TOLERANCE = 1e-5
NEURONS = [1, 4, 11]
ALL = "*.embed_tokens,*.layers.*,*.layers.*.*"
PRE = {"encoder_normalize_before": True, "decoder_normalize_before": True}
MODELS = {
    "post-norm": ("transformer", {}),
    "pre-norm": ("transformer", PRE),
    "gelu, learned positions, shared embeddings": (
        "transformer",
        {
            **PRE,
            "activation_fn": "gelu",
            "encoder_learned_pos": True,
            "decoder_learned_pos": True,
            "share_all_embeddings": True,
        },
    ),
    "transformer_lm": ("transformer_lm", {"share_decoder_input_output_embed": True}),
}
CASES = [
    (model, layer, value)
    for model in MODELS
    for layer in (DECODER if model == "transformer_lm" else (*ENCODER, *DECODER, *CROSS))
    for value in (0.0, 0.7)
]


def scores_of(model: nn.Module, clamps, row: int, tokens: Tensor) -> Tensor:
    """What the reference says of each token of a translation of beam search's source ``row``."""
    previous = torch.cat([torch.tensor([dictionary().eos()]), tokens[:-1]])
    states = None
    with torch.no_grad():
        reference = Reference(model, clamps)
        if hasattr(model, "encoder"):
            states = reference.encode(batch(BEAM_SOURCE)[0][row, -BEAM_SOURCE[row] :])
        return reference.decode(previous, states).gather(1, tokens.unsqueeze(1)).squeeze(1)


def reference_of(model: nn.Module, clamps, row: int, previous: Tensor) -> tuple[Reference, Tensor]:
    """The reference after one sentence pair, and its log-probabilities."""
    reference = Reference(model, clamps)
    states = None
    with torch.no_grad():
        if hasattr(model, "encoder"):
            states = reference.encode(batch(SOURCE)[0][row, -SOURCE[row] :])
        return reference, reference.decode(previous, states)


@pytest.mark.parametrize(("name", "layer", "value"), CASES)
def test_teacher_forcing_equals_the_equations(name, layer, value, record_property) -> None:
    model = stack_model(MODELS[name][0], **MODELS[name][1])
    inputs = net_input(model)
    plain = log_probabilities(model, inputs)
    with fnp.ablate(model, {layer: NEURONS}, value) as ablation, fnp.tap(model, ALL) as layers:
        got = log_probabilities(model, inputs)
    ablation.check_fired()
    previous = previous_tokens(TARGET)
    worst = 0.0
    for row, length in enumerate(TARGET):
        clamps = {layer: (NEURONS, value)}
        reference, want = reference_of(model, clamps, row, previous[row, :length])
        pairs = [(got[row, :length], want)]
        for tapped, rows in layers.items():
            words = slice(-SOURCE[row], None) if tapped.startswith("enc") else slice(0, length)
            pairs.append((rows[row, words], reference.seen[tapped]))
        worst = max(worst, *((a - b).abs().max().item() for a, b in pairs))
        assert set(layers) == set(reference.seen)
    record_property("maximum difference", worst)
    assert worst < TOLERANCE
    assert (got - plain)[previous.ne(1)].abs().max() > 0.01
    seen = layers[layer]
    is_word = (inputs["src_tokens"] if layer.startswith("encoder") else previous).ne(1)
    assert (seen[is_word][:, NEURONS] == value).all()
    assert (seen[~is_word] == 0).all()


@pytest.mark.parametrize(("name", "layer", "value"), CASES)
def test_beam_search_equals_the_equations(name, layer, value, record_property) -> None:
    """Scores of each hypothesis, found step by step with caches, against one pass without."""
    model = stack_model(MODELS[name][0], **MODELS[name][1])
    with fnp.ablate(model, {layer: NEURONS}, value), fnp.tap(model, layer) as layers:
        found = beam_search(model)
    if layer.startswith("decoder"):
        assert layers[layer].shape[1] == 1
        assert (layers[layer][:, 0, NEURONS] == value).all()
    assert [len(hypotheses) for hypotheses in found] == [3] * len(BEAM_SOURCE)
    differences = {}
    for clamped, clamps in ((True, {layer: (NEURONS, value)}), (False, {})):
        differences[clamped] = max(
            (hypothesis["positional_scores"] - scores_of(model, clamps, row, hypothesis["tokens"]))
            .abs()
            .max()
            .item()
            for row, hypotheses in enumerate(found)
            for hypothesis in hypotheses
        )
    record_property("maximum difference", differences[True])
    assert differences[True] < TOLERANCE
    assert differences[False] > 1e-3


def test_multilingual_model_with_one_encoder() -> None:
    model = multilingual_model(distinct_encoders=False)
    names = [layer.name for layer in fnp.list_layers(model)]
    assert names == [layer.name for layer in fnp.list_layers(stack_model())]
    ablation = fnp.ablate(model, {"encoder.layers.0": NEURONS, "decoder.layers.1": NEURONS}, 0.7)
    with ablation, fnp.tap(model, ALL) as layers:
        for done, pair in enumerate(model.models, start=1):
            got = log_probabilities(model.models[pair], parallel_batch(SOURCE, TARGET))
            assert {clamp.fired for clamp in ablation.clamps.values()} == {done}
    clamps = {"encoder.layers.0": (NEURONS, 0.7), "decoder.layers.1": (NEURONS, 0.7)}
    words = previous_tokens(TARGET)[1, : TARGET[1]]
    reference, want = reference_of(model.models["en-de"], clamps, 1, words)
    assert torch.allclose(got[1, : TARGET[1]], want, atol=TOLERANCE)
    for name in ("encoder.layers.0", "encoder.layers.1.ffn"):
        assert torch.allclose(layers[name][1, -SOURCE[1] :], reference.seen[name], atol=TOLERANCE)


def test_multilingual_model_with_several_encoders() -> None:
    model = multilingual_model(distinct_encoders=True)
    names = [layer.name for layer in fnp.list_layers(model)]
    assert [name for name in names if name.endswith("embed_tokens")] == [
        "models.en-de.encoder.embed_tokens",
        "models.fr-de.encoder.embed_tokens",
        "decoder.embed_tokens",
    ]
    inputs = parallel_batch(SOURCE, TARGET)
    plain = {pair: log_probabilities(part, inputs) for pair, part in model.models.items()}
    layer = "models.en-de.encoder.layers.0"
    with fnp.ablate(model, {layer: NEURONS}, 0.7), fnp.tap(model, "models.*.*.*.*") as layers:
        assert len(layers.space.layers) == 4
        for pair, touched in (("en-fr", True), ("en-de", True), ("fr-de", False)):
            got = log_probabilities(model.models[pair], inputs)
            assert torch.equal(got, plain[pair]) is not touched
    words, previous = inputs["src_tokens"].ne(1), previous_tokens(TARGET)[0, : TARGET[0]]
    assert (layers[layer][words][:, NEURONS] == 0.7).all()
    clamps = {"encoder.layers.0": (NEURONS, 0.7)}
    reference, _ = reference_of(model.models["en-de"], clamps, 0, previous)
    got = layers["models.en-de.encoder.layers.1"][0, -SOURCE[0] :]
    assert torch.allclose(got, reference.seen["encoder.layers.1"], atol=TOLERANCE)
