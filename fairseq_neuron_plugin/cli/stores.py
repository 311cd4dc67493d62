"""Opening the activation stores that a command reads."""

from __future__ import annotations

import argparse

from ..activations import Activations
from ..files import StrPath


def add_verify(parser: argparse._ActionsContainer) -> None:
    """Declare ``--verify``."""
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read every byte of the stores and compare it with the hashes of their manifests "
        "(default: the words, the sizes and a sample)",
    )


def open_store(args: argparse.Namespace, path: StrPath) -> Activations:
    """Open a store; see `Activations`.

    Args:
        args: with `add_verify`.
        path: the folder.
    """
    return Activations(path, verify=args.verify)
