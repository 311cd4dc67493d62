"""The shards of an activation store as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class ShardedRows:
    """Row slices over several memory-mapped arrays ``[rows_i, neurons]``, as if they were one."""

    def __init__(self, shards: Sequence[npt.NDArray[Any]]) -> None:
        self._shards = list(shards)
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self.shape = (int(self._starts[-1]), shards[0].shape[1])
        self.dtype = shards[0].dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("only contiguous row slices")
        pieces = [
            shard[max(start - first, 0) : max(stop - first, 0)]
            for shard, first in zip(self._shards, self._starts, strict=False)
            if first < stop and first + len(shard) > start
        ]
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty((0, self.shape[1]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)
