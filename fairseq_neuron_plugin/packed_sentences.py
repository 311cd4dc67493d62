"""The words of many sentences, held as text: a corpus need not be small."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any


class PackedSentences(Sequence[list[str]]):
    """Sentences of words, made anew whenever they are asked for: the UTF-8 text and 8 bytes each.

    Args:
        end: a word that every sentence has at its end, besides its own.
    """

    def __init__(self, end: str | None = None) -> None:
        self._text = bytearray()
        self._offsets = array("q", [0])
        self._end = end

    def append(self, words: Sequence[str]) -> None:
        """Add a sentence; its words hold no space and are not empty."""
        self._text += " ".join(words).encode("utf-8")
        self._offsets.append(len(self._text))

    def ending_with(self, word: str) -> PackedSentences:
        """The same sentences with one more word each."""
        other = PackedSentences(word)
        other._text, other._offsets = self._text, self._offsets
        return other

    def lines(self) -> Iterator[bytes]:
        """Each sentence as a line, words separated by one space."""
        line_end = b"\n" if self._end is None else f" {self._end}\n".encode()
        begin = 0
        for end in self._offsets[1:]:
            line = self._text[begin:end] + line_end
            yield bytes(line if end > begin else line.lstrip(b" "))
            begin = end

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: Any) -> Any:
        begin, end = self._offsets[number], self._offsets[number + 1]
        words = self._text[begin:end].decode("utf-8").split(" ") if end > begin else []
        return words if self._end is None else [*words, self._end]

    def __iter__(self) -> Iterator[list[str]]:
        return (self[number] for number in range(len(self)))
