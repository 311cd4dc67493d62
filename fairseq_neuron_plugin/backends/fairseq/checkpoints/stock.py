"""Let fairseq's own commands read checkpoints as data, and end in one line where they cannot.

What is changed of fairseq, and nothing else:

- ``fairseq.checkpoint_utils`` finds a ``torch`` whose ``load`` is `read_checkpoint`;
- ``load_checkpoint_to_cpu`` and ``load_ema_from_checkpoint`` open regular files only: a pipe that
  nobody writes to would be waited for;
- ``load_model_ensemble_and_task`` reads no training state, bounds what the model allocates, and
  raises `UserError` for a checkpoint that cannot be used;
- the ``main`` of each of fairseq's commands turns `UserError` into one line and exit status 2.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

import torch

from ....errors import UserError
from ..failures import checkpoint_errors
from .budget import allocation_budget, set_budget
from .read import read_checkpoint

_training_state: ContextVar[bool] = ContextVar("training state", default=True)


def read_as_data() -> None:
    """Apply the changes to fairseq; safe to call again."""
    from fairseq import checkpoint_utils

    end_commands_cleanly()
    if isinstance(checkpoint_utils.torch, _TorchForCheckpoints):
        return
    checkpoint_utils.torch = _TorchForCheckpoints()
    for name in ("load_checkpoint_to_cpu", "load_ema_from_checkpoint"):
        setattr(checkpoint_utils, name, _of_regular_files(getattr(checkpoint_utils, name)))
    checkpoint_utils.load_model_ensemble_and_task = _bounded(
        checkpoint_utils.load_model_ensemble_and_task
    )


def end_commands_cleanly() -> None:
    """Let a `UserError` end each command of fairseq that is imported in one line, with status 2.

    A command imports ``--user-dir`` once it has been imported itself.
    """
    for name, module in list(sys.modules.items()):
        main = getattr(module, "__dict__", {}).get("main")  # None stands for what cannot be had
        of_fairseq = getattr(main, "__module__", "").startswith("fairseq_cli.") or (
            name == "__main__"
            and Path(getattr(module, "__file__", None) or "").parent.name == "fairseq_cli"
        )
        if of_fairseq and callable(main) and not isinstance(main, _EndsCleanly):
            setattr(module, "main", _EndsCleanly(main))  # noqa: B010  (a module has no such type)


class _TorchForCheckpoints:
    """The module ``torch`` as ``fairseq.checkpoint_utils`` sees it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(file: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint, from an opened file, in place of `torch.load`."""
        state = read_checkpoint(file.name, training_state=_training_state.get())
        set_budget(
            state["model"],
            f"checkpoint {file.name}: its settings describe a model far larger than its weights "
            f"({_largest_setting(state)})",
        )
        return state


def _largest_setting(state: Mapping[str, Any]) -> str:
    """Find the largest number among the model's settings, as ``name = number``."""
    args = state.get("args")
    settings = state["cfg"]["model"] if args is None else args
    settings = vars(settings) if isinstance(settings, argparse.Namespace) else settings
    numbers = {
        name: value
        for name, value in settings.items()
        if type(value) in (int, float) and re.search("coder|embed|hidden|layers|positions", name)
    }
    if not numbers:
        return "none of them is a number"
    name = max(numbers, key=lambda name: numbers[name])
    return f"the largest is {name} = {numbers[name]}"


def _of_regular_files(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def load_file(path: Any, *args: Any, **kwargs: Any) -> Any:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UserError(f"checkpoint {path} is not a regular file")
        return load(path, *args, **kwargs)

    return load_file


def _bounded(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def load_models(filenames: Any, *args: Any, **kwargs: Any) -> Any:
        token = _training_state.set(False)
        try:
            with checkpoint_errors(", ".join(map(str, filenames))), allocation_budget():
                return load(filenames, *args, **kwargs)
        finally:
            _training_state.reset(token)

    return load_models


class _EndsCleanly:
    """The main function of a command, which a user's mistake ends in one line."""

    def __init__(self, main: Callable[..., Any]) -> None:
        self._main = main

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(2) from error
