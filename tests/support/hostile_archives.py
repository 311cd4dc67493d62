"""Zip files that lie: their members, directory, checksums and sizes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hostile_calls import system
from hostile_files import EITHER, OPENS, REFUSED, HostileFile, Scene, Write
from hostile_opcodes import Opcodes, dumps
from hostile_zip import Member, deflated, members_of, write_zip

Members = dict[str, Member]
_STORAGE = "data/3"  # any of them


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for label, (edit, outcome) in _ZIPS.items():
        yield HostileFile(f"zip/{label}", outcome, _zip(edit))


Edit = Callable[[Members, Scene], dict | None]


def _zip(edit: Edit) -> Write:
    """The honest members, edited; what the edit returns are further arguments of `write_zip`."""

    def write(scene: Scene, path: Path) -> None:
        members = members_of(scene.state, path)
        more = edit(members, scene) or {}
        ordered = more.pop("members", [*members.values()])
        write_zip(path, ordered, **more)

    return write


def _change(key: str, **fields: object) -> Edit:
    def edit(members: Members, scene: Scene) -> None:
        members[key] = replace(members[key], **fields)

    return edit


def _each(**fields: object) -> Edit:
    def edit(members: Members, scene: Scene) -> None:
        for name, member in members.items():
            members[name] = replace(member, **fields)

    return edit


def _add(name: str, data: bytes = b"x", **fields: object) -> Edit:
    def edit(members: Members, scene: Scene) -> None:
        members[name] = Member(name.encode(), data, **fields)

    return edit


def _remove(name: str) -> Edit:
    def edit(members: Members, scene: Scene) -> None:
        del members[name]

    return edit


def _flip(name: str) -> Edit:
    """A byte of the content differs from what its checksum was made of."""

    def edit(members: Members, scene: Scene) -> None:
        member = members[name]
        place = len(member.data) // 2
        data = bytearray(member.data)
        data[place] ^= 0x10
        members[name] = replace(member, data=bytes(data), crc=member.fields()[0])

    return edit


def _rooted(root: str) -> Edit:
    def edit(members: Members, scene: Scene) -> None:
        for name, member in members.items():
            members[name] = replace(member, name=f"{root}{name}".encode())

    return edit


def _evil(scene: Scene) -> bytes:
    return dumps(Opcodes(system(scene.trap)))


def _twice(first: bool) -> Edit:
    def edit(members: Members, scene: Scene) -> dict:
        pickle = members["data.pkl"]
        twin = replace(pickle, data=_evil(scene))
        others = [*members.values()]
        return {"members": [twin, *others] if first else [*others, twin]}

    return edit


def _beside(*names: str) -> Edit:
    def edit(members: Members, scene: Scene) -> None:
        for name in names:
            members[name] = Member(f"archive/{name}".encode(), _evil(scene))

    return edit


def _script(members: Members, scene: Scene) -> None:
    """As TorchScript writes it, which torch.load hands to another reader."""
    code = f"class Evil:\n  def __setstate__(self, x):\n    print({scene.trap.canary!r})\n"
    _beside("constants.pkl")(members, scene)
    members["code"] = Member(b"archive/code/__torch__.py", code.encode())
    members["debug"] = Member(b"archive/code/__torch__.py.debug_pkl", _evil(scene))


def _link(members: Members, scene: Scene) -> None:
    members[_STORAGE] = Member(members[_STORAGE].name, scene.trap.fifo.encode(), mode=0o120777)


def _deflate(members: Members, scene: Scene) -> None:
    members.update({name: deflated(member) for name, member in members.items()})


def _shared_data(members: Members, scene: Scene) -> None:
    """Every storage lies at the place of one."""
    place = 0
    for name, member in members.items():
        if name == _STORAGE:
            break
        place += 30 + len(member.name) + len(member.data)
    for name, member in members.items():
        if name.startswith("data/"):
            shared = replace(members[_STORAGE], name=member.name, data=b"", offset=place)
            one = members[_STORAGE]
            members[name] = (
                one
                if name == _STORAGE
                else replace(shared, size=len(one.data), packed=len(one.data), crc=one.fields()[0])
            )


def _many(members: Members, scene: Scene) -> None:
    members.update({f"x{i}": Member(b"archive/data/x%d" % i) for i in range(60_000)})


def _zip64(size: int) -> Edit:
    """The true sizes stand in a further field, which says so much."""
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    return _change(_STORAGE, extra=extra, size=0xFFFFFFFF, packed=0xFFFFFFFF)


def _before(make: Callable[[Scene], bytes]) -> Edit:
    return lambda members, scene: {"before": make(scene)}


def _after(make: Callable[[Scene], bytes]) -> Edit:
    return lambda members, scene: {"after": make(scene)}


_ZIPS: dict[str, tuple[Edit, str]] = {
    "a member above the folder": (_add("archive/../../../canary"), EITHER),
    "a member of an absolute name": (_add("/tmp/canary"), EITHER),
    "a member of backslashes": (_add("archive\\..\\..\\canary"), EITHER),
    "a member of a drive": (_add("c:/canary"), EITHER),
    "a folder above": (_rooted("../archive/"), EITHER),
    "an absolute folder": (_rooted("/tmp/archive/"), EITHER),
    "no folder": (_rooted(""), EITHER),
    "a folder in a folder": (_rooted("a/b/"), EITHER),
    "another folder": (_rooted("checkpoint_best/"), OPENS),
    "a folder of no text": (_each(flags=0), OPENS),
    "a second folder": (_beside("../other/data.pkl"), EITHER),
    "the pickle in another folder": (_change("data.pkl", name=b"other/data.pkl"), REFUSED),
    "a link": (_link, REFUSED),
    "two pickles, the first evil": (_twice(first=True), EITHER),
    "two pickles, the last evil": (_twice(first=False), REFUSED),
    "pickles beside it": (_beside("extra.pkl", "data.pkl.bak", ".data.pkl"), EITHER),
    "TorchScript": (_script, EITHER),
    "a package of torch": (_beside(".data/extern_modules", ".data/python_version"), EITHER),
    "a name of no text": (_add("archive/data/\xff\xfe", flags=0x800), EITHER),
    "a name with a zero": (_add("archive/data/0\0.txt"), EITHER),
    "a name of 60000 letters": (_add("archive/" + "x" * 60_000), EITHER),
    "an empty name": (_add(""), EITHER),
    "deflated": (_deflate, EITHER),
    "encrypted": (_change("data.pkl", flags=1), REFUSED),
    "an encrypted storage": (_change(_STORAGE, flags=1), REFUSED),
    "strongly encrypted": (_each(flags=0x41), REFUSED),
    "bzip2 by its name": (_change("data.pkl", method=12), REFUSED),
    "lzma by its name": (_change(_STORAGE, method=14), REFUSED),
    "a method that is none": (_change("data.pkl", method=99), REFUSED),
    "deflated by its name": (_change(_STORAGE, method=8), REFUSED),
    "CRC of the pickle": (_flip("data.pkl"), REFUSED),
    "CRC of a storage": (_flip(_STORAGE), REFUSED),
    "CRC of the largest storage": (_flip("data/0"), REFUSED),
    "a wrong CRC alone": (_change(_STORAGE, crc=7), REFUSED),
    "a storage that is not there": (_remove(_STORAGE), REFUSED),
    "a pickle that is not there": (_remove("data.pkl"), REFUSED),
    "a version that is not there": (_remove("version"), EITHER),
    "a byte order that is not there": (_remove("byteorder"), EITHER),
    "the other byte order": (_change("byteorder", data=b"big"), EITHER),
    "a byte order that is none": (_change("byteorder", data=b"middle"), EITHER),
    "a version of the future": (_change("version", data=b"999\n"), EITHER),
    "a version of text": (_change("version", data=b"__import__('os')"), EITHER),
    "an empty pickle": (_change("data.pkl", data=b""), REFUSED),
    "an empty storage": (_change(_STORAGE, data=b""), REFUSED),
    "a short storage": (_change(_STORAGE, data=b"x" * 10), REFUSED),
    "a storage longer than it says": (_change(_STORAGE, size=8, packed=8), REFUSED),
    "a storage of 4 GB by the directory": (_change(_STORAGE, size=0xFFFFFFFE), REFUSED),
    "a storage of exabytes": (_zip64(2**60), REFUSED),
    "a storage of 2**64 - 1": (_zip64(2**64 - 1), REFUSED),
    "an offset outside": (_change(_STORAGE, offset=0xFFFFFFF0), REFUSED),
    "an offset of the pickle's": (_change(_STORAGE, offset=0), REFUSED),
    "another name before the data": (_change(_STORAGE, local_name=b"archive/data/4"), EITHER),
    "all storages in one place": (_shared_data, REFUSED),
    "a comment": (lambda members, scene: {"comment": scene.trap.expression.encode()}, EITHER),
    "too many members by its count": (lambda members, scene: {"count": 65535}, EITHER),
    "no members by its count": (lambda members, scene: {"count": 0}, EITHER),
    "60 thousand members": (_many, EITHER),
    "text before it": (_before(lambda scene: b"#!/bin/sh\ntouch x\nexit\n"), EITHER),
    "a pickle before it": (_before(_evil), EITHER),
    "text after it": (_after(lambda scene: b"\0" * 70_000), EITHER),
    "another zip file after it": (_after(lambda scene: scene.honest.read_bytes()), EITHER),
}
