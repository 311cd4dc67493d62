"""Some neurons of a matrix that is read in slices of rows, checked as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..rankings.moments import RowSource, check_matrix
from ..rows import NonFiniteError, refuse_non_finite, release, row_blocks

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.intp]

GATHER_BYTES = 128 * 2**20
HELD_BLOCKS = 16  # of about 4 MiB


class ChosenColumns:
    """``[tokens, chosen neurons]``, a `RowSource` whose errors name a neuron by its own id.

    Args:
        X: ``[tokens, neurons]``.
        neurons: flat ids, in any order; None means all.

    Raises:
        UserError: no matrix, or a neuron that it has not.
    """

    def __init__(self, X: RowSource, neurons: Sequence[int] | Ids | None = None) -> None:
        check_matrix(X, "activations")
        width = X.shape[1]
        self.X = X
        self.neurons: Ids = np.arange(width) if neurons is None else np.asarray(neurons, np.intp)
        wrong = self.neurons[(self.neurons < 0) | (self.neurons >= width)]
        if len(wrong):
            raise UserError(f"neuron {wrong[0]} is out of range: there are 0 to {width - 1}")
        self.shape: tuple[int, ...] = (X.shape[0], len(self.neurons))
        self._all = np.array_equal(self.neurons, np.arange(width))

    def __getitem__(self, rows: slice) -> Array:
        """Some rows.

        Raises:
            UserError: NaN or infinity among them: names row and neuron.
        """
        block = np.asarray(self.X[rows])
        if not self._all:
            block = block[:, self.neurons]
        try:
            refuse_non_finite(block, rows.start or 0)
        except NonFiniteError as error:
            neuron = self.neurons[error.column]
            raise UserError(
                f"activations: NaN or infinity at row {error.row}, neuron {neuron}"
            ) from error
        return block

    def release(self) -> None:
        """Let go of what was read of memory-mapped files."""
        release(self.X)

    def gathered(self) -> Array:
        """All rows in memory, in the matrix's own type: ``[chosen neurons, tokens]``."""
        dtype = np.asarray(self.X[0:1]).dtype
        found = np.empty(self.shape[::-1], dtype)
        blocks = row_blocks((self.X.shape[0], self.X.shape[1]), dtype.itemsize)
        for number, rows in enumerate(blocks, start=1):
            found[:, rows] = self[rows].T
            if number % HELD_BLOCKS == 0:
                self.release()
        self.release()
        return found


def in_groups(
    neurons: Sequence[int], bytes_each: int, bytes_in_all: int | None = None
) -> Iterator[Sequence[int]]:
    """Cut neurons into groups for which arrays of so many bytes a neuron fit into memory.

    They are as few groups as can be, of about the same size.

    Args:
        neurons: flat ids.
        bytes_each: that one neuron takes.
        bytes_in_all: that a group may take; default `GATHER_BYTES`.
    """
    most = max(1, (bytes_in_all or GATHER_BYTES) // max(1, bytes_each))
    size = -(-len(neurons) // max(1, -(-len(neurons) // most))) or 1
    for start in range(0, len(neurons), size):
        yield neurons[start : start + size]
