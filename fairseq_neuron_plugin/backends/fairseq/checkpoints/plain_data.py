"""Values that a checkpoint may hold for stock fairseq to read it as data."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

_SCALARS = (type(None), bool, int, float, str, Tensor)


def plain(value: Any) -> Any:
    """Turn scalars and arrays of numpy into those of Python, at any depth.

    Returns:
        An equal value of plain containers, numbers, texts and tensors; None if there is none.
    """
    try:
        return _plain(value)
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) not in _SCALARS:
        raise TypeError(f"a {type(value).__name__} is not plain data")
    return value


def is_weights(value: Any) -> bool:
    """Find whether a value is a dictionary of tensors by name, and not an empty one."""
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(type(name) is str and isinstance(entry, Tensor) for name, entry in value.items())
    )


def count(value: Any, default: int) -> int:
    """A number of updates or epochs, or the default where it is none."""
    value = plain(value)
    return int(value) if type(value) in (int, float) and 0 <= value < 2**63 else default
