"""What fairseq's `LSTMDecoder` computes, with clamps where the neurons live.

A language model feeds nothing back but its own states, so whole sequences run through the fused
kernel, a layer at a time. A translation model feeds the attention's output back into the first
layer, so it goes step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .base import Clamp
from .recurrence import (
    clamp_all,
    clamp_all_recurrence,
    clear_cells,
    parameters_of,
    run_fused,
    run_packed,
)

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
        tapped: whether somebody wants what follows.
        outputs: after the pass, what each layer has put out, ``[length, batch, hidden]``.
        attended: likewise of the attention, None without one.
    """

    decoder: Any
    layers: Sequence[LayerClamps]
    attention: LayerClamps
    tapped: bool = False
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
        lengths = _lengths(prev_output_tokens, decoder.embed_tokens.padding_idx)
        x = _run_language_model(run, embedded, lengths, hiddens, cells)
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


def _lengths(tokens: Tensor, padding_idx: int) -> Tensor:
    """Where each row's last word ends, int64 ``[batch]``, at least 1, on the CPU."""
    ends = torch.arange(1, tokens.size(1) + 1, device=tokens.device)
    return (tokens.ne(padding_idx) * ends).amax(dim=1).clamp_(min=1).cpu()


def _run_language_model(
    run: DecoderRun,
    embedded: Tensor,
    lengths: Tensor,
    hiddens: list[Tensor],
    cells: list[Tensor],
) -> Tensor:
    """All layers over whole sequences ``[length, batch, embedding]``; states are updated.

    Padding is left out of the computation: outputs ``[length, batch, hidden]`` are 0 there.
    """
    decoder = run.decoder
    packed = pack_padded_sequence(embedded, lengths, enforce_sorted=False)
    data, order = packed.data, packed.sorted_indices

    def unpack(rows: Tensor) -> Tensor:
        whole = PackedSequence(rows, packed.batch_sizes, order, packed.unsorted_indices)
        return pad_packed_sequence(whole, total_length=len(embedded))[0]

    for layer, (cell, clamps) in enumerate(zip(decoder.layers, run.layers, strict=True)):
        before = hiddens[layer][order]
        rows, (hidden, memory) = run_packed(
            data,
            packed.batch_sizes,
            [clamp_all_recurrence(clamps.inside, parameters_of(cell))],
            (before.unsqueeze(0), cells[layer][order].unsqueeze(0)),
            decoder.training,
        )
        hiddens[layer] = clamp_all(clamps.inside, hidden[0])[packed.unsorted_indices]
        cells[layer] = clear_cells(clamps.inside, memory[0])[packed.unsorted_indices]
        rows = clamp_all([*clamps.inside, *clamps.outside], rows)
        if run.tapped:
            run.outputs.append(unpack(rows))
        data = decoder.dropout_out_module(rows)
        if decoder.residuals and layer + 1 < decoder.num_layers:
            data = data + _step_before(rows, packed.batch_sizes, clamp_all(clamps.outside, before))
    return unpack(data)


def _step_before(rows: Tensor, batch_sizes: Tensor, first: Tensor) -> Tensor:
    """What stands one step before each packed row: fairseq's residual. ``first`` is step -1."""
    padded = torch.cat([first, rows])
    starts = len(first) - batch_sizes + batch_sizes.cumsum(0)  # of each step, in ``padded``
    before = torch.cat([batch_sizes.new_zeros(1), starts[:-1]])
    ranks = torch.arange(len(rows)) - torch.repeat_interleave(starts - len(first), batch_sizes)
    return padded[(torch.repeat_interleave(before, batch_sizes) + ranks).to(rows.device)]


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
    attend = _attention(decoder.attention, encoder_out)
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
            if run.tapped:
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
    run.outputs = [torch.stack(rows) for rows in seen if rows]
    x = torch.stack(outs)
    if attend is None:
        return x, None, fed_back
    run.attended = x
    return x, torch.stack(weights, dim=1), fed_back


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody else watches or changes what a module computes."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _attention(layer: Any, encoder_out: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
    """From hidden states ``[batch, hidden]`` to attention's output and weights, if there is any."""
    if layer is None:
        return None
    if not has_hooks(layer):
        return SharedAttention(layer, encoder_out)

    def attend(hidden: Tensor) -> tuple[Tensor, Tensor]:
        output, weights = layer(hidden, encoder_out[0], encoder_out[3])
        return output, weights.t()

    return attend


def _step(cell: Any, data: Tensor, states: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """As ``cell(data, states)``."""
    fused = data.is_cpu and len(data) >= _ROWS_OF_FUSED_STEP and not torch.is_grad_enabled()
    if fused and not has_hooks(cell):
        return run_fused(data.unsqueeze(0), parameters_of(cell), states, False)[1]
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
