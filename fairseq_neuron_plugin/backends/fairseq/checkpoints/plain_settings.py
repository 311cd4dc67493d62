"""A configuration as plain data: without the classes that fairseq of some year kept it in."""

from __future__ import annotations

import argparse
import types
from typing import Any

import numpy as np

from ....errors import UserError
from ....files import StrPath
from ...torch_file.records import StandIn


def as_namespace(settings: dict[Any, Any], where: str, path: StrPath) -> argparse.Namespace:
    """Make a `Namespace` of settings by name.

    Args:
        settings: name to value.
        where: what they are, for errors.
        path: of the checkpoint, for errors.

    Raises:
        UserError: a name that no setting can have.
    """
    for name in settings:
        if type(name) is not str or name.startswith("__"):
            raise UserError(f"checkpoint {path}: {where} has a setting of name {str(name)[:80]!r}")
    namespace = argparse.Namespace()
    vars(namespace).update(settings)
    return namespace


class PlainSettings:
    """Turns a configuration into plain data, each part of it once.

    Args:
        path: of the checkpoint, for errors.
    """

    def __init__(self, path: StrPath) -> None:
        self._path = path
        self._converted: dict[int, tuple[Any, Any]] = {}

    def convert(self, value: Any, where: str) -> Any:
        """Convert a value; ``where`` is its name.

        Raises:
            UserError: it, or something in it, is an object of a class that is not read.
        """
        if isinstance(value, StandIn):
            raise UserError(
                f"checkpoint {self._path} is refused: it holds more than data ({value.name} as "
                f"{where}); nothing was run"
            )
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        if id(value) not in self._converted:
            self._converted[id(value)] = value, self._parts(value, where)
        return self._converted[id(value)][1]

    def _parts(self, value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return {key: self.convert(part, f"{where}.{key}") for key, part in value.items()}
        if isinstance(value, argparse.Namespace | types.SimpleNamespace):
            return as_namespace(self._parts(vars(value), where), where, self._path)
        if type(value) in (list, tuple):
            return type(value)(self.convert(part, where) for part in value)
        return value
