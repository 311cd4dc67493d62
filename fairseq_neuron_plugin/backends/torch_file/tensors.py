"""Tensors of a file of ``torch.save``, with every size checked against the storage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .build import Builder, Conversion
from .containers import Container
from .records import Instance, Malformed, Name, Persistent
from .storages import StorageId, read_storage_id

DTYPES: Mapping[str, torch.dtype] = {
    str(dtype): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}


def tensor_conversions(container: Container) -> dict[str, Conversion]:
    """Make the conversions of everything that torch writes for a dense tensor."""
    storages = _Storages(container)

    def rebuild(record: Instance, _: Builder) -> Tensor:
        # Storage, offset, size, stride; then hooks and gradients, which are training's.
        return storages.tensor(*record.arguments[:4])

    def rebuild_typed(record: Instance, _: Builder) -> Tensor:
        dtype = DTYPES[str(record.arguments[6])]
        storage, offset, size, stride = record.arguments[:4]
        return storages.tensor(storage, offset, size, stride, dtype)

    def rebuild_parameter(record: Instance, builder: Builder) -> Any:
        return builder.build(record.arguments[0])

    def rebuild_from_type(record: Instance, builder: Builder) -> Any:
        function, _, arguments, *_ = record.arguments
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise Malformed("a tensor that cannot be read")
        return builder.build(Instance(function, arguments))

    return {
        "torch._utils._rebuild_tensor": rebuild,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_tensor_v3": rebuild_typed,
        "torch._utils._rebuild_parameter": rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
        "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
        "torch.Size": _size,
        "torch.device": _device,
    }


def _size(record: Instance, builder: Builder) -> torch.Size:
    return torch.Size(builder.build(record.arguments[0]))


def _device(record: Instance, builder: Builder) -> torch.device:
    kind, *index = builder.build(record.arguments)
    if kind not in ("cpu", "cuda"):
        raise Malformed("a device of a kind that is not supported")
    return torch.device(kind, *index)


class _Storages:
    """The storages of a container, each read when first asked for."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._read: dict[str, Tensor] = {}

    def tensor(
        self,
        reference: Any,
        offset: Any,
        size: Any,
        stride: Any,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Make a tensor over (part of) a storage.

        Raises:
            Malformed: it reaches beyond its storage, or is larger than it.
        """
        if not isinstance(reference, Persistent):
            raise Malformed("a tensor without a storage")
        storage = read_storage_id(reference)
        elements = self._elements(storage, dtype)
        size, stride = _lengths(size), _lengths(stride)
        if len(size) != len(stride) or type(offset) is not int or offset < 0:
            raise Malformed("a tensor whose size cannot be read")
        count = math.prod(size)
        last = offset + sum((s - 1) * t for s, t in zip(size, stride, strict=True))
        if count > len(elements) or (count and last >= len(elements)):
            raise Malformed("a tensor larger than its storage")
        if not count:
            return elements.new_empty(size)
        return torch.as_strided(elements, size, stride, offset)

    def _elements(self, storage: StorageId, dtype: torch.dtype | None) -> Tensor:
        if storage.key not in self._read:
            self._read[storage.key] = self._container.read_storage(storage)
        content = self._read[storage.key]
        if len(content) != storage.nbytes:
            raise Malformed(f"storage {storage.key} is referred to with two sizes")
        elements = content.view(storage.dtype if dtype is None else dtype)
        if storage.view is None:
            return elements
        offset, length = storage.view
        return elements[offset : offset + length]


def _lengths(value: Any) -> tuple[int, ...]:
    parts = value.arguments[0] if isinstance(value, Instance) and value.arguments else value
    if type(parts) not in (tuple, list) or len(parts) > 16:
        raise Malformed("a tensor whose size cannot be read")
    if not all(type(part) is int and 0 <= part < 2**48 for part in parts):
        raise Malformed("a tensor whose size cannot be read")
    return tuple(parts)
