"""``fairseq-neuron-import``: a checkpoint of another age or form becomes one of today's fairseq."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from .common import CommandParser, run_command
from .import_common import PROG
from .import_fairseq import FAIRSEQ

ORIGINS = {"fairseq": FAIRSEQ}


def build_parser() -> CommandParser:
    """The command's arguments: a sub-command for each kind of checkpoint."""
    parser = CommandParser(
        PROG,
        "Write a checkpoint in the format of today's fairseq, for every command of this package "
        "and for stock fairseq.",
        "\n".join(_example(origin.example) for origin in ORIGINS.values()),
    )
    origins = parser.add_subparsers(dest="origin", required=True, metavar="ORIGIN")
    for name, origin in ORIGINS.items():
        own = origins.add_parser(
            name,
            prog=f"{PROG} {name}",
            description=origin.description,
            example=_example(origin.example),
            help=origin.help,
        )
        origin.add_arguments(own)
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    args = build_parser().parse_args(list(sys.argv[1:] if argv is None else argv))
    run_command(PROG, lambda: ORIGINS[args.origin].run(args))


def _example(lines: str) -> str:
    return "\n".join(f"  {PROG} {line}" for line in lines.splitlines())


if __name__ == "__main__":
    main()
