"""Labels that depend on the word alone."""

from __future__ import annotations

from collections.abc import Callable

from .types import Labels, Sentences


def label_by_word(sentences: Sentences, label_of: Callable[[str], str]) -> Labels:
    """Label each word by itself; ``label_of`` is asked once for each different word."""
    known: dict[str, str] = {}

    def label(word: str) -> str:
        found = known.get(word)
        if found is None:
            found = known[word] = label_of(word)
        return found

    return [[label(word) for word in words] for words in sentences]
