"""What fairseq's `LSTMDecoder` computes, with clamps where the neurons live.

A language model feeds nothing back but its own states, so whole sequences run through the fused
kernel, a layer at a time. A translation model feeds the attention's output back into the first
layer, so it goes step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from .base import Clamp
from .recurrence import clamp_all, clear_cells, parameters_of, run_fused

# From about here on, one step of the fused kernel is faster on a CPU than `nn.LSTMCell`.
_ROWS_OF_FUSED_STEP = 32


@dataclass(frozen=True)
class LayerClamps:
    """The clamps of one layer, outermost first.

    Attributes:
        inside: those that the recurrence sees.
        outside: those of scope ``output``.
    """

    inside: Sequence[Clamp] = ()
    outside: Sequence[Clamp] = ()

    @classmethod
    def of(cls, clamps: Sequence[tuple[str, Clamp]], layer: str) -> Self:
        """Those of one layer, out of pairs of a layer's name and a clamp."""
        here = [clamp for name, clamp in clamps if name == layer]
        inside = [clamp for clamp in here if clamp.scope != "output"]
        return cls(inside, [clamp for clamp in here if clamp.scope == "output"])


@dataclass
class DecoderRun:
    """One pass through a decoder.

    Attributes:
        decoder: a fairseq `LSTMDecoder`.
        layers: the clamps of each layer.
        attention: the clamps of the attention's output.
        outputs: after the pass, what each layer has put out, ``[length, batch, hidden]``.
        attended: likewise of the attention, None without one.
    """

    decoder: Any
    layers: Sequence[LayerClamps]
    attention: LayerClamps
    outputs: list[Tensor] = field(default_factory=list)
    attended: Tensor | None = None


def run_decoder(
    run: DecoderRun, prev_output_tokens: Tensor, encoder_out: Any, incremental_state: Any
) -> tuple[Tensor, Tensor | None]:
    """As `LSTMDecoder.extract_features`.

    Args:
        run: decoder and clamps; its outputs are filled in.
        prev_output_tokens: ``[batch, length]``.
        encoder_out: of the LSTM encoder; one sentence may stand for several rows of the batch.
        incremental_state: in generation, fairseq's dictionary of states; only the last token is
            read when it holds states.

    Returns:
        Features ``[batch, length, width]``; attention ``[batch, length, source]`` where it is
        wanted.
    """
    decoder = run.decoder
    continued = incremental_state is not None and len(incremental_state) > 0
    if continued:
        prev_output_tokens = prev_output_tokens[:, -1:]
    embedded = decoder.dropout_in_module(decoder.embed_tokens(prev_output_tokens)).transpose(0, 1)
    if continued:
        hiddens, cells, fed_back = decoder.get_cached_state(incremental_state)
    else:
        hiddens, cells, fed_back = _initial_states(decoder, embedded, encoder_out)
    for layer, clamps in enumerate(run.layers):
        hiddens[layer] = clamp_all(clamps.inside, hiddens[layer])
        cells[layer] = clear_cells(clamps.inside, cells[layer])
    scores = None
    if fed_back is None and encoder_out is None:
        x = _run_language_model(run, embedded, hiddens, cells)
    else:
        x, scores, fed_back = _run_steps(run, embedded, hiddens, cells, fed_back, encoder_out)
    state = {
        "prev_hiddens": torch.stack(hiddens),
        "prev_cells": torch.stack(cells),
        "input_feed": fed_back,
    }
    decoder.set_incremental_state(incremental_state, "cached_state", state)
    x = x.transpose(0, 1)
    if hasattr(decoder, "additional_fc") and decoder.adaptive_softmax is None:
        x = decoder.dropout_out_module(decoder.additional_fc(x))
    if decoder.training or not decoder.need_attn or scores is None:
        return x, None
    return x, scores


def _initial_states(
    decoder: Any, embedded: Tensor, encoder_out: Any
) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
    """Hidden and cell state of each layer, ``[batch, hidden]``, and what is fed back at first."""
    zeros = embedded.new_zeros(embedded.size(1), decoder.hidden_size)
    if encoder_out is None:
        return [zeros] * decoder.num_layers, [zeros] * decoder.num_layers, None
    hiddens = [encoder_out[1][layer] for layer in range(decoder.num_layers)]
    cells = [encoder_out[2][layer] for layer in range(decoder.num_layers)]
    if decoder.encoder_hidden_proj is not None:
        hiddens = [decoder.encoder_hidden_proj(state) for state in hiddens]
        cells = [decoder.encoder_cell_proj(state) for state in cells]
    beams = embedded.size(1) // encoder_out[1].size(1)
    if beams > 1:
        hiddens = [state.repeat_interleave(beams, dim=0) for state in hiddens]
        cells = [state.repeat_interleave(beams, dim=0) for state in cells]
    return hiddens, cells, zeros


def _run_language_model(
    run: DecoderRun, data: Tensor, hiddens: list[Tensor], cells: list[Tensor]
) -> Tensor:
    """All layers over whole sequences ``[length, batch, embedding]``; states are updated."""
    decoder = run.decoder
    for layer, (cell, clamps) in enumerate(zip(decoder.layers, run.layers, strict=True)):
        before = hiddens[layer]
        states = (before, cells[layer])
        rows, (hiddens[layer], cells[layer]) = run_fused(
            data, parameters_of(cell), states, clamps.inside, decoder.training
        )
        rows = clamp_all(clamps.outside, rows)
        run.outputs.append(rows)
        data = decoder.dropout_out_module(rows)
        if decoder.residuals and layer + 1 < decoder.num_layers:
            # fairseq's residual is the state of the step before.
            first = clamp_all(clamps.outside, before).unsqueeze(0)
            data = data + torch.cat([first, rows[:-1]])
    return data


def _run_steps(
    run: DecoderRun,
    embedded: Tensor,
    hiddens: list[Tensor],
    cells: list[Tensor],
    fed_back: Tensor | None,
    encoder_out: Any,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """All steps of a decoder that feeds back ``[length, batch, embedding]``; states are updated.

    Returns:
        Outputs ``[length, batch, hidden]``, attention ``[batch, length, source]`` or None, and
        what is fed back next.
    """
    decoder = run.decoder
    attend = None if decoder.attention is None else SharedAttention(decoder.attention, encoder_out)
    if fed_back is not None and attend is not None:
        fed_back = clamp_all(run.attention.inside, fed_back)
    seen: list[list[Tensor]] = [[] for _ in decoder.layers]
    outs, weights = [], []
    for step in embedded:
        hidden = step if fed_back is None else torch.cat((step, fed_back), dim=1)
        for layer, (cell, clamps) in enumerate(zip(decoder.layers, run.layers, strict=True)):
            before = hiddens[layer]
            state, memory = _step(cell, hidden, (before, cells[layer]))
            hiddens[layer] = clamp_all(clamps.inside, state)
            cells[layer] = clear_cells(clamps.inside, memory)
            out = clamp_all(clamps.outside, hiddens[layer])
            seen[layer].append(out)
            hidden = decoder.dropout_out_module(out)
            if decoder.residuals:
                hidden = hidden + clamp_all(clamps.outside, before)
        if attend is not None:
            out, scores = attend(out)
            weights.append(scores)
        out = clamp_all(run.attention.inside, decoder.dropout_out_module(out))
        if fed_back is not None:
            fed_back = out
        outs.append(clamp_all(run.attention.outside, out))
    run.outputs = [torch.stack(rows) for rows in seen]
    x = torch.stack(outs)
    if attend is None:
        return x, None, fed_back
    run.attended = x
    return x, torch.stack(weights, dim=1), fed_back


def _step(cell: Any, data: Tensor, states: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """As ``cell(data, states)``."""
    if data.is_cpu and len(data) >= _ROWS_OF_FUSED_STEP and not torch.is_grad_enabled():
        return run_fused(data.unsqueeze(0), parameters_of(cell), states, (), False)[1]
    hidden, memory = cell(data, states)
    return hidden, memory


class SharedAttention:
    """fairseq's `AttentionLayer` over sentences that each serve one or more rows of the batch.

    The rows of a sentence stand one after the other, so its states are read once for all of them,
    by a batched product: nothing has to be copied for each row.

    Args:
        layer: the `AttentionLayer`.
        encoder_out: states ``[source, sentences, width]`` first, padding ``[source, sentences]``
            last.
    """

    def __init__(self, layer: Any, encoder_out: Any) -> None:
        self.layer = layer
        self.states = encoder_out[0].transpose(0, 1)
        mask = encoder_out[3]
        self.padding = None if mask is None else mask.transpose(0, 1).unsqueeze(1)

    def __call__(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Attention's output ``[batch, width]`` and weights ``[batch, source]``."""
        sentences, source, width = self.states.shape
        query = self.layer.input_proj(hidden).view(sentences, -1, width)
        scores = torch.bmm(query, self.states.transpose(1, 2))
        if self.padding is not None:
            scores = scores.float().masked_fill(self.padding, float("-inf")).type_as(scores)
        weights = torch.softmax(scores, dim=2)
        context = torch.bmm(weights, self.states).view(len(hidden), width)
        output = torch.tanh(self.layer.output_proj(torch.cat((context, hidden), dim=1)))
        return output, weights.view(len(hidden), source)
