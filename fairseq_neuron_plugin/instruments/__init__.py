"""Instruments read, clamp and perturb the layers of one kind of module.

Every instrument is found by `find_instruments`; a new kind of model is one more class there.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ..errors import UserError
from .base import Clamp, Instrument, Perturbation
from .embeddings import EmbeddingInstrument
from .lstm_decoder import LSTMDecoderInstrument
from .lstm_encoder import LSTMEncoderInstrument
from .prefixed import PrefixedInstrument
from .transformer import TransformerInstrument

__all__ = ["Clamp", "Instrument", "Perturbation", "find_instruments"]


def find_instruments(model: nn.Module) -> list[Instrument]:
    """The instruments that fit a model; their layers are in order of computation.

    Layers are named ``encoder.…`` and ``decoder.…``. Where a multilingual model has several
    distinct encoders (or decoders), theirs are named ``models.{language pair}.encoder.…`` after the
    first pair that each serves.

    Raises:
        UserError: no layer of the model can be read or clamped.
    """
    found = [
        PrefixedInstrument(instrument, prefix) if prefix else instrument
        for prefix, side, owner in _owners(model)
        for instrument in _instruments_of(owner, side)
    ]
    if not found:
        raise UserError(
            f"no layer of {type(model).__name__} can be read or clamped; supported are fairseq's "
            "LSTMs, Transformers and convolutional models that read tokens"
        )
    return found


def _owners(model: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Prefix of names, side, and each distinct encoder, then each distinct decoder."""
    models = getattr(model, "models", None)  # of fairseq's FairseqMultiModel
    parts = dict(models.items()) if isinstance(models, nn.ModuleDict) else {"": model}
    for side in ("encoder", "decoder"):
        first_user: dict[nn.Module, str] = {}
        for pair, part in parts.items():
            owner = getattr(part, side, None)
            if isinstance(owner, nn.Module):
                first_user.setdefault(owner, pair)
        for owner, pair in first_user.items():
            # RoBERTa's encoder is a head around the encoder proper.
            inner = getattr(owner, "sentence_encoder", None)
            prefix = f"models.{pair}." if len(first_user) > 1 else ""
            yield prefix, side, inner if isinstance(inner, nn.Module) else owner


def _instruments_of(owner: nn.Module, side: str) -> Iterator[Instrument]:
    if EmbeddingInstrument.fits(owner):
        yield EmbeddingInstrument(owner, side)
    if side == "encoder" and LSTMEncoderInstrument.fits(owner):
        yield LSTMEncoderInstrument(owner)
    elif side == "decoder" and LSTMDecoderInstrument.fits(owner):
        yield LSTMDecoderInstrument(owner)
    elif TransformerInstrument.fits(owner):
        yield TransformerInstrument(owner, side)
