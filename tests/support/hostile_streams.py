"""Other files that lie: the legacy format, tar files, parts of files, and what is no file."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from hostile_calls import system
from hostile_files import EITHER, OPENS, REFUSED, HostileFile, Scene, Write
from hostile_opcodes import Opcodes, dumps, save, split_pickles


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for label, (cut, outcome) in _BYTES.items():
        yield HostileFile(f"bytes/{label}", outcome, _bytes(cut))
    for label, (parts, outcome) in _LEGACY.items():
        yield HostileFile(f"legacy/{label}", outcome, _legacy(parts))
    for label, (write, outcome) in _OTHERS.items():
        yield HostileFile(f"file/{label}", outcome, write)


def _evil(scene: Scene) -> bytes:
    return dumps(Opcodes(system(scene.trap)))


def _bytes(cut: Callable[[bytes], bytes]) -> Write:
    """The honest file as bytes."""

    def write(scene: Scene, path: Path) -> None:
        save(scene.state, path)
        path.write_bytes(cut(path.read_bytes()))

    return write


def _overwrite(start: float, length: int) -> Callable[[bytes], bytes]:
    def cut(data: bytes) -> bytes:
        place = int(start * len(data))
        return data[:place] + b"\xa5" * length + data[place + length :]

    return cut


def _directory(data: bytes) -> bytes:
    """A hole in the list of members."""
    place = data.index(b"PK\1\2") + 200
    return data[:place] + b"\xa5" * 60 + data[place + 60 :]


_BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "half of it": (lambda data: data[: len(data) // 2], REFUSED),
    "all but the last": (lambda data: data[:-1], REFUSED),
    "all but the end record": (lambda data: data[:-22], REFUSED),
    "without the first": (lambda data: data[1:], EITHER),
    "without the first kilobyte": (lambda data: data[1024:], REFUSED),
    "the first two": (lambda data: data[:2], REFUSED),
    "the first four": (lambda data: data[:4], REFUSED),
    "the end record alone": (lambda data: data[-22:], REFUSED),
    "none": (lambda data: b"", REFUSED),
    "twice": (lambda data: data + data, EITHER),
    "a hole in the middle": (_overwrite(0.5, 500), REFUSED),
    "a hole at the start": (_overwrite(0.0, 40), REFUSED),
    "a hole in the directory": (_directory, REFUSED),
    "packed": (gzip.compress, REFUSED),
    "a letter": (lambda data: b"x", REFUSED),
    "a page": (lambda data: b"<!DOCTYPE html><title>404</title>" * 40, REFUSED),
    "json": (lambda data: b'{"model": {}, "cfg": {}}', REFUSED),
    "zeros": (lambda data: bytes(len(data)), REFUSED),
    "a pickle alone": (lambda data: dumps({"model": {}, "args": None}), REFUSED),
}

Parts = list[bytes]  # magic number, protocol, system, object, keys, storages


def _legacy(edit: Callable[[Parts, Scene], Parts | None]) -> Write:
    def write(scene: Scene, path: Path) -> None:
        save(scene.state, path, legacy=True)
        parts = split_pickles(path.read_bytes(), 5)
        path.write_bytes(b"".join(edit(parts, scene) or parts))

    return write


def _evil_part(number: int) -> Callable[[Parts, Scene], None]:
    def edit(parts: Parts, scene: Scene) -> None:
        parts[number] = _evil(scene)

    return edit


def _part(number: int, value: object) -> Callable[[Parts, Scene], None]:
    def edit(parts: Parts, scene: Scene) -> None:
        parts[number] = dumps(value)

    return edit


def _keys(change: Callable[[list[str]], object]) -> Callable[[Parts, Scene], None]:
    def edit(parts: Parts, scene: Scene) -> None:
        parts[4] = dumps(change(pickle.loads(parts[4])))

    return edit


def _count(value: int) -> Callable[[Parts, Scene], None]:
    def edit(parts: Parts, scene: Scene) -> None:
        parts[5] = struct.pack("<q", value) + parts[5][8:]

    return edit


def _tail(change: Callable[[bytes], bytes]) -> Callable[[Parts, Scene], None]:
    def edit(parts: Parts, scene: Scene) -> None:
        parts[5] = change(parts[5])

    return edit


def _with_zip(parts: Parts, scene: Scene) -> Parts:
    """Of the legacy format from its start, a zip file from its end."""
    return [*parts, scene.honest.read_bytes()]


def _evil_with_zip(parts: Parts, scene: Scene) -> Parts:
    return [*parts[:3], _evil(scene), *parts[4:], scene.honest.read_bytes()]


_SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
_LEGACY: dict[str, tuple[Callable[[Parts, Scene], Parts | None], str]] = {
    "code in the magic number": (_evil_part(0), REFUSED),
    "code in the protocol": (_evil_part(1), REFUSED),
    "code in the system": (_evil_part(2), REFUSED),
    "code in the object": (_evil_part(3), REFUSED),
    "code in the keys": (_evil_part(4), REFUSED),
    "another magic number": (_part(0, 7), REFUSED),
    "a magic number of text": (_part(0, "x"), REFUSED),
    "another protocol": (_part(1, 1), REFUSED),
    "a protocol of text": (_part(1, "1001"), REFUSED),
    "the other byte order": (_part(2, {**_SYSTEM, "little_endian": False}), EITHER),
    "a system that is a list": (_part(2, [1]), EITHER),
    "no keys": (_part(4, []), REFUSED),
    "keys that are None": (_part(4, None), REFUSED),
    "keys that are numbers": (_keys(lambda keys: list(map(int, keys))), EITHER),
    "keys twice": (_keys(lambda keys: keys * 2), REFUSED),
    "one key too many": (_keys(lambda keys: [*keys, "../../canary"]), REFUSED),
    "one key too few": (_keys(lambda keys: keys[:-1]), REFUSED),
    "keys in another order": (_keys(lambda keys: keys[::-1]), REFUSED),
    "keys that are a dictionary": (_keys(dict.fromkeys), EITHER),
    "a count below zero": (_count(-1), REFUSED),
    "a count of 2**62": (_count(2**62), REFUSED),
    "a count of a billion": (_count(10**9), REFUSED),
    "a count of zero": (_count(0), REFUSED),
    "storages that are not there": (_tail(lambda data: b""), REFUSED),
    "storages cut off": (_tail(lambda data: data[:-7]), REFUSED),
    "more after it": (_tail(lambda data: data + b"x" * 100), EITHER),
    "with a zip file after it": (_with_zip, EITHER),
    "code, with a zip file after it": (_evil_with_zip, EITHER),
}


def _tar(evil: str | None = None, **more: bytes) -> Write:
    """The format of torch 0.1."""

    def write(scene: Scene, path: Path) -> None:
        content = {
            "sys_info": dumps(_SYSTEM),
            "storages": dumps(0),
            "tensors": dumps(0),
            "pickle": dumps({"model": {}, "args": None}),
        }
        if evil:
            content[evil] = _evil(scene)
        with tarfile.open(path, "w") as archive:
            for name, data in [*content.items(), *more.items()]:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return write


def _is(make: Callable[[Path, Scene], object]) -> Write:
    return lambda scene, path: make(path, scene) and None


def _socket(path: Path, scene: Scene) -> None:
    # The name of a socket may not be as long as ours are.
    at = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{at}/{path.name}")
    os.close(at)


_OTHERS: dict[str, tuple[Write, str]] = {
    "a folder": (_is(lambda path, scene: path.mkdir()), REFUSED),
    "a pipe": (_is(lambda path, scene: os.mkfifo(path)), REFUSED),
    "a socket": (_is(_socket), REFUSED),
    "zeros without end": (_is(lambda path, scene: path.symlink_to("/dev/zero")), REFUSED),
    "the null device": (_is(lambda path, scene: path.symlink_to("/dev/null")), REFUSED),
    "the terminal": (_is(lambda path, scene: path.symlink_to("/dev/stdin")), REFUSED),
    "a link to itself": (_is(lambda path, scene: path.symlink_to(path)), REFUSED),
    "a link to nothing": (_is(lambda path, scene: path.symlink_to("nowhere")), REFUSED),
    "a link to a pipe": (_is(lambda path, scene: path.symlink_to(scene.trap.fifo)), REFUSED),
    "a link to the honest file": (_is(lambda path, scene: path.symlink_to(scene.honest)), OPENS),
    "tar": (_tar(), REFUSED),
    "tar, code in the system": (_tar("sys_info"), REFUSED),
    "tar, code in the object": (_tar("pickle"), REFUSED),
    "tar, code in the storages": (_tar("storages"), REFUSED),
    "tar, code in the tensors": (_tar("tensors"), REFUSED),
    "tar, a member above the folder": (_tar(**{"../../../canary": b"x"}), REFUSED),
    "arrays of numpy": (
        lambda scene, path: np.savez(path.open("wb"), model=np.zeros(2)),
        REFUSED,
    ),
    "a model saved whole": (
        lambda scene, path: torch.save(torch.nn.Linear(2, 2), path),
        REFUSED,
    ),
}
