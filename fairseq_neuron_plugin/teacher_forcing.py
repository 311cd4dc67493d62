"""The loss of each sentence of a corpus, teacher-forced, as a tensor to differentiate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .corpora import Corpus
from .corpora.readers import PairReader, TextReader
from .loading import Session


@dataclass(frozen=True)
class ForcedBatch:
    """Sentences that go through the model together, with what it is to predict.

    Attributes:
        numbers: which sentence of the corpus each row is, ``[rows]``.
        encoder_input: the arguments of the encoder; None for a language model.
        tokens: what the decoder reads, ``[rows, length]``, padded.
        targets: what comes next at each position, ``[rows, length]``, padded alike.
    """

    numbers: npt.NDArray[np.int64]
    encoder_input: dict[str, Any] | None
    tokens: Tensor
    targets: Tensor


def forced_batch(corpus: Corpus, numbers: list[int]) -> ForcedBatch:
    """The batch of some sentences, as in training: by the dataset's collater.

    Args:
        corpus: of the target side, or the text of a language model, of which each sentence is read
            by itself, after a start symbol, up to its end.
        numbers: of the sentences.
    """
    reader = corpus.reader
    if isinstance(reader, TextReader):
        whole = reader.batch(numbers, True)
        tokens = reader.batch(numbers, False).tokens
        return ForcedBatch(whole.numbers, None, tokens, whole.tokens[:, 1:])
    assert isinstance(reader, PairReader), "a corpus of the target side has its pairs"
    sample = reader.collater.collater([reader.pairs[number] for number in numbers])
    encoder_input = dict(sample["net_input"])
    tokens = encoder_input.pop("prev_output_tokens")
    return ForcedBatch(sample["id"].numpy(), encoder_input, tokens, sample["target"])


def sentence_losses(session: Session, batch: ForcedBatch) -> Tensor:
    """Cross-entropy in nats, summed over each sentence's target symbols, ``[rows]``.

    Without label smoothing, whatever the model was trained with.
    """
    model: Any = session.models[0]
    encoder_out = None
    if batch.encoder_input is not None:
        encoder_out = model.encoder(**session.to_device(batch.encoder_input))
    targets = session.to_device(batch.targets)
    output = model.decoder(session.to_device(batch.tokens), encoder_out=encoder_out)
    pad = session.task.target_dictionary.pad()
    adaptive = getattr(model.decoder, "adaptive_softmax", None)
    if adaptive is not None:
        return _adaptive_losses(adaptive, output[0], targets, pad)
    log_probs = model.get_normalized_probs(output, log_probs=True, sample={"target": targets})
    picked = log_probs.gather(2, targets.unsqueeze(2)).squeeze(2)
    return -picked.masked_fill(targets.eq(pad), 0.0).sum(1)


def _adaptive_losses(adaptive: nn.Module, features: Tensor, targets: Tensor, pad: int) -> Tensor:
    """As `sentence_losses`, of fairseq's `AdaptiveSoftmax`.

    Its own log-probabilities are changed in place, so that they cannot be differentiated.
    """
    targets = targets.contiguous()  # fairseq views it as one row
    logits, found = adaptive(features, targets)
    _, members = adaptive.adapt_target(targets)  # type: ignore[operator]
    losses = nn.functional.cross_entropy(logits[0], found[0], reduction="none")
    for rows, cluster, words in zip(members, logits[1:], found[1:], strict=True):
        if rows is not None:
            within = nn.functional.cross_entropy(cluster, words, reduction="none")
            losses = losses.index_add(0, rows, within)
    return torch.where(targets.eq(pad), 0.0, losses.view(targets.shape)).sum(1)
