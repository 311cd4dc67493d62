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


def clamp_all(clamps: Sequence[Clamp], output: Tensor) -> Tensor:
    """``output`` ``[..., width]`` under all clamps, the last of them innermost."""
    for clamp in clamps:
        output = clamp.apply(output)
    return output


def clear_cells(clamps: Sequence[Clamp], cell: Tensor) -> Tensor:
    """Cell states ``[..., hidden]``, 0 for the neurons of clamps of scope ``full``."""
    for clamp in clamps:
        if clamp.scope == "full":
            cell = cell.index_fill(-1, clamp.indices.to(cell.device), 0.0)
    return cell


def run_fused(
    data: Tensor,
    parameters: Parameters,
    states: tuple[Tensor, Tensor],
    clamps: Sequence[Clamp],
    training: bool,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One LSTM layer in one direction over whole sequences, with its clamps.

    Args:
        data: ``[length, batch, input]``.
        parameters: see `parameters_of`.
        states: hidden and cell state before the first step, ``[batch, hidden]`` each.
        clamps: those inside the recurrence.
        training: whether gradients are wanted.

    Returns:
        The hidden states ``[length, batch, hidden]`` and the states after the last step.
    """
    # Last first: a column that is zeroed already adds nothing, so the innermost clamp wins.
    for clamp in reversed(clamps):
        parameters = clamp_recurrence(parameters, *clamp.on(data))
    hidden, cell = (state.unsqueeze(0).contiguous() for state in states)
    output, hidden, cell = torch._VF.lstm(
        data, (hidden, cell), parameters, True, 1, 0.0, training, False, False
    )
    output, hidden = clamp_all(clamps, output), clamp_all(clamps, hidden)
    return output, (hidden[0], clear_cells(clamps, cell[0]))
