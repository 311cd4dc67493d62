"""Several processes, on one machine or on many, that share one sweep.

They share its folder and nothing else, so each of them may be killed and started again alone.
Either they are jobs of a batch system, each told which shard it is, and one more run merges; or
torchrun starts them, and the first merges when all are done.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..errors import UserError

_RENDEZVOUS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(days=30)  # how long the first to be done waits for the last


@dataclass(frozen=True)
class Shard:
    """One of several runs that share a sweep; ``number`` counts from 0."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Rank:
    """This process among those that torchrun has started.

    Attributes:
        shard: its part of the work.
        on_machine: its number among those on this machine, and so of its GPU.
    """

    shard: Shard
    on_machine: int


def parse_shard(text: str) -> Shard:
    """Read ``i/n``.

    >>> parse_shard("0/4")
    Shard(number=0, count=4)

    Raises:
        UserError: anything else, or a number that is not below the count.
    """
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise UserError(f"cannot read --shard {text}; the first of four is 0/4, the last 3/4")
    return Shard(int(number), int(count))


def torchrun_rank(environment: Mapping[str, str] = os.environ) -> Rank | None:
    """Which of torchrun's processes this is; None if it is none, or the only one."""
    if not all(environment.get(name) for name in _RENDEZVOUS):
        return None
    shard = Shard(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
    on_machine = int(environment.get("LOCAL_RANK", 0))
    return Rank(shard, on_machine) if shard.count > 1 else None


def wait_for_all_ranks() -> None:
    """Return when every rank has come here.

    A rank that fails never does. torchrun then ends the others at once; under another starter they
    wait in vain until it ends them (``srun --kill-on-bad-exit``). Their results are on disk by now
    in either case.

    The processes are joined here and not sooner, because joining starts threads, and workers are
    forked before.
    """
    from torch import distributed

    distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
