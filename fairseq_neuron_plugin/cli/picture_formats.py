"""``--format`` of the commands that draw."""

from __future__ import annotations

import argparse

from ..pictures import FORMATS

DEFAULT = ("png",)


def add_format(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--format``; None if it is not given, so that a command can say where it is in vain."""
    parser.add_argument(
        "--format",
        type=_formats,
        metavar="F,F",
        help=f"of the picture: {', '.join(FORMATS)}, or both, comma-separated (default: png)",
    )


def _formats(text: str) -> tuple[str, ...]:
    """The formats, each once, in the order that they were given."""
    found = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    for name in found:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"must be {' or '.join(FORMATS)}, not {name!r}")
    return found
