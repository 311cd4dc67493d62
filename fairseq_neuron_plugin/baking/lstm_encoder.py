"""Bake neurons of fairseq's LSTM encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .edits import Edits, Reader, Target, feed_all
from .lstm_cell import Cell


def bake_encoder_layer(edits: Edits, model: Any, layer: int, target: Target) -> None:
    """Write the clamps of ``encoder.layers.{layer}`` into the weights.

    - Value 0, inside the recurrence: the output gates are closed, and in scope ``full`` nothing
      enters the cells either.
    - Another value, inside: the final states start the decoder, and ``h = o · tanh(c)`` cannot be
      that value while the cell state is another's. One case is exact: scope ``full``, one layer,
      and a decoder that projects final states; its projection then drops the cell state.
    - Scope ``output``: the weights of what reads the layer.

    Raises:
        UserError: no exact way.
    """
    zeros, units, values = target.split()
    if not target.inside:
        feed_all(target, _readers(edits, model, layer, target, zeros), zeros, units, values)
        return
    if len(units) and not _drops_cells(model, target):
        state = "is 0" if target.clamp.scope == "full" else "goes on as it was"
        target.refuse(
            units,
            f"their final state starts decoder.layers.{layer}, and no weight of stock fairseq can "
            f"hold it at a value there while the cell state {state}; value 0 works",
        )
    factors = torch.ones(len(units))
    for cell, first in _cells(edits, model.encoder.lstm, layer):
        size = cell.weight_hh.size(1)
        closed = zeros[_part(zeros, first, size)] - first
        cell.close(closed)
        if target.clamp.scope == "full":
            cell.clear_cell(closed)
        here = _part(units, first, size)
        cell.clamp_feedback(units[here] - first, values[here])
        factors[here] = cell.hold_or_near(units[here] - first, values[here])
    if len(units):
        Reader.of(edits, model.decoder.encoder_cell_proj).silence(units)
        hidden = Reader.of(edits, model.decoder.encoder_hidden_proj)
        for reader in (hidden, *_readers(edits, model, layer, target, units)):
            reader.scale(units, factors)


def _drops_cells(model: Any, target: Target) -> bool:
    """Whether the decoder can be kept from cell states without a side effect on other layers."""
    from fairseq.models.lstm import LSTMDecoder

    return (
        target.clamp.scope == "full"
        and model.encoder.lstm.num_layers == 1
        and isinstance(model.decoder, LSTMDecoder)
        and model.decoder.encoder_cell_proj is not None
    )


def _cells(edits: Edits, lstm: Any, layer: int) -> list[tuple[Cell, int]]:
    """The directions of a layer, each with the index of its first neuron."""
    cells = [(Cell.of(edits, lstm, f"_l{layer}"), 0)]
    if lstm.bidirectional:
        cells.append((Cell.of(edits, lstm, f"_l{layer}_reverse"), lstm.hidden_size))
    return cells


def _part(units: Tensor, first: int, size: int) -> Tensor:
    return (units >= first) & (units < first + size)


def _readers(edits: Edits, model: Any, layer: int, target: Target, units: Tensor) -> list[Reader]:
    """What reads the layer's output: the next layer, or the decoder's attention."""
    from fairseq.models.lstm import AttentionLayer, LSTMDecoder

    if layer + 1 < model.encoder.lstm.num_layers:
        return [cell.reader() for cell, _ in _cells(edits, model.encoder.lstm, layer + 1)]
    decoder = model.decoder
    if isinstance(decoder, LSTMDecoder) and decoder.attention is None:
        return []
    attention = getattr(decoder, "attention", None)
    if not isinstance(attention, AttentionLayer):
        target.refuse(units, f"what {type(decoder).__name__} reads of them is not known")
    # A score is the product of the state with a row of input_proj; the context comes first in
    # what output_proj reads.
    rows = Reader(edits.edit(attention.input_proj.weight).t(), None)
    return [rows, Reader.of(edits, attention.output_proj)]
