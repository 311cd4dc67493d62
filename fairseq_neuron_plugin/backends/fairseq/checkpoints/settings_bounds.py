"""Check that settings are plain data of a size that fairseq, hydra and omegaconf can work with."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ....errors import UserError
from ....files import StrPath
from .fairseq_tables import LONG_LISTS
from .literals import INTEGERS

MAX_DEPTH = 20
# The pairs of 200 languages, a list of 40,000 and 700,000 characters of text, in the settings of
# the model, the task, the criterion, the optimiser and its schedule.
MAX_VALUES = 250_000
MAX_TEXT = 1_000_000
MAX_CHARACTERS = 5_000_000
# omegaconf takes 0.1 ms per value outside of a Namespace.
MAX_PARSED_VALUES = 10_000
# hydra parses what is flat: lists in quadratic time, and a text of this length in a second.
MAX_LISTED_VALUES = 2_000
MAX_FLAT_CHARACTERS = 500_000
MAX_KEY = 500

_SCALARS = (type(None), bool, int, float, str)


class Names(NamedTuple):
    """The names that lead to a setting, as a linked list: there are many."""

    parent: Names | None
    name: str | int

    def __str__(self) -> str:
        names: list[str | int] = []
        names_here: Names | None = self
        while names_here is not None:
            names.append(names_here.name)
            names_here = names_here.parent
        text = ""
        for name in reversed(names):
            text += f"[{name}]" if isinstance(name, int) else f".{shown(name)}" * bool(text)
            text = text or shown(str(name))
        return text if len(text) <= 200 else f"{text[:150]}...{text[-40:]}"


def shown(text: str, most: int = 60) -> str:
    """A text as errors show it: short, on one line, and fit for any terminal."""
    short = text if len(text) <= most else f"{text[:most]}..."
    return short.encode("unicode_escape").decode("ascii")


class _Size(NamedTuple):
    """What a value amounts to when shared parts are written out wherever they occur.

    Attributes:
        values: number of values, itself included.
        parsed: those that are in no `Namespace`.
        characters: of all texts.
        height: 0 of a scalar, 1 of a list of scalars.
    """

    values: int = 1
    parsed: int = 1
    characters: int = 0
    height: int = 0


def parts_of(value: Any) -> Iterator[tuple[str | int, Any]]:
    """The names and values in a container."""
    if isinstance(value, Namespace):
        yield from vars(value).items()
    elif isinstance(value, Mapping):
        yield from value.items()
    else:
        yield from enumerate(value)


class Bounds:
    """Measures settings, each shared part of them once.

    Args:
        path: of the checkpoint, for errors.
        flat: the settings are the flat ``args``, which hydra has to parse.
    """

    def __init__(self, path: StrPath, flat: bool) -> None:
        self._path = path
        self._flat = flat
        self._sizes: dict[int, _Size] = {}
        self._open: set[int] = set()

    def check(self, settings: Any) -> None:
        """Check the settings as a whole.

        Raises:
            UserError: something in them is not plain data, or they are out of bounds.
        """
        size = self._measure(settings, None, 0)
        if not self._flat:
            self._limit(size.parsed, MAX_PARSED_VALUES, "values outside of namespaces")
            return
        values = characters = 0
        for name, value in parts_of(settings):
            if name not in LONG_LISTS:
                size = self._sizes.get(id(value), _Size())
                values += size.values - 1
                characters += len(value) if isinstance(value, str) else size.characters
        self._limit(values, MAX_LISTED_VALUES, "values in lists")
        self._limit(characters, MAX_FLAT_CHARACTERS, "characters of text")

    def _measure(self, value: Any, names: Names | None, depth: int) -> _Size:
        if type(value) in _SCALARS:
            return self._scalar(value, names)
        if names is not None and type(value) not in (list, tuple, dict, Namespace):
            raise self._error(names, f"is a {type(value).__name__} object, which is not supported")
        if id(value) in self._open:
            raise self._error(names, "contains itself")
        size = self._sizes.get(id(value))
        if size is None:
            if depth == MAX_DEPTH:
                raise self._error(names, f"is nested more than {MAX_DEPTH} deep: not supported")
            self._open.add(id(value))
            size = self._sizes[id(value)] = self._container(value, names, depth)
            self._open.remove(id(value))
        elif depth + size.height > MAX_DEPTH:
            raise self._error(names, f"is nested more than {MAX_DEPTH} deep: not supported")
        return size

    def _scalar(self, value: Any, names: Names | None) -> _Size:
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise self._error(
                    names, f"is a text of {len(value)} characters; at most {MAX_TEXT} are supported"
                )
            return _Size(characters=len(value))
        if isinstance(value, int) and value not in INTEGERS:
            raise self._error(names, "is a number that does not fit into 64 bits")
        return _Size()

    def _container(self, value: Any, names: Names | None, depth: int) -> _Size:
        values = parsed = 1
        characters = height = 0
        keyed = not isinstance(value, list | tuple)
        for name, part in parts_of(value):
            if keyed:
                self._check_key(name, names, value)
            size = self._measure(part, Names(names, name), depth + 1)
            values += size.values
            parsed += size.parsed
            characters += size.characters
            height = max(height, size.height + 1)
            self._limit(values, MAX_VALUES, "values")
            self._limit(characters, MAX_CHARACTERS, "characters of text")
        return _Size(values, 1 if isinstance(value, Namespace) else parsed, characters, height)

    def _check_key(self, key: Any, names: Names | None, container: Any) -> None:
        if type(key) is int and names is not None and isinstance(container, dict):
            if key not in INTEGERS:
                raise self._error(names, "has a number as a name that does not fit into 64 bits")
            return
        where = f"in {names}" if names is not None else "at the top"
        if type(key) is not str:
            what = type(key).__name__
            raise UserError(
                f"checkpoint {self._path}: a setting {where} has a {what} as its name, which is "
                "not supported"
            )
        # fairseq splits names with regular expressions that see but the first line of them, and
        # sets them as attributes.
        if not key.isprintable() or len(key) > MAX_KEY or (key[:2] == key[-2:] == "__"):
            raise UserError(
                f"checkpoint {self._path}: a setting {where} has the name '{shown(key)}', which is "
                "not supported"
            )

    def _limit(self, number: int, most: int, of_what: str) -> None:
        if number > most:
            raise UserError(
                f"checkpoint {self._path}: its settings have more than {most} {of_what}, which is "
                "not supported"
            )

    def _error(self, names: Names | None, what: str) -> UserError:
        subject = "its configuration" if names is None else f"setting {names}"
        return UserError(f"checkpoint {self._path}: {subject} {what}")
