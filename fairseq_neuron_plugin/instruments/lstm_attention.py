"""fairseq's attention, of which one sentence may serve several rows of the batch (beams)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Attend = Callable[[Tensor], tuple[Tensor, Tensor]]


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody else watches or changes what a module computes."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def attention_of(layer: Any, encoder_out: Any) -> Attend | None:
    """From hidden states ``[batch, hidden]`` to attention's output and weights, if there is any."""
    if layer is None:
        return None
    if not has_hooks(layer):
        return SharedAttention(layer, encoder_out)

    def attend(hidden: Tensor) -> tuple[Tensor, Tensor]:
        output, weights = layer(hidden, encoder_out[0], encoder_out[3])
        return output, weights.t()

    return attend


class SharedAttention:
    """fairseq's `AttentionLayer` over sentences that each serve one or more rows of the batch.

    The rows of a sentence stand one after the other, so its states are read once for all of them,
    by a batched product: nothing has to be copied for each row.

    Args:
        layer: the `AttentionLayer`.
        encoder_out: states ``[source, sentences, width]`` first, padding ``[source, sentences]``
            last.
    """

    def __init__(self, layer: Any, encoder_out: Any) -> None:
        self.layer = layer
        self.states = encoder_out[0].transpose(0, 1)
        mask = encoder_out[3]
        self.padding = None if mask is None else mask.transpose(0, 1).unsqueeze(1)

    def __call__(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Attention's output ``[batch, width]`` and weights ``[batch, source]``."""
        sentences, source, width = self.states.shape
        query = self.layer.input_proj(hidden).view(sentences, -1, width)
        scores = torch.bmm(query, self.states.transpose(1, 2))
        if self.padding is not None:
            scores = scores.float().masked_fill(self.padding, float("-inf")).type_as(scores)
        weights = torch.softmax(scores, dim=2)
        context = torch.bmm(weights, self.states).view(len(hidden), width)
        output = torch.tanh(self.layer.output_proj(torch.cat((context, hidden), dim=1)))
        return output, weights.view(len(hidden), source)
