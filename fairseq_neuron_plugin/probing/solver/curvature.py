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
        totals = torch.zeros(self.objective.labels, dtype=torch.float64)
        for each in self.chances.values():
            totals += (each * (1 - each)).sum(dim=0, dtype=torch.float64).cpu()
        order = totals.argsort(descending=True, stable=True)
        room = BLOCK_MEMORY // (width * width * self.design.dtype.itemsize)
        count = len(order) if len(order) <= room else max(0, room - 1)
        labels, others = order[:count].sort().values, order[count:].sort().values
        groups = [labels[n : n + 1] for n in range(count)] + ([others] if len(others) else [])
        matrices = torch.zeros(len(groups), width, width, dtype=self.design.dtype)
        seeds = torch.randint(2**62, (len(groups),), generator=torch.Generator().manual_seed(seed))
        drawn = list(
            self.design.workers.map(
                lambda n: self._draw(groups[n], int(seeds[n])), range(len(groups))
            )
        )
        self._add_rows(matrices, drawn)
        sums = torch.stack([totals[group].sum() for group in groups]).clamp(min=1e-30)
        for matrix, size in zip(matrices, (sums / self.rows).tolist(), strict=True):
            matrix[:-1, :-1] += SHARED * size * shared
            matrix[-1, -1] += SHARED * size
            matrix.diagonal().add_(RIDGE * float(matrix.diagonal().mean()) + 1e-12)
        rest = matrices[count] if len(others) else matrices.new_empty(0, 0)
        size = (totals[others] / sums[-1]).clamp(min=1e-12).to(matrices.dtype)
        return LabelBlocks(labels, matrices[:count], others, rest, size)

    def _draw(self, labels: Tensor, seed: int) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Rows drawn by the weight that these labels have there, and what each counts for.

        Returns:
            For each block of rows the numbers of the rows in it, and their weights; on the CPU.
        """
        columns = labels.to(self.design.device)
        pieces = []
        for n in self.blocks:
            chances = self.chances[n][:, columns]
            pieces.append((chances * (1 - chances)).sum(dim=1).double().cpu())
        flat = torch.cat(pieces)
        least = _threshold(flat, ROWS_PER_NEURON * (self.design.neurons + 1))
        generator = torch.Generator().manual_seed(seed)
        chance = torch.rand(len(flat), generator=generator, dtype=torch.float64)
        chosen = chance * least < flat
        heavy = torch.where(chosen, flat.clamp(min=least), 0.0)
        heavy *= flat.sum() / heavy.sum().clamp(min=1e-300)
        lengths = [len(piece) for piece in pieces]
        rows, sizes = {}, {}
        for n, weight in zip(self.blocks, heavy.split(lengths), strict=True):
            rows[n] = weight.nonzero()[:, 0]
            sizes[n] = weight[rows[n]]
        return rows, sizes

    def _add_rows(
        self, matrices: Tensor, drawn: list[tuple[dict[int, Tensor], dict[int, Tensor]]]
    ) -> None:
        """Add ``mean w x xᵀ`` of the drawn rows to each matrix; one pass over the data.

        Rows wait until there are some hundreds of them, as a product of few is slow.
        """
        design = self.design
        held: list[list[Tensor]] = [[] for _ in drawn]
        waiting = [0] * len(drawn)
        for index in self.blocks:
            block = design.block(index)
            last = index == self.blocks[-1]

            def add(
                number: int, block: Tensor = block, index: int = index, last: bool = last
            ) -> None:
                rows, sizes = drawn[number][0][index], drawn[number][1][index]
                root = (sizes / self.rows).sqrt().to(design.device, design.dtype)[:, None]
                held[number].append(torch.cat([block[rows.to(design.device)] * root, root], dim=1))
                waiting[number] += len(rows)
                if last or waiting[number] >= BUFFER:
                    matrices[number] += gram_of(torch.cat(held[number]))
                    held[number], waiting[number] = [], 0

            list(design.workers.map(add, range(len(drawn))))
        design.passes += 1


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
