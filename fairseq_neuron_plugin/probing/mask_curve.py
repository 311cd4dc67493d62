"""Accuracy of a probe that keeps fewer and fewer neurons: the mask-out curve of a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..neurons import parse_amount
from ..ranking import Ranking
from ..rows import Rows, refuse_non_finite, row_blocks

Array = npt.NDArray[Any]


class LinearProbe(Protocol):
    """What is asked of a probe here.

    Attributes:
        coef_: ``[labels, neurons]``.
        intercept_: ``[labels]``.
        classes_: ``[labels]``, sorted.
    """

    coef_: Array
    intercept_: Array
    classes_: Array


def mask_curve(
    probe: LinearProbe,
    ranking: Ranking,
    test: tuple[Rows, Array],
    shares: Sequence[float],
    order: str = "top",
) -> list[float]:
    """Test accuracy with all but the first neurons of a ranking at 0, for many shares.

    Args:
        probe: a fitted probe; nothing is trained here.
        ranking: over the columns of the data.
        test: activations ``[tokens, neurons]`` and labels ``[tokens]``.
        shares: percent of the neurons that are kept, 0 to 100. At 0 only the intercept is left.
        order: ``top`` or ``bottom`` of the ranking is kept.

    Returns:
        An accuracy, 0 to 1, for each share. The data is read once, whatever their number.

    Raises:
        UserError: the ranking is over another number of neurons, a share out of range, an unknown
            order.
        NonFiniteError: NaN or infinity in the activations.
    """
    total = check_ranking(probe, ranking)
    for share in shares:
        if not 0 <= share <= 100:
            raise UserError(f"a share of neurons is 0 to 100 percent, not {share:g}")
    counts = [parse_amount(f"{share:f}%", total) for share in shares]
    return mask_accuracies(probe, ranking.order(order), counts, *test)


def curve_area(shares: Sequence[float], accuracies: Sequence[float]) -> float:
    """Area under a curve by the trapezoid rule, over its width: the mean accuracy, 0 to 1.

    Args:
        shares: where the curve was measured, ascending, e.g. 0 to 100 percent. Areas compare only
            between curves that were measured at the same shares.
        accuracies: parallel to ``shares``.

    Raises:
        ValueError: fewer than two points, shares that do not ascend, lengths that differ.
    """
    x, y = np.asarray(shares, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"no area under {len(y)} accuracies at {len(x)} shares")
    widths = np.diff(x)
    if (widths <= 0).any():
        raise ValueError(f"the shares of a curve must ascend: {list(shares)}")
    return float(widths @ (y[1:] + y[:-1]) / 2 / (x[-1] - x[0]))


def mask_accuracies(
    probe: LinearProbe, neurons: Array, counts: Sequence[int], X: Rows, y: Array
) -> list[float]:
    """Accuracy with only the first ``count`` of ``neurons`` kept, for each count.

    A masked activation is 0 and adds nothing to a score, so the scores of a larger kept set are
    those of a smaller one and what the further neurons add: one pass over the data.
    """
    gold = class_codes(probe.classes_, y)
    cuts = sorted(set(counts))
    kept = neurons[: cuts[-1]] if cuts else neurons[:0]
    weight = np.ascontiguousarray(probe.coef_[:, kept].T)
    right = dict.fromkeys(cuts, 0)
    for rows in row_blocks(X.shape):
        block = np.asarray(X[rows], dtype=np.float64)
        refuse_non_finite(block, rows.start)
        block = block[:, kept]
        scores = np.repeat(probe.intercept_[None], len(block), axis=0)
        start = 0
        for cut in cuts:
            scores += block[:, start:cut] @ weight[start:cut]
            right[cut] += int((scores.argmax(axis=1) == gold[rows]).sum())
            start = cut
    return [right[count] / len(gold) for count in counts]


def class_codes(classes: Array, labels: Array) -> npt.NDArray[np.intp]:
    """Index of each label among the sorted classes; -1 for a label that is none of them."""
    labels = np.asarray(labels)
    codes = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    return np.where(classes[codes] == labels, codes, -1)


def check_ranking(probe: LinearProbe, ranking: Ranking) -> int:
    """The number of neurons, which must be the same in both."""
    total = int(probe.coef_.shape[1])
    if len(ranking.neurons) != total:
        raise UserError(
            f"the ranking is over {len(ranking.neurons)} neurons, the probe over {total}"
        )
    return total
