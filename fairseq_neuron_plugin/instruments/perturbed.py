"""Additions to the hidden states inside an LSTM's recurrence, without a step-by-step loop.

What is added to ``h_t`` reaches the gates of the next step as ``weight_hh @ added_t``. So the layer
reads it as further input, a step later, through a copy of ``weight_hh``; and the layer's output and
final state get it directly. The derivative with respect to what is added, at 0, is the total
derivative with respect to ``h_t``: through the recurrence and through all that reads the layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .recurrence import Parameters, run_packed


def run_perturbed(
    data: Tensor,
    batch_sizes: Tensor,
    directions: Sequence[Parameters],
    states: tuple[Tensor, Tensor],
    training: bool,
    added: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """As `run_packed`, with something added to every hidden state as soon as it is there.

    Args:
        data: see `run_packed`, as the four that follow.
        batch_sizes: int64 ``[length]``, on the CPU.
        directions: the parameters, forward first.
        states: hidden and cell states before the first step.
        training: whether the model trains.
        added: ``[words, directions * hidden]``, packed as ``data`` is; None for nothing.

    Returns:
        The hidden states ``[words, directions * hidden]`` and the states after the last step.
    """
    if added is None:
        return run_packed(data, batch_sizes, directions, states, training)
    parts = added.split(states[0].size(2), dim=1)
    first, previous = int(batch_sizes[0]), previous_rows(batch_sizes).to(data.device)
    zeros = torch.zeros_like(parts[0])
    # A packed row's neighbour in time: the word before it, and in the other direction after it.
    shifted = [torch.cat([zeros[:first], parts[0][previous]])]
    last = [_last_rows(batch_sizes).to(data.device)]
    if len(parts) == 2:
        shifted.append(zeros.index_copy(0, previous, parts[1][first:]))
        last.append(torch.arange(first, device=data.device))
    widened = []
    for direction, (weight_ih, weight_hh, *biases) in enumerate(directions):
        columns = [
            weight_hh if n == direction else torch.zeros_like(weight_hh) for n in range(len(parts))
        ]
        widened.append([torch.cat([weight_ih, *columns], dim=1), weight_hh, *biases])
    output, (hidden, cell) = run_packed(
        torch.cat([data, *shifted], dim=1), batch_sizes, widened, states, training
    )
    finals = torch.stack([part[rows] for part, rows in zip(parts, last, strict=True)])
    return output + added, (hidden + finals, cell)


def previous_rows(batch_sizes: Tensor) -> Tensor:
    """Where each packed row's sequence was one step before; those of the first step left out.

    Args:
        batch_sizes: int64 ``[length]``, on the CPU.

    >>> previous_rows(torch.tensor([3, 2, 2])).tolist()
    [0, 1, 3, 4]
    """
    # Sequences are sorted by length: those that go on come first, so the rank stays the same.
    starts = batch_sizes.cumsum(0) - batch_sizes
    ranks = torch.arange(int(batch_sizes.sum())) - torch.repeat_interleave(starts, batch_sizes)
    first = int(batch_sizes[0])
    return torch.repeat_interleave(starts[:-1], batch_sizes[1:]) + ranks[first:]


def _last_rows(batch_sizes: Tensor) -> Tensor:
    """The packed row of each sequence's last step, int64 ``[batch]``."""
    ranks = torch.arange(int(batch_sizes[0]))
    lengths = (batch_sizes.unsqueeze(1) > ranks).sum(0)
    starts = batch_sizes.cumsum(0) - batch_sizes
    return starts[lengths - 1] + ranks
