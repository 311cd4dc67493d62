"""What a pickle names, as inert records: no class of the file is ever imported or called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Malformed(ValueError):
    """A file that is damaged, or that no honest program has written."""


class NotSupported(Malformed):
    """An object of a known class that is not read: it becomes a `StandIn`."""


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle refers to.

    Attributes:
        module: e.g. ``argparse``.
        name: e.g. ``Namespace``.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Instance:
    """A call that a pickle asks for, with all that it hands over afterwards.

    Attributes:
        name: what would have been called.
        arguments: its arguments.
        states: what was to be given to ``__setstate__`` or ``__dict__``, in order.
        items: key and value pairs that were to be set.
        elements: values that were to be appended.
    """

    __slots__ = ("arguments", "elements", "items", "name", "states")

    def __init__(self, name: Name, arguments: tuple[Any, ...]) -> None:
        self.name = name
        self.arguments = arguments
        self.states: list[Any] = []
        self.items: list[tuple[Any, Any]] = []
        self.elements: list[Any] = []

    @property
    def state(self) -> Any:
        """The state, or None; more than one is nothing that pickle writes."""
        if len(self.states) > 1:
            raise Malformed(f"{self.name} has more than one state")
        return self.states[0] if self.states else None


@dataclass(frozen=True, eq=False)
class Persistent:
    """A reference to what lies outside of the pickle: of ``torch.save``, a storage."""

    identifier: Any


@dataclass(frozen=True)
class StandIn:
    """Takes the place of an object whose class is not on the list of those that are read.

    Attributes:
        name: the class or function, e.g. ``fairseq.meters.AverageMeter``.
    """

    name: str
