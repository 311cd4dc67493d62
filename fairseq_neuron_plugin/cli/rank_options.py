"""Flags of a ranking method, made from the keyword-only parameters of its function."""

from __future__ import annotations

import argparse
import inspect
import re
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ..rankings.registry import RankingMethod

_DEST = "option_"  # so that no option can hide an argument of the command


def add_options(parser: argparse.ArgumentParser, method: RankingMethod) -> None:
    """Declare a flag for each option: ``bool`` is a switch, ``Literal`` a choice."""
    described = _described(method.function)
    for name, parameter in method.options.items():
        flag, dest = "--" + name.replace("_", "-"), _DEST + name
        help_text = described.get(name, "")
        if parameter.annotation is bool:
            parser.add_argument(flag, dest=dest, action="store_true", help=help_text)
            continue
        settings = _settings_of(parameter.annotation)
        if parameter.default not in (None, inspect.Parameter.empty):
            help_text = f"{help_text} (default: {parameter.default})".strip()
        parser.add_argument(
            flag,
            dest=dest,
            default=parameter.default,
            required=parameter.default is inspect.Parameter.empty,
            help=help_text.replace("%", "%%"),
            **settings,
        )


def read_options(args: argparse.Namespace, method: RankingMethod) -> dict[str, Any]:
    """The values of the options."""
    return {name: getattr(args, _DEST + name) for name in method.options}


def _settings_of(annotation: Any) -> dict[str, Any]:
    if get_origin(annotation) is Literal:
        return {"choices": list(get_args(annotation))}
    if get_origin(annotation) in (Union, UnionType):  # float | None
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    return {"type": annotation, "metavar": {int: "N", float: "X"}.get(annotation, "TEXT")}


def _described(function: Any) -> dict[str, str]:
    """What the docstring's ``Args:`` say of each parameter, on one line."""
    _, _, text = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    found: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if line and not line.startswith(" "):
            break
        begins = re.match(r" {4}(\w+): (.*)", line)
        if begins:
            name = begins[1]
            found[name] = begins[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return {name: text.rstrip(".").replace("``", "") for name, text in found.items()}
