"""Instruments read and clamp the layers of one kind of module.

Every instrument is found by `find_instruments`; a new kind of model is one more class there.
"""

from __future__ import annotations

from torch import nn

from ..errors import UserError
from .base import Clamp, Instrument
from .lstm_encoder import LSTMEncoderInstrument

__all__ = ["Clamp", "Instrument", "find_instruments"]


def find_instruments(model: nn.Module) -> list[Instrument]:
    """The instruments that fit a model, in model order.

    Raises:
        UserError: no layer of the model can be read or clamped.
    """
    found: list[Instrument] = []
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, nn.Module) and LSTMEncoderInstrument.fits(encoder):
        found.append(LSTMEncoderInstrument(encoder))
    if not found:
        raise UserError(
            f"no layer of {type(model).__name__} can be read or clamped; supported are models "
            "with an LSTM encoder (fairseq's lstm, neuron_lstm)"
        )
    return found
