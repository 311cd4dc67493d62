"""The two formats of ``torch.save``: where the pickle lies, and the bytes of each storage.

Source: ``torch/serialization.py`` (``_load`` and ``_legacy_load``). Written anew, since torch's own
reader can call what a file names, and checks no CRC.
"""

from __future__ import annotations

import io
import lzma
import mmap
import os
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from .pickle_machine import read_pickle
from .records import Malformed, Persistent
from .storages import StorageId, read_storage_id

# A pickle holds names and settings; the largest honest one is that of two large dictionaries.
MAX_PICKLE_BYTES = 2**28
MAX_MEMBERS = 200_000
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(RuntimeError, NotImplementedError, EOFError, OSError, ValueError),
)
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


class Container(ABC):
    """An opened file of ``torch.save``.

    Attributes:
        tree: what the pickle holds, with records for all that is not plain data.
    """

    tree: Any

    @abstractmethod
    def read_storage(self, storage: StorageId) -> Tensor:
        """Read the bytes of a storage.

        Returns:
            ``[storage.numel * itemsize]``, uint8, in memory of its own.

        Raises:
            Malformed: the file holds no such storage, or one of another size, or damaged bytes.
        """


def open_container(stream: BinaryIO) -> Container:
    """Read the pickle of a file, of either format.

    Args:
        stream: a regular file, opened for reading; it must stay open while storages are read.

    Raises:
        Malformed: the file is of neither format, or damaged.
    """
    head = stream.read(4)
    stream.seek(0)
    if head[:2] == b"PK":
        return ZipContainer(stream)
    if head[:1] == b"\x80":
        return LegacyContainer(stream)
    raise Malformed("neither of the formats of torch.save")


class ZipContainer(Container):
    """The format of torch 1.6 and later: a zip archive, a member for each storage."""

    def __init__(self, stream: BinaryIO) -> None:
        try:
            self._archive = zipfile.ZipFile(stream)
        except _UNREADABLE as error:
            raise Malformed(f"no readable zip archive: {error}") from error
        members = self._archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise Malformed(f"a zip archive of more than {MAX_MEMBERS} members")
        names = [member.filename for member in members]
        if len(set(names)) < len(names):
            raise Malformed("a zip archive that holds a name twice")
        size = os.fstat(stream.fileno()).st_size
        if sum(member.file_size for member in members) > size:
            raise Malformed("a compressed zip archive; torch.save never compresses")
        pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise Malformed("a zip archive, but not one of torch.save")
        self._root = pickles[0].removesuffix("data.pkl")
        if f"{self._root}constants.pkl" in names:
            raise Malformed("a TorchScript model, which holds code")
        order = f"{self._root}byteorder"  # absent before torch 2.1
        if order in names and self._member("byteorder") != b"little":
            raise Malformed("written on a big-endian machine, which is not supported")
        self.tree, _ = read_pickle(io.BytesIO(self._member("data.pkl")))

    def read_storage(self, storage: StorageId) -> Tensor:
        """See `Container.read_storage`."""
        name = f"data/{storage.key}"
        size = self._size(name)
        if size != storage.nbytes:  # before memory is asked for
            raise Malformed(f"{name} has {size} bytes instead of {storage.nbytes}")
        content = torch.empty(size, dtype=torch.uint8)
        self._read(name, _buffer(content))
        return content

    def _size(self, name: str) -> int:
        try:
            return self._archive.getinfo(self._root + name).file_size
        except KeyError as error:
            raise Malformed(f"{name} is missing") from error

    def _member(self, name: str) -> bytes:
        size = self._size(name)
        if size > MAX_PICKLE_BYTES:
            raise Malformed(f"{name} has {size} bytes; at most {MAX_PICKLE_BYTES} are allowed")
        content = bytearray(size)
        self._read(name, memoryview(content))
        return bytes(content)

    def _read(self, name: str, into: memoryview) -> None:
        """Fill a buffer with a member, to its end, where the standard library checks its CRC."""
        position = 0
        try:
            with self._archive.open(self._root + name) as member:
                while position < len(into):
                    count = member.readinto(into[position:])  # type: ignore[attr-defined]
                    if not count:
                        break
                    position += count
                member.read(1)
        except _UNREADABLE as error:
            raise Malformed(f"{name} is damaged: {error}") from error
        if position < len(into):
            raise Malformed(f"{name} is cut short")


class LegacyContainer(Container):
    """The format before torch 1.6: four pickles, then the storages one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        pickles = cast(BinaryIO, self._file)
        magic, _ = read_pickle(pickles)
        protocol, _ = read_pickle(pickles)
        if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL:
            raise Malformed("a pickle, but not one of torch.save")
        system, _ = read_pickle(pickles)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise Malformed("written on a big-endian machine, which is not supported")
        self.tree, persistent = read_pickle(pickles)
        keys, _ = read_pickle(pickles)
        self._places = self._locate(keys, persistent)

    def read_storage(self, storage: StorageId) -> Tensor:
        """See `Container.read_storage`."""
        if storage.key not in self._places:
            raise Malformed(f"storage {storage.key} is missing")
        start, nbytes = self._places[storage.key]
        if nbytes != storage.nbytes:
            raise Malformed(f"storage {storage.key} has {nbytes} bytes instead of {storage.nbytes}")
        content = torch.empty(nbytes, dtype=torch.uint8)
        _buffer(content)[:] = self._file[start : start + nbytes]
        return content

    def _locate(self, keys: Any, persistent: list[Persistent]) -> Mapping[str, tuple[int, int]]:
        """Find start and length in bytes of each storage."""
        sizes = {found.key: found.itemsize for found in map(read_storage_id, persistent)}
        if type(keys) is not list:
            raise Malformed("no list of storages")
        places: dict[str, tuple[int, int]] = {}
        position = self._file.tell()
        for key in map(str, keys):
            header = self._file[position : position + 8]
            if key not in sizes or key in places or len(header) < 8:
                raise Malformed(f"storage {key} cannot be located")
            nbytes = struct.unpack("<q", header)[0] * sizes[key]
            position += 8
            if not 0 <= nbytes <= len(self._file) - position:
                raise Malformed(f"storage {key} is cut short")
            places[key] = (position, nbytes)
            position += nbytes
        return places


def _buffer(content: Tensor) -> memoryview:
    return memoryview(content.numpy())  # type: ignore[arg-type]
