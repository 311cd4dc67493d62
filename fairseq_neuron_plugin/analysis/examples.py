"""Where in a corpus a neuron is highest and lowest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError

LOOKED_AT = 50  # tokens for each example that is wanted: sentences repeat themselves
SAMPLED = 8192  # tokens, to guess how extreme the extremes are


@dataclass(frozen=True)
class Example:
    """A sentence with an extreme activation.

    Attributes:
        sentence: its number, from 1.
        position: number of the word with the extreme activation, from 1.
        value: that activation.
        words: all words of the sentence.
        values: the neuron's activation for each of them.
    """

    sentence: int
    position: int
    value: float
    words: tuple[str, ...]
    values: tuple[float, ...]

    def marked(self, context: int | None = None) -> str:
        """The sentence as text, ``[word]`` marked, with so many words around it; None: all."""
        place = self.position - 1
        first = 0 if context is None else max(0, place - context)
        last = len(self.words) if context is None else place + context + 1
        parts = ["…"] if first > 0 else []
        parts += self.words[first:place]
        parts.append(f"[{self.words[place]}]")
        parts += self.words[place + 1 : last]
        return " ".join([*parts, "…"] if last < len(self.words) else parts)


def examples(
    values: npt.NDArray[Any],
    sentences: Sequence[Sequence[str]],
    offsets: npt.NDArray[np.int64],
    amount: int = 5,
    lowest: bool = False,
) -> list[Example]:
    """The sentences with the highest, or lowest, activations of one neuron, most extreme first.

    A sentence is shown once, with its most extreme word, also where the corpus repeats it. Ties go
    by place in the corpus. Of a corpus that repeats itself much there may be fewer than asked for.

    Args:
        values: ``[tokens]``, the neuron's activations.
        sentences: the words of each sentence.
        offsets: ``[sentences + 1]``; sentence ``i`` has rows ``offsets[i]:offsets[i + 1]``.
        amount: how many.
        lowest: the lowest instead of the highest.

    Raises:
        UserError: an amount below 0.
    """
    if amount < 0:
        raise UserError(f"the number of examples must be 0 or more, not {amount}")
    found: dict[tuple[str, ...], Example] = {}
    for row in _extreme_rows(values if lowest else -values, LOOKED_AT * amount):
        if len(found) == amount:
            break
        number = int(np.searchsorted(offsets, row, side="right")) - 1
        words = tuple(sentences[number])
        if words not in found:
            start, end = int(offsets[number]), int(offsets[number + 1])
            of_sentence = tuple(values[start:end].astype(np.float64).tolist())
            value = of_sentence[row - start]
            found[words] = Example(number + 1, row - start + 1, value, words, of_sentence)
    return list(found.values())


def _extreme_rows(values: npt.NDArray[Any], amount: int) -> list[int]:
    """Rows of the smallest values, smallest first, ties by row."""
    if amount == 0:
        return []
    rows = _small_rows(values, amount)
    small = values[rows]
    if amount < len(rows):
        # All ties at the limit stay in, so that the first of them in the corpus can be taken.
        kept = small <= np.partition(small, amount - 1)[amount - 1]
        rows, small = rows[kept], small[kept]
    found: list[int] = rows[np.argsort(small, kind="stable")][:amount].tolist()
    return found


def _small_rows(values: npt.NDArray[Any], amount: int) -> npt.NDArray[np.intp]:
    """Ascending rows among which the smallest so many values are, with all their ties.

    A sample says below which value to look; where it misleads, all rows are looked at.
    """
    step = len(values) // SAMPLED
    if step > 1:
        # Twice as many as are wanted, and some: too few come back hardly ever.
        place = 2 * amount // step + 16
        sample = values[::step]
        if place < len(sample):
            rows = np.flatnonzero(values <= np.partition(sample, place)[place])
            if len(rows) >= amount:
                return rows
    return np.arange(len(values))
