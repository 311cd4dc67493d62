"""Neurons by the weights of a probe: Algorithm 1 of the paper, section 3.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..ranking import Ranking
from ..signature import format_signature, versions
from .registry import ranking_method

# Shares are sums of floating-point numbers: a share that is p up to rounding has reached p.
ROUNDING = 1e-9


@ranking_method("linguistic", inputs="probe")
def linguistic(
    coef: npt.ArrayLike, labels: Sequence[str] | None = None, *, step: float = 1.0
) -> Ranking:
    """By a probe's weights: Algorithm 1 (Dalvi et al. 2019, section 3.1).

    A neuron's place is the share of a label's weight mass at which it becomes salient.

    For ``p = step, 2 step, …, 100`` percent, each label takes the fewest neurons of largest weight
    whose sum reaches ``p`` percent of the label's mass; the neurons that are new are appended.
    Within one step the smallest share at which any label reaches the neuron decides, then the
    larger weight, then the id. Neurons without any weight come last, by id.

    Args:
        coef: ``[labels, neurons]``, the probe's weights.
        labels: names of the rows; default their numbers.
        step: percent of the mass that is added in each step, the paper's α; above 0, at most 100.

    Returns:
        The ranking. ``scores`` holds, parallel to ``neurons``, the smallest mass share (0 to 1)
        at which any label reaches the neuron: small is important, and neurons without weight
        have 1. ``per_label`` orders all neurons by the weight's size, then id.

    Raises:
        UserError: weights that are no finite matrix, labels that do not fit, a step out of range.
    """
    size = np.abs(_matrix(coef))
    names = [str(row) for row in range(len(size))] if labels is None else [str(x) for x in labels]
    if len(names) != len(size) or len(set(names)) != len(names):
        raise UserError(f"{len(size)} rows of weights need as many different labels")
    if not 0 < step <= 100:
        raise UserError(f"the step must be above 0 and at most 100 percent, not {step:g}")
    order = np.argsort(-size, axis=1, kind="stable")
    reached = _shares(size, order)
    first = reached.min(axis=0)
    # The neuron that crosses p is the first whose running share, itself included, reaches p; it
    # joins in the step in which the sum *before* it is still short of p.
    before = _shares(size, order, inclusive=False)
    joins = np.where(size > 0, np.floor(before * 100 / step + ROUNDING), np.inf).min(axis=0)
    ranked = np.lexsort((np.arange(size.shape[1]), -size.max(axis=0), first, joins))
    return Ranking(
        method="linguistic",
        neurons=ranked.astype(np.int64),
        scores=first[ranked],
        per_label={name: row.astype(np.int64) for name, row in zip(names, order, strict=True)},
        signature=format_signature(
            {"method": "linguistic", "step": step, "labels": len(names), **versions("numpy")}
        ),
    )


def salient(weights: npt.ArrayLike, share: float = 0.25) -> npt.NDArray[np.int64]:
    """The fewest neurons of largest weight that reach a share of one label's mass (figure 6).

    Args:
        weights: ``[neurons]``, one label's row of the probe's weights.
        share: 0 to 1; the paper's figure 6 takes 0.25.

    Returns:
        Their ids, largest weight first, the one that crosses the share included; none for a label
        without weight.

    Raises:
        UserError: a share out of range, or weights that are no finite vector.
    """
    if not 0 <= share <= 1:
        raise UserError(f"the share must be between 0 and 1, not {share:g}")
    size = np.abs(_matrix(np.atleast_2d(np.asarray(weights))))
    if len(size) != 1:
        raise UserError("salient takes the weights of one label")
    order = np.argsort(-size, axis=1, kind="stable")
    before = _shares(size, order, inclusive=False)[0]
    row = order[0]
    chosen = (before[row] < share - ROUNDING) & (size[0, row] > 0)
    return row[chosen].astype(np.int64)


def _matrix(coef: npt.ArrayLike) -> npt.NDArray[np.float64]:
    matrix: npt.NDArray[Any] = np.asarray(coef, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise UserError(f"weights must be a matrix [labels, neurons], not {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise UserError("the weights contain NaN or infinity")
    return matrix


def _shares(
    size: npt.NDArray[np.float64], order: npt.NDArray[np.int64], inclusive: bool = True
) -> npt.NDArray[np.float64]:
    """Running share of the label's mass at each neuron, ``[labels, neurons]``.

    Where a label gives a neuron no weight it is 1: the label never needs that neuron.
    """
    sorted_size = np.take_along_axis(size, order, axis=1)
    running = np.cumsum(sorted_size, axis=1)
    mass = running[:, -1:]
    if not inclusive:
        running = running - sorted_size
    share = np.divide(running, mass, out=np.ones_like(running), where=sorted_size > 0)
    result = np.empty_like(share)
    np.put_along_axis(result, order, np.minimum(share, 1.0), axis=1)
    return result
