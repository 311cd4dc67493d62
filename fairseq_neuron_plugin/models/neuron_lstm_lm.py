"""The paper's language model: an LSTM, run by the fused kernel instead of step by step.

It computes what fairseq's ``lstm_lm`` does, with its parameter names: a stock checkpoint loads
strictly, with ``--model-overrides "{'_name': 'neuron_lstm_lm'}"``.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from fairseq.models import register_model, register_model_architecture
from fairseq.models.lstm import LSTMDecoder
from fairseq.models.lstm_lm import LSTMLanguageModel, base_architecture
from torch import Tensor

from ..instruments.lstm_decoder_steps import DecoderRun, LayerClamps, run_decoder


class FusedLSTMDecoder(LSTMDecoder):
    """fairseq's `LSTMDecoder` without its loop over steps, where nothing is fed back."""

    same_as_stock = True

    def extract_features(
        self, prev_output_tokens: Tensor, encoder_out: Any = None, incremental_state: Any = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `LSTMDecoder.extract_features`."""
        run = DecoderRun(self, [LayerClamps()] * self.num_layers, LayerClamps())
        return run_decoder(run, prev_output_tokens, encoder_out, incremental_state)


@register_model("neuron_lstm_lm")
class NeuronLSTMLanguageModel(LSTMLanguageModel):
    """fairseq's `LSTMLanguageModel`, with the defaults of Dalvi et al. (2019), section 4.1."""

    def __init__(self, decoder: LSTMDecoder) -> None:
        # fairseq's build_model makes the stock decoder; the two differ in one method alone.
        decoder.__class__ = FusedLSTMDecoder
        super().__init__(decoder)


@register_model_architecture("neuron_lstm_lm", "neuron_lstm_lm")
def neuron_lstm_lm(args: Namespace) -> None:
    """Two layers; other sizes as in ``lstm_lm``."""
    args.decoder_layers = getattr(args, "decoder_layers", 2)
    base_architecture(args)


@register_model_architecture("neuron_lstm_lm", "neuron_lstm_lm_paper")
def neuron_lstm_lm_paper(args: Namespace) -> None:
    """The sizes of the paper: two layers of 500 units."""
    args.dropout = getattr(args, "dropout", 0.3)
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", 500)
    args.decoder_out_embed_dim = getattr(args, "decoder_out_embed_dim", 500)
    neuron_lstm_lm(args)
