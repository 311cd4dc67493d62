"""Blocks of activations, checked: all rows one after the other, or columns of a sample of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..rows import release, row_blocks
from .moments import RowSource, check_matrix

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]
Progress = Callable[[int, int], object]  # called with steps done and steps in all

COLUMN_BYTES = 32 * 2**20
# Sampled rows that lie closer than this are read together with the rows between them.
GAP = 16
HELD_BLOCKS = 16  # of about 4 MiB


def blocks_of_rows(X: RowSource) -> Iterator[tuple[slice, Array]]:
    """All rows in order, each block with its place, in the matrix's own type.

    Raises:
        UserError: no matrix, or NaN or infinity: names row and neuron.
    """
    check_matrix(X, "activations")
    for number, rows in enumerate(row_blocks((X.shape[0], X.shape[1])), start=1):
        block = np.asarray(X[rows])
        _refuse_non_finite(block, np.arange(rows.start, rows.stop), 0)
        yield rows, block
        if number % HELD_BLOCKS == 0:
            release(X)
    release(X)


def sample_of_rows(rows: int, most: int, seed: int) -> Places:
    """Ascending row numbers: all, or ``most`` of them drawn at random without replacement.

    Raises:
        UserError: ``most`` below 2 or a negative seed.
    """
    if most < 2 or seed < 0:
        raise UserError(f"cannot draw {most} tokens with seed {seed}: 2 or more, seed 0 or more")
    if most >= rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def blocks_of_columns(X: RowSource, rows: Places) -> Iterator[tuple[int, Array]]:
    """The chosen rows of all neurons, some neurons at a time.

    Reads the chosen rows once for each block of neurons; memory holds one block.

    Args:
        X: ``[tokens, neurons]``.
        rows: ascending row numbers.

    Yields:
        The block's first neuron, and ``[neurons of the block, chosen rows]``, contiguous, in the
        matrix's own type.

    Raises:
        UserError: no matrix, or NaN or infinity: names row and neuron.
    """
    check_matrix(X, "activations")
    neurons = X.shape[1]
    itemsize = np.asarray(X[0:1]).itemsize
    width = max(1, COLUMN_BYTES // (len(rows) * itemsize))
    pieces = _pieces(rows)
    for first in range(0, neurons, width):
        columns = slice(first, min(first + width, neurons))
        found: Array | None = None
        done = 0
        for piece in pieces:
            start = int(piece[0])
            block = np.asarray(X[start : int(piece[-1]) + 1])[piece - start, columns]
            _refuse_non_finite(block, piece, first)
            if found is None:
                found = np.empty((block.shape[1], len(rows)), dtype=block.dtype)
            found[:, done : done + len(piece)] = block.T
            done += len(piece)
        release(X)
        if found is not None:
            yield first, found


def _pieces(rows: Places) -> list[Places]:
    """Cut into runs without large gaps, of at most 1024 rows."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > GAP) + 1)
    return [run[start : start + 1024] for run in runs for start in range(0, len(run), 1024)]


def _refuse_non_finite(block: Array, rows: Places, first_neuron: int) -> None:
    if np.isfinite(block.sum(dtype=np.float64)):
        return
    wrong = np.argwhere(~np.isfinite(block))
    if len(wrong):
        row, neuron = int(rows[wrong[0, 0]]), first_neuron + int(wrong[0, 1])
        raise UserError(f"activations: NaN or infinity at row {row}, neuron {neuron}")
