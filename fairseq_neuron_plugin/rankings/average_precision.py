"""Neurons as detectors of a label: concept neurons, or expert units."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from ..errors import UserError
from ..ranking import Ranking
from .blocks import Array, Progress, blocks_of_columns, sample_of_rows
from .moments import RowSource
from .registry import ranking_method
from .scored import by_score, read_labels_of

Float64 = npt.NDArray[np.float64]


@ranking_method("average-precision", inputs="labels")
def average_precision(
    X: RowSource,
    y: Coded | Iterable[object],
    *,
    positive_only: bool = False,
    tokens: int = 50_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranking:
    """By average precision as the detector of a label (Suau et al. 2022).

    The activation is the score of a detector of each label against all others; its average
    precision, the area under the precision-recall curve, is scikit-learn's
    ``average_precision_score``, also with ties. The paper's units are positive where they are
    active; neurons of an LSTM have a sign, so that by default the better of the activation and
    its negative counts.

    A neuron that knows nothing has about the label's share of the tokens as average precision.
    So over all labels its score is the best of ``(AP - share) / (1 - share)``: 0 for chance, 1
    for a perfect detector, whatever the share; with AP itself frequent labels would decide. A
    label of more than half of the tokens does not compete: to detect it is to detect that none
    of the others is there.
    For one label the order is by AP. A label of very few tokens can be met by chance.

    Args:
        X: ``[tokens, neurons]``; the sample is read once for each block of neurons.
        y: one label a token.
        positive_only: take the activation as it is, as in the paper: high means the label.
        tokens: at most so many are read, a random sample.
        seed: of the sample.
        progress: called with neurons done and neurons in all.

    Returns:
        The ranking. ``details["best_label"]`` holds, by flat id, ``{"label", "ap", "sign"}`` of
        the label that the neuron's score is of, or None for a neuron without variance. Labels
        that the sample misses are not in ``per_label``.

    Raises:
        UserError: labels that do not fit, fewer than two in the sample, NaN or infinity.
    """
    labels = read_labels_of(y, X.shape[0])
    rows = sample_of_rows(X.shape[0], tokens, seed)
    sampled = labels.select(rows)
    names, counts = sampled.names, sampled.counts()
    if len(names) < 2:
        raise UserError(f"a sample of {len(rows)} tokens has the label {names[0]!r} only")
    # Short codes are sorted by radix.
    codes = sampled.codes.astype(np.uint16 if len(names) < 2**16 else np.int64)
    found = np.zeros((2, len(names), X.shape[1]))
    alive = np.zeros(X.shape[1], dtype=bool)
    for first, block in blocks_of_columns(X, rows):
        for neuron, values in enumerate(block, start=first):
            found[:, :, neuron] = average_precisions(values, codes, counts)
            alive[neuron] = (values != values[0]).any()
            if progress is not None:
                progress(neuron + 1, X.shape[1])
    high, low = found
    negative = (low > high) & (not positive_only)
    best = np.where(negative, low, high)
    share = (counts / counts.sum())[:, None]
    above_chance = np.where(alive, (best - share) / (1 - share), 0.0)
    above_chance[counts > counts.sum() / 2] = -np.inf
    which = above_chance.argmax(axis=0)
    settings = {"positive_only": positive_only, "tokens": len(rows), "of": X.shape[0], "seed": seed}
    return by_score(
        "average-precision",
        np.maximum(above_chance.max(axis=0), 0.0),
        {**settings, "labels": len(names)},
        per_label=dict(zip(names, np.where(alive, best, 0.0), strict=True)),
        details={
            "best_label": [
                {
                    "label": names[label],
                    "ap": float(best[label, neuron]),
                    "sign": -1 if negative[label, neuron] else 1,
                }
                if alive[neuron]
                else None
                for neuron, label in enumerate(which.tolist())
            ]
        },
    )


def average_precisions(
    values: Array, codes: Array, counts: npt.NDArray[np.int64]
) -> tuple[Float64, Float64]:
    """Average precision of values, and of their negatives, for each label against the rest.

    ``AP = sum over thresholds n of (recall_n - recall_{n-1}) precision_n``: the mean over a
    label's tokens of the precision at the token's value. One sort serves all labels.

    Args:
        values: ``[tokens]``.
        codes: ``[tokens]``, all of ``0 … labels - 1`` occur.
        counts: ``[labels]``.

    Returns:
        ``[labels]``, ``[labels]``.
    """
    order = np.argsort(values)
    # Tokens of the same value are found together: each takes the place of the last of them.
    start, end = _runs(values[order])
    ordered = codes[order]
    grouped = np.argsort(ordered, kind="stable")
    start, end = start[grouped], end[grouped]
    of = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    run_start, run_end = _runs(of * (len(values) + 1) + end)
    not_above = run_end - first[of]
    not_below = counts[of] - (run_start - first[of])
    high = np.add.reduceat(not_below / (len(values) - start), first) / counts
    low = np.add.reduceat(not_above / end, first) / counts
    return high, low


def _runs(keys: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the run of equal neighbours that each place is in begins, and ends (exclusive)."""
    edges = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(keys))
    return np.repeat(starts, ends - starts), np.repeat(ends, ends - starts)
