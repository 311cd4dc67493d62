"""Bake neurons of fairseq's LSTM decoder, of translation and of language models."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .edits import Edits, Reader, Target, feed_all
from .lstm_cell import HOLDABLE, Cell


def bake_decoder_layer(edits: Edits, decoder: Any, layer: int, target: Target) -> None:
    """Write the clamps of ``decoder.layers.{layer}`` into the weights.

    Nothing but the neuron itself reads its cell state, so ``recurrent`` and ``full`` are one.

    - Value 0, inside the recurrence: the output gates are closed; the state before the first step
      comes from the encoder, so its columns are zeroed.
    - Another value: the gates hold the neuron at it, or near it and what reads it makes up for it.
    - Scope ``output``: the weights of what reads the layer.

    Raises:
        UserError: no exact way.
    """
    zeros, units, values = target.split()
    top = layer + 1 == decoder.num_layers
    residual = decoder.residuals and not top
    if residual and decoder.encoder_output_units:
        target.refuse(
            target.clamp.indices, "their state before the first step reaches the next layer"
        )
    # fairseq's residual adds the state of the step before: the next layer reads the value twice.
    seen = 2 * values if residual else values
    if not target.inside:
        if top and decoder.attention is None and decoder.encoder_output_units and len(units):
            target.refuse(units, "they are fed back from the second step on only; 0 works")
        feed_all(target, _readers(edits, decoder, layer, target), zeros, units, seen)
        return
    cell = Cell.of(edits, decoder.layers[layer])
    cell.clamp_feedback(zeros, torch.zeros(len(zeros)))
    cell.clamp_feedback(units, values)
    cell.close(zeros)
    if residual:
        cell.close(units)
        feed_all(target, _readers(edits, decoder, layer, target), zeros, units, seen)
        return
    factors = cell.hold_or_near(units, values)
    far = values.abs() > HOLDABLE
    if far.any():
        for reader in _readers(edits, decoder, layer, target):
            reader.scale(units[far], factors[far])


def bake_attention(edits: Edits, decoder: Any, target: Target) -> None:
    """Write the clamps of ``decoder.attention`` into the weights.

    Its ``tanh`` has no bias, so only 0 can be made there; other values go into the biases of the
    output layer and, inside the recurrence, of the first layer, which reads what is fed back.

    Raises:
        UserError: no exact way.
    """
    zeros, units, values = target.split()
    if not target.inside:
        feed_all(target, _output_readers(edits, decoder, target), zeros, units, values)
        return
    if len(units):
        nothing = zeros[:0]
        feed_all(target, _output_readers(edits, decoder, target), nothing, units, values)
        feed_all(target, [_feedback_reader(edits, decoder)], nothing, units, values)
    edits.edit(decoder.attention.output_proj.weight)[target.clamp.indices] = 0.0
    bias = decoder.attention.output_proj.bias
    if bias is not None:
        edits.edit(bias)[target.clamp.indices] = 0.0


def _readers(edits: Edits, decoder: Any, layer: int, target: Target) -> list[Reader]:
    """What reads the output of a layer, but for its own recurrence."""
    if layer + 1 < decoder.num_layers:
        return [Cell.of(edits, decoder.layers[layer + 1]).reader()]
    if decoder.attention is not None:
        context = decoder.attention.output_proj.in_features - decoder.hidden_size
        return [
            Reader.of(edits, decoder.attention.input_proj),
            Reader.of(edits, decoder.attention.output_proj, context),
        ]
    readers = _output_readers(edits, decoder, target)
    if decoder.encoder_output_units:
        readers.append(_feedback_reader(edits, decoder))
    return readers


def _feedback_reader(edits: Edits, decoder: Any) -> Reader:
    """The first layer, which reads the word and then what is fed back."""
    return Cell.of(edits, decoder.layers[0]).reader(decoder.embed_tokens.embedding_dim)


def _output_readers(edits: Edits, decoder: Any, target: Target) -> list[Reader]:
    """What turns the decoder's features into scores of words."""
    if decoder.adaptive_softmax is not None:
        softmax = decoder.adaptive_softmax
        linears = [softmax.head, *(tail[0] for tail in softmax.tail)]
        if not all(isinstance(linear, nn.Linear) for linear in linears):
            target.refuse(target.clamp.indices, "the adaptive softmax shares its weights")
        return [Reader.of(edits, linear) for linear in linears]
    if hasattr(decoder, "additional_fc"):
        return [Reader.of(edits, decoder.additional_fc)]
    if decoder.share_input_output_embed:
        target.refuse(
            target.clamp.indices,
            "they are read by the output layer, whose matrix is the embedding of words too",
        )
    return [Reader.of(edits, decoder.fc_out)]
