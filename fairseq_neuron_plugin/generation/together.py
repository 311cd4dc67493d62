"""Decode under several interventions in one batch, with fairseq's own search.

Where a step of the decoder takes as long for few rows as for many, several interventions cost
little more than one. The batch holds the same sentences once for each. The encoder, a small part of
the work, runs for each by itself; the decoder runs once for all, and clamps each row's own neurons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from fairseq.models.lstm import LSTMEncoder
from fairseq.models.transformer import TransformerDecoderBase, TransformerEncoderBase
from fairseq.search import BeamSearch
from fairseq.sequence_generator import EnsembleModel, SequenceGenerator
from torch import Tensor

from ..instruments import Clamp, find_instruments
from ..instruments.lstm_decoder import LSTMDecoderInstrument
from ..instruments.row_clamp import RowClamp, Rows
from .ensemble import CompactEnsemble
from .generator import CompactGenerator

_TENSORS = {"src_tokens", "src_lengths", "prev_output_tokens"}


def is_plain_search(generator: Any) -> bool:
    """Whether each sentence has its hypotheses whatever stands beside it in the batch.

    So it is with fairseq's own generator and its plain beam search, which leave nothing to chance.
    """
    return (
        type(generator) in (SequenceGenerator, CompactGenerator)
        and type(generator.search) is BeamSearch
        and generator.lm_model is None
    )


def is_plain_input(sample: Mapping[str, Any]) -> bool:
    """Whether a sentence of a batch is nothing but its tokens."""
    return set(sample["net_input"]) <= _TENSORS and "src_tokens" in sample["net_input"]


def can_run_together(generator: Any) -> bool:
    """Whether `together` is possible: plain search, one model, an LSTM's or Transformer's parts."""
    if not is_plain_search(generator) or not generator.model.has_incremental_states():
        return False
    ensemble = generator.model
    encoder = getattr(ensemble.single_model, "encoder", None)
    decoder = ensemble.single_model.decoder
    return (
        type(ensemble) in (EnsembleModel, CompactEnsemble)
        and ensemble.models_size == 1
        and isinstance(encoder, LSTMEncoder | TransformerEncoderBase)
        and "reorder_encoder_out" not in vars(encoder)
        and (LSTMDecoderInstrument.fits(decoder) or _is_usual_transformer(decoder))
    )


@contextmanager
def together(generator: Any, parts: Sequence[Mapping[str, Clamp]]) -> Iterator[None]:
    """Until the end of the block, each part of the generator's batches is under its own clamps.

    The batches given to it are to hold the same sentences as often as there are parts, see
    `repeat_sample`; its hypotheses come in that order.

    Args:
        generator: for which `can_run_together` holds.
        parts: for each intervention, layer name to clamp.
    """
    ensemble = generator.model
    joined = _Joined(ensemble, generator.beam_size, parts)
    replaced = {
        "forward_encoder": joined.forward_encoder,
        "reorder_incremental_state": joined.reorder_incremental_state,
    }
    with joined.decoder_clamps():
        vars(ensemble).update(replaced)
        try:
            yield
        finally:
            for name in replaced:
                del vars(ensemble)[name]


def repeat_sample(sample: Mapping[str, Any], times: int) -> dict[str, Any]:
    """A batch with its sentences repeated, one copy of the batch after the other.

    Args:
        sample: for which `is_plain_input` holds.
        times: how many copies.
    """
    inputs = {name: torch.cat([rows] * times) for name, rows in sample["net_input"].items()}
    return {"id": torch.cat([sample["id"]] * times), "net_input": inputs}


class _Joined:
    """What stands in for methods of an `EnsembleModel`."""

    def __init__(
        self, ensemble: EnsembleModel, beam: int, parts: Sequence[Mapping[str, Clamp]]
    ) -> None:
        self.ensemble = ensemble
        self.beam = beam
        self.parts = parts
        self.rows = Rows()
        self.instruments = {
            layer.name: (instrument, layer.width)
            for instrument in find_instruments(ensemble.single_model)
            for layer in instrument.layers
        }

    @contextmanager
    def decoder_clamps(self) -> Iterator[None]:
        """Each row of the decoder's batch under the clamps of its part."""
        by_layer: dict[tuple[str, str], dict[int, Clamp]] = {}
        for number, clamps in enumerate(self.parts):
            for name, clamp in clamps.items():
                if _is_of_decoder(name):
                    by_layer.setdefault((name, clamp.scope), {})[number] = clamp
        with ExitStack() as stack:
            for (name, _), by_part in by_layer.items():
                instrument, width = self.instruments[name]
                by_row = RowClamp(by_part, len(self.parts), width, self.rows)
                stack.callback(instrument.clamp(name, by_row))
            yield

    def forward_encoder(self, net_input: Mapping[str, Tensor]) -> list[Any]:
        """As in `EnsembleModel`, for one part after the other."""
        chunks = {name: rows.chunk(len(self.parts)) for name, rows in net_input.items()}
        outs = []
        for number, clamps in enumerate(self.parts):
            with ExitStack() as stack:
                for name, clamp in clamps.items():
                    if not _is_of_decoder(name):
                        instrument, _ = self.instruments[name]
                        stack.callback(instrument.clamp(name, clamp))
                inputs = {name: rows[number] for name, rows in chunks.items()}
                outs.append(type(self.ensemble).forward_encoder(self.ensemble, inputs)[0])
        tokens = chunks["src_tokens"][0]
        self.rows.begin(len(self.parts), len(tokens), tokens.device)
        # One sentence more, to see which dimension is that of the sentences.
        order = torch.zeros(len(tokens) + 1, dtype=torch.int64, device=tokens.device)
        longer = self.ensemble.single_model.encoder.reorder_encoder_out(outs[0], order)
        return [_concatenate(outs, longer)]

    def reorder_incremental_state(self, incremental_states: Any, new_order: Tensor) -> None:
        """As in `EnsembleModel`."""
        self.rows.reorder(new_order, self.beam)
        type(self.ensemble).reorder_incremental_state(self.ensemble, incremental_states, new_order)


def _concatenate(outs: Sequence[Any], longer: Any) -> Any:
    """One output of an encoder out of several.

    Args:
        outs: nested lists, tuples and dictionaries of tensors, and None.
        longer: as ``outs[0]``, of one sentence more; it may lack what no decoder reads.
    """
    first = outs[0]
    if isinstance(first, Tensor):
        shapes = zip(first.shape, longer.shape, strict=True)
        (dimension,) = [number for number, (size, other) in enumerate(shapes) if size != other]
        return torch.cat(list(outs), dimension)
    if isinstance(first, dict):
        return {key: _concatenate([out[key] for out in outs], longer[key]) for key in longer}
    if isinstance(first, list | tuple):
        members = [_concatenate(each, longer[n]) for n, each in enumerate(zip(*outs, strict=True))]
        return tuple(members) if isinstance(first, tuple) else members
    return first


def _is_of_decoder(layer: str) -> bool:
    return "decoder" in layer.split(".")


def _is_usual_transformer(decoder: Any) -> bool:
    """Whether a decoder computes what fairseq's `TransformerDecoder` does, a word at a time."""
    methods = ("forward", "extract_features", "extract_features_scriptable")
    return isinstance(decoder, TransformerDecoderBase) and all(
        getattr(type(decoder), name) is getattr(TransformerDecoderBase, name) for name in methods
    )
