"""Bake neurons of Transformers and of embeddings."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..instruments.hooked import Point
from .edits import Edits, Reader, Target, feed_all


def bake_point(edits: Edits, point: Point, target: Target) -> None:
    """Write the clamps of one layer of a Transformer block into the weights.

    - ``ffn``: the columns of fc2, which reads it, and its bias;
    - attention: the rows of its output projection;
    - the block: its last layer norm, where the block ends with it.

    Raises:
        UserError: no exact way.
    """
    module: Any = point.module
    if point.side == "input":
        feed_all(target, [Reader.of(edits, module)], *target.split())
    elif isinstance(getattr(module, "out_proj", None), nn.Linear):
        _fix_output(edits, module.out_proj, target)
    else:
        _fix_output(edits, _last_norm(module, target), target)


def bake_embedding(edits: Edits, owner: Any, target: Target) -> None:
    """Write the clamps of ``….embed_tokens`` into the columns of the matrix.

    Raises:
        UserError: the matrix serves something else too, or there is none.
    """
    embedding = owner._modules["embed_tokens"]
    indices = target.clamp.indices
    if not isinstance(embedding, nn.Embedding):
        target.refuse(indices, f"{type(embedding).__name__} is no plain embedding matrix")
    # fairseq's LSTM decoder reads embed_tokens.weight in its output layer, under no other name.
    read_as_output = (
        getattr(owner, "share_input_output_embed", False)
        and getattr(owner, "adaptive_softmax", None) is None
    )
    if read_as_output or edits.is_shared(embedding.weight):
        target.refuse(indices, "the matrix serves another embedding or the output layer too")
    edits.edit(embedding.weight)[:, indices] = target.clamp.values


def _fix_output(edits: Edits, module: Any, target: Target) -> None:
    """Fix some outputs of a linear map, or of a layer norm: rows at 0, biases at the values."""
    indices, values = target.clamp.indices, target.clamp.values
    if module.bias is None:
        if values.any():
            target.refuse(indices, "what puts them out has no bias; value 0 works")
    else:
        edits.edit(module.bias)[indices] = values
    edits.edit(module.weight)[indices] = 0.0


def _last_norm(block: Any, target: Target) -> Any:
    """The layer norm whose output the block's output is."""
    indices = target.clamp.indices
    if getattr(block, "normalize_before", True):
        target.refuse(
            indices,
            "these blocks normalise their input (pre-norm), so the residual stream goes on past "
            "all weights; the parts .ffn, .self_attn and .encoder_attn can be baked",
        )
    # The second name is that of fairseq's lightconv encoder.
    norm: Any = getattr(block, "final_layer_norm", getattr(block, "layer_norm2", None))
    if getattr(norm, "weight", None) is None or norm.bias is None:
        target.refuse(indices, f"{type(block).__name__} does not end with a layer norm")
    return norm
