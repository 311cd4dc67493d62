"""Turn the records of a pickle into values: names on a list become what they are, others do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .records import Instance, Malformed, Name, NotSupported, Persistent, StandIn

# Far beyond any honest file; a shared container counts each time it is referred to.
MAX_VALUES = 20_000_000
MAX_DEPTH = 100
_SCALARS = (str, int, float, bool, bytes, bytearray, type(None))

Conversion = Callable[[Instance, "Builder"], Any]


class Builder:
    """Builds values out of records; each record once, so that what is shared stays shared.

    Args:
        conversions: what to do with an `Instance`, by the full name of its class, or by its module
            and ``.*``; an instance of any other becomes a `StandIn`.
        names: what a class or function that is only referred to becomes, by its full name.
    """

    def __init__(self, conversions: Mapping[str, Conversion], names: Mapping[str, Any]) -> None:
        self._conversions = conversions
        self._names = names
        # By identity; the record is kept, so that no other takes its place in memory.
        self._built: dict[int, tuple[Any, Any, int]] = {}
        self._open: set[int] = set()
        self._size = 0

    def build(self, record: Any) -> Any:
        """Build the value of a record and of all that it holds.

        Raises:
            Malformed: it refers to itself, or is nested or repeated beyond bounds, or holds what
                cannot be of the class that it names.
        """
        if type(record) in _SCALARS:
            self._grow(1)
            return record
        key = id(record)
        if key in self._built:
            _, value, size = self._built[key]
            self._grow(size)
            return value
        if key in self._open:
            raise Malformed("something that contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise Malformed(f"nested more than {MAX_DEPTH} deep")
        self._open.add(key)
        start = self._size
        self._grow(1)
        value = self._convert(record)
        self._open.remove(key)
        self._built[key] = record, value, self._size - start
        return value

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_VALUES:
            raise Malformed(f"more than {MAX_VALUES} values")

    def _convert(self, record: Any) -> Any:
        kind = type(record)
        if kind is list:
            return [self.build(value) for value in record]
        if kind is tuple:
            return tuple(self.build(value) for value in record)
        if kind is dict:
            return {key: self.build(value) for key, value in record.items()}
        if kind in (set, frozenset):
            return record  # its elements are plain, as keys are
        if isinstance(record, Name):
            return self._names.get(str(record), StandIn(str(record)))
        if isinstance(record, Persistent):
            raise Malformed("a storage that belongs to no tensor")
        return self._convert_instance(record)

    def _convert_instance(self, record: Instance) -> Any:
        name = record.name
        if str(name) in ("copyreg._reconstructor", "copy_reg._reconstructor"):
            record, name = _reconstructed(record)
        convert = self._conversions.get(str(name), self._conversions.get(f"{name.module}.*"))
        if convert is None:
            return StandIn(str(name))
        try:
            return convert(record, self)
        except NotSupported:
            return StandIn(str(name))
        except Malformed:
            raise
        except (TypeError, ValueError, LookupError, OverflowError):
            return StandIn(str(name))  # with arguments that are not its own


def _reconstructed(record: Instance) -> tuple[Instance, Name]:
    """Read the way in which the oldest pickle protocols make an object."""
    if len(record.arguments) != 3 or not isinstance(record.arguments[0], Name):
        raise Malformed("an object without a class")
    made = Instance(record.arguments[0], ())
    made.states, made.items, made.elements = record.states, record.items, record.elements
    return made, made.name


def without_stand_ins(value: Any) -> tuple[Any, set[str]]:
    """Leave out every entry that is a `StandIn`.

    Args:
        value: as `Builder.build` returns it.

    Returns:
        The value, with None for a `StandIn` in a sequence and without the key of one in a
        dictionary; and the names of all that was left out.
    """
    names: set[str] = set()
    done: dict[int, Any] = {}

    def clean(part: Any) -> Any:
        if isinstance(part, StandIn):
            names.add(part.name)
            return None
        if not isinstance(part, dict | list | tuple):
            return part
        if id(part) not in done:
            done[id(part)] = cleaned(part)
        return done[id(part)]

    def cleaned(part: Any) -> Any:
        if isinstance(part, dict):
            for key in [key for key, entry in part.items() if isinstance(entry, StandIn)]:
                names.add(part.pop(key).name)
            for key, entry in part.items():
                part[key] = clean(entry)
            return part
        if isinstance(part, list):
            part[:] = map(clean, part)
            return part
        return tuple(map(clean, part)) if type(part) is tuple else part

    return clean(value), names
