"""Sums over tokens in one pass, sound for means far from 0 and for tiny variances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..rows import release

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

BLOCK_ROWS = 1024


class RowSource(Protocol):
    """A matrix ``[tokens, neurons]`` that gives slices of rows: an array, a memory map, a store."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Tokens, neurons."""

    def __getitem__(self, rows: slice, /) -> Array:
        """Some rows."""


def row_slices(rows: int) -> Iterator[slice]:
    """Cut a number of rows into slices."""
    for start in range(0, rows, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, rows))


def check_matrix(source: RowSource, what: str) -> None:
    """`UserError` unless it is a matrix with at least one row and column."""
    if len(source.shape) != 2 or 0 in source.shape:
        raise UserError(f"{what} must be a matrix [tokens, neurons], not {tuple(source.shape)}")


class Columns:
    """Means and spreads of the columns of one matrix, block by block.

    Each block is centred at its own mean before anything is squared, and the means of the blocks
    are taken relative to the first block's (Chan, Golub & LeVeque 1983). So no digits are lost
    where a mean is large and the spread tiny, nor where the mean drifts.

    Args:
        source: the matrix.
        what: how an error names it.
    """

    def __init__(self, source: RowSource, what: str) -> None:
        check_matrix(source, what)
        self.source, self.what = source, what
        first = self._read(next(row_slices(source.shape[0])))
        self.origin = first.mean(axis=0)
        # A power of two changes no digit. It brings the values near 1, so that products in float32
        # can neither overflow nor vanish.
        spread = np.abs(first - self.origin).max(axis=0)
        self.scale = np.exp2(-np.round(np.log2(np.where(spread > 0, spread, 1.0))))
        self.rows = 0
        self.within = np.zeros(source.shape[1])
        self.offsets = np.zeros(source.shape[1])
        self.between = np.zeros(source.shape[1])
        self.largest = np.zeros(source.shape[1])

    def take(self, rows: slice) -> tuple[Float64, Float64]:
        """Read a block: centred values ``[rows, neurons]`` and the block's mean from the origin."""
        values = self._read(rows)
        np.maximum(self.largest, np.abs(values).max(axis=0), out=self.largest)
        values -= self.origin
        values *= self.scale
        mean = values.mean(axis=0)
        values -= mean
        self.rows += len(values)
        self.within += np.einsum("ij,ij->j", values, values)
        self.offsets += len(values) * mean
        self.between += len(values) * mean**2
        return values, mean

    def read_all(self) -> Columns:
        """Take every block."""
        for rows in row_slices(self.source.shape[0]):
            self.take(rows)
            release(self.source)
        return self

    @property
    def means(self) -> Float64:
        """Mean of each column."""
        means: Float64 = self.origin + self.offsets / self.rows / self.scale
        return means

    @property
    def deviations(self) -> Float64:
        """Sum of squared deviations, scaled by ``scale**2``; exactly 0 for constant columns."""
        total = self.within + np.maximum(self.between - self.offsets**2 / self.rows, 0.0)
        # Rounding of the mean leaves about 1e-16 of the largest value even of a constant.
        noise = self.rows * (1e-15 * self.largest * self.scale) ** 2
        return np.where(total <= noise, 0.0, total)

    @property
    def variances(self) -> Float64:
        """Variance of each column (divided by the number of rows)."""
        return self.deviations / self.rows / self.scale**2

    def _read(self, rows: slice) -> Float64:
        values = np.array(self.source[rows], dtype=np.float64)
        if not np.isfinite(values.sum()) and not np.isfinite(values).all():
            row, neuron = np.argwhere(~np.isfinite(values))[0]
            raise UserError(
                f"{self.what}: NaN or infinity at row {rows.start + int(row)}, neuron {int(neuron)}"
            )
        return values
