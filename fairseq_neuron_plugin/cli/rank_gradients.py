"""Inputs of ``fairseq-neuron-rank`` that are gradients: of a checkpoint's loss over a corpus."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..errors import UserError
from .corpus_common import add_corpus_arguments, open_reader, read_corpus
from .rank_inputs import Given, InputReader


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    add_corpus_arguments(parser, max_tokens=2000)
    parser.add_argument(
        "--layers",
        metavar="GLOBS",
        help="comma-separated globs, of the encoder, the decoder or both (default: "
        "encoder.layers.*, of a language model decoder.layers.*)",
    )


def _read_corpus(args: argparse.Namespace, fairseq_flags: Sequence[str]) -> Given:
    if not (args.gen_subset or args.input):
        raise UserError("give a corpus: --gen-subset SPLIT, or --input TEXT --target-input TEXT")
    session = open_reader(args.data, args.path, fairseq_flags)
    from ..corpora.reading import is_language_model
    from ..extraction import ablation_settings
    from ..files import sha256_file
    from ..gradient_blocks import GradientBlocks

    side = "text" if is_language_model(session) else "target"
    corpus = read_corpus(session, args, side)
    blocks = GradientBlocks(session, corpus, args.layers, args.max_tokens)
    sha256 = sha256_file(session.paths[0])
    origin = {
        "model": sha256[:12],
        "corpus": corpus.origin,
        "reads": corpus.frame,
        "layers": ",".join(layer.name for layer in blocks.space.layers),
        "batch": args.max_tokens,
        "precision": "fp32",
        "device": "cuda" if session.cuda else "cpu",
        "overrides": session.cfg.common_eval.model_overrides,
        **ablation_settings(session),
    }
    return Given((blocks,), blocks.space, sha256, origin)


GRADIENTS = InputReader(
    "data-bin --path checkpoint_best.pt --gen-subset valid",
    _add_corpus,
    _read_corpus,
    takes_fairseq_flags=True,
)
