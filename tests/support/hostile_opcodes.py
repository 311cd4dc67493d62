"""Pickle opcodes by hand, and files of torch.save with such opcodes at any place of the object."""

from __future__ import annotations

import argparse
import io
import pickle
import pickletools
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch


class Opcodes:
    """Pickles to the given opcodes, which leave one object on the stack."""

    def __init__(self, code: bytes) -> None:
        self.code = code

    def __call__(self) -> None:
        """Never called: the pickler refuses a function that is not callable."""
        raise AssertionError("opcodes are not called")


class Reduced:
    """Pickles to ``function(*arguments)``, then ``BUILD`` with a state if there is one."""

    def __init__(self, function: Callable, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple:
        return self.parts


class Pickler(pickle._Pickler):
    """The pickler in Python, which knows `Opcodes`."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Opcodes):
            self.write(obj.code)
        else:
            super().save(obj, save_persistent_id)


def save(content: Any, path: Path, legacy: bool = False) -> None:
    """As `torch.save`, with opcodes in the object; ``legacy``: the format before zip files."""

    def dump(value: Any, stream: Any, protocol: int) -> None:
        Pickler(stream, protocol).dump(value)

    module = SimpleNamespace(__name__="hostile", Pickler=Pickler, dump=dump)
    torch.save(content, path, module, _use_new_zipfile_serialization=not legacy)


def dumps(content: Any) -> bytes:
    """A pickle by itself."""
    stream = io.BytesIO()
    Pickler(stream, 2).dump(content)
    return stream.getvalue()


def load_honest(path: Path) -> dict[str, Any]:
    """An honest checkpoint of stock fairseq."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def split_pickles(data: bytes, count: int) -> list[bytes]:
    """The first so many pickles of a stream, and what follows them."""
    stream, parts, start = io.BytesIO(data), [], 0
    for _ in range(count):
        for _ in pickletools.genops(stream):
            pass
        parts.append(data[start : stream.tell()])
        start = stream.tell()
    return [*parts, data[start:]]


# What a pickle is made of. Each returns opcodes that leave one object on the stack.


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def integer(value: int) -> bytes:
    return f"I{value}\n".encode()


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def array(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def mapping(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    """``function(*arguments)`` by REDUCE."""
    return function + sequence(*arguments) + b"R"


def build(instance: bytes, state: bytes) -> bytes:
    return instance + state + b"b"


def new(kind: bytes, *arguments: bytes) -> bytes:
    """``kind.__new__(kind, *arguments)`` by NEWOBJ."""
    return kind + sequence(*arguments) + b"\x81"


def plain(value: Any) -> bytes:
    """An object as the standard pickler writes it, to stand among other opcodes."""
    code = pickle.dumps(value, 2)
    # Without PROTO and STOP; its places in the memo moved out of the way of the file's own.
    return _move_memo(code[2:-1], 1_000_000)


def _move_memo(code: bytes, by: int) -> bytes:
    parts = []
    operations = [(kind, value, at) for kind, value, at in pickletools.genops(code + b".")]
    ends = [at for _, _, at in operations[1:]] + [len(code)]
    for (kind, value, at), end in zip(operations, ends, strict=True):
        if kind.name in ("BINPUT", "LONG_BINPUT"):
            parts.append(b"r" + struct.pack("<I", value + by))
        elif kind.name in ("BINGET", "LONG_BINGET"):
            parts.append(b"j" + struct.pack("<I", value + by))
        elif kind.name != "STOP":
            parts.append(code[at:end])
    return b"".join(parts)


def joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)
