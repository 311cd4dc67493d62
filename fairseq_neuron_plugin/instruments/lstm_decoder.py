"""Read, clamp and perturb fairseq's LSTM decoder, of translation and of language models.

While any of these is on, `DecoderForward` stands in for the decoder's ``extract_features``: the
same computation with the same weights, in teacher forcing and step by step in generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..neurons import Layer
from .base import Clamp, ForwardOverride, Instrument, Perturbation, Remove, Sink
from .lstm_decoder_steps import DecoderRun, LayerClamps, run_decoder

ATTENTION = "decoder.attention"


class LSTMDecoderInstrument(Instrument):
    """``decoder.layers.{l}`` and, with attention, ``decoder.attention``: the vector fed back."""

    def __init__(self, decoder: nn.Module) -> None:
        self.decoder = decoder

    @staticmethod
    def fits(decoder: object) -> bool:
        """Whether this decoder computes what fairseq's `LSTMDecoder` does."""
        from fairseq.models.lstm import AttentionLayer, LSTMDecoder

        if not isinstance(decoder, LSTMDecoder):
            return False
        own = getattr(type(decoder), "same_as_stock", False)
        # Exactly these: a subclass may compute something else.
        return (
            (own or type(decoder).extract_features is LSTMDecoder.extract_features)
            and all(type(cell) is nn.LSTMCell for cell in decoder.layers)
            and type(decoder.attention) in (type(None), AttentionLayer)
        )

    @property
    def layers(self) -> list[Layer]:
        """One per cell, then the attention."""
        decoder: Any = self.decoder
        found = [
            Layer(f"decoder.layers.{n}", cell.hidden_size) for n, cell in enumerate(decoder.layers)
        ]
        if decoder.attention is not None:
            found.append(Layer(ATTENTION, decoder.hidden_size))
        return found

    def tap(self, names: list[str], sink: Sink) -> Remove:
        """See `Instrument.tap`."""
        reader = _Reader(frozenset(names), sink)
        forward = DecoderForward.join(self.decoder, reader)
        return partial(forward.leave, reader)

    def clamp(self, name: str, clamp: Clamp) -> Remove:
        """See `Instrument.clamp`."""
        return self._join((name, clamp))

    def perturb(self, name: str, perturbation: Perturbation) -> Remove:
        """See `Instrument.perturb`."""
        return self._join((name, perturbation))

    def _join(self, user: tuple[str, Clamp | Perturbation]) -> Remove:
        forward = DecoderForward.join(self.decoder, user)
        return partial(forward.leave, user)


@dataclass(eq=False, frozen=True)
class _Reader:
    """A tap on some layers."""

    names: frozenset[str]
    sink: Sink


class DecoderForward(ForwardOverride):
    """`LSTMDecoder.extract_features` with clamps and taps; it may also be joined for its speed.

    Its users are taps, pairs of a layer's name and a clamp or perturbation, and whoever wants the
    faster computation. An
    ``encoder_out`` may hold each sentence once though ``prev_output_tokens`` has several rows
    (beams) a sentence, one after the other.
    """

    _kept_as = "extract_features"

    @property
    def is_tapped(self) -> bool:
        """Whether someone reads the layers."""
        return any(isinstance(user, _Reader) for user in self.users)

    def __call__(
        self,
        prev_output_tokens: Tensor,
        encoder_out: Any = None,
        incremental_state: Any = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Features ``[batch, length, width]`` and attention ``[batch, length, source]`` or None."""
        decoder: Any = self.module
        named = [user for user in self.users if isinstance(user, tuple)]
        run = DecoderRun(
            decoder,
            [LayerClamps.of(named, f"decoder.layers.{n}") for n in range(decoder.num_layers)],
            LayerClamps.of(named, ATTENTION),
            self.is_tapped,
        )
        readers = [user for user in self.users if isinstance(user, _Reader)]
        features, scores = run_decoder(run, prev_output_tokens, encoder_out, incremental_state)
        for _, user in named:
            user.fired += 1
        if readers:
            _hand_on(readers, run, prev_output_tokens[:, -features.size(1) :], decoder)
        return features, scores


def _hand_on(readers: list[_Reader], run: DecoderRun, tokens: Tensor, decoder: Any) -> None:
    """Give every tap its layers as ``[batch, length, width]``, 0 where ``tokens`` are padding."""
    is_padding = tokens.eq(decoder.embed_tokens.padding_idx).unsqueeze(2)
    outputs = {f"decoder.layers.{n}": rows for n, rows in enumerate(run.outputs)}
    if run.attended is not None:
        outputs[ATTENTION] = run.attended
    for reader in readers:
        for name, rows in outputs.items():
            if name in reader.names:
                batch_first = rows.transpose(0, 1)
                reader.sink(name, torch.where(is_padding, 0.0, batch_first))
