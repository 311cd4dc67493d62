"""Neurons that are active for few languages only: language activation probability entropy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from ..errors import UserError
from ..ranking import Ranking
from .blocks import blocks_of_rows
from .class_moments import indicator_of
from .moments import RowSource
from .registry import ranking_method
from .scored import by_score, read_labels_of

Float64 = npt.NDArray[np.float64]
DIGITS = 6  # of probabilities in the file


@ranking_method("language-entropy", inputs="labels")
def language_entropy(
    X: RowSource,
    y: Coded | Iterable[object],
    *,
    threshold: float = 0.0,
    quantile: float = 0.95,
) -> Ranking:
    """By the entropy over languages of how often the neuron is active (LAPE, Tang et al. 2024).

    For each language (label) ``p_k(j)`` is the share of its tokens at which neuron j is above the
    threshold; ``p'_k = p_k / sum of all p`` is a distribution over languages, and its entropy in
    nats is the score: small is specific to few languages, and important. As in the paper and the
    authors' code, a neuron passes only if for some language ``p_k`` is above a bar, the
    0.95-quantile of all ``p`` of all neurons and languages (the smallest value that is not below
    so many of them); the others rank behind all that pass. The paper then takes the first 1%
    (``top:1%``; its code for the largest model 5%), and counts a neuron to each language whose
    ``p_k`` is above the bar.

    Differences: neurons that fail the bar are ordered too, by entropy; neurons that are never
    active, or always, come last of all. Where nothing is above the bar, because more than 5% of
    all ``p`` are 1 (rare labels), those at the bar pass.

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        y: one label a token, e.g. the language of its sentence.
        threshold: a neuron is active above it.
        quantile: of the activation probabilities, that a neuron must exceed for some language; 0
            to 1, 0 lets all neurons pass.

    Returns:
        The ranking, smallest score first. ``scores`` is the entropy, with the logarithm of the
        number of labels (the largest entropy) added for neurons that do not pass, and three times
        that logarithm for those that are never or always active. ``per_label`` has first the
        neurons that count to the label, then the others, both by ``p'`` of the label.
        ``details["active"]`` holds ``p`` by label and flat id; ``details["bar"]`` the bar;
        ``details["specific_to"]`` by flat id the labels that the neuron counts to, the one it is
        most active for first.

    Raises:
        UserError: labels that do not fit, only one label, options out of range, NaN or infinity.
    """
    if not 0 <= quantile <= 1 or not np.isfinite(threshold):
        raise UserError(
            f"quantile {quantile} must be between 0 and 1, threshold {threshold} finite"
        )
    labels = read_labels_of(y, X.shape[0])
    labels = labels.select(np.arange(len(labels)))  # only names that occur
    active = np.zeros((len(labels.names), X.shape[1]))
    for rows, block in blocks_of_rows(X):
        active += indicator_of(labels.codes[rows], len(active)) @ (block > threshold)
    total = active.sum(axis=0)
    varies = (total > 0) & (total < X.shape[0])
    active /= labels.counts()[:, None]
    share, entropy = _entropy(active)
    bar = _bar(active, quantile)
    above = (active > bar if bar < active.max() else active >= bar) & varies
    most = np.log(len(active))
    scores = np.where(above.any(axis=0), entropy, most + entropy)
    scores[~varies] = 3 * most
    return by_score(
        "language-entropy",
        scores,
        {"threshold": threshold, "quantile": quantile, "tokens": X.shape[0], "labels": len(active)},
        smallest_first=True,
        per_label={
            name: above[label] + share[label] * varies for label, name in enumerate(labels.names)
        },
        details={
            "bar": bar,
            "active": {
                name: np.round(row, DIGITS).tolist()
                for name, row in zip(labels.names, active, strict=True)
            },
            "specific_to": [
                [
                    labels.names[label]
                    for label in np.argsort(-active[:, neuron], kind="stable")
                    if above[label, neuron]
                ]
                for neuron in range(X.shape[1])
            ],
        },
    )


def _entropy(active: Float64) -> tuple[Float64, Float64]:
    """Distribution over labels ``[labels, neurons]`` and its entropy ``[neurons]``, in nats."""
    total = active.sum(axis=0)
    share = np.divide(active, total, out=np.zeros_like(active), where=total > 0)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    # Rounding must not carry it out of its range.
    return share, np.clip(0.0 - (share * logarithm).sum(axis=0), 0.0, np.log(len(active)))


def _bar(active: Float64, quantile: float) -> float:
    """The k-th smallest probability, ``k = round(quantile * all)``, as in the authors' code."""
    place = round(quantile * active.size)
    if place == 0:
        return -1.0
    return float(np.partition(active.reshape(-1), place - 1)[place - 1])
