"""Run the part of a model that a corpus is read by, and see first whether it can."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from .corpora import Batch, Corpus
from .errors import UserError
from .loading import Session


def run_batch(session: Session, batch: Batch, side: str) -> None:
    """Let the session's model read a batch, as far as one side needs it.

    Who wants the activations has tapped the model.

    Args:
        session: one model.
        batch: its input.
        side: ``source``: the encoder alone; ``target``: encoder and decoder; ``text``: a language
            model.
    """
    model: Any = session.models[0]
    encoder_out = None
    if batch.encoder_input is not None:
        encoder_out = model.encoder(**session.to_device(batch.encoder_input))
    if side != "source":
        _run_decoder(model.decoder, session.to_device(batch.tokens), encoder_out)


def _run_decoder(decoder: Any, tokens: Tensor, encoder_out: Any) -> None:
    """Teacher-forced, without the output layer where the decoder can do without it."""
    kind = type(decoder)
    if "features_only" in inspect.signature(kind.forward).parameters:
        decoder(tokens, encoder_out=encoder_out, features_only=True)
    elif _has_features(kind):
        decoder.extract_features(tokens, encoder_out=encoder_out)
    else:
        decoder(tokens, encoder_out=encoder_out)


def _has_features(kind: type) -> bool:
    from fairseq.models import FairseqDecoder, FairseqIncrementalDecoder

    abstract = (FairseqDecoder.extract_features, FairseqIncrementalDecoder.extract_features)
    return getattr(kind, "extract_features", abstract[0]) not in abstract


_LIMIT_FLAGS = {
    "source": "--max-source-positions",
    "target": "--max-target-positions",
    "text": "--tokens-per-sample when it was trained",
}


def check_lengths(session: Session, corpus: Corpus, sentence_end: bool) -> None:
    """`UserError` that names a sentence which the session's model cannot read, if there is one.

    Args:
        session: one model.
        corpus: its sentences.
        sentence_end: whether a decoder reads the end of the sentence, too.
    """
    from fairseq import utils

    model_limit = getattr(session.models[0], "max_positions", lambda: None)()
    limits = utils.resolve_max_positions(session.task.max_positions(), model_limit)
    if isinstance(limits, dict):  # by direction; a session has one
        limits = next(iter(limits.values()))
    if not isinstance(limits, tuple):
        limits = (limits, limits)
    for side, lengths in corpus.reader.limited.items():
        limit = limits[0] if side == "source" else limits[-1]
        read = lengths + (sentence_end and side != "source")
        if limit is not None and read.max(initial=0) > limit:
            number = int(np.argmax(read > limit))
            raise UserError(
                f"sentence {number + 1} has {read[number]} symbols, the model reads at most "
                f"{limit:g} ({_LIMIT_FLAGS[side]})"
            )


def batches_by_length(
    costs: npt.NDArray[np.int64], first: int, last: int, max_tokens: int
) -> Iterator[list[int]]:
    """Sentences ``first`` to ``last - 1``, longest first, in batches of at most ``max_tokens``.

    Args:
        costs: symbols of each sentence, see `Corpus.costs`.
        first: number of a sentence.
        last: likewise, not included.
        max_tokens: symbols, padding included; a longer sentence is a batch by itself.
    """
    order = first + np.argsort(-costs[first:last], kind="stable")
    batch: list[int] = []
    for number in order.tolist():
        if batch and (len(batch) + 1) * costs[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
