"""Which task a checkpoint was trained for, so that its user need not say so again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .backends.fairseq.checkpoints.named_files import check_named_files, task_name
from .errors import UserError
from .files import StrPath
from .loading import check_checkpoint, saved_settings

# Settings that change what a model of several languages reads, or the size of its dictionary;
# fairseq takes them from the command line and does not compare them with the checkpoint's.
_KEPT = {
    "translation_multi_simple_epoch": (
        *("lang_pairs", "langs", "encoder_langtok", "decoder_langtok", "lang_tok_style"),
        *("lang_tok_replacing_bos_eos", "langtoks", "langtoks_specs", "extra_data"),
    ),
    "multilingual_translation": ("lang_pairs", "encoder_langtok", "decoder_langtok"),
    "translation_from_pretrained_bart": ("langs", "prepend_bos"),
}
_FILES = ("langs", "lang_dict", "fixed_dictionary", "source_dict", "target_dict")
# fairseq evaluates these as Python, so nothing but the literal of plain values is handed on.
_LITERALS = ("langtoks", "extra_data")


def task_flags(path: StrPath, given: Sequence[str], data: StrPath | None = None) -> list[str]:
    """fairseq's flags for the task of a checkpoint, but for those that are given already.

    Args:
        path: the checkpoint; it is read with the safe loader.
        given: the flags of the command line.
        data: the folder with the dictionaries.

    Returns:
        For a language model ``["--task", "language_modeling"]``; for a model of several languages
        also these and its language tokens. Nothing for a task that fairseq does not know.

    Raises:
        UserError: the checkpoint cannot be used, or names a file that has to be given.
    """
    from fairseq.tasks import TASK_REGISTRY

    from . import register  # noqa: F401  (the plugin's own tasks)

    saved = saved_settings(check_checkpoint(path), "task")
    name = task_name(saved)
    if name not in TASK_REGISTRY:
        return []
    flags = [] if _is_given("task", given) else ["--task", name]
    files = {setting for setting in _FILES if _is_given(setting, given)}
    check_named_files(path, saved, files, data)
    for setting in _KEPT.get(name, ()):
        if _is_given(setting, given) or (setting == "langs" and "lang_dict" in files):
            continue
        text = _as_text(setting, saved)
        if setting == "lang_pairs" and os.path.isfile(text):  # which fairseq would open
            raise UserError(
                f"checkpoint {path} was trained with --lang-pairs {text!r}, which is also a file "
                "here: give --lang-pairs"
            )
        if saved.get(setting) is True:
            flags.append(_flag(setting))
        elif text:
            flags.append(f"{_flag(setting)}={text}")  # in one: a text that begins with a dash, too
    return flags


def _as_text(setting: str, saved: Mapping[str, Any]) -> str:
    """A saved setting as it is written after its flag; empty to leave it out."""
    value = saved.get(setting)
    if setting in _LITERALS and isinstance(value, Mapping):
        # The names of extra_data are those of tokens; its folders are not read.
        kept = _own_tokens(value, saved) if setting == "langtoks" else dict.fromkeys(value, "")
        return repr(kept) if kept and _is_plain(kept) else ""
    if setting in _LITERALS:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else ""


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
