"""Part of a matrix that is read block by block: chosen rows, chosen columns, nothing copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..activations import ShardedRows

Array = npt.NDArray[Any]


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
            first, last = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
            block = np.asarray(self.array[first:last])[chosen - first]
        return block if self.columns is None else block[:, self.columns]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype=dtype)


Rows = Array | ShardedRows | View


def reads_in_blocks(X: Any) -> bool:
    """Whether ``X`` is a matrix of this package's that is not in memory."""
    return isinstance(X, ShardedRows | View)
