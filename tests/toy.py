"""Toy fairseq objects for the tests: a dictionary, an encoder-decoder, a padded batch."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from fairseq.data import Dictionary
from fairseq.models.lstm import LSTMModel
from torch import Tensor

import fairseq_neuron_plugin.register  # noqa: F401  (the shims and the architectures)

VOCABULARY = 30


def dictionary(words: int = VOCABULARY) -> Dictionary:
    """``w0`` … after fairseq's four special symbols."""
    made = Dictionary()
    for number in range(words):
        made.add_symbol(f"w{number}")
    return made


def lstm_args(**changes: object) -> SimpleNamespace:
    """The arguments of a small stock ``lstm``: 2 layers, bidirectional, 8 units a direction."""
    settings = {
        "encoder_embed_dim": 6,
        "encoder_hidden_size": 8,
        "encoder_layers": 2,
        "encoder_bidirectional": True,
        "decoder_embed_dim": 6,
        "decoder_hidden_size": 10,
        "decoder_layers": 2,
        "decoder_out_embed_dim": 7,
        "dropout": 0.1,
        "criterion": "label_smoothed_cross_entropy",
        **changes,
    }
    return SimpleNamespace(**settings)


def lstm_model(seed: int = 0, **changes: object) -> LSTMModel:
    """A stock fairseq LSTM with weights large enough that every clamp shows."""
    torch.manual_seed(seed)
    task = SimpleNamespace(source_dictionary=dictionary(), target_dictionary=dictionary())
    model = LSTMModel.build_model(lstm_args(**changes), task)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.6, 0.6)
    return model.eval()


def batch(lengths: list[int], left_pad: bool = True, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random sentences, longest first: tokens ``[batch, length]`` and lengths ``[batch]``."""
    generator = torch.Generator().manual_seed(seed)
    words = dictionary()
    tokens = torch.full((len(lengths), max(lengths)), words.pad())
    for row, length in enumerate(lengths):
        sentence = torch.randint(words.nspecial, len(words), (length,), generator=generator)
        sentence[-1] = words.eos()
        tokens[row, slice(-length, None) if left_pad else slice(0, length)] = sentence
    return tokens, torch.tensor(lengths)
