"""The paper's translation model: a bidirectional LSTM encoder-decoder with attention.

Taps and clamps work on any LSTM encoder, so the model computes exactly what fairseq's ``lstm``
does, with its parameter names: a stock checkpoint loads strictly, with
``--model-overrides "{'_name': 'neuron_lstm'}"``, and gives the same hypotheses.
"""

from __future__ import annotations

from argparse import Namespace

from fairseq.models import register_model, register_model_architecture
from fairseq.models.lstm import LSTMModel, base_architecture


@register_model("neuron_lstm")
class NeuronLSTMModel(LSTMModel):
    """fairseq's `LSTMModel`, with the defaults of Dalvi et al. (2019), section 4.1."""


@register_model_architecture("neuron_lstm", "neuron_lstm")
def neuron_lstm(args: Namespace) -> None:
    """Two bidirectional encoder layers and two decoder layers; other sizes as in ``lstm``."""
    args.encoder_layers = getattr(args, "encoder_layers", 2)
    args.encoder_bidirectional = getattr(args, "encoder_bidirectional", True)
    args.decoder_layers = getattr(args, "decoder_layers", 2)
    base_architecture(args)


@register_model_architecture("neuron_lstm", "neuron_lstm_paper")
def neuron_lstm_paper(args: Namespace) -> None:
    """The sizes of the paper: 500 units per direction, so 2,000 encoder neurons."""
    args.dropout = getattr(args, "dropout", 0.3)
    for name in ("encoder_embed_dim", "encoder_hidden_size", "decoder_embed_dim"):
        setattr(args, name, getattr(args, name, 500))
    args.decoder_hidden_size = getattr(args, "decoder_hidden_size", 500)
    args.decoder_out_embed_dim = getattr(args, "decoder_out_embed_dim", 500)
    neuron_lstm(args)
