"""The distinct beginnings of many sequences: what a left-to-right model has to compute once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
# Of one tree: what is kept of each prefix has to fit into memory.
_MOST_PREFIXES = 2**15


@dataclass(frozen=True)
class PrefixTree:
    """Distinct prefixes of some sequences, level by level: those of one symbol, of two, and so on.

    Attributes:
        symbols: last symbol of each prefix, ``[prefixes]``.
        parents: where, within the level above, the prefix without that symbol is, ``[prefixes]``;
            0 at the first level.
        bounds: first prefix of each level, and their number, ``levels + 1`` integers.
        asked: of each distinct pair of a prefix and what follows it: the prefix, ``[pairs]``.
        answers: and what follows it, ``[pairs]``.
        sequences: numbers of the sequences, ascending.
        pairs: the pair at each position of these sequences, one sequence after the other.
    """

    symbols: Ids
    parents: Ids
    bounds: Sequence[int]
    asked: Ids
    answers: Ids
    sequences: Ids
    pairs: Ids

    @classmethod
    def of(cls, sequences: Sequence[tuple[Ids, Ids]], numbers: Sequence[int]) -> PrefixTree:
        """The tree of some of the sequences.

        Args:
            sequences: what is read, and what follows at each position; of equal length, not empty.
            numbers: which of them.
        """
        chosen = np.sort(np.asarray(numbers, dtype=np.int64))
        read, follows = (
            np.concatenate([sequences[number][side] for number in chosen]) for side in (0, 1)
        )
        lengths = np.array([len(sequences[number][0]) for number in chosen])
        starts = np.cumsum(lengths) - lengths
        base = 1 + max(int(read.max()), int(follows.max()))
        node = np.zeros(len(chosen), dtype=np.int64)
        nodes: list[Ids] = []  # parent and symbol as one number, of each level
        asked: list[Ids] = []  # prefix and answer as one number, of each level
        bounds, pairs = [0], np.empty(len(read), dtype=np.int64)
        n_pairs = 0
        for depth in range(int(lengths.max())):
            going_on = np.flatnonzero(lengths > depth)
            here = starts[going_on] + depth
            level, place = np.unique(node[going_on] * base + read[here], return_inverse=True)
            node[going_on] = place
            questions, which = np.unique(
                (bounds[-1] + place) * base + follows[here], return_inverse=True
            )
            pairs[here] = n_pairs + which
            nodes.append(level)
            asked.append(questions)
            bounds.append(bounds[-1] + len(level))
            n_pairs += len(questions)
        parents, symbols = np.divmod(np.concatenate(nodes), base)
        prefixes, answers = np.divmod(np.concatenate(asked), base)
        return cls(symbols, parents, bounds, prefixes, answers, chosen, pairs)

    @property
    def widest(self) -> int:
        """Prefixes of the largest level."""
        return max(last - first for first, last in pairwise(self.bounds))


def grow_trees(
    sequences: Sequence[tuple[Ids, Ids]], most_prefixes: int = _MOST_PREFIXES
) -> list[PrefixTree]:
    """Trees that hold each of the sequences once.

    Sequences that begin alike come into the same tree; only where one tree is full and the next
    begins are some prefixes in two.

    Args:
        sequences: see `PrefixTree.of`.
        most_prefixes: of one tree, unless one sequence alone has more.
    """
    return [PrefixTree.of(sequences, group) for group in _groups(sequences, most_prefixes)]


def _groups(sequences: Sequence[tuple[Ids, Ids]], most_prefixes: int) -> Iterator[list[int]]:
    """Numbers of sequences whose trees are small enough."""
    read = [tuple(symbols.tolist()) for symbols, _ in sequences]
    group: list[int] = []
    before: tuple[int, ...] = ()
    prefixes = 0
    for number in sorted(range(len(read)), key=read.__getitem__):
        # In alphabetical order no earlier sequence shares more than the last one.
        new = len(read[number]) - _shared(before, read[number])
        if group and prefixes + new > most_prefixes:
            yield group
            group, prefixes, new = [], 0, len(read[number])
        group.append(number)
        prefixes += new
        before = read[number]
    if group:
        yield group


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many symbols two sequences begin with alike."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
