"""Let fairseq's `SequenceScorer` score a language model without the whole vocabulary.

The scorer asks for ``model(**net_input)``, then for ``model.get_normalized_probs``, of which it
keeps the target's. While this is on, the first ends with the features and the second computes what
is kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..instruments.base import ForwardOverride, Remove
from ..instruments.lstm_decoder import DecoderForward, LSTMDecoderInstrument
from .target_scores import target_scores


def fast_target_scoring(model: nn.Module) -> Remove:
    """Make a language model fast to score; all else that it computes stays within rounding.

    LSTMs run without fairseq's loop over steps. Where the output layer is one matrix product, the
    model's output becomes the features before it, and ``get_normalized_probs`` needs a sample with
    its target (padded positions score 0). Models with an adaptive softmax, or an output layer of
    their own, keep theirs.

    Args:
        model: a language model of fairseq's; any other model is left alone.

    Returns:
        What ends it and leaves the model as it was.
    """
    decoder = getattr(model, "decoder", None)
    user = object()
    joined: list[ForwardOverride] = []
    if not isinstance(decoder, nn.Module) or hasattr(model, "encoder"):
        return partial(_leave_all, joined, user)
    if LSTMDecoderInstrument.fits(decoder):
        joined.append(DecoderForward.join(decoder, user))
    if output_projection(model) is not None:
        joined.append(_FeaturesAsOutput.join(decoder, user))
        joined.append(_TargetProbabilities.join(model, user))
    return partial(_leave_all, joined, user)


def output_projection(model: nn.Module) -> tuple[Tensor, Tensor | None] | None:
    """Weight ``[vocabulary, width]`` and bias of the output layer; None if it is anything else."""
    from fairseq.models import BaseFairseqModel, FairseqDecoder
    from fairseq.models.lstm import LSTMDecoder
    from fairseq.models.transformer import TransformerDecoderBase

    decoder: Any = model.decoder
    for owner, base in ((model, BaseFairseqModel), (decoder, FairseqDecoder)):
        for name in ("get_normalized_probs", "get_normalized_probs_scriptable"):
            if getattr(type(owner), name, None) is not getattr(base, name):
                return None
    if getattr(decoder, "adaptive_softmax", None) is not None:
        return None
    own = type(decoder).output_layer
    if own is LSTMDecoder.output_layer:
        shared = decoder.share_input_output_embed
        layer = decoder.embed_tokens if shared else decoder.fc_out
    elif own is TransformerDecoderBase.output_layer:
        layer = decoder.output_projection
    else:
        return None
    # Exactly these: quantised and hooked layers compute something else.
    if type(layer) not in (nn.Linear, nn.Embedding) or layer._forward_hooks:
        return None
    return layer.weight, getattr(layer, "bias", None)


class _FeaturesAsOutput(ForwardOverride):
    """``decoder.output_layer`` that leaves the features as they are."""

    _kept_as = "output_layer"

    def __call__(self, features: Tensor) -> Tensor:
        return features


class _TargetProbabilities(ForwardOverride):
    """``model.get_normalized_probs`` of the targets alone, from features."""

    _kept_as = "get_normalized_probs"

    def __call__(self, net_output: Any, log_probs: bool, sample: Any = None) -> Tensor:
        """As fairseq's.

        Returns:
            A view ``[batch, length, vocabulary]`` of one number a position: whichever word is
            looked up, it is the target's.
        """
        model: Any = self.module
        features, *others = net_output
        target = None if sample is None else sample.get("target")
        projection = output_projection(model)
        if projection is None or not torch.is_tensor(target):
            logits = type(model.decoder).output_layer(model.decoder, features)
            net_output = (logits, *others)
            probs: Tensor = type(model).get_normalized_probs(model, net_output, log_probs, sample)
            return probs
        weight, bias = projection
        is_word = target.ne(model.decoder.dictionary.pad())
        scores = features.new_zeros(target.shape, dtype=torch.float32)
        found = target_scores(features[is_word], weight, bias, target[is_word])
        scores[is_word] = (found if log_probs else found.exp()).to(scores)
        return scores.unsqueeze(-1).expand(*target.shape, len(weight))


def _leave_all(joined: list[ForwardOverride], user: object) -> None:
    for override in reversed(joined):
        override.leave(user)
