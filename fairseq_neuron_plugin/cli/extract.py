"""``fairseq-neuron-extract``: a corpus through a checkpoint to an activation store."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ..errors import UserError
from ..extraction import DTYPES, ExtractionSettings, extract, side_of
from ..subwords import POOLINGS
from .common import CommandParser, Progress, quiet_fairseq, run_command

if TYPE_CHECKING:
    from ..corpora import Corpus
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
    parser.add_argument("data", help="folder with the dictionaries (and the binarised split)")
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    corpus = parser.add_mutually_exclusive_group()
    corpus.add_argument("--gen-subset", metavar="S", help="read this binarised split")
    corpus.add_argument(
        "--input",
        metavar="TEXT",
        help="read this text: a sentence a line, words separated by spaces; --bpe segments it",
    )
    parser.add_argument(
        "--target-input",
        metavar="TEXT",
        help="with --input and layers of the decoder: its translation, line by line",
    )
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
        "--max-tokens",
        type=int,
        default=4000,
        help="symbols in a batch, padding included (default: %(default)s)",
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
    _refuse_ignored(fairseq_flags)
    quiet_fairseq()
    # A CPU kernel is kept for each shape of batch; by default so many that memory grows with the
    # corpus.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    from ..checkpoint_task import task_flags
    from ..interventions import list_layers
    from ..loading import open_session
    from ..neurons import choose_layers

    session = open_session(
        [args.data, "--path", args.path, *fairseq_flags, *task_flags(args.path, fairseq_flags)]
    )
    layers = list_layers(session.models[0])
    if args.list_layers:
        for layer in layers:
            print(f"{layer.name}\t{layer.width}")
        return
    side = side_of(session.models[0], choose_layers(layers, args.layers))
    corpus = _read_corpus(session, args, side)
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


# Flags of fairseq-generate that would do nothing here, and what to do instead.
_IGNORED = {
    "--tokenizer": "words are read as they stand; tokenise the text first",
    "--num-shards": "a corpus is read as a whole; cut the text into parts instead",
    "--shard-id": "a corpus is read as a whole; cut the text into parts instead",
    "--batch-size": "give the size of a batch in symbols: --max-tokens",
    "--max-sentences": "give the size of a batch in symbols: --max-tokens",
    "--skip-invalid-size-inputs-valid-test": "every sentence is read, or it is an error",
    "--distributed-": "one process reads the corpus",
}


def _refuse_ignored(fairseq_flags: Sequence[str]) -> None:
    for flag in (part.partition("=")[0] for part in fairseq_flags if part.startswith("--")):
        for ignored, instead in _IGNORED.items():
            if flag == ignored or (ignored.endswith("-") and flag.startswith(ignored)):
                raise UserError(f"{flag} does nothing here: {instead}")


def _direction(session: Session) -> str:
    """Of a model of several languages the pair that was read, for the printed line."""
    task = session.cfg.task
    if not getattr(task, "lang_pairs", None):
        return ""
    return f", {task.source_lang}-{task.target_lang}"


def _read_corpus(session: Session, args: argparse.Namespace, side: str) -> Corpus:
    from ..corpora import read_split, read_text

    if not args.input:
        if args.target_input:
            raise UserError("--target-input goes with --input; a split has its own target side")
        return read_split(session, args.gen_subset, side)
    if side == "target" and not args.target_input:
        raise UserError("the decoder reads a translation: give --target-input, or --gen-subset")
    if side != "target" and args.target_input:
        raise UserError(f"--target-input is for layers of the decoder; these read the {side} side")
    return read_text(session, args.input, args.target_input)


if __name__ == "__main__":
    main()
