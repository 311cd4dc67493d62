"""From subwords to words: which subwords make up each word, and one row out of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .errors import UserError

POOLINGS = ("last", "first", "mean")
_MARKS = {"@@": "@@", "@@ ": "@@", "subword_nmt": "@@", "sentencepiece": "▁", "▁": "▁"}
# fairseq's --bpe encoders whose output one of the marks describes.
MARK_OF_BPE = {"subword_nmt": "@@", "fastbpe": "@@", "sentencepiece": "▁"}


def subword_mark(post_process: str | None) -> str | None:
    """The mark of a subword segmentation, from a value of fairseq's ``--post-process``.

    Returns:
        ``@@`` (at the end of all but a word's last subword), ``▁`` (at the start of a word's first
        piece), or None for words.

    Raises:
        UserError: a segmentation whose words cannot be told apart.
    """
    if post_process is None:
        return None
    if post_process not in _MARKS:
        raise UserError(
            f"cannot put subwords of {post_process!r} together; known are: @@, sentencepiece"
        )
    return _MARKS[post_process]


def word_starts(symbols: Sequence[str], mark: str | None) -> list[int]:
    """Index of each word's first subword.

    >>> word_starts(["un@@", "happy", "cat"], "@@")
    [0, 2]
    >>> word_starts(["▁un", "happy", "▁cat"], "▁")
    [0, 2]
    """
    if mark is None:
        return list(range(len(symbols)))
    if mark == "@@":
        return [i for i in range(len(symbols)) if i == 0 or not symbols[i - 1].endswith("@@")]
    return [i for i, symbol in enumerate(symbols) if i == 0 or symbol.startswith("▁")]


def join_words(symbols: Sequence[str], mark: str | None) -> list[str]:
    """The words that the subwords spell.

    >>> join_words(["un@@", "happy", "cat"], "@@")
    ['unhappy', 'cat']
    """
    starts = word_starts(symbols, mark)
    words = []
    for start, end in zip(starts, [*starts, len(symbols)][1:], strict=True):
        pieces = symbols[start:end]
        if mark == "@@":
            pieces = [piece.removesuffix("@@") for piece in pieces]
        word = "".join(pieces).removeprefix("▁" if mark == "▁" else "")
        words.append(word or str(mark))  # a mark that stands alone; a word is never empty
    return words


class UnmatchedWords(ValueError):
    """Subwords that do not spell the words they were made of."""


def match_words(
    words: Sequence[str],
    symbols: Sequence[str],
    mark: str | None,
    segment: Callable[[str], Sequence[str]],
) -> list[int]:
    """Find each word's first subword, and check that the subwords spell the words.

    A segmentation may normalise: one word can become two while another vanishes, so that as many
    remain and every word after them would get its neighbour's subwords.

    Args:
        words: of a sentence.
        symbols: the subwords of the sentence.
        mark: of the segmentation, see `subword_mark`.
        segment: makes the subwords of a single word, normalised in the same way.

    Returns:
        Index of each word's first subword, ``[words]``.

    Raises:
        UnmatchedWords: the first word that its subwords do not spell.
    """
    starts = word_starts(symbols, mark)
    spelled = join_words(symbols, mark)
    for number, word in enumerate(words):
        alone = join_words(list(segment(word)), mark)
        if len(alone) != 1 or (mark == "@@" and alone != [word]):  # which does not normalise
            became = ", ".join(map(repr, alone)) or "nothing"
            raise UnmatchedWords(f"word {number + 1}, {word!r}, becomes {became}")
        if spelled[number : number + 1] != alone:
            raise UnmatchedWords(f"word {number + 1}, {word!r}, is not where its subwords are")
    if len(spelled) != len(words):
        raise UnmatchedWords(f"{len(words)} words become {len(spelled)}")
    return starts


def last_subwords(is_start: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Index of each word's last subword, ``[words]``.

    Args:
        is_start: ``[subwords]``, whether a word begins with this subword; the first one does.
    """
    return np.flatnonzero(np.append(is_start[1:], True)) if len(is_start) else np.empty(0, np.int64)


def pool(
    rows: npt.NDArray[np.float32], starts: Sequence[int], pooling: str
) -> npt.NDArray[np.float32]:
    """One row a word out of one row a subword.

    Args:
        rows: ``[subwords, neurons]``.
        starts: index of each word's first subword, ``[words]``.
        pooling: ``last``, ``first`` or ``mean`` subword.

    Returns:
        ``[words, neurons]``.
    """
    if len(starts) == len(rows):
        return rows
    if pooling == "first":
        return rows[np.asarray(starts, dtype=np.int64)]
    ends = np.asarray([*starts[1:], len(rows)], dtype=np.int64)
    if pooling == "last":
        return rows[ends - 1]
    lengths = ends - np.asarray(starts)
    sums: npt.NDArray[np.float32] = np.add.reduceat(rows, starts, axis=0)
    return sums / lengths[:, None].astype(np.float32)
