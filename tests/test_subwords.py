"""Words out of subwords."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.subwords import (
    join_words,
    last_subwords,
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
