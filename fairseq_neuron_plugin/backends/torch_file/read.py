"""Open a file of ``torch.save`` and build what it holds, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .build import Builder, Conversion
from .containers import open_container
from .records import Instance, Malformed
from .tensors import DTYPES, tensor_conversions
from .values import CONVERSIONS


class TorchFile(Mapping[str, Any]):
    """The dictionary that a file holds; each entry is built when it is asked for.

    An entry of a class that is not on the list of those that are read holds a `StandIn` in its
    place. Nothing that the file names is imported or called, in no case.
    """

    def __init__(self, tree: Any, builder: Builder) -> None:
        entries = tree
        if isinstance(tree, Instance):
            if str(tree.name) != "collections.OrderedDict":
                raise Malformed(f"a {tree.name} instead of a dictionary")
            entries = dict(tree.items)
        if type(entries) is not dict or not all(type(key) is str for key in entries):
            raise Malformed("no dictionary with names")
        self._entries = entries
        self._builder = builder

    def __getitem__(self, name: str) -> Any:
        return self._builder.build(self._entries[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def part(self, name: str, *left_out: str) -> Any:
        """Build an entry that is a dictionary, or a list of some, without some of their keys.

        So that what is not needed, such as the state of an optimiser, is not read.
        """
        return self._builder.build(_without(self._entries[name], left_out))


def _without(record: Any, keys: tuple[str, ...]) -> Any:
    if type(record) is list:
        return [_without(part, keys) for part in record]
    if type(record) is dict:
        return {key: value for key, value in record.items() if key not in keys}
    return record


@contextmanager
def open_torch_file(
    path: str, conversions: Mapping[str, Conversion] | None = None
) -> Iterator[TorchFile]:
    """Open a file that ``torch.save`` wrote, in either of its formats.

    Args:
        path: a regular file.
        conversions: for further classes, by full name; see `Builder`.

    Raises:
        OSError: it cannot be opened.
        Malformed: it is none, or damaged, here or while its entries are built.
    """
    with open(path, "rb") as stream:
        container = open_container(stream)
        known = {**CONVERSIONS, **tensor_conversions(container), **(conversions or {})}
        yield TorchFile(container.tree, Builder(known, DTYPES))
