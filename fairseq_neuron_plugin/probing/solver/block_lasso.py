"""The lasso of each label with a quadratic of its own, solved on the CPU.

The neurons are so correlated that one coordinate at a time converges slowly, and so many that all
sign patterns cannot be tried. So both take turns: coordinate descent (Friedman et al. 2010, for all
labels at once) finds which weights are zero, and a direct solution on the others ("feature-sign
search", Lee et al. 2007) puts their values right.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .curvature import LabelBlocks
from .penalty import Penalty, line_minimum
from .workers import Workers

ROUNDS, SWEEPS, STEP = 2, 1, 32


class BlockLasso:
    """``Σ_k ½ z_kᵀ B_k z_k`` with the penalty, ``B_k`` the blocks of `Curvature.label_blocks`."""

    def __init__(self, blocks: LabelBlocks, penalty: Penalty, workers: Workers) -> None:
        self.blocks, self.workers = blocks, workers
        self.labels = len(blocks.labels) + len(blocks.others)
        self.width, self.dtype = len(penalty.l1), blocks.own.dtype
        self.l1, self.l2 = penalty.l1.to(self.dtype), penalty.l2.to(self.dtype)
        self.owner = [blocks.block(label) for label in range(self.labels)]
        self.diagonal = torch.stack([block.diagonal() * size for block, size in self.owner])
        self._factors: dict[tuple[int, bool], tuple[float, Tensor, Tensor]] = {}

    def product(self, direction: Tensor) -> Tensor:
        """``B_k`` times the row ``k`` of a direction ``[labels, neurons + 1]``."""
        cast = direction.to(self.dtype)
        return self._times(cast, slice(0, self.width)).to(direction.dtype)

    def _times(self, direction: Tensor, span: slice) -> Tensor:
        """Rows ``direction[k] @ B_k[span]``, ``[labels, neurons + 1]``."""
        blocks = self.blocks
        result = torch.empty(self.labels, self.width, dtype=self.dtype)
        if len(blocks.labels):
            rows = direction[blocks.labels, None, :]
            result[blocks.labels] = torch.bmm(rows, blocks.own[:, span])[:, 0]
        if len(blocks.others):
            scaled = direction[blocks.others] * blocks.size[:, None]
            result[blocks.others] = scaled @ blocks.shared[span]
        return result

    def _corner(self, span: slice) -> npt.NDArray[np.floating]:
        """``B_k[span, span]`` of all labels, ``[labels, n, n]``."""
        blocks, width = self.blocks, span.stop - span.start
        corner = torch.empty(self.labels, width, width, dtype=self.dtype)
        corner[blocks.labels] = blocks.own[:, span, span]
        if len(blocks.others):
            corner[blocks.others] = blocks.shared[span, span] * blocks.size[:, None, None]
        return corner.numpy()

    def solve(self, start: Tensor, gradient: Tensor, factor: float) -> Tensor:
        """Lower ``<g, z - s> + factor/2 Σ_k (z - s)ᵀ B_k (z - s) + penalty(z)`` towards its least.

        Args:
            start: ``s``, ``[labels, neurons + 1]``.
            gradient: ``g`` at ``s``, same shape.
            factor: of the quadratic.
        """
        z = start.to(self.dtype).clone()
        slope = gradient.to(self.dtype) / factor
        l1, l2 = self.l1 / factor, self.l2 / factor
        for _ in range(ROUNDS):
            for _ in range(SWEEPS):
                self._sweep(z, slope, l1.numpy(), l2.numpy())
            labels = range(self.labels)
            list(self.workers.map(lambda k: self._direct(k, z[k], slope[k], l1, l2), labels))
        self._sweep(z, slope, l1.numpy(), l2.numpy())
        return z.to(start.dtype)

    def _sweep(
        self, z: Tensor, slope: Tensor, l1: npt.NDArray[np.floating], l2: npt.NDArray[np.floating]
    ) -> None:
        """One round of coordinate descent; ``slope`` is kept up to date."""
        for first in range(0, self.width, STEP):
            span = slice(first, min(first + STEP, self.width))
            corner = self._corner(span)
            values, local = z[:, span].numpy(), slope[:, span].numpy().copy()
            before = values.copy()
            curves = self.diagonal[:, span].numpy()
            reach, shrink = l1[span] / curves, 1 / (1 + 2 * l2[span] / curves)
            for j in range(span.stop - first):
                target = values[:, j] - local[:, j] / curves[:, j]
                size = np.maximum(np.abs(target) - reach[:, j], 0)
                new = np.sign(target) * size * shrink[:, j]
                local += (new - values[:, j])[:, None] * corner[:, j]
                values[:, j] = new
            slope += self._times(torch.from_numpy(values - before), span)

    def _direct(self, label: int, z: Tensor, slope: Tensor, l1: Tensor, l2: Tensor) -> None:
        """The best point on the line to the solution for the present signs, zeros kept."""
        matrix, size = self.owner[label]
        free = z != 0
        free[-1] = True
        chosen = free.nonzero()[:, 0]
        signs = z[chosen].sign()
        right = slope[chosen] + 2 * l2[chosen] * z[chosen] + l1[chosen] * signs
        factor = self.factor(label, chosen, l2)
        if factor is None:
            return
        step = -torch.cholesky_solve(right[:, None], factor)[:, 0]
        descent = float(step @ right)
        if not descent < 0:
            return
        kinks = -z[chosen] / step
        ahead = ((kinks > 0) & (kinks < 1) & (l1[chosen] > 0)).nonzero()[:, 0]
        jumps = 2 * l1[chosen][ahead] * step[ahead].abs()
        length, hit = line_minimum(descent, -descent, kinks[ahead], jumps)
        z[chosen] += length * step
        if hit >= 0:
            z[chosen[ahead[hit]]] = 0
        slope += (length * size) * (step @ matrix[chosen])

    def factor(self, label: int, chosen: Tensor, l2: Tensor) -> Tensor | None:
        """Cholesky factor of ``B_k + 2 l2`` on the chosen neurons.

        Two are kept for each label: the last for the penalty itself, the last for another.
        """
        key, strength = (label, l2 is self.l2), float(l2[0])
        held = self._factors.get(key)
        if held is not None and held[0] == strength and torch.equal(held[1], chosen):
            return held[2]
        matrix, size = self.owner[label]
        part = matrix[chosen][:, chosen] * size
        part.diagonal().add_(2 * l2[chosen])
        factor, failed = torch.linalg.cholesky_ex(part)
        if failed:
            return None
        self._factors[key] = strength, chosen, factor
        return factor
