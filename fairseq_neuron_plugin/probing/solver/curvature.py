"""The Hessian of the cross-entropy at one point, as products and as blocks of labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .design import gram_of
from .objective import SoftmaxObjective
from .penalty import Point

BLOCK_MEMORY = 2**30
ROWS_PER_NEURON = 4  # rows a label's block is made from: this many times the number of neurons
BUFFER = 512
RIDGE, SHARED = 1e-5, 0.1


@dataclass(frozen=True)
class LabelBlocks:
    """The diagonal blocks of the Hessian, on the CPU, positive definite.

    Attributes:
        labels: int64 ``[n]``, the labels that have a block of their own.
        own: their blocks, ``[n, neurons + 1, neurons + 1]``.
        others: int64 ``[m]``, labels that share one matrix; often none.
        shared: ``[neurons + 1, neurons + 1]``; label ``others[i]``'s block is ``size[i] * shared``.
        size: ``[m]``.
    """

    labels: Tensor
    own: Tensor
    others: Tensor
    shared: Tensor
    size: Tensor

    def block(self, label: int) -> tuple[Tensor, float]:
        """A matrix and a factor whose product is the label's block."""
        place = (self.labels == label).nonzero()
        if len(place):
            return self.own[int(place[0, 0])], 1.0
        return self.shared, float(self.size[(self.others == label).nonzero()[0, 0]])


class Curvature:
    """``H = mean_i (diag(p_i) - p_i p_iᵀ) ⊗ x_i x_iᵀ`` at one point.

    Products are computed in the coarse type, so they are right to about three digits; where the
    probabilities of only some blocks of rows are kept, from these rows.
    """

    def __init__(self, objective: SoftmaxObjective, point: Point) -> None:
        self.objective, self.design = objective, objective.design
        self.chances = point.chances
        self.blocks = sorted(point.chances)
        self.rows = sum(len(chances) for chances in point.chances.values())

    def product(self, direction: Tensor) -> Tensor:
        """``H`` times a direction ``[labels, neurons + 1]``; one pass."""
        design = self.design
        weight = direction[:, :-1].to(design.device, design.coarse).T
        intercept = direction[:, -1].to(design.device, design.dtype)

        def part(index: int) -> Tensor:
            block, chances = design.low(index), self.chances[index]
            slope = (block @ weight).to(design.dtype) + intercept
            slope -= (chances * slope).sum(dim=1, keepdim=True)
            slope *= chances
            product = (slope.T.to(design.coarse) @ block).to(design.dtype)
            return torch.cat([product, slope.sum(dim=0)[:, None]], dim=1)

        result = torch.zeros(self.objective.shape, dtype=torch.float64)
        for piece in design.workers.map(part, self.blocks):
            result += piece.cpu()
        design.passes += 1
        return result / self.rows

    def label_blocks(self, shared: Tensor, seed: int) -> LabelBlocks:
        """The diagonal blocks ``H_kk = mean_i p_ik (1 - p_ik) x_i x_iᵀ``, nearly.

        Each is estimated from rows drawn with a chance that grows with their weight ``p (1 - p)``
        and weighted so that the estimate is unbiased, plus a share of a common matrix. As the
        probabilities of a row sum to 1, few rows of each label have much weight. Where the blocks
        of all labels would take too much memory, the labels with the least weight share one.

        Args:
            shared: ``mean x xᵀ``, ``[neurons, neurons]``.
            seed: of the draw.
        """
        width = self.design.neurons + 1
        weights = {n: chances * (1 - chances) for n, chances in self.chances.items()}
        totals = torch.zeros(self.objective.labels, dtype=torch.float64)
        for each in weights.values():
            totals += each.sum(dim=0, dtype=torch.float64).cpu()
        order = totals.argsort(descending=True, stable=True)
        room = BLOCK_MEMORY // (width * width * self.design.dtype.itemsize)
        count = len(order) if len(order) <= room else max(0, room - 1)
        labels, others = order[:count].sort().values, order[count:].sort().values
        generator = torch.Generator().manual_seed(seed)
        seeds = torch.randint(2**62, (count + 1,), generator=generator).tolist()
        own = torch.empty(count, width, width, dtype=self.design.dtype)

        def build(number: int) -> None:
            weight = {n: w[:, labels[number]] for n, w in weights.items()}
            own[number] = self._sampled_block(weight, shared, seeds[number])

        list(self.design.workers.map(build, range(count)))
        rest, size = own.new_empty(0, 0), own.new_empty(0)
        if len(others):
            chosen = others.to(self.design.device)
            weight = {n: w[:, chosen].sum(dim=1) for n, w in weights.items()}
            rest = self._sampled_block(weight, shared, seeds[count])
            size = (totals[others] / totals[others].sum()).clamp(min=1e-12).to(own.dtype)
        self.design.passes += 1
        return LabelBlocks(labels, own, others, rest, size)

    def _sampled_block(self, weight: dict[int, Tensor], shared: Tensor, seed: int) -> Tensor:
        design, width = self.design, self.design.neurons + 1
        flat = torch.cat([weight[n] for n in self.blocks]).double().cpu()
        total = max(float(flat.sum()), 1e-30)
        least = _threshold(flat, ROWS_PER_NEURON * width)
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.rand(len(flat), generator=generator, dtype=torch.float64) * least < flat
        heavy = flat.clamp(min=least)[chosen]
        heavy *= total / max(float(heavy.sum()), 1e-300)
        matrix = torch.zeros(width, width, dtype=design.dtype)
        held: list[Tensor] = []
        place = done = 0
        for n in self.blocks:
            count = len(weight[n])
            here = chosen[place : place + count].nonzero()[:, 0]
            place += count
            if len(here):
                root = heavy[done : done + len(here)].sqrt().to(design.device, design.dtype)
                done += len(here)
                rows = design.block(n)[here.to(design.device)]
                held.append(torch.cat([rows * root[:, None], root[:, None]], dim=1))
            if held and (sum(map(len, held)) >= BUFFER or n == self.blocks[-1]):
                matrix += gram_of(torch.cat(held))
                held = []
        matrix /= self.rows
        size = total / self.rows
        matrix[:-1, :-1] += SHARED * size * shared
        matrix[-1, -1] += SHARED * size
        matrix.diagonal().add_(RIDGE * float(matrix.diagonal().mean()) + 1e-12)
        return matrix


def _threshold(weight: Tensor, wanted: int) -> float:
    """The ``t`` for which ``sum min(1, w / t)`` is ``wanted``, or the least weight above 0."""
    ordered = weight.sort(descending=True).values
    positive = int((ordered > 0).sum())
    if positive <= wanted:
        return float(ordered[max(positive - 1, 0)]) or 1.0
    rest = ordered.flip(0).cumsum(dim=0).flip(0)  # sum of this weight and all smaller ones
    certain = torch.arange(wanted, dtype=torch.float64)
    candidates = rest[:wanted] / (wanted - certain)
    fits = (ordered[:wanted] <= candidates).nonzero()
    number = int(fits[0]) if len(fits) else wanted - 1
    return float(candidates[number])
