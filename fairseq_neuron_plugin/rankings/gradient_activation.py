"""Ranking by the gradient of the model's own loss: one model, no labels, no training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from operator import length_hint
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..gradient_blocks import GradientBlock
from ..ranking import Ranking
from .registry import ranking_method
from .scored import by_score


@ranking_method("gradient-activation", inputs="gradients")
def gradient_activation(
    blocks: Iterable[GradientBlock],
    *,
    per: Literal["sentence", "token"] = "sentence",
    signed: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Ranking:
    """By how much ablating a neuron changes the loss, to first order (Molchanov et al. 2017).

    Activation times gradient (section 2.2 there; for attention heads Michel et al. 2019, section
    4.1): minus its sum over a sentence's steps is the first-order estimate of what the sentence's
    loss gains when the neuron is ablated to 0 at every step. Read once, block by block.

    Args:
        blocks: see `GradientBlocks`; every sentence in one of them.
        per: mean over what: of a sentence's absolute sum over its steps, or of the absolute value
            at each step, where steps of opposite sign do not cancel.
        signed: by the expected increase of the loss, largest first: last come neurons whose
            ablation is expected to lower it.
        progress: called with blocks done and blocks in all.

    Returns:
        The ranking; its details have ``effect``, each neuron's expected increase of the loss in
        nats a sentence, by id, and the loss that was differentiated.

    Raises:
        UserError: no rows, or a value, gradient or loss that is not finite.
    """
    total: npt.NDArray[np.float64] | None = None  # of a * g
    absolute = np.zeros(0)
    sentences = rows = targets = 0
    loss = 0.0
    steps = length_hint(blocks)
    for done, block in enumerate(blocks, start=1):
        products = _products(block)
        sums = _by_sentence(products, block)
        if total is None:
            total, absolute = np.zeros(products.shape[1]), np.zeros(products.shape[1])
        total += sums.sum(axis=0)
        absolute += np.abs(sums if per == "sentence" else products).sum(axis=0, dtype=np.float64)
        sentences, rows = sentences + len(block.numbers), rows + len(products)
        loss, targets = loss + float(block.losses.sum()), targets + int(block.targets.sum())
        if progress is not None:
            progress(done, max(steps, done))
    if total is None or not rows:
        raise UserError("no gradients to rank by: the corpus has no sentence")
    units = sentences if per == "sentence" else rows
    return by_score(
        "gradient-activation",
        (-total if signed else absolute) / units,
        {"per": per, "signed": signed, "sentences": sentences, "steps": rows},
        details={
            "sentences": sentences,
            "steps": rows,
            "target_symbols": targets,
            "loss_per_symbol": loss / targets if targets else math.nan,
            "effect": (-total / sentences).tolist(),
        },
        packages=("numpy", "torch", "fairseq"),
    )


def _products(block: GradientBlock) -> npt.NDArray[np.float32]:
    """Activation times gradient, ``[rows, neurons]``.

    Raises:
        UserError: not finite; names sentence, row and neuron.
    """
    if not np.isfinite(block.losses).all():
        number = block.numbers[np.argmin(np.isfinite(block.losses))]
        raise UserError(f"the loss of sentence {number + 1} is not finite")
    products = block.values * block.gradients
    if not np.isfinite(products).all():
        row, neuron = np.argwhere(~np.isfinite(products))[0]
        raise UserError(
            f"sentence {block.sentence[row] + 1}, row {row} of its block, neuron {neuron}: "
            f"activation {block.values[row, neuron]}, gradient {block.gradients[row, neuron]}; "
            "both must be finite"
        )
    return products


def _by_sentence(
    products: npt.NDArray[np.float32], block: GradientBlock
) -> npt.NDArray[np.float64]:
    """The sum over each sentence's rows, ``[sentences, neurons]``."""
    order = np.argsort(block.sentence, kind="stable")
    _, starts = np.unique(block.sentence[order], return_index=True)
    sums: npt.NDArray[np.float64] = np.add.reduceat(
        products[order], starts, axis=0, dtype=np.float64
    )
    return sums
