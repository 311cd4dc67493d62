"""From a model and a corpus to the gradient of each sentence's loss at every neuron."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .corpora import Corpus
from .errors import UserError
from .forward import batches_by_length, check_lengths
from .loading import Session
from .loss_gradients import Place, gradients
from .teacher_forcing import ForcedBatch, forced_batch, sentence_losses

Float32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GradientBlock:
    """Some whole sentences of a corpus.

    A row is one time step of one side: a symbol that the encoder reads, or one that the decoder
    does, ends and starts of sentences and language tokens included, padding not; subwords are rows
    of their own. Where an ablation clamps the states that a decoder starts from, these are one more
    row of their sentence. Neurons of layers that have no such step are 0 in the row, value and
    gradient.

    Attributes:
        values: ``[rows, neurons]``.
        gradients: ``[rows, neurons]``: how the loss of the row's sentence grows with the neuron at
            this step, see `loss_gradients.gradients`.
        sentence: int64 ``[rows]``, numbers of sentences in the corpus.
        numbers: int64 ``[sentences]``: those that are here, each with all of its rows.
        losses: float64 ``[sentences]``, in nats, summed over the sentence's target symbols.
        targets: int64 ``[sentences]``, how many symbols these are.
    """

    values: Float32
    gradients: Float32
    sentence: IntArray
    numbers: IntArray
    losses: npt.NDArray[np.float64]
    targets: IntArray


class GradientBlocks:
    """Iterates over the `GradientBlock`s of a corpus, teacher-forced, one a batch.

    The model is as it was after each, parameters' ``.grad`` included. Only one batch is in memory.

    Args:
        session: one translation model or language model.
        corpus: of the target side (its sources are read, too), or of a language model.
        layers: globs, see `choose_layers`; of both sides, if need be.
        max_tokens: symbols in a batch, padding included.

    Attributes:
        space: the chosen layers.

    Raises:
        UserError: another kind of model, half precision, no such layer, or a sentence that is
            longer than the model can read.
    """

    def __init__(
        self, session: Session, corpus: Corpus, layers: str | None = None, max_tokens: int = 2000
    ) -> None:
        if len(session.models) != 1:
            raise UserError("gradients are those of one checkpoint, not of an ensemble")
        model = session.models[0]
        if not hasattr(model, "decoder"):
            raise UserError(
                f"a {type(model).__name__} has no decoder that predicts the next word; gradients "
                "are those of a translation model's or a language model's loss"
            )
        if session.cfg.common.fp16:
            raise UserError("gradients vanish in half precision; leave out --fp16")
        side = "target" if hasattr(model, "encoder") else "text"
        if corpus.side != side:
            raise UserError(
                f"the loss is that of the {side}; this is a corpus of the {corpus.side}"
            )
        check_lengths(session, corpus, False)
        self.session = session
        self.corpus = corpus
        self._gradients = gradients(model, layers)
        self.space = self._gradients.space
        self._batches = list(batches_by_length(corpus.costs, 0, len(corpus), max_tokens))

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._batches)

    def __iter__(self) -> Iterator[GradientBlock]:
        for numbers in self._batches:
            batch = forced_batch(self.corpus, numbers)
            with torch.enable_grad(), self._gradients as layers:
                losses = sentence_losses(self.session, batch)
                layers.backward(losses.sum())
            yield self._block(batch, losses.detach())

    def _block(self, batch: ForcedBatch, losses: Tensor) -> GradientBlock:
        is_word = {"decoder": batch.tokens.ne(self.session.task.target_dictionary.pad())}
        if batch.encoder_input is not None:
            pad = self.session.task.source_dictionary.pad()
            is_word["encoder"] = batch.encoder_input["src_tokens"].ne(pad)
        parts = []
        for side, words in sorted(is_word.items(), reverse=True):  # the encoder's rows first
            places: dict[str, Place] = {
                name: layer for name, layer in self._gradients.items() if side in name.split(".")
            }
            if places:
                parts.append((places, words))
        starts = {name: layer.start for name, layer in self._gradients.items() if layer.start}
        if starts:
            parts.append((starts, torch.ones(len(batch.numbers), dtype=torch.bool)))
        sentence = [batch.numbers[words.nonzero()[:, 0].numpy()] for _, words in parts]
        values, slopes = (
            np.zeros((sum(map(len, sentence)), self.space.size), np.float32) for _ in range(2)
        )
        begin = 0
        for (places, words), rows in zip(parts, sentence, strict=True):
            for name, place in places.items():
                start = self.space.offsets[name]
                where = slice(begin, begin + len(rows)), slice(start, start + place.leaf.size(-1))
                values[where] = _chosen(place.values, words)
                slopes[where] = _chosen(place.gradients, words)
            begin += len(rows)
        return GradientBlock(
            values,
            slopes,
            np.concatenate(sentence),
            batch.numbers,
            losses.double().cpu().numpy(),
            batch.targets.ne(self.session.task.target_dictionary.pad()).sum(1).numpy(),
        )


def _chosen(values: Tensor, words: Tensor) -> Float32:
    rows: Float32 = values[words.to(values.device)].float().cpu().numpy()
    return rows
