"""What a probe must beat: knowing the word alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence


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

    def fit(self, words: Sequence[str], labels: Sequence[str]) -> MajorityBaseline:
        """Count ``labels`` by word; the two are parallel.

        Raises:
            ValueError: nothing to count, or lengths that differ.
        """
        if not words:
            raise ValueError("the majority baseline needs at least one word")
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for word, label in zip(words, labels, strict=True):
            counts[word][label] += 1
        self.default_ = _most_frequent(Counter(labels))
        self.by_word_ = {word: _most_frequent(count) for word, count in counts.items()}
        return self

    def predict(self, words: Iterable[str]) -> list[str]:
        """A label for each word."""
        return [self.by_word_.get(word, self.default_) for word in words]


def _most_frequent(counts: Counter[str]) -> str:
    return min(counts, key=lambda label: (-counts[label], label))
