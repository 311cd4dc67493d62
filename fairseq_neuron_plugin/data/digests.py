"""Hashes that tell whether the files of a store are still those that were written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Of each file: as much as can be read whenever a store is opened, wherever a difference may be.
SAMPLED_BLOCKS = 16
BLOCK_BYTES = 4096
_CHUNK = 2**20


@dataclass(frozen=True)
class FileDigest:
    """Size and hashes of a file.

    Attributes:
        bytes: its size.
        sample_sha256: hash of `SAMPLED_BLOCKS` blocks, the first and the last among them.
        sha256: hash of all of it.
    """

    bytes: int
    sample_sha256: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileDigest:
        """Compute it; the file is read as a whole."""
        size = path.stat().st_size
        return cls(size, _sample(path, size), _whole(path))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileDigest:
        """Read what `to_json` has written."""
        return cls(int(value["bytes"]), str(value["sample_sha256"]), str(value["sha256"]))

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as plain values."""
        return asdict(self)

    def differs(self, path: Path, whole: bool) -> str | None:
        """Compare with a file.

        Args:
            path: the file.
            whole: read all of it, not just a sample.

        Returns:
            What differs, or None.
        """
        size = path.stat().st_size
        if size != self.bytes:
            return f"it has {size} bytes instead of {self.bytes}"
        if _sample(path, size) != self.sample_sha256 or (whole and _whole(path) != self.sha256):
            return "its content has changed"
        return None


def _sample(path: Path, size: int) -> str:
    last = max(size - BLOCK_BYTES, 0)
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for start in np.unique(np.linspace(0, last, SAMPLED_BLOCKS, dtype=np.int64)).tolist():
            stream.seek(start)
            digest.update(stream.read(BLOCK_BYTES))
    return digest.hexdigest()


def _whole(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
