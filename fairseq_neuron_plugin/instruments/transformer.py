"""The layers of encoders and decoders that are stacks of blocks with a feed-forward network.

That is `fairseq.models.transformer` and what is derived from it (language models, multilingual
models, BART, RoBERTa, …), and the convolutional blocks of ``lightconv``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn

from ..neurons import Layer
from .embeddings import EmbeddingInstrument, watch_words
from .hooked import HookedInstrument, Point


class TransformerInstrument(HookedInstrument):
    """For each block ``….self_attn``, ``….encoder_attn``, ``….ffn``, and the block itself.

    Args:
        owner: the encoder or decoder.
        side: ``encoder`` or ``decoder``.
    """

    def __init__(self, owner: nn.Module, side: str) -> None:
        super().__init__(list(_points(owner, side)), partial(watch_words, owner))

    @staticmethod
    def fits(owner: nn.Module) -> bool:
        """Whether this is a stack of blocks over embedded tokens."""
        return EmbeddingInstrument.fits(owner) and next(_points(owner, ""), None) is not None


def _points(owner: nn.Module, side: str) -> Iterator[Point]:
    """The table of points, in order of computation.

    - attention: what the attention module returns, before the residual sum;
    - ``ffn``: what fc2 reads, so after activation function, dropout and layer norm if any;
    - the block: what it returns, the residual stream.
    """
    blocks = getattr(owner, "layers", None)
    if not isinstance(blocks, nn.ModuleList):
        return
    # By index: fairseq's LayerDropModuleList leaves blocks out at random when it is iterated.
    for number in range(len(blocks)):
        block, name = blocks[number], f"{side}.layers.{number}"
        for attention in ("self_attn", "encoder_attn"):
            module = getattr(block, attention, None)
            width = getattr(module, "embed_dim", None)
            if isinstance(module, nn.Module) and isinstance(width, int):
                yield Point(Layer(f"{name}.{attention}", width), module)
        fc2 = getattr(block, "fc2", None)
        if isinstance(fc2, nn.Linear):
            yield Point(Layer(f"{name}.ffn", fc2.in_features), fc2, "input")
            yield Point(Layer(name, fc2.out_features), block)
