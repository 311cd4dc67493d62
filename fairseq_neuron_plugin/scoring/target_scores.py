"""log p(target) of each position, without a ``[positions, vocabulary]`` matrix.

The output layer is multiplied in tiles that stay in the processor's cache, and the log-sum-exp goes
from tile to tile with a running maximum (Milakov and Gimelshein 2018, *Online normalizer
calculation for softmax*). The target's own logit is one scalar product.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Positions and words of a tile: 2 MiB of float32. Narrower tiles make slower matrix products.
_TILE = (512, 1024)
# Elsewhere each operation has to be large enough to occupy the device.
_DEVICE_TILE = (8192, 16384)


@torch.no_grad()
def target_scores(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    positions: Tensor | None = None,
) -> Tensor:
    """Natural log-probability of one word for each position, or of any number of words.

    Args:
        features: ``[positions, width]``, what the output layer reads.
        weight: ``[vocabulary, width]`` of the output layer.
        bias: ``[vocabulary]``, or None.
        targets: int64 ``[targets]``.
        positions: of which position each target is, int64 ``[targets]``; None for one each.

    Returns:
        ``[targets]``, float32 (float64 for double precision), equal to
        ``log_softmax(features @ weight.T + bias)`` at the targets.
    """
    rows, columns = _TILE if features.device.type == "cpu" else _DEVICE_TILE
    totals = features.new_empty(len(features), dtype=_precise(features))
    buffer = features.new_empty(min(rows, len(features)) * min(columns, len(weight)))
    for start in range(0, len(features), rows):
        part = slice(start, start + rows)
        totals[part] = _log_sum_exp(features[part], weight, bias, columns, buffer)
    scores = totals.new_empty(len(targets))
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        where = part if positions is None else positions[part]
        scores[part] = _logits_at(features[where], weight, bias, targets[part]) - totals[where]
    return scores


def _logits_at(features: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor) -> Tensor:
    """The logit ``[positions]`` of one word each."""
    precise = _precise(features)
    logits = (features.to(precise) * weight[words].to(precise)).sum(1)
    if bias is not None:
        logits += bias[words]
    # In half precision, as a matrix product would have rounded it.
    return logits.to(features.dtype).to(precise)


def _log_sum_exp(
    features: Tensor, weight: Tensor, bias: Tensor | None, columns: int, buffer: Tensor
) -> Tensor:
    """Log of the sum of the exponentiated logits ``[positions]``, tile by tile in ``buffer``."""
    precise = _precise(features)
    # The least finite number, not -inf: a word whose bias is -inf may come first.
    lowest = torch.finfo(precise).min
    peak = features.new_full((len(features), 1), lowest, dtype=precise)
    total = torch.zeros_like(peak)
    for first in range(0, len(weight), columns):
        words = slice(first, first + columns)
        tile = weight[words].t()
        logits = buffer[: len(features) * tile.size(1)].view(len(features), -1)
        if bias is None:
            torch.mm(features, tile, out=logits)
        else:
            torch.addmm(bias[words], features, tile, out=logits)
        logits = logits.to(precise)
        higher = torch.maximum(peak, logits.amax(1, keepdim=True))
        total *= (peak - higher).exp_()
        total += logits.sub_(higher).exp_().sum(1, keepdim=True)
        peak = higher
    return (total.log_() + peak).squeeze(1)


def _precise(features: Tensor) -> torch.dtype:
    return torch.promote_types(features.dtype, torch.float32)
