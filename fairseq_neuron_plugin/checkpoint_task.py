"""Which task a checkpoint was trained for, so that its user need not say so again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import StrPath
from .loading import check_checkpoint, saved_settings

# Settings that change what a multilingual model reads, or the size of its dictionary; fairseq
# takes them from the command line and does not compare them with the checkpoint's.
_KEPT = (
    "lang_pairs",
    "langs",
    "encoder_langtok",
    "decoder_langtok",
    "lang_tok_style",
    "lang_tok_replacing_bos_eos",
    "lang_dict",
    "langtoks",
    "langtoks_specs",
    "extra_data",
    "fixed_dictionary",
    "source_dict",
    "target_dict",
)
_EXCLUSIVE = {"langs": "lang_dict", "lang_dict": "langs"}
# fairseq evaluates these as Python, so nothing but the literal of plain values is handed on.
_LITERALS = ("langtoks", "extra_data")
# Without them the dictionaries of the data folder are read; those of the training may be gone.
_DICTIONARIES = ("fixed_dictionary", "source_dict", "target_dict")


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

    saved = saved_settings(check_checkpoint(path), "task")
    name = str(saved.get("_name") or saved.get("task") or "").removeprefix("neuron_")
    if name not in TASK_REGISTRY:
        return []
    flags = [] if _is_given("task", given) else ["--task", name]
    if name not in ("multilingual_translation", "translation_multi_simple_epoch"):
        return flags
    for setting in _KEPT:
        text = _as_flag(setting, saved)
        if text is None or _is_given(setting, given):
            continue
        if setting in _EXCLUSIVE and _is_given(_EXCLUSIVE[setting], given):
            continue
        flags.extend([_flag(setting), text] if text else [_flag(setting)])
    return flags


def _as_flag(setting: str, saved: Mapping[str, Any]) -> str | None:
    """A saved setting as it is written after its flag; empty for a switch, None to leave it out."""
    value = saved.get(setting)
    if setting == "langtoks" and isinstance(value, Mapping):
        value = _own_tokens(value, saved)
    if not value or (setting in _DICTIONARIES and not Path(str(value)).is_file()):
        return None
    if setting in _LITERALS:
        return repr(dict(value)) if isinstance(value, Mapping) and _is_plain(value) else None
    if value is True:
        return ""
    return value if isinstance(value, str) else ",".join(value)


def _own_tokens(tokens: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """``--langtoks`` without what fairseq makes of the two other flags."""
    target = "tgt" if saved.get("decoder_langtok") else None
    derived = (saved.get("encoder_langtok") or None, target)
    return {
        name: kinds for name, kinds in tokens.items() if name != "main" or tuple(kinds) != derived
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def _is_given(setting: str, given: Sequence[str]) -> bool:
    flag = _flag(setting)
    return any(part == flag or part.startswith(f"{flag}=") for part in given)


def _flag(setting: str) -> str:
    return "--" + setting.replace("_", "-")
