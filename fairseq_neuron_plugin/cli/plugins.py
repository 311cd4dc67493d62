"""``--plugin FILE.py``: Python files of the user's that register methods of their own."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError


def load_plugins(arguments: Sequence[str]) -> None:
    """Run the files that ``--plugin`` names; before the other arguments are read.

    Raises:
        UserError: a file that is not there, or that fails.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--plugin", action="append", default=[])
    try:
        paths = parser.parse_known_args(list(arguments))[0].plugin
    except argparse.ArgumentError:
        return  # the command's own parser says what is wrong
    for path in map(Path, paths):
        spec = importlib.util.spec_from_file_location(f"neuron_plugin_{path.stem}", path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise UserError(f"plugin not found, or no Python file: {path}")
        try:
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # where dataclasses look their own module up
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise UserError(f"plugin {path} fails: {type(error).__name__}: {error}") from error
