"""Toy fairseq objects for the tests: a dictionary, an encoder-decoder, a padded batch."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from types import SimpleNamespace

import torch
from fairseq.data import Dictionary
from fairseq.models import (
    ARCH_CONFIG_REGISTRY,
    ARCH_MODEL_REGISTRY,
    BaseFairseqModel,
    FairseqMultiModel,
)
from fairseq.models.lstm import LSTMModel
from fairseq.models.lstm_lm import LSTMLanguageModel
from fairseq.models.multilingual_transformer import MultilingualTransformerModel
from fairseq.models.transformer_lm import base_lm_architecture
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor, nn

import fairseq_neuron_plugin.register  # noqa: F401  (the shims and the architectures)

VOCABULARY = 30
# A sample of the layers of a toy Transformer.
ENCODER = (
    "encoder.embed_tokens",
    "encoder.layers.0.self_attn",
    "encoder.layers.0.ffn",
    "encoder.layers.0",
    "encoder.layers.1",
)
DECODER = (
    "decoder.embed_tokens",
    "decoder.layers.0.self_attn",
    "decoder.layers.0.ffn",
    "decoder.layers.0",
    "decoder.layers.1",
)
CROSS = ("decoder.layers.0.encoder_attn", "decoder.layers.1.encoder_attn")


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


def lstm_lm(seed: int = 0, **changes: object) -> LSTMLanguageModel:
    """A stock fairseq LSTM language model: 2 layers of 9 units, large weights."""
    torch.manual_seed(seed)
    settings = {
        "decoder_embed_dim": 6,
        "decoder_hidden_size": 9,
        "decoder_out_embed_dim": 7,
        "decoder_layers": 2,
        "criterion": "cross_entropy",
        "tokens_per_sample": 64,
        **changes,
    }
    words = dictionary()
    task = SimpleNamespace(dictionary=words, source_dictionary=words, target_dictionary=words)
    model = LSTMLanguageModel.build_model(SimpleNamespace(**settings), task)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.6, 0.6)
    return model.eval()


_STACK = {
    "encoder_embed_dim": 12,
    "encoder_ffn_embed_dim": 20,
    "encoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_embed_dim": 12,
    "decoder_ffn_embed_dim": 18,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "dropout": 0.1,
    "max_source_positions": 64,
    "max_target_positions": 64,
    "tokens_per_sample": 64,
    "attention_dropout": 0.0,
    "relu_dropout": 0.0,
}
_LIGHTCONV = {
    "encoder_kernel_size_list": [3, 5],
    "decoder_kernel_size_list": [3, 5],
    "encoder_conv_type": "dynamic",
    "decoder_conv_type": "lightweight",
    "decoder_attention_heads": 3,
    "weight_softmax": True,
    "share_decoder_input_output_embed": False,
    "no_token_positional_embeddings": False,
}
_FCONV = {
    "encoder_layers": "[(8, 3)] * 2",
    "decoder_layers": "[(8, 3)] * 2",
    "decoder_attention": "True",
    "decoder_out_embed_dim": 5,
    "share_input_output_embed": False,
}


def stack_model(arch: str = "transformer", seed: int = 0, **changes: object) -> BaseFairseqModel:
    """A small stock fairseq model with weights large enough that every clamp shows.

    Args:
        arch: ``transformer``, ``transformer_lm``, ``roberta``, ``lightconv``, ``lightconv_lm`` or
            ``fconv``: 2 layers on each side, width 12, feed-forward networks of 20 (encoder) and 18
            units, 3 and 2 heads.
        seed: of the weights.
        changes: other arguments of the architecture.
    """
    torch.manual_seed(seed)
    own = _LIGHTCONV if arch.startswith("lightconv") else _FCONV if arch == "fconv" else {}
    names = ("dictionary", "source_dictionary", "target_dictionary", "output_dictionary")
    task = SimpleNamespace(**dict.fromkeys(names, dictionary()))
    args = Namespace(**{**_STACK, **own, **changes})
    fill_in = base_lm_architecture if arch == "transformer_lm" else ARCH_CONFIG_REGISTRY[arch]
    fill_in(args)
    model = ARCH_MODEL_REGISTRY[arch].build_model(args, task)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.6, 0.6)
    return model.eval()


def toy_model(arch: str) -> BaseFairseqModel:
    """`stack_model`, or ``lstm`` or ``lstm_lm`` with embeddings of its width."""
    if arch == "lstm":
        return lstm_model(encoder_embed_dim=12, decoder_embed_dim=12)
    return lstm_lm(decoder_embed_dim=12) if arch == "lstm_lm" else stack_model(arch)


def multilingual_model(distinct_encoders: bool) -> FairseqMultiModel:
    """Pairs en-de, fr-de, en-fr; one decoder; one encoder, or one for each source language."""
    en, fr = stack_model(seed=1), stack_model(seed=2)
    if not distinct_encoders:
        fr.encoder = en.encoder
    sources = {"en-de": en, "fr-de": fr, "en-fr": en}
    encoders = OrderedDict((pair, source.encoder) for pair, source in sources.items())
    decoders = OrderedDict((pair, en.decoder) for pair in sources)
    return MultilingualTransformerModel(encoders, decoders).eval()


def parallel_batch(source: list[int], target: list[int]) -> dict[str, Tensor]:
    """Fairseq's ``net_input``: left-padded sources, right-padded targets moved by one."""
    src_tokens, src_lengths = batch(source)
    return {
        "src_tokens": src_tokens,
        "src_lengths": src_lengths,
        "prev_output_tokens": previous_tokens(target),
    }


def previous_tokens(lengths: list[int], seed: int = 2) -> Tensor:
    """What a decoder reads ``[batch, length]``: the end symbol, then words; padded on the right."""
    tokens, _ = batch(lengths, left_pad=False, seed=seed)
    eos = dictionary().eos()
    moved = torch.cat([torch.full((len(lengths), 1), eos), tokens[:, :-1]], dim=1)
    for row, length in enumerate(lengths):
        assert moved[row, :length].ne(dictionary().pad()).all()
        moved[row, length:] = dictionary().pad()
    return moved


SOURCE, TARGET, BEAM_SOURCE = [9, 8, 5, 2, 1], [4, 7, 1, 6, 2], [7, 3, 1]


def net_input(model: nn.Module) -> dict[str, Tensor]:
    """Sentences of the lengths `SOURCE` and `TARGET`; for a language model the targets alone."""
    inputs = parallel_batch(SOURCE, TARGET)
    if hasattr(model, "encoder"):
        return inputs
    return {"src_tokens": inputs["prev_output_tokens"]}


def log_probabilities(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Of every word ``[batch, length, vocabulary]``, in one pass (teacher forcing)."""
    with torch.no_grad():
        return model(**inputs)[0].log_softmax(dim=2)


def beam_search(model: nn.Module) -> list[list[dict[str, Tensor]]]:
    """What fairseq makes of sentences of the lengths `BEAM_SOURCE`: beam 3, at most 12 words."""
    generator = SequenceGenerator([model], dictionary(), beam_size=3, max_len_a=0, max_len_b=12)
    tokens, lengths = batch(BEAM_SOURCE)
    return generator.generate(
        [model], {"net_input": {"src_tokens": tokens, "src_lengths": lengths}}
    )
