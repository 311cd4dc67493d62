"""Part of a matrix that is read block by block: chosen rows, chosen columns, nothing copied."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .sharded_rows import ShardedRows

Array = npt.NDArray[Any]

BLOCK_BYTES = 4 * 2**20


class NonFiniteError(ValueError):
    """NaN or infinity among the activations; ``row`` and ``column`` say where the first one is."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__(
            f"activations contain NaN or infinity: first at row {row}, column {column}"
        )
        self.row, self.column = row, column


def refuse_non_finite(block: Array, start: int = 0) -> None:
    """Raise `NonFiniteError` for a block ``[rows, neurons]`` whose first row has this number."""
    if np.isfinite(block.sum(dtype=np.float64)):
        return
    wrong = np.argwhere(~np.isfinite(block))
    if len(wrong):
        raise NonFiniteError(start + int(wrong[0, 0]), int(wrong[0, 1]))


def row_blocks(shape: tuple[int, ...], itemsize: int = 8) -> Iterator[slice]:
    """Cut the rows of a matrix into slices of about 4 MiB each."""
    rows = max(256, BLOCK_BYTES // max(1, shape[1] * itemsize))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


class View:
    """Chosen rows and columns of a matrix; slices of rows are read when they are asked for.

    Args:
        array: ``[rows, columns]``: an array, a memory map, the shards of a store, or a view.
        rows: ascending row numbers; None means all.
        columns: column numbers; None means all.
    """

    ndim = 2

    def __init__(
        self,
        array: Array | ShardedRows | View,
        rows: npt.NDArray[np.intp] | None = None,
        columns: npt.NDArray[np.intp] | None = None,
    ) -> None:
        if rows is not None and len(rows) and (np.diff(rows) < 0).any():
            raise ValueError("the rows of a view must be ascending")
        self.array, self.rows, self.columns = array, rows, columns
        self.dtype: np.dtype[Any] = array.dtype
        self.shape: tuple[int, int] = (
            array.shape[0] if rows is None else len(rows),
            array.shape[1] if columns is None else len(columns),
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        if self.rows is None:
            block = np.asarray(self.array[rows])
        else:
            chosen = self.rows[rows]
            apart = len(chosen) and chosen[-1] - chosen[0] >= 4 * len(chosen)
            if apart and not isinstance(self.array, View):
                # Read these rows, not all that lies between.
                block = np.asarray(self.array[chosen])
                return block if self.columns is None else block[:, self.columns]
            first, last = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
            block = np.asarray(self.array[first:last])[chosen - first]
        return block if self.columns is None else block[:, self.columns]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype=dtype)


Rows = Array | ShardedRows | View


def release(X: Any) -> None:
    """Let go of what was read of memory-mapped files: it would count as this process's memory."""
    if isinstance(X, View):
        release(X.array)
    elif isinstance(X, ShardedRows):
        for shard in X.shards:
            release(shard)
    elif hasattr(mmap, "MADV_DONTNEED"):
        # scikit-learn's checks give a plain array back, whose base the map is.
        held: Any = X
        while held is not None and not isinstance(held, np.memmap):
            held = getattr(held, "base", None)
        mapped: Any = getattr(held, "_mmap", None)
        if held is not None and mapped is not None and held.mode == "r":
            mapped.madvise(mmap.MADV_DONTNEED)


def reads_in_blocks(X: Any) -> bool:
    """Whether ``X`` is a matrix of this package's that is not in memory."""
    return isinstance(X, ShardedRows | View)
