"""Read a checkpoint of fairseq, of any year, without running anything of it."""

from __future__ import annotations

import argparse
import logging
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....errors import UserError
from ....files import StrPath
from ...torch_file.build import without_stand_ins
from ...torch_file.read import TorchFile, open_torch_file
from ...torch_file.records import Malformed, StandIn
from .objects import CONVERSIONS
from .old_settings import upgrade_args
from .plain_settings import PlainSettings, as_namespace
from .settings import vet_settings
from .weights import current_weights

logger = logging.getLogger(__name__)

# Where the state of the optimiser lies, of today and of the oldest checkpoints.
_OPTIMISER = ("last_optimizer_state", "optimizer")


def read_checkpoint(path: StrPath, *, training_state: bool = False) -> dict[str, Any]:
    """Read a checkpoint.

    Whatever is not plain data becomes an inert stand-in. In the configuration and the weights that
    is an error; from the rest it is left out, and a warning says so.

    Args:
        path: the file.
        training_state: also read the state of the optimiser, which is larger than the model.

    Returns:
        A dictionary as fairseq's ``torch.load`` of the file gives it: ``args`` (a `Namespace` or
        None), ``cfg`` (nested dictionaries or None), ``model`` (tensors by name, on the CPU),
        ``optimizer_history``, ``extra_state`` and whatever else there is. Settings that name
        files which fairseq would open are None.

    Raises:
        UserError: missing, damaged, no fairseq checkpoint, with weights that are NaN or infinite,
            or with settings that are more than data. Nothing of the file has been run then.
    """
    with _reading(path) as file:
        state = _read_settings(file, path)
        state["model"] = _read_weights(file, path)
        if state.get("args") is not None:
            upgrade_args(vars(state["args"]), state["model"])
        left_out: set[str] = set()
        for name in file:
            if name in state:
                continue
            if name in _OPTIMISER and not training_state:
                state[name] = None
                continue
            value = file[name] if training_state else file.part(name, *_OPTIMISER)
            state[name], names = without_stand_ins(value)
            left_out |= names
    _complete(state, path)
    if left_out:
        logger.warning("checkpoint %s: not read: %s", path, ", ".join(sorted(left_out)))
    return state


def read_settings(path: StrPath) -> dict[str, Any]:
    """Read the configuration of a checkpoint alone: ``args`` and ``cfg``, as `read_checkpoint`.

    Raises:
        UserError: as `read_checkpoint`, but for the weights, which are not read.
    """
    with _reading(path) as file:
        state = _read_settings(file, path)
    if state.get("args") is not None:
        upgrade_args(vars(state["args"]), {})
    return state


@contextmanager
def _reading(path: StrPath) -> Iterator[TorchFile]:
    """Open the file; whatever is wrong with it is one line."""
    try:
        kind = Path(path).stat().st_mode
        if not stat.S_ISREG(kind):
            raise UserError(f"checkpoint {path} is not a regular file")
        with open_torch_file(str(path), CONVERSIONS) as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(f"checkpoint not found: {path}") from error
    except Malformed as error:
        raise UserError(f"checkpoint {path} is damaged or no checkpoint: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a path that holds a null character
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read checkpoint {path}: {reason}") from error
    except (MemoryError, RecursionError) as error:
        raise UserError(f"checkpoint {path} does not fit into memory") from error


def _read_settings(file: TorchFile, path: StrPath) -> dict[str, Any]:
    """Read ``args`` and ``cfg``, of which one is enough, as plain data."""
    state: dict[str, Any] = {name: file[name] for name in ("args", "cfg") if name in file}
    for name, value in state.items():
        state[name] = PlainSettings(path).convert(value, name)
    if isinstance(state.get("args"), dict):
        state["args"] = as_namespace(state["args"], "args", path)
    if "model" not in file or all(value is None for value in state.values()):
        raise UserError(f"{path} is no fairseq checkpoint: it has no model or no configuration")
    for name, kind in (("args", argparse.Namespace), ("cfg", dict)):
        if state.get(name) is None:
            continue
        if not isinstance(state[name], kind):
            raise UserError(f"checkpoint {path}: {name} is not a set of settings")
        if name == "cfg":
            _check_sections(state[name], path)
        emptied = vet_settings(state[name], path)
        if emptied:
            logger.debug("checkpoint %s: files not opened: %s", path, ", ".join(emptied))
    return state


def _check_sections(config: dict[str, Any], path: StrPath) -> None:
    for section in ("model", "task"):
        if not isinstance(config.get(section), dict | argparse.Namespace):
            raise UserError(f"checkpoint {path}: its configuration has no section {section}")


def _read_weights(file: TorchFile, path: StrPath) -> dict[str, Tensor]:
    """Read the parameters and buffers of the model, by the names of today's fairseq."""
    model = file["model"]
    if not isinstance(model, dict) or not model:
        raise UserError(f"checkpoint {path}: model is not a set of weights")
    for name, weight in model.items():
        if type(name) is not str or not isinstance(weight, Tensor):
            what = weight.name if isinstance(weight, StandIn) else type(weight).__name__
            raise UserError(f"checkpoint {path} is refused: weight {name} is a {what}")
    weights = current_weights(dict(model), path)
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            raise UserError(
                f"checkpoint {path}: weight {name} holds values that are NaN or infinite; take an "
                "earlier checkpoint of the training"
            )
    return weights


def _complete(state: dict[str, Any], path: StrPath) -> None:
    """Add what fairseq's upgrade of old checkpoints takes for granted, and check what it reads."""
    if "optimizer_history" in state:
        history = state["optimizer_history"]
        if not isinstance(history, list) or not history or not isinstance(history[-1], dict):
            raise UserError(f"checkpoint {path}: optimizer_history cannot be read")
        if "best_loss" not in history[-1]:
            history[-1].setdefault("lr_scheduler_state", {})
    elif "best_loss" in state:
        state.setdefault("optimizer", None)
    else:
        state["optimizer_history"] = [
            {"criterion_name": None, "lr_scheduler_state": {}, "num_updates": 0}
        ]
    if "extra_state" not in state and "epoch" in state:
        state.setdefault("batch_offset", 0)
        state.setdefault("val_loss", None)
    elif not isinstance(state.setdefault("extra_state", {}), dict):
        raise UserError(f"checkpoint {path}: extra_state cannot be read")
    if not isinstance(state.get("task_state", {}), dict):
        del state["task_state"]
