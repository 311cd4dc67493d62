"""A labelled sentence of a file, and how it is matched with a sentence of an activation store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError
from .types import UNKNOWN


@dataclass(frozen=True)
class Tagged:
    """One sentence of a label file.

    Attributes:
        words: None where the file has none.
        labels: one a word.
    """

    words: list[str] | None
    labels: list[str]


def match(where: str, words: Sequence[str], found: Tagged) -> list[str]:
    """The labels of a store's sentence, one a word.

    A word of the file that holds spaces (``20 000``) is in a store several words: text is split
    at spaces before it is translated. Each of them gets the word's label.

    Args:
        where: how an error names the sentence.
        words: of the store.
        found: of the file.

    Raises:
        UserError: it is another sentence; the first difference is named.
    """
    if found.words is not None:
        if len(found.words) != len(words):
            found = _split_at_spaces(found)
        assert found.words is not None
        for position, (word, other) in enumerate(zip(words, found.words, strict=False), start=1):
            if UNKNOWN not in (word, other) and word != other:
                raise UserError(
                    f"{where}, word {position}: the labels are for {other!r}, "
                    f"the activation store has {word!r}"
                )
    if len(words) != len(found.labels):
        theirs = "" if found.words is None else f"; the label file: {' '.join(found.words)!r}"
        raise UserError(
            f"{where}: {len(found.labels)} labels for {len(words)} words; "
            f"the activation store: {' '.join(words)!r}{theirs}"
        )
    return found.labels


def _split_at_spaces(found: Tagged) -> Tagged:
    assert found.words is not None
    pairs = [
        (part, label)
        for word, label in zip(found.words, found.labels, strict=True)
        for part in word.split() or [word]
    ]
    return Tagged([word for word, _ in pairs], [label for _, label in pairs])
