"""The smooth part of the probe's objective, summed over the data in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .rows import Rows

Array = npt.NDArray[Any]

BLOCK_BYTES = 16 * 2**20
CACHE_BYTES = 256 * 2**20
CURVATURE_BYTES = 256 * 2**20
SMALL = 2_000_000  # matrices of fewer values are always worked on in float64


def row_blocks(shape: tuple[int, ...], itemsize: int = 8) -> Iterator[slice]:
    """Cut the rows of a matrix into slices of about 16 MiB each."""
    rows = max(256, BLOCK_BYTES // max(1, shape[1] * itemsize))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


class NonFiniteError(ValueError):
    """NaN or infinity among the activations; ``row`` and ``column`` say where the first one is."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__(
            f"activations contain NaN or infinity: first at row {row}, column {column}"
        )
        self.row, self.column = row, column


class SoftmaxObjective:
    """``f(W, b) = mean_i CE(W x_i + b, y_i)`` on standardised neurons.

    Parameters are kept as one matrix ``[labels, neurons + 1]`` whose last column is the intercept.
    They belong to ``(x - mean) / scale``; `to_raw` turns them into weights for ``x``.

    Nothing here grows with the number of rows but a cache of at most `CACHE_BYTES`. Data of
    float16 and float32 is multiplied in float32 unless it is small; sums are kept in float64.

    Attributes:
        mean, scale: float64 ``[neurons]``; scale 1 where a neuron is constant.
        gram: float64 ``[neurons, neurons]``, ``mean_i x_i x_iᵀ`` of the standardised data.
        frequency: float64 ``[labels]``, share of each label among the rows.
        passes: how often all rows were gone through so far.
    """

    def __init__(self, X: Rows, codes: npt.NDArray[np.intp], labels: int) -> None:
        self.X, self.codes, self.labels = X, codes, labels
        self.rows, self.neurons = X.shape
        single = X.dtype in (np.float16, np.float32) and self.rows * self.neurons > SMALL
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self.frequency = np.bincount(codes, minlength=labels) / self.rows
        self.passes = 0
        self._cache: list[Array] | None = None
        self.mean, self.scale = self._moments()
        if self.rows * self.neurons * self.dtype.itemsize <= CACHE_BYTES:
            self._cache = [block.copy() for block, _ in self._blocks()]
        self.gram = self._gram()

    def _slices(self) -> list[slice]:
        return list(row_blocks((self.rows, self.neurons), self.dtype.itemsize))

    def _moments(self) -> tuple[Array, Array]:
        total = np.zeros(self.neurons)
        for rows in self._slices():
            block = np.asarray(self.X[rows], dtype=np.float64)
            part = block.sum(axis=0)
            if not np.isfinite(part).all():
                bad = np.argwhere(~np.isfinite(block))
                if len(bad):
                    raise NonFiniteError(rows.start + int(bad[0, 0]), int(bad[0, 1]))
            total += part
        mean = total / self.rows
        square = np.zeros(self.neurons)
        for rows in self._slices():
            block = np.asarray(self.X[rows], dtype=np.float64) - mean
            square += np.einsum("ij,ij->j", block, block)
        self.passes += 2
        deviation = np.sqrt(square / self.rows)
        # Below this a neuron is constant up to rounding; its weight must stay 0.
        constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-280)
        self.constant = constant
        return mean, np.where(constant, 1.0, deviation)

    def _blocks(self) -> Iterator[tuple[Array, npt.NDArray[np.intp]]]:
        for index, rows in enumerate(self._slices()):
            if self._cache is not None:
                yield self._cache[index], self.codes[rows]
                continue
            block = np.asarray(self.X[rows], dtype=np.float64) - self.mean
            block /= self.scale
            block[:, self.constant] = 0.0
            yield block.astype(self.dtype, copy=False), self.codes[rows]

    def _gram(self) -> Array:
        gram = np.zeros((self.neurons, self.neurons))
        for block, _ in self._blocks():
            gram += block.T @ block
        self.passes += 1
        return gram / self.rows

    def _logits(self, block: Array, parameters: Array) -> Array:
        return block @ parameters[:, :-1].T + parameters[:, -1]

    def value_and_gradient(self, parameters: Array) -> tuple[float, Array]:
        """``f`` and its gradient ``[labels, neurons + 1]``; one pass."""
        cast = parameters.astype(self.dtype)
        value, gradient = 0.0, np.zeros_like(parameters)
        for block, codes in self._blocks():
            each = np.arange(len(codes))
            logits = self._logits(block, cast)
            logits -= logits.max(axis=1, keepdims=True)
            own = logits[each, codes].astype(np.float64)
            np.exp(logits, out=logits)
            norm = logits.sum(axis=1, keepdims=True)
            value += float((np.log(norm[:, 0].astype(np.float64)) - own).sum())
            logits /= norm
            logits[each, codes] -= 1
            gradient[:, :-1] += logits.T @ block
            gradient[:, -1] += logits.sum(axis=0, dtype=np.float64)
        self.passes += 1
        return value / self.rows, gradient / self.rows

    def curvature(self, parameters: Array) -> Curvature:
        """The Hessian of ``f`` at these parameters."""
        return Curvature(self, parameters.astype(self.dtype))

    def to_raw(self, parameters: Array) -> tuple[Array, Array]:
        """Weights ``[labels, neurons]`` and intercept ``[labels]`` for the data as given."""
        weight = parameters[:, :-1] / self.scale
        return weight, parameters[:, -1] - weight @ self.mean


class Curvature:
    """Hessian of the softmax objective at one point, as products and as blocks of labels."""

    def __init__(self, objective: SoftmaxObjective, parameters: Array) -> None:
        self.objective, self.parameters = objective, parameters
        self._kept: list[Array] | None = None
        size = objective.rows * objective.labels * objective.dtype.itemsize
        if size <= CURVATURE_BYTES:
            self._kept = [chances for _, chances in self._walk()]

    def _walk(self) -> Iterator[tuple[Array, Array]]:
        """Data block and label probabilities ``[rows, labels]``, block after block."""
        for index, (block, _) in enumerate(self.objective._blocks()):
            if self._kept is not None:
                yield block, self._kept[index]
                continue
            logits = self.objective._logits(block, self.parameters)
            logits -= logits.max(axis=1, keepdims=True)
            np.exp(logits, out=logits)
            logits /= logits.sum(axis=1, keepdims=True)
            yield block, logits
        self.objective.passes += 1

    def product(self, direction: Array) -> Array:
        """Hessian times a direction ``[labels, neurons + 1]``; one pass."""
        cast = direction.astype(self.objective.dtype)
        result = np.zeros_like(direction)
        for block, chances in self._walk():
            slope = self.objective._logits(block, cast)
            slope -= np.einsum("ij,ij->i", chances, slope)[:, None]
            slope *= chances
            result[:, :-1] += slope.T @ block
            result[:, -1] += slope.sum(axis=0, dtype=np.float64)
        return result / self.objective.rows

    def label_blocks(self, labels: slice, least: float = 0.02) -> Array:
        """Diagonal blocks ``[labels, neurons + 1, neurons + 1]``, nearly: a preconditioner.

        Rows whose ``p (1 - p)`` is below ``least`` enter through the Gram matrix, with the mean of
        their weights. As the probabilities of a row sum to 1, few rows of each label are above it.
        """
        objective = self.objective
        count, width = labels.stop - labels.start, objective.neurons + 1
        blocks = np.zeros((count, width, width), dtype=objective.dtype)
        rest = np.zeros(count)
        for block, chances in self._walk():
            weight = chances[:, labels] * (1 - chances[:, labels])
            for label in range(count):
                own = weight[:, label]
                heavy = np.flatnonzero(own > least)
                rest[label] += own.sum(dtype=np.float64) - own[heavy].sum(dtype=np.float64)
                root = np.sqrt(own[heavy])[:, None]
                rows = np.concatenate([block[heavy] * root, root], axis=1)
                blocks[label] += rows.T @ rows
        blocks /= objective.rows
        share = (rest / objective.rows)[:, None, None]
        blocks[:, :-1, :-1] += (share * objective.gram).astype(objective.dtype)
        blocks[:, -1, -1] += share[:, 0, 0].astype(objective.dtype)
        return blocks
