"""Bring a checkpoint of any age to the format that fairseq 0.12.3 itself writes."""

from __future__ import annotations

import copy
import logging
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ....errors import UserError
from ....files import StrPath
from .old_settings import upgrade_args
from .plain_data import count, is_weights, plain
from .sections import complete
from .stock_names import MODEL_PARALLEL, base_name, is_model_parallel, use_stock_names
from .weights import current_weights

# Of extra_state, what a training that goes on from the weights alone reads.
_KEPT = ("train_iterator", "val_loss", "best", "previous_training_time", "neuron_bake")
_AVERAGES = ("ema", "ema_fp32_params")
_OLD_ITERATOR = ("epoch", "batch_offset")  # what train_iterator was before fairseq 0.5
_FRESH_ITERATOR = {"version": 2, "epoch": 1, "iterations_in_epoch": 0, "shuffle": True}
# Settings of training that may name a user's own class: unknown here, they are left out.
_OF_TRAINING = ("criterion", "optimizer", "lr_scheduler")


def todays_state(state: Mapping[str, Any], path: StrPath) -> dict[str, Any]:
    """Bring what a checkpoint holds to today's format, without its training state.

    Args:
        state: as `read_checkpoint` returns it; ``args`` may be a plain dict too, and any entry but
            the weights and one of ``args`` and ``cfg`` may be missing. It is left as it is.
        path: how errors name the checkpoint.

    Returns:
        The entries that fairseq 0.12.3 writes, in its order: ``args`` (None), ``cfg`` (nested
        plain dict, with a Namespace where fairseq has one), ``model``, ``criterion``,
        ``optimizer_history``, ``task_state``, ``extra_state``, ``last_optimizer_state`` (None).

    Raises:
        UserError: the architecture, the task or a setting is not known to this fairseq.
    """
    weights = without_wrapper(state["model"])
    cfg = _todays_config(state, weights, path)
    extra = state.get("extra_state") or {}
    kept = {name: plain(extra.get(name)) for name in _KEPT}
    written: dict[str, Any] = {
        "args": None,
        "cfg": cfg,
        "model": OrderedDict(_with_shared(weights, cfg)),
        "criterion": plain(state.get("criterion")),
        "optimizer_history": _history(state, cfg),
        "task_state": plain(state.get("task_state")) or {},
        "extra_state": {name: value for name, value in kept.items() if value is not None},
        "last_optimizer_state": None,
    }
    written["extra_state"]["train_iterator"] = _iterator(extra)
    use_stock_names(written)
    return written


def without_wrapper(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take the ``module.`` of torch's parallel wrappers off the names, if all of them have it."""
    names = dict(weights)
    while names and all(name.startswith("module.") for name in names):
        names = {name.removeprefix("module."): tensor for name, tensor in names.items()}
    return names


def _with_shared(weights: dict[str, Tensor], cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """Name an embedding for both sides that share it: FSDP and safetensors keep one name."""
    model = cfg["model"]
    settings = vars(model) if isinstance(model, Namespace) else model
    encoder, decoder = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    if settings.get("share_all_embeddings") and encoder in weights:
        weights.setdefault(decoder, weights[encoder])
    return weights


def left_out(
    state: Mapping[str, Any], written: Mapping[str, Any], average: bool = True
) -> list[str]:
    """Name the training state that was not carried over.

    Args:
        state: as of `todays_state`.
        written: what it returned.
        average: whether the moving average counts, which may have been taken as the weights.
    """
    extra = set(state.get("extra_state") or {})
    names = sorted(extra - {*written["extra_state"], *_AVERAGES, *_OLD_ITERATOR})
    if state.get("task_state") and not written["task_state"]:
        names.append("task_state")
    return ["moving average", *names] if average and extra & {*_AVERAGES} else names


def moving_average(state: Mapping[str, Any], path: StrPath) -> dict[str, Tensor]:
    """Take the moving average of the weights, as fairseq's ``load_ema_from_checkpoint`` does.

    Returns:
        Copies, in float32 where they were saved in float16.

    Raises:
        UserError: the checkpoint has none, or one of other weights.
    """
    extra = state.get("extra_state") or {}
    average = next((extra[name] for name in _AVERAGES if is_weights(extra.get(name))), None)
    if average is None:
        raise UserError(f"{path} has no moving average of its weights (no --store-ema in training)")
    average = current_weights(without_wrapper(average), path)
    weights = current_weights(without_wrapper(state["model"]), path)
    for name in sorted(average.keys() ^ weights.keys()):
        raise UserError(f"the moving average in {path} does not fit its weights: {name}")
    return {
        name: (tensor.float() if tensor.dtype == torch.float16 else tensor).clone()
        for name, tensor in average.items()
    }


def _todays_config(
    state: Mapping[str, Any], weights: Mapping[str, Tensor], path: StrPath
) -> dict[str, Any]:
    """The whole configuration as nested plain dict."""
    args = copy.deepcopy(state.get("args"))
    if isinstance(args, Mapping):
        settings, args = args, Namespace()
        vars(args).update(settings)
    with _one_line_errors(path):
        if args is not None:
            _to_single_device(args)
            _check_known(vars(args), path)
            upgrade_args(vars(args), weights)
            unknown = _take_unknown(vars(args))
            cfg = _upgraded({"args": args, "cfg": None}, state)
            for section in cfg.values():
                if isinstance(section, Namespace):
                    vars(section).update(unknown)  # models may ask for the name
        else:
            cfg = copy.deepcopy(dict(state["cfg"]))
            for section in cfg.values():
                if isinstance(section, Namespace):
                    _to_single_device(section)
            cfg = _upgraded({"args": None, "cfg": complete(cfg, path)}, state)
        return cfg


def _upgraded(old: dict[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Let fairseq upgrade settings that were renamed or have other types today."""
    from fairseq.checkpoint_utils import _upgrade_state_dict
    from fairseq.dataclass.utils import omegaconf_no_object_check
    from omegaconf import OmegaConf

    if old["cfg"] is not None:
        with omegaconf_no_object_check():
            old["cfg"] = OmegaConf.create(old["cfg"])
    extra = {"train_iterator": _iterator(state.get("extra_state") or {})}
    history = [{"optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 0}]
    upgraded = _upgrade_state_dict({**old, "extra_state": extra, "optimizer_history": history})
    with omegaconf_no_object_check():
        cfg: dict[str, Any] = OmegaConf.to_container(
            upgraded["cfg"], resolve=True, enum_to_str=True
        )
    return cfg


def _check_known(args: Mapping[str, Any], path: StrPath) -> None:
    """`UserError` if there is no such architecture or task."""
    from fairseq.models import ARCH_MODEL_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    if not args.get("arch"):
        raise UserError(f"checkpoint {path} does not say of which architecture it is")
    for key, what, registry in (
        ("arch", "architecture", ARCH_MODEL_REGISTRY),
        ("task", "task", TASK_REGISTRY),
    ):
        name = args.get(key)
        if name is not None and name not in registry:
            raise UserError(
                f"checkpoint {path} is of {what} {name}, which is not known here; give --user-dir"
            )


def _take_unknown(args: dict[str, Any]) -> dict[str, Any]:
    """Take out names of classes that only training needs, and that are not known here."""
    from fairseq.registry import REGISTRIES

    return {
        key: args.pop(key)
        for key in _OF_TRAINING
        if key in args and args[key] not in REGISTRIES[key]["registry"]
    }


def _to_single_device(args: Namespace) -> None:
    """Make of an architecture of fairseq/model_parallel the one that it cuts up, in place."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY, MODEL_REGISTRY

    if not is_model_parallel(getattr(args, "arch", None)):
        return
    model = ARCH_MODEL_REGISTRY[args.arch]
    ARCH_CONFIG_REGISTRY.get(args.arch, lambda _: None)(args)
    args.arch = base_name(model, MODEL_REGISTRY, MODEL_PARALLEL)
    args.model_parallel_size = 1
    if getattr(args, "criterion", None) == "vocab_parallel_cross_entropy":
        args.criterion = "cross_entropy"


def _history(state: Mapping[str, Any], cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What fairseq says of each training; the last entry is read when a model is loaded."""
    recorded = [one for one in state.get("optimizer_history") or () if isinstance(one, Mapping)]
    return [
        {
            "criterion_name": one.get("criterion_name") or _class_name("criterion", cfg),
            "optimizer_name": one.get("optimizer_name") or _class_name("optimizer", cfg),
            "lr_scheduler_state": plain(one.get("lr_scheduler_state")) or {},
            "num_updates": count(one.get("num_updates"), 0),
        }
        for one in recorded or [{}]
    ]


def _class_name(kind: str, cfg: Mapping[str, Any]) -> str:
    """Name of the class that a section of the configuration stands for, as fairseq records it."""
    from fairseq.registry import REGISTRIES

    section = cfg.get(kind)
    settings = vars(section) if isinstance(section, Namespace) else (section or {})
    registered = REGISTRIES[kind]["registry"].get(settings.get("_name"))
    return getattr(registered, "__name__", "")


def _iterator(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Where training stood in its data."""
    saved = plain(extra.get("train_iterator"))
    if not isinstance(saved, dict) and "epoch" in extra:
        saved = {
            "epoch": extra["epoch"],
            "iterations_in_epoch": count(extra.get("batch_offset"), 0),
        }
    iterator = saved if isinstance(saved, dict) else dict(_FRESH_ITERATOR)
    return {**iterator, "epoch": max(count(iterator.get("epoch"), 1), 1)}


@contextmanager
def _one_line_errors(path: StrPath) -> Iterator[None]:
    """Turn what fairseq, hydra and omegaconf raise for unfitting settings into `UserError`."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    log = logging.getLogger("fairseq.dataclass.utils")  # it would print all settings
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except (
        *(HydraException, OmegaConfBaseException, ValueError, TypeError, KeyError),
        *(AttributeError, SyntaxError, AssertionError, IndexError, RecursionError),
    ) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise UserError(
            f"the configuration of {path} does not fit this fairseq: {lines[0][:300]}"
        ) from error
    finally:
        log.setLevel(level)
