"""Strings of which few are different, such as the labels of a corpus, as small integers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Coded:
    """Many strings, of which few are different: ``names[codes]``.

    Attributes:
        codes: int32 ``[strings]``.
        names: the strings that occur, sorted, each once.
    """

    codes: npt.NDArray[np.int32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, strings: Iterable[str]) -> Coded:
        """Encode strings; they are gone through once and never held together."""
        if isinstance(strings, np.ndarray):
            strings = strings.tolist()
        numbers: dict[str, int] = {}
        found = (numbers.setdefault(string, len(numbers)) for string in strings)
        codes = np.fromiter(found, dtype=np.int32)
        names = tuple(sorted(numbers))
        place = np.empty(len(names), dtype=np.int32)
        place[[numbers[name] for name in names]] = np.arange(len(names), dtype=np.int32)
        return cls(place[codes], names)

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        """The strings, one after the other."""
        return (self.names[code] for code in self.codes)

    def decoded(self) -> npt.NDArray[np.str_]:
        """The strings as an array: four bytes for each letter of the longest, times the strings."""
        return np.asarray(self.names, dtype=np.str_)[self.codes]

    def counts(self) -> npt.NDArray[np.int64]:
        """How often each name occurs, ``[names]``."""
        return np.bincount(self.codes, minlength=len(self.names))

    def select(self, rows: npt.NDArray[np.intp]) -> Coded:
        """The strings at these places; names that do not occur there are dropped."""
        part = Coded(self.codes[rows], self.names)
        occurs = part.counts() > 0
        if occurs.all():
            return part
        place = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
        names = tuple(name for name, kept in zip(self.names, occurs, strict=True) if kept)
        return Coded(place[part.codes], names)

    def digest(self) -> str:
        """12 hexadecimal digits that tell these strings, in this order, from others."""
        found = hashlib.sha256("\n".join(self.names).encode("utf-8"))
        found.update(np.ascontiguousarray(self.codes).tobytes())
        return found.hexdigest()[:12]
