"""Mean and spread of each neuron within each label, in one pass over the activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..coded import Coded
from .blocks import blocks_of_rows
from .moments import RowSource
from .scored import read_labels_of

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassMoments:
    """What the neurons do within each label.

    Attributes:
        names: the labels.
        counts: int64 ``[labels]``, tokens of each label.
        origin: ``[neurons]``, from which means are measured, so that they lose no digits.
        offsets: ``[labels, neurons]``, a label's mean less the origin.
        deviations: ``[labels, neurons]``, sum of squared deviations from the label's mean; exactly
            0 where all tokens of a label have the same value.
    """

    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    origin: Float64
    offsets: Float64
    deviations: Float64

    @property
    def means(self) -> Float64:
        """Mean of each neuron within each label, ``[labels, neurons]``."""
        return self.origin + self.offsets

    @property
    def within(self) -> Float64:
        """Sum of squared deviations from the means of the labels, ``[neurons]``."""
        total: Float64 = self.deviations.sum(axis=0)
        return total

    @property
    def between(self) -> Float64:
        """Sum over tokens of the squared deviation of the label's mean from the mean of all."""
        return spread_of_means(self.offsets, self.counts)


def spread_of_means(offsets: Float64, counts: npt.NDArray[np.int64]) -> Float64:
    """Sum over groups of ``count * (mean - mean of all tokens)**2``, ``[neurons]``."""
    centre = counts @ offsets / counts.sum()
    spread: Float64 = counts @ (offsets - centre) ** 2
    return spread


def class_moments(X: RowSource, y: Coded | Iterable[object]) -> ClassMoments:
    """Counts, means and sums of squared deviations within each label, in float64.

    Values are taken relative to the label's first token before they are squared. That token is
    one of the data, so the subtraction of the squared mean at the end costs at most a factor of
    the label's count in precision, however far from 0 the values are (Chan, Golub & LeVeque 1983).

    Args:
        X: ``[tokens, neurons]``; read once, block by block.
        y: one label a token.

    Raises:
        UserError: labels that do not fit, only one label, NaN or infinity.
    """
    labels = read_labels_of(y, X.shape[0])
    labels = labels.select(np.arange(len(labels)))  # only names that occur
    counts = labels.counts()
    shape = len(counts), X.shape[1]
    pivots, sums, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    seen = np.zeros(len(counts), dtype=bool)
    for rows, block in blocks_of_rows(X):
        values = block.astype(np.float64)
        codes = labels.codes[rows]
        here, first = np.unique(codes, return_index=True)
        new = ~seen[here]
        pivots[here[new]] = values[first[new]]
        seen[here] = True
        values -= pivots[codes]
        indicator = indicator_of(codes, len(counts))
        sums += indicator @ values
        squares += indicator @ np.square(values, out=values)
    shift = sums / counts[:, None]
    origin = pivots[labels.codes[0]]
    return ClassMoments(
        labels.names,
        counts,
        origin,
        pivots - origin + shift,
        np.maximum(squares - sums * shift, 0.0),
    )


def indicator_of(codes: npt.NDArray[np.int32], labels: int) -> csr_array:
    """Sparse ``[labels, tokens]``, 1 where the token has the label; times values: their sums."""
    places = np.arange(len(codes))
    return csr_array((np.ones(len(codes)), (codes, places)), shape=(labels, len(codes)))
