"""``fairseq-neuron-analyze``: what rankings, probes and activations say about neurons."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import UserError
from ..files import refuse_existing
from .analyze_common import PROG, Analysis, show
from .analyze_focus import FOCUS
from .analyze_neurons import NEURON, TOP_WORDS
from .analyze_overlap import OVERLAP
from .analyze_shared import SHARED
from .common import CommandParser, run_command
from .picture_formats import DEFAULT, add_format

ANALYSES = {
    "overlap": OVERLAP,
    "focus": FOCUS,
    "shared": SHARED,
    "top-words": TOP_WORDS,
    "neuron": NEURON,
}


def build_parser() -> CommandParser:
    """The command's arguments: a sub-command for each analysis."""
    parser = CommandParser(
        PROG,
        "Analyse neurons. The tables are printed; with --output-dir they are written too, as CSV "
        "and JSON, with pictures.",
        "\n".join(_example(analysis) for analysis in ANALYSES.values()),
    )
    analyses = parser.add_subparsers(dest="analysis", required=True, metavar="ANALYSIS")
    for name, analysis in ANALYSES.items():
        own = analyses.add_parser(
            name,
            prog=f"{PROG} {name}",
            description=f"{analysis.help[:1].upper()}{analysis.help[1:]}.",
            example=_example(analysis),
            help=analysis.help,
        )
        analysis.add_arguments(own)
        own.add_argument("--output-dir", metavar="DIR", help="folder to write")
        add_format(own)
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    args = build_parser().parse_args(list(sys.argv[1:] if argv is None else argv))

    def analyse() -> None:
        if args.output_dir is not None:
            refuse_existing(args.output_dir, "analysis folder")  # before the work, not after
        elif args.format is not None:
            raise UserError("--format does not apply without --output-dir; leave it out")
        show(ANALYSES[args.analysis].run(args), args.output_dir, args.format or DEFAULT)

    run_command(PROG, analyse)


def _example(analysis: Analysis) -> str:
    return "\n".join(f"  {PROG} {line}" for line in analysis.example.splitlines())


if __name__ == "__main__":
    main()
