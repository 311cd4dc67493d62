"""``fairseq-neuron-report``: one page to look at."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ..core.quoting import split_unquoted, unquote
from ..errors import UserError
from ..files import write_text
from .common import CommandParser, StepProgress, run_command

PROG = "fairseq-neuron-report"


def build_parser() -> CommandParser:
    """The command's arguments."""
    parser = CommandParser(
        PROG,
        "Put activation stores, probes, rankings and sweeps on one page: an HTML file that opens "
        "from disk and asks for nothing from the network. Folders are searched for whatever is "
        "in them.",
        f"  {PROG} runs/quickstart --output report.html\n"
        f"  {PROG} acts.train probe.pos linguistic.json sweep --top 20 --label VERB,NOUN \\\n"
        "      --output report.html",
    )
    parser.add_argument("inputs", nargs="+", metavar="DIR", help="folders, and ranking files")
    parser.add_argument("--output", required=True, metavar="FILE", help="the page; ends in .html")
    parser.add_argument("--force", action="store_true", help="replace a page that is there already")
    parser.add_argument("--title", default="Neurons", help="of the page (default: Neurons)")
    group = parser.add_argument_group("cards of neurons")
    group.add_argument(
        "--top", type=int, default=10, metavar="N", help="neurons of each ranking (default: 10)"
    )
    group.add_argument(
        "--label", metavar="L,...", help="labels whose own first neurons are shown (default: all)"
    )
    group.add_argument(
        "--label-top", type=int, default=1, metavar="N", help="neurons of each label (default: 1)"
    )
    group.add_argument(
        "--cards", type=int, default=120, metavar="N", help="cards at most (default: 120)"
    )
    group.add_argument(
        "--words", type=int, default=8, metavar="N", help="top words on either side (default: 8)"
    )
    group.add_argument(
        "--examples", type=int, default=3, metavar="N", help="sentences, either end (default: 3)"
    )
    group.add_argument(
        "--min-count", type=int, default=5, metavar="N", help="rarer words are no top words (5)"
    )
    group.add_argument(
        "--mass",
        type=float,
        default=0.25,
        help="share of a label's weights that makes neurons "
        "salient (default: 0.25, as in the paper)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(arguments)
    run_command(PROG, lambda: _report(args, arguments))


def _report(args: argparse.Namespace, arguments: Sequence[str]) -> None:
    output = Path(args.output)
    _check(args, output)
    from ..analysis.neuron_card import CardSettings
    from ..report.build import build_report
    from ..report.cards import CardChoice
    from ..report.inputs import find_inputs
    from ..report.page import render

    choice = CardChoice(
        top=args.top,
        labels=None if args.label is None else tuple(map(unquote, split_unquoted(args.label, ","))),
        label_top=args.label_top,
        most=args.cards,
        settings=CardSettings(
            min_count=args.min_count, words=args.words, examples=args.examples, share=args.mass
        ),
    )
    inputs = find_inputs(args.inputs)
    with StepProgress("cards") as progress:
        report = build_report(inputs, args.title, [PROG, *arguments], choice, progress)
    page = render(report)
    write_text(output, page)
    parts = {
        "store": inputs.stores,
        "probe": inputs.probes,
        "ranking": inputs.rankings,
        "sweep": inputs.sweeps,
        "neuron": report.cards,
    }
    counts = [
        f"{len(found)} {name}{'' if len(found) == 1 else 's'}" for name, found in parts.items()
    ]
    for note in report.notes:
        print(f"{PROG}: note: {note}", file=sys.stderr)
    print(f"{output}: {', '.join(counts)}; {len(page.encode()) / 1e6:.1f} MB")


def _check(args: argparse.Namespace, output: Path) -> None:
    """Everything that can be known to be wrong before the work."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output must end in .html, not {output}")
    if output.is_dir():
        raise UserError(f"{output} is a folder")
    if output.exists() and not args.force:
        raise UserError(f"{output} exists; --force replaces it")
    least = {"top": 0, "label_top": 0, "cards": 0, "words": 1, "examples": 0, "min_count": 1}
    for name, smallest in least.items():
        if getattr(args, name) < smallest:
            raise UserError(f"--{name.replace('_', '-')} must be {smallest} or more")
    if not 0 < args.mass <= 1:
        raise UserError(f"--mass must be above 0 and at most 1, not {args.mass:g}")


if __name__ == "__main__":
    main()
