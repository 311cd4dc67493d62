"""What stands between fairseq's generator and the model: compact scores, and nothing copied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fairseq.sequence_generator import EnsembleModel
from torch import Tensor

from ..instruments.lstm_attention import has_hooks
from ..instruments.lstm_decoder import DecoderForward, LSTMDecoderInstrument
from .compact_scores import CompactScores
from .search import Columns


@dataclass
class _Run:
    """One call of the generator.

    Attributes:
        scores: from features to compact scores.
        columns: where the search finds what stands in the columns.
        beam: rows a sentence.
        shared: encoder outputs are kept once a sentence, not once a row.
        first_alone: the decoder's first step is done once a sentence: its beams are all equal.
        rows: as many as the encoder outputs are for; 0 before the generator repeats them.
        steps: how many steps of the decoder have been done.
    """

    scores: CompactScores
    columns: Columns
    beam: int
    shared: bool = False
    first_alone: bool = False
    rows: int = 0
    steps: int = 0


class CompactEnsemble(EnsembleModel):
    """An `EnsembleModel`; inside `compactly`, of one model, it gives compact scores.

    A beam never leaves its sentence, so the encoder's outputs, equal for all beams of a sentence,
    need reordering only when sentences leave the batch.
    """

    def __init__(self, models: Any) -> None:
        super().__init__(models)
        self._run: _Run | None = None

    @contextmanager
    def compactly(self, scores: CompactScores, columns: Columns, beam: int) -> Iterator[None]:
        """Give compact scores until the end of the block."""
        decoder = self.single_model.decoder
        self._run = run = _Run(scores, columns, beam)
        forward = None
        try:
            if _may_share(decoder):
                forward = DecoderForward.join(decoder, run)
                run.shared = True
                # A tap is promised one row a beam at every step.
                run.first_alone = not forward.is_tapped and "embed_tokens" not in vars(decoder)
            yield
        finally:
            self._run = None
            columns.words = None
            if forward is not None:
                forward.leave(run)

    def forward_decoder(
        self,
        tokens: Tensor,
        encoder_outs: Any,
        incremental_states: Any,
        temperature: float = 1.0,
    ) -> Any:
        """Log-probabilities ``[rows, columns]`` and attention ``[rows, source]`` or None."""
        run = self._run
        if run is None:
            return super().forward_decoder(tokens, encoder_outs, incremental_states, temperature)
        first = run.steps == 0
        run.steps += 1
        alone = first and run.first_alone
        features, extra = self.single_model.decoder.extract_features(
            tokens[:: run.beam] if alone else tokens,
            encoder_out=encoder_outs[0],
            incremental_state=incremental_states[0],
        )
        features, attention = features[:, -1], _attention(extra)
        # All beams are equal at first, and the search then looks at one alone.
        scores, words = run.scores(features[:: run.beam] if first and not alone else features)
        if first:
            scores, words = (x.repeat_interleave(run.beam, dim=0) for x in (scores, words))
        if alone and attention is not None:
            attention = attention.repeat_interleave(run.beam, dim=0)
        run.columns.words = words
        return scores, attention

    def reorder_encoder_out(self, encoder_outs: Any, new_order: Tensor) -> Any:
        """As in `EnsembleModel`, where there is anything to be done."""
        run = self._run
        if run is None:
            return super().reorder_encoder_out(encoder_outs, new_order)
        before, run.rows = run.rows, new_order.numel()
        if run.rows == before or (before == 0 and run.shared):
            return encoder_outs
        if run.shared:
            new_order = new_order[:: run.beam].div(run.beam, rounding_mode="floor")
        return super().reorder_encoder_out(encoder_outs, new_order)

    def reorder_incremental_state(self, incremental_states: Any, new_order: Tensor) -> None:
        """As in `EnsembleModel`; after a first step that was done once a sentence, expand it."""
        run = self._run
        if run is not None and run.first_alone and run.steps == 1:
            new_order = new_order.div(run.beam, rounding_mode="floor")
        super().reorder_incremental_state(incremental_states, new_order)


def _may_share(decoder: Any) -> bool:
    """Whether `DecoderForward` can do the decoder's steps."""
    replaced = vars(decoder).get("extract_features")
    return (
        LSTMDecoderInstrument.fits(decoder)
        and decoder.attention is not None
        and not any(map(has_hooks, [decoder.attention, *decoder.layers]))
        and (replaced is None or isinstance(replaced, DecoderForward))
    )


def _attention(extra: Any) -> Tensor | None:
    """The last step's, ``[rows, source]``, from what a decoder returns beside its features."""
    held = extra.get("attn") if isinstance(extra, dict) else extra
    if isinstance(held, list | tuple):
        held = held[0] if held else None
    return None if held is None else held[:, -1, :]
