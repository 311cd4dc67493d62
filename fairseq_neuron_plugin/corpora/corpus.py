"""What the extraction asks of a corpus: batches, and where in them each word's symbols lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..errors import UserError
from .symbols import Symbols, places

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Sentences that go through the model together.

    Attributes:
        numbers: which sentence each row is, ``[rows]``.
        tokens: what the side in question reads, padding included, ``[rows, length]``.
        encoder_input: the arguments of the encoder; None for a language model.
    """

    numbers: IntArray
    tokens: Tensor
    encoder_input: dict[str, Any] | None


class Reader(Protocol):
    """Makes batches as the model is used to them.

    Attributes:
        limited: ``source`` and ``target``, or ``text``: for each, symbols read of each sentence,
            ``[sentences]``.
    """

    limited: dict[str, IntArray]

    def batch(self, numbers: Sequence[int], sentence_end: bool) -> Batch:
        """The batch of these sentences, in an order of its own."""


@dataclass(frozen=True)
class Corpus:
    """Sentences ready for one side of a model.

    Attributes:
        side: ``source``: the encoder reads them; ``target``: the decoder does, after the source;
            ``text``: a language model does.
        symbols: of this side.
        reader: makes the batches.
        dictionary: fairseq's, of this side.
        origin: which corpus this is, for the signature.
    """

    side: str
    symbols: Symbols
    reader: Reader
    dictionary: Any
    origin: str

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def costs(self) -> IntArray:
        """The most symbols that the model reads of each sentence on any side, ``[sentences]``."""
        longest: IntArray = np.maximum.reduce(list(self.reader.limited.values()))
        return longest

    def positions(self, batch: Batch) -> Positions:
        """Where the symbols of the batch's sentences lie in ``batch.tokens``.

        The model may read more than the text: an end, a start, language tokens. The text is looked
        for among what it reads.

        Raises:
            UserError: a sentence whose text is not there.
        """
        return Positions(self, batch, self._lead)

    @cached_property
    def _lead(self) -> int:
        """How many symbols the model reads before the text; the same for all sentences."""
        some = np.flatnonzero(self.symbols.lengths)[:16]
        batch = self.reader.batch(some.tolist(), False)
        read = batch.tokens.ne(self.dictionary.pad()).sum(dim=1).numpy()
        extra = read - self.symbols.lengths[batch.numbers]
        for lead in range(int(extra.max(initial=0)) + 1):
            try:
                Positions(self, batch, lead)
            except UserError:
                continue
            return lead
        return 0  # the check of the first batch names the sentence

    @cached_property
    def frame(self) -> str:
        """What the model reads around the text of a sentence, which stands as ``*``."""
        number = int(np.argmax(self.symbols.lengths > 0))
        batch = self.reader.batch([number], False)
        read = [self.dictionary[symbol] for symbol in batch.tokens[0].tolist()]
        read[self._lead : self._lead + int(self.symbols.lengths[number])] = ["*"]
        return " ".join(read)

    def count_unknown(self) -> tuple[int, int]:
        """How many symbols the dictionary does not hold, and how many words have such a symbol."""
        is_unknown = self.symbols.ids == self.dictionary.unk()
        word_of = np.cumsum(self.symbols.is_start)
        return int(is_unknown.sum()), len(np.unique(word_of[is_unknown]))


class Positions:
    """Where the text of each sentence lies in a batch, row after row.

    Attributes:
        flat: index of each symbol into ``tokens.flatten()``, ``[symbols]``.
        is_start: which symbols begin a word, ``[symbols]``.
        words: words of each row, ``[rows]``.
        ends: index into ``tokens.flatten()`` of what follows each row's text, ``[rows]``.
    """

    def __init__(self, corpus: Corpus, batch: Batch, lead: int) -> None:
        symbols, tokens = corpus.symbols, batch.tokens.cpu().numpy()
        lengths = symbols.lengths[batch.numbers]
        first = (tokens != corpus.dictionary.pad()).argmax(axis=1) + lead
        row, within = places(lengths)
        begin = np.arange(len(lengths)) * tokens.shape[1] + first
        self.flat = begin[row] + within
        self.ends = begin + lengths
        where = symbols.offsets[batch.numbers][row] + within
        inside = first + lengths <= tokens.shape[1]
        found = tokens.reshape(-1)[np.minimum(self.flat, tokens.size - 1)] == symbols.ids[where]
        inside &= np.bincount(row, weights=~found, minlength=len(lengths)) == 0
        if not inside.all():
            number = batch.numbers[np.argmin(inside)]
            raise UserError(
                f"sentence {number + 1}: its words cannot be found in what the model reads "
                f"({corpus.side} side), so its activations have no owner"
            )
        self.is_start = symbols.is_start[where]
        self.words = np.bincount(row, weights=self.is_start, minlength=len(lengths)).astype(int)
