"""Dictionaries and the list of languages of a multilingual model, which its checkpoint may name.

A file that a checkpoint names is not opened, and its name is gone from the settings that are read.
In place of dictionaries those of the data folder are read. Without the list of languages their
tokens would stand in another order.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ....errors import UserError
from ....files import StrPath
from ...torch_file.read import open_torch_file
from .objects import CONVERSIONS
from .plain_settings import PlainSettings

_CONFIGS = ("args", "cfg")
_TASK = "translation_multi_simple_epoch"
_DICTIONARIES = ("fixed_dictionary", "source_dict", "target_dict")


def task_name(saved: Mapping[str, Any]) -> str:
    """The task among a checkpoint's settings, without the plugin's ``neuron_``; may be empty."""
    return str(saved.get("_name") or saved.get("task") or "").removeprefix("neuron_")


def check_named_files(
    path: StrPath, saved: Mapping[str, Any], given: Collection[str], data: StrPath | None = None
) -> None:
    """`UserError` if a model cannot be read without a file that only its checkpoint names.

    Args:
        path: the checkpoint; it has been read before.
        saved: its settings of the task.
        given: names of the settings that the user gives.
        data: the folder with the dictionaries.
    """
    if task_name(saved) != _TASK:
        return
    if not (saved.get("langs") or {"langs", "lang_dict"} & set(given)):
        name = _named(path).get("lang_dict")
        if name:
            raise UserError(
                f"checkpoint {path} was trained with --lang-dict {name!r}, which is not opened by "
                "itself: give --lang-dict FILE, the list of its languages"
            )
    folder = None if data is None else Path(os.fspath(data).split(os.pathsep)[0])
    if folder is None or not folder.is_dir() or any(folder.glob("dict.*.txt")):
        return
    named = {setting: name for setting, name in _named(path).items() if setting in _DICTIONARIES}
    for setting, name in named.items():
        if setting not in given:
            flag = f"--{setting.replace('_', '-')}"
            raise UserError(
                f"data folder {folder} has no dictionary, and checkpoint {path} was trained with "
                f"{flag} {name!r}, which is not opened by itself: give {flag} FILE"
            )


def _named(path: StrPath) -> dict[str, str]:
    """What the checkpoint says of these files, by setting."""
    with open_torch_file(str(path), CONVERSIONS) as file:
        found = {
            name: PlainSettings(path).convert(file[name], name) for name in file if name in _CONFIGS
        }
    settings = found.get("args") or (found.get("cfg") or {}).get("task")
    settings = vars(settings) if isinstance(settings, argparse.Namespace) else settings or {}
    return {
        name: str(settings[name]) for name in ("lang_dict", *_DICTIONARIES) if settings.get(name)
    }
