"""``fairseq-neuron-extract``: a corpus through a checkpoint to an activation store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ..errors import UserError
from ..extraction import DTYPES, ExtractionSettings, extract, side_of
from ..subwords import POOLINGS
from .common import CommandParser, Progress, run_command
from .corpus_common import add_corpus_arguments, open_reader, read_corpus

if TYPE_CHECKING:
    from ..loading import Session

PROG = "fairseq-neuron-extract"
EXAMPLE = f"""\
  {PROG} data-bin --path checkpoint_best.pt \\
      --input probe-train.en --output-dir acts
  {PROG} data-bin --path checkpoint_best.pt --gen-subset valid --output-dir acts \\
      --layers 'encoder.layers.1' --post-process sentencepiece --pool mean
  {PROG} data-bin --path checkpoint_best.pt --layers 'decoder.layers.*' \\
      --input test.en --target-input test.de --output-dir acts.de
  {PROG} data-lm --path lm.pt --input test.en --output-dir acts.lm"""


def build_parser() -> CommandParser:
    """The command's own arguments; all others are fairseq's."""
    parser = CommandParser(
        PROG,
        "Read the activation of every neuron for every word of a corpus: of source words for "
        "layers of the encoder, of target words for layers of the decoder, which has read them "
        "then, teacher-forced. Task and language tokens are the checkpoint's. The flags of "
        "fairseq-generate are understood too (--source-lang, --task, --user-dir, --bpe, "
        "--post-process, --fp16, --cpu, --model-overrides, ...).",
        EXAMPLE,
    )
    add_corpus_arguments(parser)
    parser.add_argument("--output-dir", metavar="ACTS", help="the activation store to write")
    parser.add_argument(
        "--layers",
        metavar="GLOBS",
        help="comma-separated globs, all of one side (default: encoder.layers.*, of a language "
        "model decoder.layers.*)",
    )
    parser.add_argument(
        "--pool",
        choices=POOLINGS,
        default="last",
        help="which subword stands for a word (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="how values are stored (default: %(default)s)",
    )
    parser.add_argument(
        "--sentence-end", action="store_true", help="also keep the row of the sentence end, </s>"
    )
    parser.add_argument(
        "--list-layers", action="store_true", help="print names and widths of the layers and end"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args, fairseq_flags = build_parser().parse_known_args(arguments)
    run_command(PROG, lambda: _extract(args, fairseq_flags, [PROG, *arguments]))


def _extract(args: argparse.Namespace, fairseq_flags: list[str], command: list[str]) -> None:
    if not args.list_layers:
        if not (args.gen_subset or args.input):
            raise UserError("give a corpus: --gen-subset SPLIT or --input TEXT")
        if not args.output_dir:
            raise UserError("--output-dir is missing: where should the activations go?")
    session = open_reader(args.data, args.path, fairseq_flags)
    from ..interventions import list_layers
    from ..neurons import choose_layers

    layers = list_layers(session.models[0])
    if args.list_layers:
        for layer in layers:
            print(f"{layer.name}\t{layer.width}")
        return
    side = side_of(session.models[0], choose_layers(layers, args.layers))
    corpus = read_corpus(session, args, side)
    settings = ExtractionSettings(
        args.layers, args.pool, args.dtype, args.sentence_end, args.max_tokens
    )
    with Progress(len(corpus), "extract", " sentences") as progress:
        acts = extract(session, corpus, args.output_dir, settings, command, progress)
    print(
        f"{args.output_dir}: {len(acts)} words of {len(acts.sentences)} sentences, "
        f"{acts.layers.size} neurons: {acts.layers.describe()}{_direction(session)}"
    )
    symbols, unknown = acts.manifest["symbols"], acts.manifest["unknown_symbols"]
    print(
        f"unknown to the model: {unknown} of {symbols} symbols ({unknown / symbols:.1%}), "
        f"{acts.manifest['unknown_words']} words"
    )
    print(acts.signature)


def _direction(session: Session) -> str:
    """Of a model of several languages the pair that was read, for the printed line."""
    task = session.cfg.task
    if not getattr(task, "lang_pairs", None):
        return ""
    return f", {task.source_lang}-{task.target_lang}"


if __name__ == "__main__":
    main()
