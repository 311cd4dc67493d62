"""The shards of an activation store as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class ShardedRows:
    """Several memory-mapped arrays ``[rows_i, neurons]``, indexed as if they were one.

    Only the rows that are asked for are read.
    """

    def __init__(self, shards: Sequence[npt.NDArray[Any]]) -> None:
        self.shards = list(shards)
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self.shape = (int(self._starts[-1]), shards[0].shape[1])
        self.dtype = shards[0].dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """As of a numpy array of this shape."""
        rows, *others = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._slice(start, stop, others)
            return self._gather(np.arange(start, stop, step))[(slice(None), *others)]
        if rows is None or rows is Ellipsis or isinstance(rows, bool | np.bool_):
            return self._slice(0, len(self), ())[key]
        numbers = np.asarray(rows)
        if numbers.dtype == np.bool_:
            if numbers.shape != (len(self),):
                return self._slice(0, len(self), ())[key]
            numbers = np.flatnonzero(numbers)
        elif not numbers.size:
            numbers = numbers.astype(np.int64)
        elif not np.issubdtype(numbers.dtype, np.integer):
            raise IndexError(f"rows are chosen by integers, slices and masks, not by {rows!r}")
        block = self._gather(self._in_range(numbers.reshape(-1)))
        if numbers.ndim == 0:
            return block[(0, *others)]
        return block[(np.arange(numbers.size).reshape(numbers.shape), *others)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _slice(self, start: int, stop: int, others: Sequence[Any]) -> npt.NDArray[Any]:
        pieces = [
            shard[(slice(max(start - first, 0), max(stop - first, 0)), *others)]
            for shard, first in zip(self.shards, self._starts, strict=False)
            if first < stop and first + len(shard) > start
        ]
        if len(pieces) > 1:
            return np.concatenate(pieces)
        return pieces[0] if pieces else self.shards[0][(slice(0, 0), *others)]

    def _gather(self, numbers: IntArray) -> npt.NDArray[Any]:
        found = np.empty((len(numbers), self.shape[1]), self.dtype)
        for shard, first in zip(self.shards, self._starts, strict=False):
            here = (numbers >= first) & (numbers < first + len(shard))
            found[here] = shard[numbers[here] - first]
        return found

    def _in_range(self, numbers: IntArray) -> IntArray:
        wrong = (numbers < -len(self)) | (numbers >= len(self))
        if wrong.any():
            raise IndexError(f"row {numbers[wrong][0]} is out of range: there are {len(self)} rows")
        return np.where(numbers < 0, numbers + len(self), numbers)
