"""Clamps in the encoder, seen at the other end of the model, against the reference loops."""

from __future__ import annotations

import itertools

import pytest
import torch
from fairseq.models.lstm import LSTMModel
from fairseq.sequence_generator import SequenceGenerator
from reference_lstm import run_encoder
from reference_lstm_decoder import Held, run_decoder
from toy import batch, dictionary, lstm_model

from fairseq_neuron_plugin import ablate

LENGTHS = [7, 5, 3, 2]
PAD, EOS = dictionary().pad(), dictionary().eos()
# Per direction 8 units: forward 0 to 7, backward 8 to 15.
NEURONS = {
    "encoder.layers.0": [2, 5, 11],
    "encoder.layers.1": [0, 8, 15],
    "decoder.layers.1": [4],
}
CASES = [
    (names, scope, value)
    for names in [("encoder.layers.0",), ("encoder.layers.1",), tuple(NEURONS)]
    for scope, value in itertools.product(("recurrent", "full", "output"), (0.0, 0.7))
]


def expected_logits(
    model: LSTMModel, source: torch.Tensor, previous: torch.Tensor, held: dict[str, Held]
) -> torch.Tensor:
    """Logits ``[length, vocabulary]`` of one sentence, step by step from its first word on."""
    words = source[source.ne(PAD)]
    first = next(iter(held.values()))
    neurons = {
        int(name[-1]): clamp.units for name, clamp in held.items() if name.startswith("encoder.")
    }
    layers, hidden, memory = run_encoder(
        model.encoder.lstm,
        model.encoder.embed_tokens.weight[words],
        neurons,
        first.value,
        first.scope,
    )
    finals = (hidden.flatten(1), memory.flatten(1))
    return run_decoder(model.decoder, previous, held, layers[-1], *finals).logits


@torch.no_grad()
@pytest.mark.parametrize("mode", ["teacher forcing", "beam search"])
@pytest.mark.parametrize(("names", "scope", "value"), CASES)
def test_equals_the_reference(names, scope, value, mode):
    model = lstm_model()
    source, lengths = batch(LENGTHS)
    held = {name: Held(NEURONS[name], value, scope) for name in names}
    previous, scores = [], []
    with ablate(model, {name: NEURONS[name] for name in names}, value, scope) as ablation:
        if mode == "beam search":
            generator = SequenceGenerator([model], dictionary(), beam_size=3, max_len_b=9)
            net_input = {"src_tokens": source, "src_lengths": lengths}
            for beams in generator.generate([model], {"net_input": net_input}):
                previous.append([torch.cat([torch.tensor([EOS]), b["tokens"]]) for b in beams])
                scores.append([b["positional_scores"] for b in beams])
        else:
            targets, _ = batch(LENGTHS, left_pad=False, seed=5)
            logits = model(source, lengths, targets)[0].log_softmax(2)
            for row, length in enumerate(LENGTHS):
                tokens = torch.cat([targets[row, :length], torch.tensor([EOS])])
                previous.append([tokens])
                picked = logits[row, :length].gather(1, tokens[1:].unsqueeze(1))
                scores.append([picked.squeeze(1)])
    ablation.check_fired()
    for row, found in enumerate(previous):
        for tokens, score in zip(found, scores[row], strict=True):
            logits = expected_logits(model, source[row], tokens[:-1], held).log_softmax(1)
            expected = logits.gather(1, tokens[1:].unsqueeze(1)).squeeze(1)
            torch.testing.assert_close(score, expected, atol=1e-5, rtol=0)
