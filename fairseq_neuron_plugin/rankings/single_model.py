"""Rankings from the activations of one model alone: the paper's baselines, section 5."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..neurons import NeuronSpace
from ..ranking import Ranking
from ..signature import format_signature, versions
from .moments import Columns, RowSource


def variance(
    X: RowSource, reverse: bool = False, space: NeuronSpace | None = None, model: str | None = None
) -> Ranking:
    """Rank neurons by their variance over the tokens, largest first.

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        reverse: smallest first.
        space: the layers whose neurons are the columns.
        model: SHA-256 of the checkpoint.
    """
    columns = Columns(X, "activations").read_all()
    return _ranking("variance", columns.variances, reverse, X.shape[0], space, model)


def mean_distance(
    X: RowSource, reverse: bool = False, space: NeuronSpace | None = None, model: str | None = None
) -> Ranking:
    """Rank neurons by ``|mean_j - mean of all means|``, largest first; arguments as `variance`."""
    means = Columns(X, "activations").read_all().means
    distance = np.abs(means - means.mean())
    return _ranking("mean-distance", distance, reverse, X.shape[0], space, model)


def random(
    neurons: int, seed: int = 0, space: NeuronSpace | None = None, model: str | None = None
) -> Ranking:
    """A random order, the same for the same seed; the score falls from 1 with the rank.

    Raises:
        UserError: no neurons, or a negative seed.
    """
    if neurons < 1 or seed < 0:
        raise UserError(f"cannot order {neurons} neurons at random with seed {seed}")
    order = np.random.default_rng(seed).permutation(neurons).astype(np.int64)
    return Ranking(
        method="random",
        neurons=order,
        scores=1.0 - np.arange(neurons) / neurons,
        signature=format_signature({"method": "random", "seed": seed, **versions("numpy")}),
        space=space,
        model=model,
    )


def _ranking(
    method: str,
    scores: npt.NDArray[np.float64],
    reverse: bool,
    tokens: int,
    space: NeuronSpace | None,
    model: str | None,
) -> Ranking:
    order = np.lexsort((np.arange(len(scores)), scores if reverse else -scores))
    settings = {"method": method, "reverse": reverse, "tokens": tokens, **versions("numpy")}
    return Ranking(
        method=method,
        neurons=order.astype(np.int64),
        scores=scores[order],
        signature=format_signature(settings),
        space=space,
        model=model,
    )
