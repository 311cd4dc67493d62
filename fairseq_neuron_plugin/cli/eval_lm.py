"""``fairseq-neuron-eval-lm``: a language model under ablation, and the perplexity curve."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from ..sweeps.curves import read_curves
from .common import CommandParser, quiet_fairseq, run_command
from .sweep_common import add_sweep_arguments, sweep
from .sweep_run import device_flags

PROG = "fairseq-neuron-eval-lm"
EXAMPLE = f"""\
  {PROG} data-bin --path checkpoint_best.pt --gen-subset test --sample-break-mode eos \\
      --ranking linguistic.json --ablate 0,10,50,5%,20% --order top,bottom --output-dir sweep"""


def build_parser() -> CommandParser:
    """The command's own arguments; all others are fairseq's."""
    parser = CommandParser(
        PROG,
        "Score a split again and again while more and more neurons of a language model are "
        "ablated. Every flag of fairseq-eval-lm is understood too (--sample-break-mode, "
        "--tokens-per-sample, --context-window, --max-tokens, --batch-size, --model-overrides, "
        "...) and holds for the whole curve. The loss is in bits for each token; every token of "
        "the split is scored, or it is an error.",
        EXAMPLE,
    )
    add_sweep_arguments(parser)
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="resampled texts, of as many sentences or blocks, for 95%% intervals and p-values; 0 "
        "for none (default: 1000)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    args, fairseq_flags = build_parser().parse_known_args(argv)
    run_command(PROG, lambda: _eval_lm(args, fairseq_flags))


def _eval_lm(args: argparse.Namespace, fairseq_flags: list[str]) -> None:
    rankings = read_curves(args.ranking, args.label)
    quiet_fairseq()
    from ..evaluation.language_model import LanguageModelEvaluator
    from ..loading import open_session

    fairseq_flags += device_flags(args, fairseq_flags)
    flags = [args.data, "--path", args.path, *fairseq_flags]
    session = open_session(flags, "language_modeling", language_model=True, command="eval-lm")
    evaluator = LanguageModelEvaluator(session, args.gen_subset, args.bootstrap)
    sweep(args, evaluator, rankings, PROG, "tokens", "perplexity")


if __name__ == "__main__":
    main()
