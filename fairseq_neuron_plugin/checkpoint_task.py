"""Which task a checkpoint was trained for, so that its user need not say so again."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .files import StrPath
from .loading import check_checkpoint

# Settings that change what a multilingual model reads, or the size of its dictionary; fairseq
# takes them from the command line and does not compare them with the checkpoint's.
_KEPT = (
    "lang_pairs",
    "langs",
    "encoder_langtok",
    "decoder_langtok",
    "lang_tok_style",
    "lang_tok_replacing_bos_eos",
)


def task_flags(path: StrPath, given: Sequence[str]) -> list[str]:
    """fairseq's flags for the task of a checkpoint, but for those that are given already.

    Args:
        path: the checkpoint; it is read with the safe loader.
        given: the flags of the command line.

    Returns:
        For a language model ``["--task", "language_modeling"]``; for a multilingual model also its
        languages and language tokens. Nothing for a task that fairseq does not know.

    Raises:
        UserError: the checkpoint cannot be used.
    """
    from fairseq.tasks import TASK_REGISTRY

    from . import register  # noqa: F401  (the plugin's own tasks)

    saved = _saved_task(path)
    name = str(saved.get("_name") or saved.get("task") or "").removeprefix("neuron_")
    if name not in TASK_REGISTRY:
        return []
    flags = [] if _is_given("task", given) else ["--task", name]
    if name not in ("multilingual_translation", "translation_multi_simple_epoch"):
        return flags
    for setting in _KEPT:
        value = saved.get(setting)
        if value and not _is_given(setting, given):
            flags.append(_flag(setting))
            if value is not True:
                flags.append(value if isinstance(value, str) else ",".join(value))
    return flags


def _saved_task(path: StrPath) -> Mapping[str, Any]:
    """The task's settings in a checkpoint, of any age."""
    check_checkpoint(path)
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    config = state.get("cfg")
    task = state["args"] if config is None else config["task"]
    return task if isinstance(task, Mapping) else vars(task)


def _is_given(setting: str, given: Sequence[str]) -> bool:
    flag = _flag(setting)
    return any(part == flag or part.startswith(f"{flag}=") for part in given)


def _flag(setting: str) -> str:
    return "--" + setting.replace("_", "-")
