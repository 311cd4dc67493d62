"""Words out of subwords."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.subwords import (
    UnmatchedWords,
    join_words,
    last_subwords,
    match_words,
    pool,
    subword_mark,
    word_starts,
)

CASES = [
    (None, "a b@@ ▁c", ["a", "b@@", "▁c"], [0, 1, 2]),
    ("@@", "un@@ happ@@ y cat", ["unhappy", "cat"], [0, 3]),
    ("@@", "cat s@@", ["cat", "s"], [0, 1]),
    ("▁", "▁un happy ▁cat", ["unhappy", "cat"], [0, 2]),
    ("▁", "▁ Über ▁a", ["Über", "a"], [0, 2]),
    ("▁", "x ▁a", ["x", "a"], [0, 1]),
    ("@@", "", [], []),
    ("▁", "▁a ▁", ["a", "▁"], [0, 1]),
]


@pytest.mark.parametrize(("mark", "text", "words", "starts"), CASES)
def test_words(mark, text, words, starts) -> None:
    assert join_words(text.split(), mark) == words
    assert word_starts(text.split(), mark) == starts


@pytest.mark.parametrize(
    ("starts", "last"), [([1, 0, 1, 1, 0, 0], [1, 2, 5]), ([1], [0]), ([], []), ([1, 1], [0, 1])]
)
def test_last_subwords(starts, last) -> None:
    assert last_subwords(np.array(starts, dtype=bool)).tolist() == last


ROWS = np.array([[1, 10], [2, 20], [6, 60], [5, 50]], dtype=np.float32)


@pytest.mark.parametrize(
    ("pooling", "rows"),
    [
        ("first", [[1, 10], [5, 50]]),
        ("last", [[6, 60], [5, 50]]),
        ("mean", [[3, 30], [5, 50]]),
    ],
)
def test_pool(pooling, rows) -> None:
    assert pool(ROWS, [0, 3], pooling).tolist() == rows


@pytest.mark.parametrize(
    ("post_process", "mark"),
    [(None, None), ("@@ ", "@@"), ("subword_nmt", "@@"), ("sentencepiece", "▁")],
)
def test_mark(post_process, mark) -> None:
    assert subword_mark(post_process) == mark


def test_unknown_segmentation() -> None:
    with pytest.raises(UserError, match="'letter'"):
        subword_mark("letter")


def normalising(word: str) -> list[str]:
    """Segment as sentencepiece with NFKC: an acute accent becomes a space and a combining one."""
    return [f"▁{part}" for part in word.replace("´", " ́").replace("\u200b", " ").split()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["A", "mother´works", "\u200b", "A"], "word 2, 'mother´works', becomes 'mother', '́works'"),
        (["a", "\u200b", "b"], "word 2, '\\u200b', becomes nothing"),
    ],
)
def test_words_that_the_segmentation_changes(words, message) -> None:
    symbols = [piece for word in words for piece in normalising(word)]
    with pytest.raises(UnmatchedWords, match=re.escape(message)):
        match_words(words, symbols, "▁", normalising)


def test_words_are_matched_by_their_characters() -> None:
    def halves(word: str) -> list[str]:
        return [f"{word[:1]}@@", word[1:]] if len(word) > 1 else [word]

    words = ["un", "a", "cat"]
    symbols = [piece for word in words for piece in halves(word)]
    assert match_words(words, symbols, "@@", halves) == [0, 2, 3]
    for wrong in (["un", "b", "cat"], ["un", "a"], ["un", "a", "cat", "s"], ["a", "un", "cat"]):
        with pytest.raises(UnmatchedWords):
            match_words(wrong, symbols, "@@", halves)
    with pytest.raises(UnmatchedWords, match="'x@@'"):  # a word that looks like a subword
        match_words(["x@@"], ["x@@"], "@@", lambda word: [word])
