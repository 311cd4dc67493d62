"""Clamps inside an LSTM's recurrence, without a step-by-step loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .base import Clamp

Parameters = list[Tensor]
"""``weight_ih, weight_hh, bias_ih, bias_hh`` of one layer and direction."""


def parameters_of(module: nn.Module, suffix: str = "") -> Parameters:
    """The four parameters of an `nn.LSTMCell`, or of a layer of an `nn.LSTM` by its suffix."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(module, name + suffix) for name in names]


def clamp_recurrence(parameters: Parameters, units: Tensor, values: Tensor) -> Parameters:
    """Weights under which the recurrence sees ``units`` at ``values``, from before the first step.

    What a clamped unit feeds back is constant: its column of ``weight_hh`` times its value. So the
    column goes to zero and the constant into a bias.

    Args:
        parameters: of one layer and direction, with biases, as in all of fairseq's LSTMs.
        units: int64 ``[n]``.
        values: ``[n]``.
    """
    if not len(units):
        return parameters
    weight_ih, weight_hh, bias_ih, bias_hh = parameters
    constant = weight_hh[:, units] @ values
    return [weight_ih, weight_hh.index_fill(1, units, 0.0), bias_ih, bias_hh + constant]


def clamp_all_recurrence(clamps: Sequence[Clamp], parameters: Parameters) -> Parameters:
    """As `clamp_recurrence`, for clamps of whole layers, outermost first."""
    # Last first: a column that is zeroed already adds nothing, so the innermost clamp wins.
    for clamp in reversed(clamps):
        parameters = clamp_recurrence(parameters, *clamp.on(parameters[0]))
    return parameters


def clamp_all(clamps: Sequence[Clamp], output: Tensor) -> Tensor:
    """``output`` ``[..., width]`` under all clamps, the last of them innermost."""
    for clamp in clamps:
        output = clamp.apply(output)
    return output


def clear_cells(clamps: Sequence[Clamp], cell: Tensor) -> Tensor:
    """Cell states ``[..., hidden]``, 0 for the neurons of clamps of scope ``full``."""
    for clamp in clamps:
        if clamp.scope == "full":
            cell = clamp.clear(cell)
    return cell


def run_fused(
    data: Tensor, parameters: Parameters, states: tuple[Tensor, Tensor], training: bool
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One LSTM layer in one direction over sequences of one length.

    Args:
        data: ``[length, batch, input]``.
        parameters: see `parameters_of`.
        states: hidden and cell state before the first step, ``[batch, hidden]`` each.
        training: whether the model trains.

    Returns:
        The hidden states ``[length, batch, hidden]`` and the states after the last step.
    """
    saves = training or torch.is_grad_enabled()  # cuDNN keeps nothing for backward otherwise
    hidden, cell = (state.unsqueeze(0).contiguous() for state in states)
    output, hidden, cell = torch._VF.lstm(
        data, (hidden, cell), parameters, True, 1, 0.0, saves, False, False
    )
    return output, (hidden[0], cell[0])


def run_packed(
    data: Tensor,
    batch_sizes: Tensor,
    directions: Sequence[Parameters],
    states: tuple[Tensor, Tensor],
    training: bool,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One LSTM layer over packed sequences, in one direction or both.

    Args:
        data: ``[words, input]``, as in a `PackedSequence`.
        batch_sizes: int64 ``[length]``, how many sequences go on at each step.
        directions: the parameters, forward first.
        states: hidden and cell states before the first step, ``[directions, batch, hidden]`` each.
        training: whether the model trains.

    Returns:
        The hidden states ``[words, directions * hidden]`` and the states after the last step.
    """
    both = len(directions) == 2
    if training or torch.is_grad_enabled() or not data.is_cpu:
        weights = [parameter for parameters in directions for parameter in parameters]
        output, hidden, cell = torch._VF.lstm(
            data, batch_sizes, states, weights, True, 1, 0.0, training, both
        )
        return output, (hidden, cell)
    hidden, cell = states[0].clone(), states[1].clone()
    size = hidden.size(2)
    output = data.new_empty(len(data), len(directions) * size)
    for direction, parameters in enumerate(directions):
        columns = output[:, direction * size : (direction + 1) * size]
        now = hidden[direction], cell[direction]
        _run_stretches(data, batch_sizes, parameters, now, columns, backward=direction == 1)
    return output, (hidden, cell)


def _run_stretches(
    data: Tensor,
    batch_sizes: Tensor,
    parameters: Parameters,
    states: tuple[Tensor, Tensor],
    output: Tensor,
    backward: bool,
) -> None:
    """One direction; ``states`` and ``output`` are changed in place.

    On a CPU torch takes packed sequences step by step, and its fused kernel, twice as fast, for
    tensors alone. While no sequence ends, packed data are such a tensor.
    """
    rows_of, steps_of = torch.unique_consecutive(batch_sizes, return_counts=True)
    stretches = list(zip(rows_of.tolist(), steps_of.tolist(), strict=True))
    pieces = data.split([rows * steps for rows, steps in stretches])
    outputs = output.split([len(piece) for piece in pieces])
    order = range(len(stretches))
    for number in reversed(order) if backward else order:
        rows, steps = stretches[number]
        piece = pieces[number].view(steps, rows, -1)
        # Sequences are sorted by length: those that go on come first.
        before = states[0][:rows], states[1][:rows]
        flipped = piece.flip(0) if backward else piece
        out, after = run_fused(flipped, parameters, before, False)
        out = out.flip(0) if backward else out
        outputs[number].copy_(out.flatten(0, 1))
        for state, new in zip(states, after, strict=True):
            state[:rows] = new
