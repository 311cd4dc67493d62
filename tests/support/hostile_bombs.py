"""Small files that want hours or gigabytes."""

from __future__ import annotations

import argparse
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hostile_files import EITHER, OPENS, REFUSED, HostileFile, Scene, Write, changed
from hostile_opcodes import (
    Opcodes,
    array,
    build,
    call,
    integer,
    name,
    raw,
    sequence,
    text,
)
from hostile_zip import Member, bomb, members_of, write_zip

_WEIGHT = "decoder.layers.0.bias_ih"  # of both LSTMs
Change = Callable[[Scene], Any]


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for label, (make, outcome) in _VALUES.items():
        for place, put in _PLACES.items():
            own = EITHER if place == "extra_state" and outcome == REFUSED else outcome
            yield HostileFile(f"bomb/{label} in {place}", own, changed(_put(put, make)))
    for label, make in _CALLS.items():
        yield HostileFile(f"bomb/{label}", OPENS, changed(_put(_extra_state, make)))
        yield HostileFile(f"bomb/{label} in cfg", REFUSED, changed(_put(_cfg, make)))
    for label, make in _CHECKED.items():
        yield HostileFile(f"bomb/{label}", EITHER, changed(_put(_extra_state, make)))
        yield HostileFile(f"bomb/{label} in cfg", REFUSED, changed(_put(_cfg, make)))
    for label, code in _OPCODES.items():
        make = _opcodes(code)
        outcome = EITHER if label.startswith("FRAME") else REFUSED
        yield HostileFile(f"bomb/{label}", outcome, changed(_put(_extra_state, make)))
    for label, (members, outcome) in _ZIPS.items():
        yield HostileFile(f"bomb/{label}", outcome, _zip(members))
    for label, (change, outcome) in _MANY.items():
        yield HostileFile(f"bomb/{label}", outcome, changed(change))


def _cfg(scene: Scene, value: Any) -> None:
    scene.settings("task")["source_lang"] = value


def _args(scene: Scene, value: Any) -> None:
    scene.flatten()
    scene.state["args"].decoder_embed_path = value


def _extra_state(scene: Scene, value: Any) -> None:
    scene.state["extra_state"]["metrics"] = value


def _model(scene: Scene, value: Any) -> None:
    scene.state["model"][_WEIGHT] = value


_PLACES = {"args": _args, "extra_state": _extra_state, "model": _model}


def _put(put: Callable[[Scene, Any], None], make: Callable[[], Any]) -> Change:
    return lambda scene: put(scene, make())


def _opcodes(code: Callable[[], bytes]) -> Callable[[], Opcodes]:
    return lambda: Opcodes(code())


def _laughs(join: Callable[[Any], Any], start: Any, levels: int = 60) -> Callable[[], Any]:
    """Each level holds the one before it twice."""

    def make() -> Any:
        value = start
        for _ in range(levels):
            value = join(value)
        return value

    return make


def _deep(before: bytes, after: bytes, levels: int = 100_000) -> Callable[[], Opcodes]:
    """Levels that the Python pickler could not write."""
    return lambda: Opcodes(before * levels + b"N" + after * levels)


def _tuple_keys() -> Opcodes:
    """The hash of a tuple is made of those of its items, of each time they stand in it."""
    key = b")"
    for _ in range(60):
        key += b"2\x86"
    return Opcodes(b"}" + key + b"Ns")


def _colliding() -> Opcodes:
    """Numbers of one hash: a dictionary compares each with all before it."""
    keys = (b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") + b"N" for k in range(100_000))
    return Opcodes(b"}(" + b"".join(keys) + b"u")


def _colliding_set() -> Opcodes:
    keys = (b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") for k in range(100_000))
    return Opcodes(b"\x8f(" + b"".join(keys) + b"\x90")


# What makes the value, and what follows from it in the configuration and among the weights.
_VALUES: dict[str, tuple[Callable[[], Any], str]] = {
    "shared lists": (_laughs(lambda x: [x, x], "x"), REFUSED),
    "shared dictionaries": (_laughs(lambda x: {"a": x, "b": x}, "x"), REFUSED),
    "shared tuples": (_laughs(lambda x: (x, x), "x"), REFUSED),
    "shared namespaces": (_laughs(lambda x: argparse.Namespace(a=x, b=x), 1), REFUSED),
    "keys of shared tuples": (_tuple_keys, REFUSED),
    "keys of one hash": (_colliding, REFUSED),
    "a set of one hash": (_colliding_set, REFUSED),
    "deep lists": (_deep(b"]", b"a"), REFUSED),
    "deep dictionaries": (_deep(b"}X\x01\0\0\0a", b"s"), REFUSED),
    "deep tuples": (_deep(b"", b"\x85"), REFUSED),
    "deep marks": (_deep(b"(", b"t"), REFUSED),
    "a text of ten million letters": (lambda: "x" * 10_000_000, EITHER),
}


def _library(module: str, attribute: str, *arguments: bytes) -> Callable[[], Opcodes]:
    return lambda: Opcodes(call(name(module, attribute), *arguments))


def _dtype_array() -> Opcodes:
    """numpy's own way to write an array, here of many more elements than there are bytes."""
    reconstruct = name("numpy.core.multiarray", "_reconstruct")
    made = call(reconstruct, name("numpy", "ndarray"), sequence(integer(0)), raw(b"b"))
    dtype = call(name("numpy", "dtype"), text("f8"), integer(0), integer(1))
    state = sequence(integer(1), sequence(_TRILLION), dtype, b"\x89", raw(b""))
    return Opcodes(build(made, state))


_TRILLION = b"\x8a\x06" + (10**12).to_bytes(6, "little")
_POWER = call(name("operator", "pow"), integer(10), integer(10**9))
# Calls of what costs much: nobody makes them, so they harm nobody in the training state.
_CALLS: dict[str, Callable[[], Opcodes]] = {
    "list of a range": _library("builtins", "list", call(name("builtins", "range"), _TRILLION)),
    "list without end": _library("builtins", "list", call(name("itertools", "count"))),
    "a power": lambda: Opcodes(_POWER),
    "a long list": _library("operator", "mul", array(b"N"), _TRILLION),
    "sleep": _library("time", "sleep", integer(10**6)),
    "input": _library("builtins", "input"),
    "a pause": _library("signal", "pause"),
    "an abort": _library("os", "abort"),
    "an exit": _library("os", "_exit", integer(0)),
    "a pattern": _library("re", "match", text("(a+)+$"), text("a" * 60 + "b")),
    "numpy.zeros": _library("numpy", "zeros", sequence(_TRILLION)),
    "torch.zeros": _library("torch", "zeros", _TRILLION),
}
# And of names that a reader may know, with what it may not take.
_CHECKED: dict[str, Callable[[], Opcodes]] = {
    "bytearray": _library("builtins", "bytearray", _TRILLION),
    "bytes": _library("builtins", "bytes", _TRILLION),
    "set of a range": _library("builtins", "set", call(name("builtins", "range"), _TRILLION)),
    "an array of numpy": _dtype_array,
    "a scalar of numpy": _library(
        "numpy.core.multiarray",
        "scalar",
        call(name("numpy", "dtype"), text("V2000000000"), integer(0), integer(1)),
        raw(b""),
    ),
    "a type of numpy": _library(
        "numpy", "dtype", text(",".join(["f8"] * 100_000)), integer(0), integer(1)
    ),
    "an encoding": _library("_codecs", "encode", text("a" * 1_000_000), text("idna")),
    "an encoding by its name": _library("_codecs", "encode", text("a"), text("x" * 10_000_000)),
    "a span of time": _library("datetime", "timedelta", _TRILLION, _TRILLION, _TRILLION),
    "a counter": _library("collections", "Counter", text("a" * 10)),
    "an ordered dictionary of a text": _library("collections", "OrderedDict", text("abc")),
    "an ordered dictionary of pairs": _library(
        "collections", "OrderedDict", call(name("builtins", "zip"), text("ab"), text("cd"))
    ),
}


def _quad(opcode: bytes, length: int) -> bytes:
    return opcode + struct.pack("<Q", length)


_OPCODES: dict[str, Callable[[], bytes]] = {
    "LONG4 cut off": lambda: b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01",
    "LONG of ten million digits": lambda: b"L" + b"9" * 10_000_000 + b"L\n",
    "INT of ten million digits": lambda: b"I" + b"9" * 10_000_000 + b"\n",
    "FLOAT of ten million digits": lambda: b"F" + b"9" * 10_000_000 + b".x\n",
    "BINUNICODE8 of exabytes": lambda: _quad(b"\x8d", 2**62) + b"x",
    "BINBYTES8 of exabytes": lambda: _quad(b"\x8e", 2**62) + b"x",
    "BYTEARRAY8 of 16 GB": lambda: _quad(b"\x96", 2**34) + b"x",
    "FRAME of exabytes": lambda: _quad(b"\x95", 2**62) + b"N",
    "FRAME of 16 GB": lambda: _quad(b"\x95", 2**34) + b"N",
    "UNICODE without end": lambda: b"V" + b"x" * 1_000_000,
    "GLOBAL without end": lambda: b"c" + b"x" * 1_000_000,
    "LONG_BINPUT of 4 billion, once more": lambda: b"Nr\xff\xff\xff\xff0h\xff",
    "one STOP too early": lambda: b"N.",
}


def _zip(make: Callable[[dict[str, Member]], dict[str, Member]]) -> Write:
    def write(scene: Scene, path: Path) -> None:
        members = members_of(scene.state, path)
        write_zip(path, [*(members | make(members)).values()])

    return write


_MB = 2**20


def _pickle_bomb(block: bytes, first: bytes, times: int = 4000, **lie: int) -> Callable:
    def make(members: dict[str, Member]) -> dict[str, Member]:
        return {"data.pkl": replace(bomb(members["data.pkl"], block, times, first), **lie)}

    return make


def _storage_bomb(**lie: int) -> Callable:
    def make(members: dict[str, Member]) -> dict[str, Member]:
        return {"data/3": replace(bomb(members["data/3"], bytes(_MB), 4000), **lie)}

    return make


def _small_bomb(name: str) -> Callable:
    def make(members: dict[str, Member]) -> dict[str, Member]:
        return {name: bomb(members[name], bytes(_MB), 4000)}

    return make


_TEXT = b"\x80\x04" + _quad(b"\x8d", 4000 * 2**20)
_ZIPS: dict[str, tuple[Callable, str]] = {
    "a pickle of 4 GB": (_pickle_bomb(bytes(_MB), _TEXT, 4000), REFUSED),
    "a pickle of 4 GB that says 1 kB": (
        _pickle_bomb(bytes(_MB), _TEXT, 4000, size=1000),
        REFUSED,
    ),
    "a pickle of 2 billion opcodes": (
        _pickle_bomb(b"N0" * (_MB // 2), b"\x80\x02", 4000),
        REFUSED,
    ),
    "a pickle of a long list": (_pickle_bomb(b"N" * _MB, b"\x80\x02](", 1024), REFUSED),
    "a pickle of many lists": (_pickle_bomb(b"]" * _MB, b"\x80\x02](", 512), REFUSED),
    "a pickle of marks": (_pickle_bomb(b"(" * _MB, b"\x80\x02", 512), REFUSED),
    "a pickle of memos": (_pickle_bomb(b"N\x94" * (_MB // 2), b"\x80\x04](", 512), REFUSED),
    "a pickle of names": (
        _pickle_bomb(b"cos\nsystem\n0" * 80_000, b"\x80\x02", 1024),
        REFUSED,
    ),
    "a storage of 4 GB": (_storage_bomb(), REFUSED),
    "a storage of 4 GB that says 768 bytes": (_storage_bomb(size=768), REFUSED),
    "a version of 4 GB": (_small_bomb("version"), EITHER),
    "a byte order of 4 GB": (_small_bomb("byteorder"), EITHER),
}


def _views(scene: Scene) -> None:
    """Weights that are one number in a storage of one, over and over."""
    one = torch.ones(1)
    for i in range(300):
        scene.state["model"][f"w{i}"] = one.expand(10_000_000)


def _names(scene: Scene) -> None:
    one = torch.ones(1)
    scene.state["model"].update({f"w{i}": one for i in range(5_000)})


def _long_name(scene: Scene) -> None:
    scene.state["model"]["w" * 5_000_000] = torch.ones(1)


def _long_setting(scene: Scene) -> None:
    scene.settings()["x" * 5_000_000] = 1


def _settings(scene: Scene) -> None:
    scene.settings().update({f"x{i}": i for i in range(30_000)})


def _values(scene: Scene) -> None:
    scene.settings()["x"] = list(range(100_000))


def _arch(scene: Scene) -> None:
    scene.settings()["_name"] = "\x1b[31m" + "x" * 1_000_000


def _history(scene: Scene) -> None:
    scene.state["optimizer_history"] = scene.state["optimizer_history"] * 50_000


def _embedding(scene: Scene) -> None:
    """Twice as many rows as the dictionary has words."""
    for key in [key for key in scene.state["model"] if key.endswith("embed_tokens.weight")]:
        scene.state["model"][key] = scene.state["model"][key].repeat(2, 1)


_MANY: dict[str, tuple[Change, str]] = {
    "weights by stride 0": (_views, REFUSED),
    "5 thousand weights": (_names, REFUSED),
    "a weight's name of 5 MB": (_long_name, REFUSED),
    "a setting's name of 5 MB": (_long_setting, EITHER),
    "an architecture of 1 MB": (_arch, REFUSED),
    "30 thousand settings": (_settings, EITHER),
    "a setting of 100 thousand numbers": (_values, EITHER),
    "a history of 50 thousand": (_history, EITHER),
    "embeddings of more words": (_embedding, REFUSED),
}
