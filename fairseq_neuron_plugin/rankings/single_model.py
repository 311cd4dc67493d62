"""Rankings from the activations of one model alone: the paper's baselines, section 5."""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ranking import Ranking
from .moments import Columns, RowSource
from .registry import ranking_method
from .scored import by_score


@ranking_method("variance", inputs="activations")
def variance(X: RowSource, *, reverse: bool = False) -> Ranking:
    """By variance over the tokens, largest first (Dalvi et al. 2019, section 5).

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        reverse: smallest first.
    """
    settings = {"reverse": reverse, "tokens": X.shape[0]}
    variances = Columns(X, "activations").read_all().variances
    return by_score("variance", variances, settings, smallest_first=reverse)


@ranking_method("mean-distance", inputs="activations")
def mean_distance(X: RowSource, *, reverse: bool = False) -> Ranking:
    """By the distance of a neuron's mean from the mean of all means, largest first.

    Dalvi et al. 2019, section 5.

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        reverse: smallest first.
    """
    means = Columns(X, "activations").read_all().means
    settings = {"reverse": reverse, "tokens": X.shape[0]}
    distance = np.abs(means - means.mean())
    return by_score("mean-distance", distance, settings, smallest_first=reverse)


@ranking_method("random", inputs="activations")
def random(X: RowSource | int, *, seed: int = 0) -> Ranking:
    """At random, the same for the same seed; the score falls from 1 with the rank.

    Args:
        X: ``[tokens, neurons]``, of which only the width counts, or the number of neurons.
        seed: of the order.

    Raises:
        UserError: no neurons, or a negative seed.
    """
    neurons = X if isinstance(X, int) else X.shape[1]
    if neurons < 1 or seed < 0:
        raise UserError(f"cannot order {neurons} neurons at random with seed {seed}")
    order = np.random.default_rng(seed).permutation(neurons)
    scores = np.empty(neurons)
    scores[order] = 1.0 - np.arange(neurons) / neurons
    return by_score("random", scores, {"seed": seed})
