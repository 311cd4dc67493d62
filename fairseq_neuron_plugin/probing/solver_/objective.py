"""The smooth part of the probe's objective, summed over the data in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .rows import Rows
from .workers import Workers

Array = npt.NDArray[Any]
R = TypeVar("R")

BLOCK_BYTES = 4 * 2**20
CACHE_BYTES = 256 * 2**20
CURVATURE_BYTES = 256 * 2**20
SMALL = 2_000_000  # matrices of fewer values are always worked on in float64


def row_blocks(shape: tuple[int, ...], itemsize: int = 8) -> Iterator[slice]:
    """Cut the rows of a matrix into slices of about 4 MiB each."""
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

    def __init__(self, X: Rows, codes: npt.NDArray[np.intp], labels: int, workers: Workers) -> None:
        self.workers = workers
        self.X, self.codes, self.labels = X, codes, labels
        self.rows, self.neurons = X.shape
        single = X.dtype in (np.float16, np.float32) and self.rows * self.neurons > SMALL
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self.frequency = np.bincount(codes, minlength=labels) / self.rows
        self.passes = 0
        self.slices = list(row_blocks((self.rows, self.neurons), self.dtype.itemsize))
        self._cache: list[Array] | None = None
        self.mean, self.scale = self._moments()
        if self.rows * self.neurons * self.dtype.itemsize <= CACHE_BYTES:
            self._cache = list(self.each_block(lambda index: self.block(index)))
        self.gram = self._gram()

    def each_block(self, function: Callable[[int], R]) -> Iterator[R]:
        """Call a function with the number of each block, in threads; results in order."""
        return self.workers.map(function, range(len(self.slices)))

    def block(self, index: int) -> Array:
        """The standardised rows of one block."""
        if self._cache is not None:
            return self._cache[index]
        block = self._raw(index) - self.mean
        block /= self.scale
        block[:, self.constant] = 0.0
        return block.astype(self.dtype, copy=False)

    def _raw(self, index: int) -> Array:
        return np.asarray(self.X[self.slices[index]], dtype=np.float64)

    def _moments(self) -> tuple[Array, Array]:
        def total(index: int) -> Array:
            block = self._raw(index)
            part: Array = block.sum(axis=0)
            if not np.isfinite(part).all() and not np.isfinite(block).all():
                row, column = np.argwhere(~np.isfinite(block))[0]
                raise NonFiniteError(self.slices[index].start + int(row), int(column))
            return part

        def square(index: int) -> Array:
            block = self._raw(index) - mean
            return np.einsum("ij,ij->j", block, block)

        nothing = np.zeros(self.neurons)
        mean = sum(self.each_block(total), nothing) / self.rows
        deviation = np.sqrt(sum(self.each_block(square), nothing) / self.rows)
        self.passes += 2
        # Below this a neuron is constant up to rounding; its weight must stay 0.
        self.constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-280)
        return mean, np.where(self.constant, 1.0, deviation)

    def _gram(self) -> Array:
        def part(index: int) -> Array:
            block = self.block(index)
            return block.T @ block

        gram = np.zeros((self.neurons, self.neurons))
        for product in self.each_block(part):
            gram += product
        self.passes += 1
        return gram / self.rows

    def logits(self, block: Array, parameters: Array) -> Array:
        """Scores ``[rows, labels]`` of the rows of a block."""
        return block @ parameters[:, :-1].T + parameters[:, -1]

    def value_and_gradient(self, parameters: Array) -> tuple[float, Array]:
        """``f`` and its gradient ``[labels, neurons + 1]``; one pass."""
        cast = parameters.astype(self.dtype)

        def part(index: int) -> tuple[float, Array, Array]:
            block, codes = self.block(index), self.codes[self.slices[index]]
            each = np.arange(len(codes))
            logits = self.logits(block, cast)
            logits -= logits.max(axis=1, keepdims=True)
            own = logits[each, codes].astype(np.float64)
            np.exp(logits, out=logits)
            norm = logits.sum(axis=1, keepdims=True)
            value = float((np.log(norm[:, 0].astype(np.float64)) - own).sum())
            logits /= norm
            logits[each, codes] -= 1
            return value, logits.T @ block, logits.sum(axis=0, dtype=np.float64)

        value, gradient = 0.0, np.zeros_like(parameters)
        for loss, slope, intercept in self.each_block(part):
            value += loss
            gradient[:, :-1] += slope
            gradient[:, -1] += intercept
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
            self._kept = list(objective.each_block(self._chances))
            objective.passes += 1

    def _chances(self, index: int) -> Array:
        """Probabilities ``[rows, labels]`` of one block."""
        if self._kept is not None:
            return self._kept[index]
        logits = self.objective.logits(self.objective.block(index), self.parameters)
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits

    def product(self, direction: Array) -> Array:
        """Hessian times a direction ``[labels, neurons + 1]``; one pass."""
        objective = self.objective
        cast = direction.astype(objective.dtype)

        def part(index: int) -> tuple[Array, Array]:
            block, chances = objective.block(index), self._chances(index)
            slope = objective.logits(block, cast)
            slope -= np.einsum("ij,ij->i", chances, slope)[:, None]
            slope *= chances
            return slope.T @ block, slope.sum(axis=0, dtype=np.float64)

        result = np.zeros_like(direction)
        for weight, intercept in objective.each_block(part):
            result[:, :-1] += weight
            result[:, -1] += intercept
        objective.passes += 1
        return result / objective.rows

    def label_blocks(self, labels: slice, least: float = 0.02) -> Array:
        """Diagonal blocks ``[labels, neurons + 1, neurons + 1]``, nearly: a preconditioner.

        Rows whose ``p (1 - p)`` is below ``least`` enter through the Gram matrix, with the mean of
        their weights. As the probabilities of a row sum to 1, few rows of each label are above it.
        """
        objective = self.objective
        count, width = labels.stop - labels.start, objective.neurons + 1
        blocks = np.zeros((count, width, width), dtype=objective.dtype)
        rest = np.zeros(count)
        for index in range(len(objective.slices)):
            block = objective.block(index)
            chances = self._chances(index)[:, labels]
            weight = chances * (1 - chances)
            add = partial(_add_label, blocks, rest, block, weight, least)
            list(objective.workers.map(add, range(count)))
        objective.passes += 1
        blocks /= objective.rows
        share = (rest / objective.rows)[:, None, None]
        blocks[:, :-1, :-1] += (share * objective.gram).astype(objective.dtype)
        blocks[:, -1, -1] += share[:, 0, 0].astype(objective.dtype)
        return blocks


def _add_label(
    blocks: Array, rest: Array, block: Array, weight: Array, least: float, label: int
) -> None:
    own = weight[:, label]
    heavy = np.flatnonzero(own > least)
    rest[label] += own.sum(dtype=np.float64) - own[heavy].sum(dtype=np.float64)
    root = np.sqrt(own[heavy])[:, None]
    rows = np.concatenate([block[heavy] * root, root], axis=1)
    blocks[label] += rows.T @ rows
