"""What fairseq's `LSTMDecoder` computes, with clamps and additions where the neurons live.

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
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .base import Clamp, Perturbation
from .lstm_attention import attention_of, has_hooks
from .perturbed import previous_rows, run_perturbed
from .recurrence import (
    clamp_all,
    clamp_all_recurrence,
    clear_cells,
    parameters_of,
    run_fused,
)

# From about here on, one step of the fused kernel is faster on a CPU than `nn.LSTMCell`.
_ROWS_OF_FUSED_STEP = 32


@dataclass(frozen=True)
class LayerClamps:
    """The clamps of one layer, outermost first, and what is added to it before them.

    Attributes:
        inside: those that the recurrence sees.
        outside: those of scope ``output``.
        perturbations: what is added.
    """

    inside: Sequence[Clamp] = ()
    outside: Sequence[Clamp] = ()
    perturbations: Sequence[Perturbation] = ()

    @classmethod
    def of(cls, users: Sequence[tuple[str, Clamp | Perturbation]], layer: str) -> Self:
        """Those of one layer, out of pairs of a layer's name and a clamp or perturbation."""
        here = [user for name, user in users if name == layer]
        clamps = [user for user in here if isinstance(user, Clamp)]
        return cls(
            [clamp for clamp in clamps if clamp.scope != "output"],
            [clamp for clamp in clamps if clamp.scope == "output"],
            [user for user in here if isinstance(user, Perturbation)],
        )

    def perturb_start(self, hidden: Tensor) -> Tensor:
        """The hidden states ``[batch, hidden]`` that the encoder sets, with what is added."""
        for perturbation in self.perturbations:
            hidden = hidden + perturbation.draw_start(clamp_all(self.inside, hidden))
        return hidden

    def added(self, is_word: Tensor, width: int, like: Tensor) -> Tensor | None:
        """What is added, ``[length, batch, width]``, to words ``[batch, length]``."""
        parts = [
            perturbation.draw(like, (*is_word.shape, width)) for perturbation in self.perturbations
        ]
        if not parts:
            return None
        return torch.stack(parts).sum(0).masked_fill(~is_word.unsqueeze(2), 0.0).transpose(0, 1)


@dataclass
class DecoderRun:
    """One pass through a decoder.

    Attributes:
        decoder: a fairseq `LSTMDecoder`.
        layers: the clamps of each layer.
        attention: the clamps of the attention's output.
        tapped: whether somebody wants what follows.
        added: in the pass, what is added to each layer, ``[length, batch, hidden]``, or None.
        added_to_attention: likewise to the attention's output.
        outputs: after the pass, what each layer has put out, ``[length, batch, hidden]``.
        attended: likewise of the attention, None without one.
    """

    decoder: Any
    layers: Sequence[LayerClamps]
    attention: LayerClamps
    tapped: bool = False
    added: list[Tensor | None] = field(default_factory=list)
    added_to_attention: Tensor | None = None
    outputs: list[Tensor] = field(default_factory=list)
    attended: Tensor | None = None

    def draw(self, tokens: Tensor, like: Tensor) -> None:
        """Ask all perturbations what they add where these tokens ``[batch, length]`` are read."""
        width = self.decoder.hidden_size
        is_word = tokens.ne(self.decoder.embed_tokens.padding_idx)
        self.added = [clamps.added(is_word, width, like) for clamps in self.layers]
        self.added_to_attention = self.attention.added(is_word, width, like)


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
    run.draw(prev_output_tokens, embedded)
    if continued:
        hiddens, cells, fed_back = decoder.get_cached_state(incremental_state)
    else:
        hiddens, cells, fed_back = _initial_states(decoder, embedded, encoder_out)
    for layer, clamps in enumerate(run.layers):
        if not continued and encoder_out is not None:
            hiddens[layer] = clamps.perturb_start(hiddens[layer])
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

    def pack(rows: Tensor) -> Tensor:
        return pack_padded_sequence(rows, lengths, enforce_sorted=False).data

    def unpack(rows: Tensor) -> Tensor:
        whole = PackedSequence(rows, packed.batch_sizes, order, packed.unsorted_indices)
        return pad_packed_sequence(whole, total_length=len(embedded))[0]

    for layer, (cell, clamps) in enumerate(zip(decoder.layers, run.layers, strict=True)):
        before = hiddens[layer][order]
        added = run.added[layer]
        rows, (hidden, memory) = run_perturbed(
            data,
            packed.batch_sizes,
            [clamp_all_recurrence(clamps.inside, parameters_of(cell))],
            (before.unsqueeze(0), cells[layer][order].unsqueeze(0)),
            decoder.training,
            None if added is None else pack(added),
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
    return torch.cat([first, rows[previous_rows(batch_sizes).to(rows.device)]])


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
    attend = attention_of(decoder.attention, encoder_out)
    if fed_back is not None and attend is not None:
        fed_back = clamp_all(run.attention.inside, fed_back)
    seen: list[list[Tensor]] = [[] for _ in decoder.layers]
    outs, weights = [], []
    for number, step in enumerate(embedded):
        hidden = step if fed_back is None else torch.cat((step, fed_back), dim=1)
        for layer, (cell, clamps) in enumerate(zip(decoder.layers, run.layers, strict=True)):
            before = hiddens[layer]
            state, memory = _step(cell, hidden, (before, cells[layer]))
            hiddens[layer] = clamp_all(clamps.inside, _plus(state, run.added[layer], number))
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
        out = _plus(decoder.dropout_out_module(out), run.added_to_attention, number)
        out = clamp_all(run.attention.inside, out)
        if fed_back is not None:
            fed_back = out
        outs.append(clamp_all(run.attention.outside, out))
    run.outputs = [torch.stack(rows) for rows in seen if rows]
    x = torch.stack(outs)
    if attend is None:
        return x, None, fed_back
    run.attended = x
    return x, torch.stack(weights, dim=1), fed_back


def _plus(state: Tensor, added: Tensor | None, step: int) -> Tensor:
    """``state [batch, hidden]`` with what is ``added [length, batch, hidden]`` at this step."""
    return state if added is None else state + added[step]


def _step(cell: Any, data: Tensor, states: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """As ``cell(data, states)``."""
    fused = data.is_cpu and len(data) >= _ROWS_OF_FUSED_STEP and not torch.is_grad_enabled()
    if fused and not has_hooks(cell):
        return run_fused(data.unsqueeze(0), parameters_of(cell), states, False)[1]
    hidden, memory = cell(data, states)
    return hidden, memory
