"""Neurons that other models have learned too: the paper's cross-model ranking, section 3.2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..ranking import Ranking
from .moments import Columns, CrossProducts, RowSource, row_slices
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
) -> Ranking:
    """By the best correlation with a neuron of other models (Dalvi et al. 2019, equation 2).

    One pass over all matrices; memory does not depend on the number of tokens.

    Args:
        X: ``[tokens, neurons]``, the model whose neurons are ranked.
        others: the same tokens read by other models, ``[tokens, any number of neurons]`` each.
        signed: take the correlation as the paper prints it; default its absolute value, as in the
            authors' code.
        combine: how the best matches in several models become a score.

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
    best, match, alive = _best_matches(X, others, signed)
    scores = np.where(alive, COMBINE[combine](best, axis=0), 0.0)
    return by_score(
        "cross-model",
        scores,
        {"signed": signed, "combine": combine, "others": len(others), "tokens": X.shape[0]},
        details={"best_match": match, "by_model": best.tolist()},
    )


def correlations(X: RowSource, others: Sequence[RowSource]) -> list[Float64]:
    """Pearson correlation of each neuron with each neuron of the other models.

    Returns:
        ``[neurons, other neurons]`` for each other model; 0 where either has no variance.

    Raises:
        UserError: no other model, different numbers of tokens, NaN or infinity.
    """
    if not others:
        raise UserError("the cross-model ranking needs at least one other model")
    left = Columns(X, "activations")
    rights = [Columns(other, f"activations of model {n}") for n, other in enumerate(others, 1)]
    for number, other in enumerate(others, start=1):
        if other.shape[0] != X.shape[0]:
            raise UserError(
                f"model {number} has {other.shape[0]} tokens, the ranked model {X.shape[0]}; "
                "all models must have read the same text"
            )
    products = [CrossProducts(X.shape[1], other.shape[1]) for other in others]
    for rows in row_slices(X.shape[0]):
        values, mean = left.take(rows)
        single = values.astype(np.float32)
        for right, product in zip(rights, products, strict=True):
            others_values, others_mean = right.take(rows)
            product.add(single, others_values.astype(np.float32), len(single), mean, others_mean)
    return [
        _normalised(product.finish(left, right), left, right)
        for product, right in zip(products, rights, strict=True)
    ]


def _normalised(products: Float64, left: Columns, right: Columns) -> Float64:
    norm = np.outer(np.sqrt(left.deviations), np.sqrt(right.deviations))
    rho = np.divide(products, norm, out=np.zeros_like(products), where=norm > 0)
    return np.clip(rho, -1.0, 1.0)


def _best_matches(
    X: RowSource, others: Sequence[RowSource], signed: bool
) -> tuple[Float64, list[dict[str, Any] | None], npt.NDArray[np.bool_]]:
    """Best score in each model ``[models, neurons]``, best match and liveness of each neuron."""
    tables = correlations(X, others)
    neurons = np.arange(X.shape[1])
    strengths = [rho if signed else np.abs(rho) for rho in tables]
    places = np.stack([strength.argmax(axis=1) for strength in strengths])
    best = np.stack([s[neurons, p] for s, p in zip(strengths, places, strict=True)])
    alive = np.any([(rho != 0).any(axis=1) for rho in tables], axis=0)
    models = best.argmax(axis=0)
    match: list[dict[str, Any] | None] = []
    for neuron, which in enumerate(models.tolist()):
        place = int(places[which, neuron])
        rho = float(tables[which][neuron, place])
        found = {"model": which, "neuron": place, "rho": rho}
        match.append(found if alive[neuron] else None)
    return best, match, alive
