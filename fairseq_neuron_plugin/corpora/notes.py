"""What looks wrong with a corpus as this model reads it."""

from __future__ import annotations

from typing import Any

from ..loading import Session
from .corpus import Corpus

MAX_UNKNOWN = 0.1
# A dictionary of words has next to none.
_MIN_MARKED = 0.05
_HINTS = {
    "@@": ("--bpe subword_nmt --bpe-codes FILE (or --bpe fastbpe)", "--post-process subword_nmt"),
    "▁": ("--bpe sentencepiece --sentencepiece-model FILE", "--post-process sentencepiece"),
}


def corpus_notes(session: Session, corpus: Corpus) -> list[str]:
    """List what a user should know before the activations are used.

    Returns:
        A line for subwords that are taken for words, and one for many unknown words.
    """
    notes = []
    subword = find_subword(corpus.dictionary)
    segments = getattr(session.cfg.bpe, "_name", session.cfg.bpe)
    if subword and not segments and session.cfg.common_eval.post_process is None:
        segment, marked = _HINTS["@@" if subword.endswith("@@") else "▁"]
        notes.append(
            f"the model reads subwords such as {subword!r}, and the {corpus.side} is read as "
            f"words: add {segment} to segment a text, or {marked} if it is segmented already"
        )
    _, unknown = corpus.count_unknown()
    words = int(corpus.symbols.is_start.sum())
    if unknown > MAX_UNKNOWN * words:
        notes.append(
            f"the model does not know {unknown} of {words} words ({unknown / words:.0%}): is the "
            "text tokenised, cased and segmented as its training data were?"
        )
    return notes


def find_subword(dictionary: Any) -> str | None:
    """Find an example of the subwords in a dictionary; None where it holds words."""
    symbols = dictionary.symbols[dictionary.nspecial :]
    for marked in (
        [symbol for symbol in symbols if symbol.endswith("@@")],
        [symbol for symbol in symbols if symbol.startswith("▁")],
    ):
        if len(marked) > _MIN_MARKED * len(symbols):
            return str(max(marked[:100], key=len))
    return None
