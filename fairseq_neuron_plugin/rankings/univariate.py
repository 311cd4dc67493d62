"""Neurons one at a time against the labels: analysis of variance and mutual information."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from ..errors import UserError
from ..ranking import Ranking
from .blocks import Progress, blocks_of_columns, sample_of_rows
from .class_moments import ClassMoments, class_moments, spread_of_means
from .moments import RowSource
from .nearest import Groups, mutual_information_of
from .registry import ranking_method
from .scored import by_score, read_labels_of

Float64 = npt.NDArray[np.float64]

# Spread within the labels, as a share of all spread, that float64 cannot tell from none.
NO_SPREAD = (64 * np.finfo(np.float64).eps) ** 2


@ranking_method("f-statistic", inputs="labels")
def f_statistic(X: RowSource, y: Coded | Iterable[object]) -> Ranking:
    """By the F of a one-way analysis of variance (Fisher 1925; scikit-learn's f_classif).

    ``F = (between / (labels - 1)) / (within / (tokens - labels))``, where ``between`` and
    ``within`` are sums of squares. For one label: it against the rest, as two groups.

    A neuron without variance has F = 0. One that is constant within every label has no finite F;
    it gets that of the smallest spread that float64 can tell from none, about 5e27 times
    ``(tokens - labels) / (labels - 1)``, and so comes first.

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        y: one label a token.

    Returns:
        The ranking; ``per_label`` orders the neurons for each label.

    Raises:
        UserError: labels that do not fit, only one label, no more tokens than labels, NaN or
            infinity.
    """
    moments = class_moments(X, y)
    tokens, labels = X.shape[0], len(moments.names)
    if tokens <= labels:
        raise UserError(f"the F statistic of {labels} labels needs more than {tokens} tokens")
    return by_score(
        "f-statistic",
        _f_ratio(moments.between, moments.within, tokens, labels),
        {"tokens": tokens, "labels": labels},
        per_label={
            name: _one_against_rest(moments, label, tokens)
            for label, name in enumerate(moments.names)
        },
    )


@ranking_method("mutual-information", inputs="labels")
def mutual_information(
    X: RowSource,
    y: Coded | Iterable[object],
    *,
    tokens: int = 10_000,
    neighbours: int = 3,
    seed: int = 0,
    per_label: bool = False,
    progress: Progress | None = None,
) -> Ranking:
    """By the mutual information with the label (Ross 2014; scikit-learn's mutual_info_classif).

    Estimated from distances to nearest neighbours in a random sample of tokens, in nats, for each
    neuron alone: ``mutual_info_classif(X[:, [j]], y, random_state=seed)`` up to rounding (which is
    larger there for labels of few tokens). Tokens whose label occurs once in the sample do not
    count. A neuron without variance has 0.

    Args:
        X: ``[tokens, neurons]``; the sample is read once for each block of neurons.
        y: one label a token.
        tokens: size of the sample.
        neighbours: a token's nearest neighbours within its label that set the distance.
        seed: of the sample, and of the noise of 1e-10 that breaks ties.
        per_label: rank for each label too, it against the rest; takes as many times as long as
            there are labels.
        progress: called with neurons done and neurons in all.

    Raises:
        UserError: labels that do not fit, fewer than two in the sample, none that occurs twice,
            options out of range, NaN or infinity.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"the seed must be from 0 to 2**32 - 1, not {seed}")
    if neighbours < 1:
        raise UserError(f"mutual information needs 1 neighbour or more, not {neighbours}")
    labels = read_labels_of(y, X.shape[0])
    rows = sample_of_rows(X.shape[0], tokens, seed)
    sampled = labels.select(rows)
    if len(sampled.names) < 2 or sampled.counts().max() < 2:
        raise UserError(
            f"a sample of {len(rows)} tokens has {len(sampled.names)} different labels; "
            "mutual information needs two, one of which occurs twice: raise tokens"
        )
    targets = [sampled.codes]
    if per_label:
        targets += [(sampled.codes == code).astype(np.int32) for code in range(len(sampled.names))]
    groups = [Groups(target, neighbours) for target in targets]
    # As scikit-learn draws it for a matrix of one column.
    noise = np.random.RandomState(seed).standard_normal(len(rows))
    found = np.zeros((len(groups), X.shape[1]))
    for first, block in blocks_of_columns(X, rows):
        for neuron, values in enumerate(block, start=first):
            found[:, neuron] = mutual_information_of(values, groups, noise)
            if progress is not None:
                progress(neuron + 1, X.shape[1])
    settings = {"tokens": len(rows), "of": X.shape[0], "neighbours": neighbours, "seed": seed}
    return by_score(
        "mutual-information",
        found[0],
        {**settings, "labels": len(sampled.names)},
        per_label=dict(zip(sampled.names, found[1:], strict=True)) if per_label else None,
    )


def _f_ratio(between: Float64, within: Float64, tokens: int, groups: int) -> Float64:
    least = NO_SPREAD * (between + within)
    scale = (tokens - groups) / (groups - 1)
    varies = between + within > 0
    ratio = np.zeros_like(between)
    np.divide(between, np.maximum(within, least), out=ratio, where=varies)
    return scale * ratio


def _one_against_rest(moments: ClassMoments, label: int, tokens: int) -> Float64:
    """F of two groups; the spread of the rest is that within its labels and that of their means."""
    others = np.arange(len(moments.names)) != label
    counts, offsets = moments.counts[others], moments.offsets[others]
    rest = counts @ offsets / counts.sum()
    two = np.stack([moments.offsets[label], rest])
    sizes = np.array([moments.counts[label], counts.sum()])
    within = moments.within + spread_of_means(offsets, counts)
    return _f_ratio(spread_of_means(two, sizes), within, tokens, 2)
