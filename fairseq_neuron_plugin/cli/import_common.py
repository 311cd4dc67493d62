"""What the sub-commands of ``fairseq-neuron-import`` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import StrPath

PROG = "fairseq-neuron-import"


@dataclass(frozen=True)
class Origin:
    """One kind of checkpoint that can be imported.

    Attributes:
        help: one line for the list of sub-commands.
        description: what the sub-command does.
        example: command lines, without the program's name.
        add_arguments: declares the sub-command's arguments.
        run: imports, and prints what was read and written.
    """

    help: str
    description: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def add_output_file(parser: argparse.ArgumentParser) -> None:
    """Declare ``--output`` and ``--force``, of a sub-command that writes one file."""
    parser.add_argument("--output", required=True, metavar="CKPT", help="checkpoint to write")
    parser.add_argument("--force", action="store_true", help="replace --output if it exists")


def refuse_existing_file(output: StrPath, force: bool) -> None:
    """`UserError` if ``output`` is a folder, or exists and may not be replaced."""
    path = Path(output)
    if path.is_dir():
        raise UserError(f"--output {path} is a folder; name the file to write")
    if path.exists() and not force:
        raise UserError(f"{path} exists already; choose another name or add --force")
