"""Threads that share out blocks of work, each working with one thread of its own.

The threads of a numerical library wait for each other after every product, and busily: with
another program on the machine that costs many times the work. Here threads meet once a pass,
element-wise work is shared out too, and the result does not depend on how many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """A pool of threads, one for each core this process may use; a context manager."""

    def __init__(self) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        self.threads = min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores
        self._pool = ThreadPoolExecutor(
            self.threads, initializer=torch.set_num_threads, initargs=(1,)
        )
        self._limits: Any = None
        self._torch_threads = torch.get_num_threads()

    def __enter__(self) -> Self:
        self._limits = threadpool_limits(1)
        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        self._limits.restore_original_limits()
        torch.set_num_threads(self._torch_threads)

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in the order of the items; only a few are under way at a time."""
        if len(items) == 1 or self.threads == 1:
            yield from map(function, items)
            return
        group = 2 * self.threads
        for start in range(0, len(items), group):
            yield from self._pool.map(function, items[start : start + group])
