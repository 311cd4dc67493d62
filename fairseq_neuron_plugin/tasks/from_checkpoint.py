"""What a ``neuron_…`` task needs to know when fairseq loads checkpoints.

- fairseq-validate builds its task from the checkpoint's settings and hands its own flags over as
  overrides, of which those that the checkpoint does not know are dropped without a word: an
  unablated loss would be printed.
- No command tells a task how many models there are and which checkpoints they come from.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any

from fairseq import checkpoint_utils
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from omegaconf import open_dict

from ..errors import UserError
from .ablation import AblationMixin
from .clean_exit import ends_cleanly


def use_given_task(task: Any, overrides: Mapping[str, Any]) -> None:
    """Turn a checkpoint's task settings into those of the ``neuron_…`` task among the overrides.

    Args:
        task: the settings, changed in place: a `DictConfig`, or the `Namespace` of a task without
            a dataclass, which fairseq has put every override into already.
        overrides: flags by name, with ``task``.

    Raises:
        UserError: the checkpoint is of a task that cannot become this one.
    """
    name = overrides.get("task")
    given = TASK_REGISTRY.get(name, object)
    if not issubclass(given, AblationMixin):
        return
    trained = getattr(task, "_name", None)
    if not issubclass(given, TASK_REGISTRY.get(trained, object)):
        raise UserError(f"--task {name} does not fit a checkpoint of task {trained}")
    if isinstance(task, Namespace):
        return
    known = TASK_DATACLASS_REGISTRY[name].__dataclass_fields__
    with open_dict(task):
        task._name = name
        for key in known:
            if overrides.get(key) is not None:
                task[key] = overrides[key]


def check_task_fits(task: Any, path: str) -> None:
    """`UserError` if a checkpoint that could not be loaded is of another task than this one."""
    trained = checkpoint_utils.load_checkpoint_to_cpu(path)["cfg"].task._name
    if trained in TASK_REGISTRY and not isinstance(task, TASK_REGISTRY[trained]):
        fitting = f"neuron_{trained}" if f"neuron_{trained}" in TASK_REGISTRY else trained
        raise UserError(f"checkpoint {path} is of task {trained}: give --task {fitting}")


def check_language_tokens(given: Any, trained: Any) -> None:
    """`UserError` if a multilingual model would read other language tokens than in training.

    Args:
        given: the settings of the task.
        trained: those in the checkpoint.
    """
    for name in ("encoder_langtok", "decoder_langtok", "lang_tok_replacing_bos_eos"):
        here, there = (getattr(settings, name, None) or None for settings in (given, trained))
        if here != there:
            flag = f"--{name.replace('_', '-')}"
            what = (
                f"with {flag}{'' if there is True else f' {there}'}" if there else f"without {flag}"
            )
            raise UserError(f"{flag}: the checkpoint was trained {what}; give the same")


def follow_loading() -> None:
    """Apply the shims to fairseq; safe to call again."""
    _wrap("load_checkpoint_to_cpu", _keep_given_task)
    _wrap("load_model_ensemble_and_task", _tell_task)


def _keep_given_task(load: Callable[..., Any]) -> Callable[..., Any]:
    def load_checkpoint(path: Any, arg_overrides: Any = None, *args: Any, **kwargs: Any) -> Any:
        state = load(path, arg_overrides, *args, **kwargs)
        if arg_overrides and state.get("cfg") is not None:
            with ends_cleanly():
                use_given_task(state["cfg"].task, arg_overrides)
        return state

    return load_checkpoint


def _tell_task(load: Callable[..., Any]) -> Callable[..., Any]:
    def load_models(
        filenames: Any, arg_overrides: Any = None, task: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            models, cfg, task = load(filenames, arg_overrides, task, *args, **kwargs)
        except (AssertionError, RuntimeError, ValueError):
            if isinstance(task, AblationMixin):
                with ends_cleanly():
                    check_task_fits(task, _files(load, filenames, *args, **kwargs)[0])
            raise
        if isinstance(task, AblationMixin):
            with ends_cleanly():
                check_language_tokens(task.settings, cfg.task)
            task.checkpoints_loaded(_files(load, filenames, *args, **kwargs))
        return models, cfg, task

    return load_models


def _files(load: Callable[..., Any], names: Sequence[str], *args: Any, **kwargs: Any) -> list[str]:
    """The files that fairseq reads for names; the names themselves, if each stands for parts."""
    given = signature(load).bind(names, None, None, *args, **kwargs)
    given.apply_defaults()
    if given.arguments["num_shards"] > 1:
        return list(names)
    find = checkpoint_utils.get_maybe_sharded_checkpoint_filename
    return [find(name, given.arguments["suffix"], 0, 1) for name in names]


def _wrap(name: str, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    stock = getattr(checkpoint_utils, name)
    if not getattr(stock, "tells_neuron_tasks", False):
        changed = wraps(stock)(change(stock))
        changed.tells_neuron_tasks = True  # type: ignore[attr-defined]
        setattr(checkpoint_utils, name, changed)
