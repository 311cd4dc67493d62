"""The file: a checkpoint with other weights, which asks for nothing but stock fairseq."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..files import StrPath

PACKAGE = __name__.partition(".")[0]
NOTE = "neuron_bake"


def read_state(path: StrPath) -> dict[str, Any]:
    """All that a checkpoint holds, by the safe loader.

    Args:
        path: a checkpoint that `loading.check_checkpoint` has passed.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


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
    for holder in (state.get("args"), *_sections(state.get("cfg"))):
        _make_stock(holder)
    extra = dict(state.get("extra_state") or {})
    for name in ("ema", "ema_fp32_params"):
        extra.pop(name, None)
    extra[NOTE] = [*extra.get(NOTE, []), dict(note)]
    baked = {**state, "model": dict(weights), "extra_state": extra}
    for name in ("last_optimizer_state", "optimizer"):
        if name in baked:
            baked[name] = None
    torch.save(baked, path)


def _sections(cfg: Any) -> list[Any]:
    return list(cfg.values()) if isinstance(cfg, dict) else []


def _make_stock(holder: Any) -> None:
    """Replace the plugin's names in one part of a configuration, and drop the plugin's flags."""
    from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    from ..tasks.flags import AblationConfig

    settings = vars(holder) if isinstance(holder, Namespace) else holder
    if not isinstance(settings, dict):
        return
    changed = False
    for key in ("arch", "task", "_name"):
        name = settings.get(key)
        for registry, names in (
            (ARCH_MODEL_REGISTRY, MODEL_REGISTRY),
            (MODEL_REGISTRY, MODEL_REGISTRY),
            (TASK_REGISTRY, TASK_REGISTRY),
        ):
            if isinstance(name, str) and _is_ours(registry.get(name)):
                settings[key] = _stock_name(registry[name], names)
                changed = True
    for flag in fields(AblationConfig):
        if flag.name != "_name":
            settings.pop(flag.name, None)
    if changed and settings.get("user_dir") is not None:
        settings["user_dir"] = None


def _is_ours(registered: Any) -> bool:
    return getattr(registered, "__module__", "").partition(".")[0] == PACKAGE


def _stock_name(registered: type, names: Mapping[str, type]) -> str:
    """The name of the nearest base class that fairseq itself has registered."""
    for base in registered.__mro__[1:]:
        for name, other in names.items():
            if other is base and not _is_ours(other):
                return name
    raise UserError(f"cannot bake: {registered.__name__} derives from nothing that fairseq knows")
