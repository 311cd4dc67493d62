"""Neurons that other models have learned too: the paper's cross-model ranking, section 3.2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..ranking import Ranking
from .blocks import Progress
from .centred import Centred, row_slices
from .moments import RowSource
from .products import CrossProducts
from .registry import ranking_method
from .scored import by_score

Float64 = npt.NDArray[np.float64]

COMBINE: dict[str, Callable[..., Any]] = {"max": np.max, "min": np.min, "mean": np.mean}


@ranking_method("cross-model", inputs="models")
def cross_model(
    X: RowSource,
    others: Sequence[RowSource],
    *,
    signed: bool = False,
    combine: Literal["max", "min", "mean"] = "max",
    progress: Progress | None = None,
) -> Ranking:
    """By the best correlation with a neuron of other models (Dalvi et al. 2019, equation 2).

    One pass over all matrices, forwards, in blocks of the same rows of each in turn; memory does
    not depend on the number of tokens.

    Args:
        X: ``[tokens, neurons]``, the model whose neurons are ranked.
        others: the same tokens read by other models, ``[tokens, any number of neurons]`` each.
        signed: take the correlation as the paper prints it; default its absolute value, as in the
            authors' code.
        combine: how the best matches in several models become a score.
        progress: called with the blocks of rows done and those there are, of all models.

    Returns:
        The ranking; a neuron's score is between 0 (-1 if signed) and 1, and 0 for a neuron without
        variance. ``details["best_match"]`` holds, by flat id, ``{"model", "neuron", "rho"}`` of the
        most correlated neuron of all other models, or None for a neuron without variance;
        ``details["by_model"]`` the best correlation in each other model, ``[models][neurons]``.

    Raises:
        UserError: no other model, different numbers of tokens, NaN or infinity.
    """
    if combine not in COMBINE:
        raise UserError(f"unknown way to combine {combine!r}; there are: {', '.join(COMBINE)}")
    best, match, alive = _best_matches(correlations(X, others, progress), signed)
    scores = np.where(alive, COMBINE[combine](best, axis=0), 0.0)
    return by_score(
        "cross-model",
        scores,
        {"signed": signed, "combine": combine, "others": len(others), "tokens": X.shape[0]},
        details={"best_match": match, "by_model": best.tolist()},
    )


def correlations(
    X: RowSource, others: Sequence[RowSource], progress: Progress | None = None
) -> list[Float64]:
    """Pearson correlation of each neuron with each neuron of the other models.

    Returns:
        ``[neurons, other neurons]`` for each other model; 0 where either has no variance. Within
        1e-6 of a computation in float64; within 1e-5 in large tables for columns that jump or
        spike within some thousand rows.

    Raises:
        UserError: no other model, different numbers of tokens, NaN or infinity.
    """
    left, rights = _open(X, others)
    neurons, widest = X.shape[1], max(other.shape[1] for other in others)
    slices = list(row_slices(X.shape[0], max(neurons, widest)))
    products = [CrossProducts(neurons, other.shape[1]) for other in others]
    # The same memory for every block: fresh pages cost time.
    held, held_other, sums = (
        np.empty(size, dtype=np.float32)
        for size in (slices[0].stop * neurons, slices[0].stop * widest, neurons * widest)
    )
    steps, done = len(slices) * len(others), 0
    for rows in slices:
        block = left.take(rows, held)
        for right, product in zip(rights, products, strict=True):
            product.add(block, right.take(rows, held_other), sums)
            done += 1
            if progress is not None:
                progress(done, steps)
    return [
        _normalised(product.finish(left, right), left, right)
        for product, right in zip(products, rights, strict=True)
    ]


def _open(X: RowSource, others: Sequence[RowSource]) -> tuple[Centred, list[Centred]]:
    if not others:
        raise UserError("the cross-model ranking needs at least one other model")
    left = Centred(X, "activations")
    rights = [Centred(other, f"activations of model {n}") for n, other in enumerate(others, 1)]
    for number, other in enumerate(others, start=1):
        if other.shape[0] != X.shape[0]:
            raise UserError(
                f"model {number} has {other.shape[0]} tokens, the ranked model {X.shape[0]}; "
                "all models must have read the same text"
            )
    return left, rights


def _normalised(products: Float64, left: Centred, right: Centred) -> Float64:
    """Products of deviations become correlations, in place."""
    for norm in (np.sqrt(left.deviations)[:, None], np.sqrt(right.deviations)):
        products /= np.where(norm > 0, norm, np.inf)
    return np.clip(products, -1.0, 1.0, out=products)


def _best_matches(
    tables: Sequence[Float64], signed: bool
) -> tuple[Float64, list[dict[str, Any] | None], npt.NDArray[np.bool_]]:
    """Best score in each model ``[models, neurons]``, best match and liveness of each neuron."""
    neurons = len(tables[0])
    places = np.zeros((len(tables), neurons), dtype=np.intp)
    alive = np.zeros(neurons, dtype=bool)
    for model, table in enumerate(tables):
        for neuron, row in enumerate(table):  # a row at a time: a copy of a table is large
            places[model, neuron] = (row if signed else np.abs(row)).argmax()
            alive[neuron] |= row.any()
    rho = np.stack(
        [table[np.arange(neurons), place] for table, place in zip(tables, places, strict=True)]
    )
    best = rho if signed else np.abs(rho)
    match = [
        {"model": model, "neuron": int(places[model, neuron]), "rho": float(rho[model, neuron])}
        if alive[neuron]
        else None
        for neuron, model in enumerate(best.argmax(axis=0).tolist())
    ]
    return best, match, alive
