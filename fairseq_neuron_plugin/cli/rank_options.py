"""Flags of a ranking method, made from the keyword-only parameters of its function."""

from __future__ import annotations

import argparse
import inspect
import re
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ..errors import UserError
from ..rankings.registry import RankingMethod

_DEST = "option_"  # so that no option can hide an argument of the command


def add_options(parser: argparse.ArgumentParser, method: RankingMethod) -> None:
    """Declare a flag for each option: ``bool`` is a switch, ``Literal`` a choice.

    Raises:
        UserError: an option that cannot be a flag: of another type, or with the name of one that
            is there already.
    """
    described = _described(method.function)
    for name, parameter in method.options.items():
        help_text = described.get(name, "").replace("%", "%%")
        if parameter.default not in (None, False, inspect.Parameter.empty):
            help_text = f"{help_text} (default: {parameter.default})".strip()
        try:
            parser.add_argument(
                "--" + name.replace("_", "-"),
                dest=_DEST + name,
                default=parameter.default,
                required=parameter.default is inspect.Parameter.empty,
                help=help_text,
                **_settings_of(parameter),
            )
        except (argparse.ArgumentError, TypeError) as error:
            raise UserError(
                f"option {name} of the ranking method {method.name} cannot be a flag: {error}"
            ) from error


def read_options(args: argparse.Namespace, method: RankingMethod) -> dict[str, Any]:
    """The values of the options."""
    return {name: getattr(args, _DEST + name) for name in method.options}


def _settings_of(parameter: inspect.Parameter) -> dict[str, Any]:
    kind = parameter.annotation
    if get_origin(kind) in (Union, UnionType):  # float | None
        kinds = [part for part in get_args(kind) if part is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else kind
    if kind is bool:
        switch = "store_true" if parameter.default is False else argparse.BooleanOptionalAction
        return {"action": switch}
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        return {"choices": choices, "type": type(choices[0])}
    if kind not in _NAMES:
        raise TypeError(f"it is a {kind}; int, float, str, bool, Literal and X | None can be flags")
    return {"type": kind, "metavar": _NAMES[kind]}


_NAMES: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}


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
