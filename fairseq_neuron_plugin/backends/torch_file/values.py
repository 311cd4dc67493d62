"""Objects of the standard library and of numpy that honest checkpoints hold."""

from __future__ import annotations

import argparse
import math
import types
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from .build import Builder, Conversion
from .pickle_machine import checked_key
from .records import Instance, NotSupported


def _ordered_dict(record: Instance, builder: Builder) -> Any:
    value = OrderedDict()
    for key, entry in (*_only(record, default=[]), *record.items):
        value[checked_key(key)] = builder.build(entry)
    return value


def _dictionary(record: Instance, builder: Builder) -> dict[Any, Any]:
    """Read a Counter or a defaultdict, whose factory is code."""
    first = record.arguments[0] if record.arguments else None
    value = dict(builder.build(first)) if isinstance(first, dict) else {}
    value.update((key, builder.build(entry)) for key, entry in record.items)
    return value


def _attributes(record: Instance, builder: Builder) -> dict[str, Any]:
    state = record.state
    attributes = builder.build({} if state is None else state)
    if not isinstance(attributes, dict) or record.arguments:
        raise NotSupported(f"{record.name} without attributes")
    for name in attributes:
        if type(name) is not str or name.startswith("__"):
            raise NotSupported(f"{record.name} with an attribute {name!r}")
    return attributes


def _namespace(record: Instance, builder: Builder) -> argparse.Namespace:
    namespace = argparse.Namespace()
    vars(namespace).update(_attributes(record, builder))
    return namespace


def _simple_namespace(record: Instance, builder: Builder) -> types.SimpleNamespace:
    namespace = types.SimpleNamespace()
    vars(namespace).update(_attributes(record, builder))
    return namespace


def _timedelta(record: Instance, builder: Builder) -> timedelta:
    return timedelta(*builder.build(record.arguments))


def _path(record: Instance, builder: Builder) -> str:
    return "/".join(builder.build(record.arguments)).replace("//", "/")


def _set(record: Instance, builder: Builder) -> set[Any]:
    return set(map(checked_key, _only(record, default=[])))


def _frozenset(record: Instance, builder: Builder) -> frozenset[Any]:
    return frozenset(map(checked_key, _only(record, default=[])))


def _bytes(record: Instance, builder: Builder) -> bytes:
    """Read bytes as the older protocols write them: as text, which each character is a byte of."""
    text, *encoding = record.arguments or ("",)
    if isinstance(text, bytes | bytearray):
        return bytes(text)
    if type(text) is not str or (encoding and encoding[0] not in ("latin1", "latin-1")):
        raise NotSupported("bytes that cannot be read")
    return text.encode("latin-1")


def _complex(record: Instance, builder: Builder) -> complex:
    return complex(*builder.build(record.arguments))


def _dtype(record: Any) -> np.dtype[Any]:
    """Read a type of numbers, booleans or text; others can hold objects."""
    if not isinstance(record, Instance) or str(record.name) != "numpy.dtype":
        raise NotSupported("an array without a type")
    code = record.arguments[0] if record.arguments else None
    if type(code) is not str or not code or code[0] not in "biufcSU" or not code[1:].isdigit():
        raise NotSupported(f"an array of type {code!r}, which is not supported")
    state = record.state
    order: Any = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    if order not in ("<", ">", "=", "|"):
        raise NotSupported("an array without a byte order")
    return np.dtype(code).newbyteorder(order)


def _from_bytes(content: Any, dtype: np.dtype[Any], shape: Any, fortran: bool) -> np.ndarray:
    if not isinstance(content, bytes) or type(shape) is not tuple:
        raise NotSupported("an array that cannot be read")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise NotSupported("an array whose shape cannot be read")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise NotSupported("an array whose shape does not fit its content")
    flat = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _array(record: Instance, builder: Builder) -> np.ndarray:
    _, shape, dtype, fortran, content = record.state
    array = _from_bytes(builder.build(content), _dtype(dtype), shape, bool(fortran))
    return array.astype(array.dtype.newbyteorder("="))


def _array_from_buffer(record: Instance, builder: Builder) -> np.ndarray:
    content, dtype, shape, order = record.arguments
    content = builder.build(content)
    content = bytes(content) if isinstance(content, bytearray) else content
    return _from_bytes(content, _dtype(dtype), shape, order == "F")


def _number(record: Instance, builder: Builder) -> Any:
    dtype, content = record.arguments
    return _from_bytes(builder.build(content), _dtype(dtype), (), False)[()]


def _only(record: Instance, default: Any) -> Any:
    if len(record.arguments) > 1:
        raise NotSupported(f"{record.name} with too many arguments")
    return record.arguments[0] if record.arguments else default


# Python 2 calls the built-in module differently; numpy 2 has renamed its core.
CONVERSIONS: Mapping[str, Conversion] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _dictionary,
    "collections.defaultdict": _dictionary,
    "argparse.Namespace": _namespace,
    "types.SimpleNamespace": _simple_namespace,
    "datetime.timedelta": _timedelta,
    "_codecs.encode": _bytes,
    **{
        f"{module}.{name}": convert
        for module in ("builtins", "__builtin__")
        for name, convert in {
            "set": _set,
            "frozenset": _frozenset,
            "bytes": _bytes,
            "complex": _complex,
        }.items()
    },
    **{
        f"{module}.{name}": _path
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
    **{
        f"{core}.{name}": convert
        for core in ("numpy.core", "numpy._core")
        for name, convert in {
            "multiarray._reconstruct": _array,
            "multiarray.scalar": _number,
            "numeric._frombuffer": _array_from_buffer,
        }.items()
    },
}
