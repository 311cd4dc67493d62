"""The blocks into which fairseq cuts a language model's split, each of them scored by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from torch import Tensor

from .bootstrap import FloatArray
from .prefix_tree import Ids


@dataclass(frozen=True)
class Blocks:
    """What stands in the blocks, in the order of the split.

    Attributes:
        read: what the model reads in each block; without what a context window shows again.
        asked: what is to follow at each of its positions.
        skipped: how many positions at the beginning of each block are not scored: with
            ``--add-bos-token`` 1, else 0.
        tokens: what is scored, one block after the other, ``[tokens]``.
        lengths: how many of these tokens each block has, ``[blocks]``.
    """

    read: Sequence[Ids]
    asked: Sequence[Ids]
    skipped: int
    tokens: Ids
    lengths: Ids

    @classmethod
    def of(cls, dataset: Any, batches: Sequence[Any], has_bos: bool) -> Self:
        """Those of fairseq's data set, out of all its batches."""
        lengths = np.array([dataset.size(n) for n in range(len(dataset))], dtype=np.int64)
        read: list[Ids] = [np.empty(0, dtype=np.int64)] * len(lengths)
        asked = list(read)
        for batch in batches:
            sources, targets = batch["net_input"]["src_tokens"].numpy(), batch["target"].numpy()
            starts = batch.get("start_indices", [0] * len(targets))
            for row, number in enumerate(batch["id"].tolist()):
                part = slice(starts[row], starts[row] + lengths[number] + has_bos)
                read[number], asked[number] = sources[row, part], targets[row, part]
        tokens = np.concatenate([symbols[has_bos:] for symbols in asked])
        return cls(read, asked, int(has_bos), tokens, lengths)

    def place(self, number: int) -> slice:
        """Where a block's tokens are among all."""
        end = int(self._ends[number])
        return slice(end - int(self.lengths[number]), end)

    def sums(self, of_tokens: FloatArray) -> FloatArray:
        """Numbers of tokens ``[tokens]``, summed over each block: ``[blocks]``."""
        block = np.repeat(np.arange(len(self.lengths)), self.lengths)
        found: FloatArray = np.bincount(block, of_tokens, len(self.lengths)).astype(np.float64)
        return found

    def words(self, continues: Tensor) -> FloatArray:
        """How many words each block has, ``[blocks]``.

        Args:
            continues: for each symbol whether the next one in its block is of the same word, bool
                ``[vocabulary]``.
        """
        is_end = ~continues.numpy()[self.tokens]
        is_end[self._ends[self.lengths > 0] - 1] = True
        return self.sums(is_end.astype(np.float64))

    @cached_property
    def _ends(self) -> Ids:
        return np.cumsum(self.lengths)
