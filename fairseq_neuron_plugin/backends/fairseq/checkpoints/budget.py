"""Stop a model that asks for far more memory than the weights of its file take, while it is built.

The sizes in a checkpoint's settings can be anything; a hidden width of a million is an array of
terabytes before fairseq compares it with the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ....errors import UserError

# Initial values, tables of positions and masks come on top of the weights.
_SHARE = 4
_BASE_BYTES = 2**28
_BASE_TENSORS = 2_000
_TENSORS_PER_WEIGHT = 20
_MAX_ELEMENTS = 2**62  # also for what is infinite

_current: ContextVar[AllocationBudget | None] = ContextVar("allocation budget", default=None)


class AllocationBudget(TorchDispatchMode):
    """Counts what is allocated, and raises `UserError` before it is more than the budget."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = math.inf
        self._tensors = math.inf
        self._message = ""

    def set(self, weights: Mapping[str, Tensor], message: str) -> None:
        """Set what a model of these weights may take from now on.

        Args:
            weights: of the file.
            message: of the error that says that it takes more.
        """
        self._bytes = _BASE_BYTES + _SHARE * 4 * sum(w.numel() for w in weights.values())
        self._tensors = _BASE_TENSORS + _TENSORS_PER_WEIGHT * len(weights)
        self._message = message

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        size = _requested_bytes(func, args, kwargs or {})
        if size:
            self._bytes -= size
            self._tensors -= 1
            if self._bytes < 0 or self._tensors < 0:
                raise UserError(self._message)
        return func(*args, **(kwargs or {}))


_FACTORIES = {
    *("empty", "zeros", "ones", "full", "rand", "randn", "empty_strided", "arange", "linspace"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "randint", "randperm", "eye", "normal"),
}


def _requested_bytes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Bytes that an operation is about to allocate, at least; in-place ones and views none."""
    name = func.overloadpacket.__name__
    if name in _FACTORIES:
        return 4 * _factory_elements(name, args)
    if name.endswith("_") or func.is_view:
        return 0
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if name == "repeat":
        return 4 * args[0].numel() * math.prod(args[1])
    if name in ("cat", "stack"):
        return 4 * sum(tensor.numel() for tensor in tensors)
    try:
        return 4 * math.prod(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)))
    except RuntimeError:  # of an operation whose arguments have unlike shapes
        return 4 * max((tensor.numel() for tensor in tensors), default=0)


def _factory_elements(name: str, args: Sequence[Any]) -> int:
    sizes = next((part for part in args if isinstance(part, list | tuple)), None)
    if sizes is not None:
        return max(1, math.prod(sizes))
    numbers = [abs(part) for part in args if isinstance(part, int | float) and part == part]
    elements = int(min(max(numbers, default=1), _MAX_ELEMENTS))
    return elements**2 if name == "eye" else elements


@contextmanager
def allocation_budget() -> Iterator[None]:
    """Bound what is allocated inside, from the moment `set_budget` is called."""
    if _current.get() is not None:  # an inner call of fairseq's loaders
        yield
        return
    budget = AllocationBudget()
    token = _current.set(budget)
    try:
        with budget:
            yield
    finally:
        _current.reset(token)


def set_budget(weights: Mapping[str, Tensor], message: str) -> None:
    """Tell the budget, if there is one, which weights the model to be built has.

    Args:
        weights: of the file.
        message: of the error, if the model asks for far more.
    """
    budget = _current.get()
    if budget is not None:
        budget.set(weights, message)
