"""The matrix product that ends a decoder, where that is all there is to its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from fairseq.models import BaseFairseqModel, FairseqDecoder
from fairseq.models.lstm import LSTMDecoder
from fairseq.models.transformer import TransformerDecoderBase, TransformerModelBase
from fairseq.modules import FairseqDropout
from torch import Tensor, nn


@dataclass(frozen=True)
class Projection:
    """Logits are ``features @ weight.T + bias``.

    Attributes:
        weight: ``[vocabulary, width]``, the model's own tensor: never changed here.
        bias: ``[vocabulary]`` or None.
    """

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, model: Any) -> Self | None:
        """That of a model, as its weights are now.

        None where the log-probabilities of the decoder are, or might be, anything else than
        ``log_softmax(weight @ extract_features(...) + bias)``: an overridden method, an adaptive
        softmax, a hook, dropout that stays on.
        """
        decoder = getattr(model, "decoder", None)
        if decoder is None or not _is_plain(model, decoder):
            return None
        if _keeps(decoder, LSTMDecoder, "forward", "output_layer"):
            shared = decoder.share_input_output_embed
            layer = decoder.embed_tokens if shared else decoder.fc_out
            kind = nn.Embedding if shared else nn.Linear
        elif _keeps(decoder, TransformerDecoderBase, "forward", "output_layer"):
            layer, kind = decoder.output_projection, nn.Linear
        else:
            return None
        if type(layer) is not kind or (kind is nn.Linear and _is_touched(layer)):
            return None
        return cls(layer.weight, getattr(layer, "bias", None))


def _is_plain(model: Any, decoder: Any) -> bool:
    """Whether the probabilities are the softmax of ``decoder.forward``, drawn without chance."""
    normal, scripted = "get_normalized_probs", "get_normalized_probs_scriptable"
    return (
        (_keeps(model, BaseFairseqModel, normal) or _keeps(model, TransformerModelBase, normal))
        and _keeps(model, BaseFairseqModel, scripted)
        and _keeps(decoder, FairseqDecoder, normal, scripted)
        and getattr(decoder, "adaptive_softmax", None) is None
        and not getattr(decoder, "onnx_trace", False)
        and not decoder.training
        and not any(
            isinstance(module, FairseqDropout) and module.apply_during_inference
            for module in decoder.modules()
        )
    )


def _keeps(module: Any, owner: type, *methods: str) -> bool:
    """Whether a module's methods are those of ``owner``, neither overridden nor stood in for."""
    return isinstance(module, owner) and all(
        name not in vars(module) and getattr(type(module), name) is getattr(owner, name)
        for name in methods
    )


def _is_touched(layer: nn.Module) -> bool:
    """Whether something reads or changes the layer from outside."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))
