"""The loss of a split's references, teacher-forced: a curve that needs no decoding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..corpora.readers import open_pairs
from ..errors import UserError
from ..forward import batches_by_length
from ..instruments.lstm_decoder import DecoderForward, LSTMDecoderInstrument
from ..interventions import ablate
from ..loading import Session
from ..projection import Projection
from ..scoring.target_scores import target_scores
from ..signature import short_hash
from ..teacher_forcing import ForcedBatch, sentence_losses
from .bootstrap import RESAMPLES, FloatArray, Resampling, interval
from .evaluator import Intervention, Progress
from .scoring import Scores

_MAX_TOKENS = 4000  # symbols of a batch, padding included; measured
_MAX_TOKENS_OF_WHOLE = 1000  # where each has the scores of the whole vocabulary


class ForcedLoss:
    """A split whose references are scored again and again.

    All batches are kept, so memory grows with the split.

    Args:
        session: one translation model.
        dataset: the task's, of a split with a target side.
        resamples: how many texts are drawn for the interval; 0 for none.

    Raises:
        UserError: the split has no target side.
    """

    def __init__(self, session: Session, dataset: Any, resamples: int = RESAMPLES) -> None:
        collater, pairs = open_pairs(dataset)
        if pairs.tgt is None:
            raise UserError(
                "the split has no target side, of which the loss is: leave loss out of --metrics"
            )
        self.session = session
        self.pairs = pairs
        self.resampling = Resampling(len(pairs), resamples) if resamples else None
        self._model: Any = session.models[0]
        self._pad = session.task.target_dictionary.pad()
        self._batches = [_collate(collater, pairs, numbers) for numbers in self._plan()]

    def __len__(self) -> int:
        return len(self.pairs)

    def score(
        self, intervention: Intervention, progress: Progress = lambda sentences: None
    ) -> Scores:
        """The loss in bits for each symbol of the references, their ends included.

        It is the ``nll_loss`` of ``fairseq-validate``.

        Returns:
            ``loss``, and ``loss_low`` and ``loss_high`` if there are resamples.

        Raises:
            UserError: the ablation was never reached, or a sentence's loss is no finite number.
        """
        statistics = self.statistics(intervention, progress)
        bits, symbols = statistics.sum(0).tolist()
        numbers = {"loss": bits / symbols}
        if self.resampling is None:
            return Scores(numbers, {})
        sums = self.resampling.sums(statistics)
        resampled = sums[:, 0] / sums[:, 1]
        numbers["loss_low"], numbers["loss_high"] = interval(resampled)
        return Scores(numbers, {"loss": resampled})

    def statistics(
        self, intervention: Intervention, progress: Progress = lambda sentences: None
    ) -> FloatArray:
        """Loss of each sentence in bits, and its symbols: ``[sentences, 2]``, in corpus order.

        See `score` for the errors.
        """
        found = np.zeros((len(self), 2))
        neurons, value, scope = intervention.neurons, intervention.value, intervention.scope
        with (
            torch.no_grad(),
            ablate(self._model, neurons, value, scope) as ablation,
            _fast_lstm(self._model),
        ):
            for batch in self._batches:
                losses = self._losses(batch).double().cpu().numpy()
                found[batch.numbers, 0] = losses / math.log(2)
                found[batch.numbers, 1] = batch.targets.ne(self._pad).sum(1).numpy()
                progress(len(batch.numbers))
            ablation.check_fired()
        wrong = np.flatnonzero(~np.isfinite(found[:, 0]))
        if len(wrong):
            raise UserError(
                f"the loss of {len(wrong)} sentences is no finite number, the first of them is "
                f"sentence {wrong[0] + 1}: is --ablate-value too large?"
            )
        return found

    def target_hash(self) -> str:
        """Of what is to be predicted."""
        ids = [self.pairs[number]["target"].tolist() for number in range(len(self))]
        return short_hash("\n".join(map(str, ids)))

    def _plan(self) -> Iterator[list[int]]:
        """Sentences that go through the model together."""
        costs = np.maximum(self.pairs.src.sizes, self.pairs.tgt.sizes).astype(np.int64)
        has_one_product = Projection.of(self._model) is not None
        limit = _MAX_TOKENS if has_one_product else _MAX_TOKENS_OF_WHOLE
        return batches_by_length(costs, 0, len(costs), limit)

    def _losses(self, batch: ForcedBatch) -> Tensor:
        """Of each sentence, in nats: ``[rows]``."""
        projection = Projection.of(self._model)
        if projection is None:
            return sentence_losses(self.session, batch)
        targets = self.session.to_device(batch.targets)
        is_symbol = targets.ne(self._pad)
        features = self._features(batch)[is_symbol]
        scores = target_scores(features, projection.weight, projection.bias, targets[is_symbol])
        losses = torch.zeros(targets.shape, dtype=torch.float64, device=targets.device)
        losses[is_symbol] = -scores.double()
        return losses.sum(1)

    def _features(self, batch: ForcedBatch) -> Tensor:
        """What the output layer reads, ``[rows, length, width]``."""
        model, to_device = self._model, self.session.to_device
        encoder_out = model.encoder(**to_device(batch.encoder_input))
        features: Tensor = model.decoder.extract_features(
            to_device(batch.tokens), encoder_out=encoder_out
        )[0]
        return features


def _collate(collater: Any, pairs: Any, numbers: Sequence[int]) -> ForcedBatch:
    """A batch as in training."""
    sample = collater.collater([pairs[number] for number in numbers])
    encoder_input = dict(sample["net_input"])
    tokens = encoder_input.pop("prev_output_tokens")
    return ForcedBatch(sample["id"].numpy(), encoder_input, tokens, sample["target"])


@contextmanager
def _fast_lstm(model: Any) -> Iterator[None]:
    """The same computation whether the decoder is clamped or not, and faster than fairseq's."""
    if not LSTMDecoderInstrument.fits(model.decoder):
        yield
        return
    user = object()
    forward = DecoderForward.join(model.decoder, user)
    try:
        yield
    finally:
        forward.leave(user)
