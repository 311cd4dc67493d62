"""Sentences as symbols and as words, held compactly: a corpus need not be small.

Five bytes a symbol, the text as UTF-8 and 16 bytes a sentence.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..packed_sentences import PackedSentences


class Symbols:
    """The symbols of each sentence, without its end, and which of them begin a word.

    Args:
        sentences: for each sentence the dictionary's numbers of its symbols, its words, and the
            index of each word's first symbol.

    Attributes:
        ids: int32 ``[symbols]``.
        is_start: bool ``[symbols]``.
        offsets: int64 ``[sentences + 1]``; sentence ``i`` has symbols ``offsets[i]:offsets[i+1]``.
        words: the words of each sentence.
    """

    def __init__(
        self, sentences: Iterable[tuple[Sequence[int], Sequence[str], Sequence[int]]]
    ) -> None:
        ids, offsets = array("i"), array("q", [0])
        is_start, packed = bytearray(), PackedSentences()
        for symbols, words, starts in sentences:
            first = len(ids)
            ids.extend(symbols)
            is_start.extend(bytes(len(symbols)))
            for start in starts:
                is_start[first + start] = 1
            packed.append(words)
            offsets.append(len(ids))
        self.ids = np.frombuffer(ids, dtype=np.int32)
        self.is_start = np.frombuffer(is_start, dtype=np.bool_)
        self.offsets = np.frombuffer(offsets, dtype=np.int64)
        self.words = packed

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> npt.NDArray[np.int32]:
        """The symbols of one sentence."""
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Symbols of each sentence, ``[sentences]``."""
        return np.diff(self.offsets)

    def digest(self) -> str:
        """SHA-256 of words and symbols: dictionaries and segmentation count."""
        found = hashlib.sha256(b"".join(self.words.lines()))
        for part in (self.ids, self.is_start, self.offsets):
            found.update(b"\0")
            found.update(part.data)
        return found.hexdigest()


class SymbolRows:
    """Sentences as fairseq's datasets want them: tensors that end with the end of the sentence."""

    def __init__(self, symbols: Symbols, end: int) -> None:
        self._symbols = symbols
        self._end = end
        self.sizes = symbols.lengths + 1

    def __len__(self) -> int:
        return len(self._symbols)

    def __getitem__(self, number: int) -> Tensor:
        return torch.from_numpy(np.append(self._symbols[number], self._end).astype(np.int64))


def places(
    lengths: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each symbol in turn the sentence and the place within it.

    >>> [part.tolist() for part in places(np.array([2, 3]))]
    [[0, 0, 1, 1, 1], [0, 1, 0, 1, 2]]
    """
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return sentence, np.arange(len(sentence)) - starts[sentence]
