"""From scores to a ranking, and what the methods that read labels have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from ..errors import UserError
from ..ranking import Ranking
from ..signature import format_signature, versions

Float64 = npt.NDArray[np.float64]


def by_score(
    method: str,
    scores: npt.ArrayLike,
    settings: Mapping[str, object],
    *,
    smallest_first: bool = False,
    per_label: Mapping[str, npt.ArrayLike] | None = None,
    details: Mapping[str, Any] | None = None,
    packages: Iterable[str] = ("numpy",),
) -> Ranking:
    """A ranking by scores; ties go by the neuron's id.

    Args:
        method: its name.
        scores: ``[neurons]``.
        settings: what can change the order, for the signature.
        smallest_first: the smallest score is the most important neuron's.
        per_label: each label's own scores ``[neurons]``, largest first whatever
            ``smallest_first`` is.
        details: what else there is to report.
        packages: whose versions can change the order, see `versions`.

    Raises:
        UserError: a score that is no finite number.

    >>> by_score("size", [1, 3, 3], {}).neurons.tolist()
    [1, 2, 0]
    """
    values = _finite(method, scores)
    order = np.argsort(values if smallest_first else -values, kind="stable")
    return Ranking(
        method=method,
        neurons=order.astype(np.int64),
        scores=values[order],
        per_label={
            label: np.argsort(-_finite(method, of_label), kind="stable").astype(np.int64)
            for label, of_label in (per_label or {}).items()
        },
        signature=format_signature({"method": method, **settings, **versions(*packages)}),
        details=dict(details or {}),
    )


def read_labels_of(y: Coded | Iterable[object], tokens: int) -> Coded:
    """The labels of all tokens, as codes and names.

    Raises:
        UserError: another number of labels than of tokens, or fewer than two different ones.
    """
    labels = y if isinstance(y, Coded) else Coded.of(str(label) for label in y)
    if len(labels) != tokens:
        raise UserError(f"{len(labels)} labels for {tokens} tokens")
    if len(labels.names) < 2:
        found = f"only {labels.names[0]!r}" if labels.names else "none"
        if labels.names == ("_",):
            found += ": no word has the feature, or is meant"
        raise UserError(f"ranking by labels needs two of them; there is {found}")
    return labels


def _finite(method: str, scores: npt.ArrayLike) -> Float64:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise UserError(f"{method} must give one score a neuron, not {values.shape}")
    if not np.isfinite(values).all():
        wrong = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{method} gives neuron {wrong} the score {values[wrong]}")
    return values
