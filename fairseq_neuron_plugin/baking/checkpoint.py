"""The file: a checkpoint with other weights, which asks for nothing but stock fairseq."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..backends.fairseq.checkpoints.read import read_checkpoint
from ..backends.fairseq.checkpoints.stock_names import use_stock_names
from ..files import StrPath

NOTE = "neuron_bake"


def read_state(path: StrPath) -> dict[str, Any]:
    """All that a checkpoint holds but the optimiser's state.

    Args:
        path: a checkpoint that `loading.check_checkpoint` has passed.
    """
    return read_checkpoint(path)


def write_state(
    path: StrPath, state: Mapping[str, Any], weights: Mapping[str, Tensor], note: Mapping[str, str]
) -> None:
    """Write a checkpoint with other weights, for stock fairseq.

    Names of the plugin's architectures and tasks become those of the stock ones that they derive
    from. The optimiser's state and moving averages of the weights are left out: both belong to
    neurons that live.

    Args:
        path: where to.
        state: what the original holds; a stock name replaces the plugin's in its configuration.
        weights: the model's state.
        note: what was baked, kept under ``extra_state["neuron_bake"]``, one entry a bake.
    """
    use_stock_names(state)
    extra = dict(state.get("extra_state") or {})
    for name in ("ema", "ema_fp32_params"):
        extra.pop(name, None)
    extra[NOTE] = [*extra.get(NOTE, []), dict(note)]
    baked = {**state, "model": dict(weights), "extra_state": extra}
    for name in ("last_optimizer_state", "optimizer"):
        if name in baked:
            baked[name] = None
    torch.save(baked, path)
