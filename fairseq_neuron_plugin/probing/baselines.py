"""What a probe must beat: knowing the word alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..coded import Coded
from .labelled import LabelledTokens


class MajorityBaseline:
    """MAJ (paper, section 5): the label that a word has most often in training.

    An unknown word gets the most frequent label of all. Of labels that are equally frequent, the
    first in sorted order is taken.

    Attributes:
        default_: the most frequent label.
        by_word_: the most frequent label of each word.

    >>> baseline = MajorityBaseline().fit(["can", "can", "run"], ["AUX", "NOUN", "VERB"])
    >>> baseline.predict(["can", "run", "fly"])
    ['AUX', 'VERB', 'AUX']
    """

    default_: str
    by_word_: dict[str, str]

    def fit(self, words: Coded | Iterable[str], labels: Coded | Iterable[str]) -> MajorityBaseline:
        """Count ``labels`` by word; the two are parallel, strings or `Coded`.

        Raises:
            ValueError: nothing to count, or lengths that differ.
        """
        words, labels = (x if isinstance(x, Coded) else Coded.of(x) for x in (words, labels))
        if not len(words):
            raise ValueError("the majority baseline needs at least one word")
        if len(words) != len(labels):
            raise ValueError(f"{len(words)} words, but {len(labels)} labels")
        size = len(labels.names)
        pairs, counts = np.unique(
            words.codes.astype(np.int64) * size + labels.codes, return_counts=True
        )
        word, label = np.divmod(pairs, size)
        best_first = np.lexsort((label, -counts, word))
        known, first = np.unique(word[best_first], return_index=True)
        best = label[best_first[first]]
        # Names are sorted: the first of the most frequent ones is the first in sorted order.
        self.default_ = labels.names[int(labels.counts().argmax())]
        self.by_word_ = {
            words.names[word_code]: labels.names[label_code]
            for word_code, label_code in zip(known.tolist(), best.tolist(), strict=True)
        }
        return self

    def predict(self, words: Iterable[str]) -> list[str]:
        """A label for each word."""
        return [self.by_word_.get(word, self.default_) for word in words]


def majority_accuracy(train: LabelledTokens, test: LabelledTokens) -> float:
    """Share of the test tokens, 0 to 1, whose label MAJ predicts from the training tokens."""
    words = Coded(train.word_codes, train.word_names)
    baseline = MajorityBaseline().fit(words, Coded(train.label_codes, train.label_names))
    code = {name: index for index, name in enumerate(test.label_names)}
    by_type = np.asarray([code.get(label, -1) for label in baseline.predict(test.word_names)])
    return float((by_type[test.word_codes] == test.label_codes).mean())
