"""``fairseq-neuron-generate``: translation under ablation, and the BLEU curve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..backends.fairseq.checkpoints.names import flagged_file
from ..files import read_lines
from ..sweeps.curves import read_curves
from .common import CommandParser, quiet_fairseq, run_command
from .control import add_control_arguments, check_arguments, run_control
from .metric_arguments import add_metric_arguments, metric_settings
from .sweep_common import add_sweep_arguments, sweep
from .sweep_run import device_flags

PROG = "fairseq-neuron-generate"
EXAMPLE = f"""\
  {PROG} data-bin --path checkpoint_best.pt --gen-subset test --beam 5 \\
      --ranking linguistic.json cross-model.json --ablate 0,10,50,5%,20% --order top,bottom \\
      --output-dir sweep
  {PROG} data-bin --path checkpoint_best.pt --set 'encoder.layers.1:123=0.8' --input text.en"""


def build_parser() -> CommandParser:
    """The command's own arguments; all others are fairseq's."""
    parser = CommandParser(
        PROG,
        "Translate a split again and again while more and more neurons are ablated. Every flag of "
        "fairseq-generate is understood too (--beam, --lenpen, --max-len-a, --max-len-b, "
        "--max-tokens, --source-lang, --post-process, --tokenizer, --model-overrides, ...) and "
        "holds for the whole curve. Or, with --set, translate once without and once with neurons "
        "held at values of your choice.",
        EXAMPLE,
    )
    add_sweep_arguments(parser, required=False)
    add_control_arguments(parser)
    parser.add_argument(
        "--reference", metavar="FILE", help="score against this raw text, not the binarised target"
    )
    parser.add_argument(
        "--metrics",
        metavar="M,...",
        help="of bleu, chrf, ter (all by sacrebleu) and loss (teacher-forced, in bits a symbol, of "
        "the binarised target; by itself, nothing is translated); default: bleu,chrf,ter",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="resampled texts for 95%% intervals and p-values; 0 for none (default: 1000)",
    )
    add_metric_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    parser = build_parser()
    args, fairseq_flags = parser.parse_known_args(argv)
    check_arguments(parser, args)
    run_command(PROG, lambda: _generate(args, fairseq_flags))


def _generate(args: argparse.Namespace, fairseq_flags: list[str]) -> None:
    rankings = {} if args.set is not None else read_curves(args.ranking, args.label)
    quiet_fairseq()
    from fairseq import utils

    from ..checkpoint_task import task_flags
    from ..evaluation.decoding import Translator
    from ..evaluation.translation import TEXT_METRICS, choose_metrics, translation_evaluator
    from ..loading import open_session

    metrics = None if args.metrics is None else choose_metrics(args.metrics)
    fairseq_flags += device_flags(args, fairseq_flags)
    first = utils.split_paths(args.path)[0]  # of an ensemble, which is refused later
    file = flagged_file(first, fairseq_flags)
    flags = [*fairseq_flags, *task_flags(file, fairseq_flags, args.data)]
    session = open_session([args.data, "--path", args.path, *flags], command="generate")
    if args.set is not None:
        run_control(args, session, metrics, PROG)
        return
    translator = Translator(session, args.gen_subset)
    if (
        args.reference
        and translator.pairs.tgt is not None
        and looks_tokenised(translator.references(), read_lines(args.reference, "reference"))
    ):
        print(
            f"{PROG}: note: the data is tokenised and {args.reference} is not: chrF and TER are "
            "wrong unless --tokenizer (moses, say) detokenises the translations",
            file=sys.stderr,
        )
    of_text = TEXT_METRICS if metrics is None else metrics
    settings = metric_settings(args, getattr(session.cfg.task, "target_lang", None), of_text)
    evaluator = translation_evaluator(translator, metrics, args.bootstrap, args.reference, settings)
    sweep(args, evaluator, rankings, PROG, "sentences", evaluator.columns[0])


def looks_tokenised(data: Sequence[str], raw: Sequence[str]) -> bool:
    """Whether sentences of the data end in a period that stands alone, and those of a text do not.

    Args:
        data: targets as the model's translations will look.
        raw: references to score against.
    """
    ends = [sum(line.endswith(" .") for line in lines) for lines in (data, raw)]
    return ends[0] >= 0.1 * len(data) and ends[1] < 0.5 * ends[0]


if __name__ == "__main__":
    main()
