"""Zip files written by hand, so that every field of them can lie."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hostile_opcodes import save

STORED, DEFLATED = 0, 8
ROOT = "archive"


@dataclass(frozen=True)
class Member:
    """A member and what the file says of it; None: the truth.

    Attributes:
        name: with the folder before it, as bytes.
        data: as it lies in the file.
        method: of compression.
        crc: checksum.
        size: once it is inflated.
        packed: in the file.
        flags: of the general purpose.
        offset: of the local header, by the directory.
        extra: field of the directory.
        mode: Unix file mode, of a link, say.
        local_name: in the header before the data.
    """

    name: bytes
    data: bytes = b""
    method: int = STORED
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    flags: int = 0
    offset: int | None = None
    extra: bytes = b""
    mode: int = 0o100644
    local_name: bytes | None = None

    def fields(self) -> tuple[int, int, int]:
        """Checksum and both sizes, as the file has them."""
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        size = len(self.data) if self.size is None else self.size
        packed = len(self.data) if self.packed is None else self.packed
        return crc, packed, size


def write_zip(
    path: Path,
    members: Sequence[Member],
    *,
    comment: bytes = b"",
    before: bytes = b"",
    after: bytes = b"",
    count: int | None = None,
) -> None:
    """Write a zip file.

    Args:
        path: of the file.
        members: in this order.
        comment: of the archive.
        before: bytes before it all, not counted by its offsets.
        after: bytes after it all.
        count: of members, as the end record has it; None: the truth.
    """
    body, directory = bytearray(), bytearray()
    for member in members:
        name = member.name if member.local_name is None else member.local_name
        start = len(body) if member.offset is None else member.offset
        common = (20, member.flags, member.method, 0, 0x21, *member.fields())
        body += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *common, len(name), 0) + name
        body += member.data
        sizes = (len(member.name), len(member.extra))
        directory += struct.pack("<4sHHHHHHIIIHH", b"PK\1\2", 0x314, *common, *sizes)
        directory += struct.pack("<HHHII", 0, 0, 0, member.mode << 16, start)
        directory += member.name + member.extra
    shown = min(len(members), 0xFFFF) if count is None else count
    end = struct.pack(
        "<4sHHHHIIH", b"PK\5\6", 0, 0, shown, shown, len(directory), len(body), len(comment)
    )
    with open(path, "wb") as file:
        for part in (before, body, directory, end, comment, after):
            file.write(part)


def members_of(content: object, path: Path) -> dict[str, Member]:
    """The members of a zip file as `torch.save` writes it, by their names without the folder."""
    save(content, path)
    with zipfile.ZipFile(path) as archive:
        found = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    path.unlink()
    return {name: Member(f"{ROOT}/{name}".encode(), data) for name, data in found.items()}


def deflated(member: Member, data: bytes | None = None) -> Member:
    """The same member compressed, or one with other content."""
    content = member.data if data is None else data
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    return replace(member, data=packed, method=DEFLATED, crc=zlib.crc32(content), size=len(content))


def bomb(member: Member, block: bytes, times: int, first: bytes = b"") -> Member:
    """A compressed member of a block again and again, which takes no time to write.

    Its checksum is wrong, which nobody finds out before having inflated it all.
    """

    def pack(content: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)

    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    data = pack(first) + pack(block) * times + end
    return replace(member, data=data, method=DEFLATED, crc=1, size=len(first) + len(block) * times)
