"""Tokens with their activations, words and labels: what a probe is trained and tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..activations import Activations
from ..errors import UserError
from .rows import Rows, View


@dataclass(frozen=True)
class LabelledTokens:
    """Tokens of a corpus.

    Attributes:
        activations: ``[tokens, neurons]``.
        words, labels: str ``[tokens]``.
        sentence: int64 ``[tokens]``, the number of the sentence (from 0) in the store.
    """

    activations: Rows
    words: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]
    sentence: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sentences(self) -> int:
        """Number of sentences that have a token here."""
        return len(np.unique(self.sentence))

    def select(self, rows: npt.NDArray[np.intp]) -> LabelledTokens:
        """The tokens of these rows, ascending; activations are not copied."""
        return replace(
            self,
            activations=View(self.activations, rows=rows),
            words=self.words[rows],
            labels=self.labels[rows],
            sentence=self.sentence[rows],
        )


def join_labels(store: Activations, labels: Sequence[Sequence[str]]) -> LabelledTokens:
    """Put a store and the labels of its words together; one label a word."""
    flat = [label for sentence in labels for label in sentence]
    if len(flat) != len(store):
        raise UserError(f"{len(flat)} labels for the {len(store)} words of {store.path}")
    return LabelledTokens(
        store.array,
        np.asarray(store.words(), dtype=np.str_),
        np.asarray(flat, dtype=np.str_),
        np.repeat(np.arange(len(store.sentences), dtype=np.int64), np.diff(store.offsets)),
    )


def split_by_sentence(
    tokens: LabelledTokens, test_share: float = 0.2, seed: int = 0
) -> tuple[LabelledTokens, LabelledTokens]:
    """Training and test tokens; a sentence's words stay together.

    Raises:
        UserError: fewer than two sentences.
    """
    sentences = np.unique(tokens.sentence)
    if len(sentences) < 2:
        raise UserError("one sentence cannot be split into training and test data")
    count = min(max(1, round(test_share * len(sentences))), len(sentences) - 1)
    chosen = np.random.default_rng(seed).permutation(sentences)[:count]
    is_test = np.isin(tokens.sentence, chosen)
    return tokens.select(np.flatnonzero(~is_test)), tokens.select(np.flatnonzero(is_test))


def drop_rare(tokens: LabelledTokens, min_count: int) -> tuple[LabelledTokens, dict[str, int]]:
    """Leave out the tokens of labels that occur fewer than ``min_count`` times.

    Returns:
        What is left, and the labels left out with the number of their tokens.
    """
    counts = Counter(tokens.labels.tolist())
    rare = {label: count for label, count in sorted(counts.items()) if count < min_count}
    if not rare:
        return tokens, {}
    return tokens.select(np.flatnonzero(~np.isin(tokens.labels, list(rare)))), rare
