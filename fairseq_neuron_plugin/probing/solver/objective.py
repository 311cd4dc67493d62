"""The smooth part of the probe's objective, summed over the data in blocks of rows."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .design import Design

PROBABILITY_BYTES = 64 * 2**20


class SoftmaxObjective:
    """``f(W, b) = mean_i CE(W x_i + b, y_i)`` on standardised neurons.

    Parameters are one matrix ``[labels, neurons + 1]``, float64 on the CPU, whose last column is
    the intercept. They belong to `Design`'s standardised neurons. Sums are kept in float64.

    Attributes:
        frequency: float64 ``[labels]``, share of each label among the rows.
        kept: numbers of the blocks whose probabilities are kept for the curvature: all, unless
            they took more than `PROBABILITY_BYTES`.
    """

    def __init__(self, design: Design, codes: npt.NDArray[np.intp], labels: int) -> None:
        self.design, self.labels = design, labels
        self.codes = torch.from_numpy(codes.astype(np.int64)).to(design.device)
        self.frequency = torch.from_numpy(np.bincount(codes, minlength=labels) / design.rows)
        size = design.rows * labels * design.dtype.itemsize
        self.kept = range(0, len(design.slices), max(1, -(-size // PROBABILITY_BYTES)))

    @property
    def shape(self) -> tuple[int, int]:
        """Labels and neurons + 1."""
        return self.labels, self.design.neurons + 1

    @cached_property
    def start(self) -> Tensor:
        """The best parameters without any weight."""
        parameters = torch.zeros(self.shape, dtype=torch.float64)
        parameters[:, -1] = self.frequency.log()
        parameters[:, -1] -= parameters[:, -1].mean()
        return parameters

    def evaluate(self, parameters: Tensor) -> tuple[float, Tensor, dict[int, Tensor]]:
        """One pass over the data.

        Returns:
            ``f``; its gradient ``[labels, neurons + 1]``; for each kept block the probabilities
            ``[rows, labels]``.
        """
        design = self.design
        weight = parameters[:, :-1].to(design.device, design.dtype).T
        intercept = parameters[:, -1].to(design.device, design.dtype)

        # One piece of memory, which goes back whole.
        lengths = [design.slices[n].stop - design.slices[n].start for n in self.kept]
        memory = torch.empty(sum(lengths), self.labels, dtype=design.dtype, device=design.device)
        held = dict(zip(self.kept, memory.split(lengths), strict=True))

        def part(index: int) -> tuple[Tensor, Tensor]:
            block, codes = design.block(index), self.codes[design.slices[index], None]
            logits = torch.addmm(intercept, block, weight)
            norm = torch.logsumexp(logits, dim=1, keepdim=True)
            value = (norm - logits.gather(1, codes)).sum(dtype=torch.float64)
            chances = logits.sub_(norm).exp_()
            if index in held:
                held[index].copy_(chances)
            chances.scatter_add_(1, codes, chances.new_full((1, 1), -1.0).expand_as(codes))
            slope = torch.cat([chances.T @ block, chances.sum(dim=0)[:, None]], dim=1)
            return value, slope

        value, gradient = 0.0, torch.zeros(self.shape, dtype=torch.float64)
        for loss, slope in design.each_block(part):
            value += float(loss)
            gradient += slope.cpu()
        design.passes += 1
        return value / design.rows, gradient / design.rows, held
