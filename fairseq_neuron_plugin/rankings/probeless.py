"""Neurons by how far apart the labels' means are: no probe is trained."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from ..ranking import Ranking
from .class_moments import class_moments
from .moments import RowSource
from .registry import ranking_method
from .scored import by_score

Float64 = npt.NDArray[np.float64]


@ranking_method("probeless", inputs="labels")
def probeless(X: RowSource, y: Coded | Iterable[object]) -> Ranking:
    """By the distances between the labels' means (Antverg & Belinkov 2022).

    ``score(j) = sum over pairs of labels z, z' of |mean_j(z) - mean_j(z')|``, as in the paper and
    the authors' code; each label counts the same, however rare. For one label, which the paper
    does not rank by, the sum goes over its distances to all others, as in NeuroX. The means are
    not divided by the neuron's spread, so neurons of large variance have an advantage.

    Differences: means are computed in float64, and ties go to the smaller id.

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        y: one label a token.

    Returns:
        The ranking; ``per_label`` orders the neurons for each label.

    Raises:
        UserError: labels that do not fit, only one label, NaN or infinity.
    """
    moments = class_moments(X, y)
    distances = _distances(moments.offsets)
    return by_score(
        "probeless",
        distances.sum(axis=0) / 2,
        {"tokens": X.shape[0], "labels": len(moments.names)},
        per_label=dict(zip(moments.names, distances, strict=True)),
    )


def _distances(means: Float64) -> Float64:
    """Sum of the distances of each label's mean to all others, ``[labels, neurons]``.

    Sorting spares the loop over pairs: a mean is larger than those before it in the order.
    """
    order = np.argsort(means, axis=0, kind="stable")
    ordered = np.take_along_axis(means, order, axis=0)
    ordered -= ordered[:1].copy()
    labels = len(means)
    before = np.arange(labels)[:, None]
    upto = np.cumsum(ordered, axis=0)
    to_smaller = (before + 1) * ordered - upto
    to_larger = (upto[-1:] - upto) - (labels - 1 - before) * ordered
    found = np.empty_like(ordered)
    np.put_along_axis(found, order, to_smaller + to_larger, axis=0)
    return found
