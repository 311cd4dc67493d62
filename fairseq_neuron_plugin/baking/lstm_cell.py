"""What can be written into the weights of one LSTM layer in one direction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..instruments.recurrence import parameters_of
from .edits import Edits, Reader

GATES = "ifgo"  # torch's order of the rows

# The logistic function of ±1000 is 1 and 0 exactly, in half, single and double precision.
OPEN, CLOSED = 1000.0, -1000.0

# h = o · tanh(c) with a cell state c = tanh(…) stays below tanh(1) = 0.76.
HOLDABLE = 0.75


@dataclass(frozen=True)
class Cell:
    """The editable parameters of one LSTM layer and direction, with ``H`` units.

    Attributes:
        weight_ih: ``[4H, input]``.
        weight_hh: ``[4H, H]``.
        bias_ih: ``[4H]``.
        bias_hh: ``[4H]``.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    @classmethod
    def of(cls, edits: Edits, module: nn.Module, suffix: str = "") -> Cell:
        """That of an `nn.LSTMCell`, or of a layer of an `nn.LSTM` by its suffix."""
        return cls(*(edits.edit(parameter) for parameter in parameters_of(module, suffix)))

    def reader(self, first: int = 0) -> Reader:
        """How it reads its input."""
        return Reader(self.weight_ih, self.bias_ih, first)

    def clamp_feedback(self, units: Tensor, values: Tensor) -> None:
        """Let the recurrence see units at values, from before the first step on."""
        Reader(self.weight_hh, self.bias_hh).feed(units, values)

    def close(self, units: Tensor) -> None:
        """Hold the hidden states at 0 by closing the output gates; cell states go on."""
        self._fix("o", units, CLOSED)

    def clear_cell(self, units: Tensor) -> None:
        """Hold cell states that start at 0 at 0."""
        self._fix("g", units, 0.0)

    def hold(self, units: Tensor, values: Tensor) -> None:
        """Hold the hidden states at values up to ±0.75, from the first step on.

        ``c = 0 · c + 1 · tanh(bias)`` and ``h = 1 · tanh(c)``.
        """
        assert (values.abs() <= HOLDABLE).all()
        self._fix("i", units, OPEN)
        self._fix("f", units, CLOSED)
        self._fix("g", units, torch.atanh(torch.atanh(values.double())).float())
        self._fix("o", units, OPEN)

    def hold_or_near(self, units: Tensor, values: Tensor) -> Tensor:
        """Hold the hidden states at values, or at ±0.75 where that is too far.

        Returns:
            How many times what it is held at each unit's value is; those who read it make up for
            it.
        """
        held = values.clamp(-HOLDABLE, HOLDABLE)
        self.hold(units, held)
        return values / held

    def _fix(self, gate: str, units: Tensor, preactivation: float | Tensor) -> None:
        rows = GATES.index(gate) * self.weight_hh.size(1) + units
        self.weight_ih[rows] = 0.0
        self.weight_hh[rows] = 0.0
        self.bias_ih[rows] = preactivation
        self.bias_hh[rows] = 0.0
