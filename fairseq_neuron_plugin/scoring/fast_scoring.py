"""Let fairseq's `SequenceScorer` score a language model without the whole vocabulary.

The scorer asks for ``model(**net_input)``, then for ``model.get_normalized_probs``, of which it
keeps the target's. While this is on, the first ends with the features and the second computes what
is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..instruments.base import ForwardOverride, Remove
from ..instruments.lstm_decoder import DecoderForward, LSTMDecoderInstrument
from ..projection import Projection
from .target_scores import target_scores


def fast_target_scoring(
    model: nn.Module, check: Callable[[Tensor], None] = lambda scores: None
) -> Remove:
    """Make a language model fast to score; all else that it computes stays within rounding.

    LSTMs run without fairseq's loop over steps. Where the output layer is one matrix product, the
    model's output becomes the features before it, and ``get_normalized_probs`` needs a sample with
    its target (padded positions score 0). Models with an adaptive softmax, or an output layer of
    their own, keep theirs.

    Args:
        model: a language model of fairseq's; any other model is left alone.
        check: called with the log-probabilities of each batch's targets, ``[targets]``, where the
            output layer is one matrix product.

    Returns:
        What ends it and leaves the model as it was.
    """
    decoder = getattr(model, "decoder", None)
    stack = ExitStack()
    if not isinstance(decoder, nn.Module) or hasattr(model, "encoder"):
        return stack.close
    projection = Projection.of(model)
    overrides: list[tuple[type[ForwardOverride], nn.Module]] = []
    if projection is not None:
        overrides = [(_FeaturesAsOutput, decoder), (_TargetProbabilities, model)]
    if LSTMDecoderInstrument.fits(decoder):
        overrides.append((DecoderForward, decoder))
    for kind, module in overrides:
        user = _Scoring(projection, check)
        stack.callback(kind.join(module, user).leave, user)
    return stack.close


@dataclass(eq=False, frozen=True)
class _Scoring:
    """One use of fast scoring."""

    projection: Projection | None
    check: Callable[[Tensor], None]


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
        if not torch.is_tensor(target):
            logits = type(model.decoder).output_layer(model.decoder, features)
            net_output = (logits, *others)
            probs: Tensor = type(model).get_normalized_probs(model, net_output, log_probs, sample)
            return probs
        weight, bias = self.users[-1].projection.weight, self.users[-1].projection.bias
        is_word = target.ne(model.decoder.dictionary.pad())
        scores = features.new_zeros(target.shape, dtype=torch.float32)
        found = target_scores(features[is_word], weight, bias, target[is_word])
        for user in self.users:
            user.check(found)
        scores[is_word] = (found if log_probs else found.exp()).to(scores)
        return scores.unsqueeze(-1).expand(*target.shape, len(weight))
