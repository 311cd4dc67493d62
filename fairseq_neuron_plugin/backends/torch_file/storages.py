"""The references to storages in a pickle of ``torch.save``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .records import Malformed, Name, Persistent

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_MODULES = ("torch", "torch.cuda", "torch.storage")


@dataclass(frozen=True)
class StorageId:
    """One storage, as the pickle refers to it.

    Attributes:
        key: its name in the file.
        dtype: of its elements; uint8 where the tensors say it themselves.
        numel: number of elements.
        view: offset and number of the elements that are meant, in a legacy file; None for all.
    """

    key: str
    dtype: torch.dtype
    numel: int
    view: tuple[int, int] | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return torch.empty((), dtype=self.dtype).element_size()

    @property
    def nbytes(self) -> int:
        """Bytes of the whole storage."""
        return self.numel * self.itemsize


def read_storage_id(reference: Persistent) -> StorageId:
    """Read the persistent identifier of a storage.

    Raises:
        Malformed: it is none, or of a kind that is not supported.
    """
    given = reference.identifier
    if (
        type(given) is not tuple
        or not 5 <= len(given) <= 6
        or given[0] not in ("storage", b"storage")
    ):
        raise Malformed("a reference to something that is no storage")
    _, kind, key, _, numel, *rest = given
    if not isinstance(kind, Name) or kind.module not in _MODULES or kind.name not in _DTYPES:
        raise Malformed(f"a storage of type {kind}, which is not supported")
    if type(key) not in (str, int, bytes) or not _is_count(numel):
        raise Malformed("a storage without a name or a size")
    key = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    return StorageId(key, _DTYPES[kind.name], numel, _read_view(rest[0] if rest else None, numel))


def _read_view(view: Any, numel: int) -> tuple[int, int] | None:
    if view is None:
        return None
    if type(view) is not tuple or len(view) != 3 or not all(map(_is_count, view[1:])):
        raise Malformed("a view of a storage that cannot be read")
    _, offset, length = view
    if offset + length > numel:
        raise Malformed("a view beyond the end of its storage")
    return offset, length


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48
