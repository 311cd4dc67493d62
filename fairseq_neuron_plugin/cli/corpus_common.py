"""What the commands that read a corpus with a checkpoint share: its arguments, and opening both."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..backends.fairseq.checkpoints.names import flagged_file
from ..errors import UserError
from .common import quiet_fairseq

if TYPE_CHECKING:
    from ..corpora import Corpus
    from ..loading import Session


def add_corpus_arguments(parser: argparse.ArgumentParser, max_tokens: int = 4000) -> None:
    """Declare the data folder, the checkpoint, the corpus and the size of a batch."""
    parser.add_argument("data", help="folder with the dictionaries (and the binarised split)")
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    add_text_arguments(parser, max_tokens)


def add_text_arguments(parser: argparse._ActionsContainer, max_tokens: int = 4000) -> None:
    """Declare the corpus and the size of a batch."""
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
        help="with --input: its translation, line by line, where the decoder is to read one",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=max_tokens,
        help="symbols in a batch, padding included (default: %(default)s)",
    )


def open_reader(data: str, path: str, fairseq_flags: Sequence[str]) -> Session:
    """Load a checkpoint for the task that it was trained for.

    Args:
        data: folder with the dictionaries.
        path: the checkpoint.
        fairseq_flags: of fairseq-generate.

    Raises:
        UserError: no such checkpoint, a flag that would do nothing, or what `open_session` raises.
    """
    quiet_fairseq()
    # A CPU kernel is kept for each shape of batch; by default so many that memory grows with the
    # corpus.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    from ..checkpoint_task import task_flags
    from ..loading import open_session

    file = flagged_file(path, fairseq_flags)
    flags = [*fairseq_flags, *task_flags(file, fairseq_flags, data)]
    return open_session([data, "--path", path, *flags], command="read")


def read_corpus(session: Session, args: argparse.Namespace, side: str) -> Corpus:
    """Read the corpus of the arguments, and say what looks wrong with it.

    Args:
        session: the model and its task.
        args: with `add_corpus_arguments`.
        side: whose words the rows are: ``source``, ``target`` or ``text``.

    Raises:
        UserError: no such corpus, or texts that do not go with the side.
    """
    from ..corpora.notes import corpus_notes

    corpus = _read_corpus(session, args, side)
    for note in corpus_notes(session, corpus):
        print(f"note: {note}", file=sys.stderr)
    return corpus


def _read_corpus(session: Session, args: argparse.Namespace, side: str) -> Corpus:
    from ..corpora import read_split, read_text

    if args.max_tokens < 1:
        raise UserError(f"--max-tokens must be 1 or more, not {args.max_tokens}")
    if not args.input:
        if args.target_input:
            raise UserError("--target-input goes with --input; a split has its own target side")
        if "bpe" in session.given:
            raise UserError(
                "--bpe segments --input; a split has its subwords already: give --post-process, "
                "which says how they are marked"
            )
        return read_split(session, args.gen_subset, side)
    if side == "target" and not args.target_input:
        raise UserError("the decoder reads a translation: give --target-input, or --gen-subset")
    if side != "target" and args.target_input:
        raise UserError(f"--target-input is for layers of the decoder; these read the {side} side")
    return read_text(session, args.input, args.target_input)
