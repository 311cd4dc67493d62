"""Objects that checkpoints of fairseq hold besides plain data: old configurations, dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...torch_file.build import Builder, Conversion
from ...torch_file.records import Instance, Malformed


def _node(record: Instance, builder: Builder) -> Any:
    """Read one value of an omegaconf configuration."""
    return builder.build(_state(record)["_val"])


def _container(record: Instance, builder: Builder) -> Any:
    """Read a dictionary or list of omegaconf, without what makes it more: parents and types."""
    return builder.build(_state(record)["_content"])


def _choice(record: Instance, builder: Builder) -> Any:
    """Read a member of one of fairseq's enumerations, as the text that fairseq saves today."""
    (value,) = record.arguments
    return builder.build(value)


def _dictionary(record: Instance, builder: Builder) -> Any:
    """Read a fairseq `Dictionary` from its attributes."""
    from fairseq.data import Dictionary

    attributes = builder.build(_state(record))
    words, counts, ids = (attributes[name] for name in ("symbols", "count", "indices"))
    simple = {name: value for name, value in attributes.items() if type(value) in (str, int)}
    if (
        not all(type(name) is str and not name.startswith("__") for name in attributes)
        or len(simple) + 3 != len(attributes)
        or not all(type(word) is str for word in (*words, *ids))
        or not all(type(number) is int for number in (*counts, *ids.values()))
    ):
        raise Malformed("a dictionary that cannot be read")
    dictionary = Dictionary.__new__(Dictionary)
    vars(dictionary).update(simple, symbols=list(words), count=list(counts), indices=dict(ids))
    return dictionary


def _state(record: Instance) -> dict[str, Any]:
    state = record.state
    if type(state) is tuple and len(state) == 2 and state[1] is None:
        state = state[0]
    if type(state) is not dict:
        raise Malformed(f"{record.name} without attributes")
    return state


CONVERSIONS: Mapping[str, Conversion] = {
    "omegaconf.dictconfig.DictConfig": _container,
    "omegaconf.listconfig.ListConfig": _container,
    "omegaconf.nodes.UnionNode": _container,
    "omegaconf.nodes.*": _node,
    "fairseq.dataclass.constants.*": _choice,
    "fairseq.data.dictionary.Dictionary": _dictionary,
}
