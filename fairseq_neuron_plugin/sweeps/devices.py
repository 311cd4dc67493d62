"""Which device a sweep runs on."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from ..errors import UserError
from .shards import Rank


def choose_device(asked: str | None, flags: Sequence[str], rank: Rank | None = None) -> list[str]:
    """Make the device torch's current one, and say what fairseq has to be told besides.

    Args:
        asked: ``cpu``, ``cuda`` or ``cuda:N``; None means a GPU where there is one, as in fairseq.
        flags: fairseq's, of which ``--cpu`` says the same as ``cpu``.
        rank: of torchrun, which gives each process on a machine a GPU of its own.

    Returns:
        Further flags of fairseq.

    Raises:
        UserError: there is no such device, or it contradicts ``--cpu`` or torchrun.
    """
    cpu = "--cpu" in flags
    if asked is None:
        asked = "cpu" if cpu or not torch.cuda.is_available() else "cuda"
    if asked == "cpu":
        return [] if cpu else ["--cpu"]
    if not re.fullmatch(r"cuda(:\d+)?", asked):
        raise UserError(f"--device is cpu, cuda or cuda:N, not {asked}")
    if cpu:
        raise UserError(f"--device {asked} contradicts --cpu; leave one of them out")
    if not torch.cuda.is_available():
        raise UserError(f"--device {asked}: torch finds no GPU on this machine")
    _choose_gpu(asked, rank)
    return []


def _choose_gpu(asked: str, rank: Rank | None) -> None:
    gpus = torch.cuda.device_count()
    number = asked.partition(":")[2]
    if rank is not None and number:
        raise UserError(f"torchrun gives each process its own GPU; --device cuda, not {asked}")
    if rank is not None and rank.on_machine >= gpus:
        raise UserError(
            f"process {rank.on_machine} of this machine has no GPU of its own: there are {gpus}; "
            f"torchrun --nproc-per-node {gpus}, or --device cpu"
        )
    if number and int(number) >= gpus:
        raise UserError(f"--device {asked}: this machine has {gpus} GPUs, the first is cuda:0")
    if rank is not None or number:
        torch.cuda.set_device(rank.on_machine if rank is not None else int(number))
