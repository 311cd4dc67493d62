"""How far each word moves each neuron, in one pass over the activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ..coded import Coded
from ..errors import UserError
from ..rankings.blocks import Progress
from ..rankings.moments import Columns, RowSource, row_slices
from .chosen_columns import ChosenColumns, Ids

Float64 = npt.NDArray[np.float64]

HELD_BLOCKS = 64


@dataclass(frozen=True)
class WordMeans:
    """Mean activations of the word types of a corpus.

    Attributes:
        words: the word types, ``[words]``, sorted.
        counts: int64 ``[words]``, how often each occurs.
        neurons: ``[neurons]``, flat ids of the columns.
        means: float64 ``[neurons]``, over all tokens.
        deviations: float64 ``[neurons]``, standard deviations over all tokens.
        z: float64 ``[words, neurons]``: a word's mean less the neuron's mean, in standard
            deviations of the neuron; 0 for a neuron without variance.
        explained: float64 ``[neurons]``, the share of the neuron's variance that the identity of
            the word explains, 0 to 1: epsilon squared (Kelley 1935), which is eta squared less
            what so many word types explain by chance. 0 for a neuron without variance, NaN where
            no word occurs twice and nothing can be said.
    """

    words: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    neurons: Ids
    means: Float64
    deviations: Float64
    z: Float64
    explained: Float64

    def mean_of(self, word: int, column: int) -> float:
        """Mean activation of one neuron for one word type, both by place."""
        return float(self.means[column] + self.z[word, column] * self.deviations[column])


def word_means(
    X: RowSource,
    words: Coded,
    neurons: Sequence[int] | Ids | None = None,
    *,
    progress: Progress | None = None,
) -> WordMeans:
    """Mean activation of each neuron for each word type.

    One pass; memory holds ``[words, neurons]`` in float64, and no more of X than a slice of rows.

    Args:
        X: ``[tokens, neurons]``, read in slices of rows.
        words: the word of each token.
        neurons: flat ids, in any order; None means all.
        progress: called with the tokens done and the tokens in all.

    Raises:
        UserError: no matrix, another number of words, NaN or infinity.
    """
    source = ChosenColumns(X, neurons)
    tokens = X.shape[0]
    if len(words) != tokens:
        raise UserError(f"{len(words)} words for {tokens} rows of activations")
    columns = Columns(source, "activations")
    sums = np.zeros((len(words.names), source.shape[1]))
    for number, rows in enumerate(row_slices(tokens), start=1):
        values, mean = columns.take(rows)
        order = np.argsort(words.codes[rows], kind="stable")
        found, starts = np.unique(words.codes[rows][order], return_index=True)
        ends = np.append(starts, len(order))
        one_hot = csr_matrix((np.ones(len(order)), order, ends), shape=(len(found), len(order)))
        # The values are centred at the block's mean, which goes back in here.
        sums[found] += one_hot @ values + np.outer(np.diff(ends), mean)
        if number % HELD_BLOCKS == 0:
            source.release()
        if progress is not None:
            progress(rows.stop, tokens)
    source.release()
    return _standardised(words, source.neurons, columns, sums)


def _standardised(words: Coded, neurons: Ids, columns: Columns, sums: Float64) -> WordMeans:
    """``sums`` are relative to ``columns.origin`` and scaled; they are overwritten."""
    counts = words.counts()
    offsets = sums
    offsets /= np.maximum(counts, 1)[:, None]
    offsets -= columns.offsets / columns.rows
    offsets[counts == 0] = 0.0
    spread = np.sqrt(columns.deviations / columns.rows)
    explained = _explained(offsets, counts, columns.deviations)
    z = np.divide(offsets, spread, out=offsets, where=spread > 0)
    z[:, spread == 0] = 0.0
    return WordMeans(
        words=words.names,
        counts=counts,
        neurons=neurons,
        means=columns.means,
        deviations=spread / columns.scale,
        z=z,
        explained=explained,
    )


def _explained(offsets: Float64, counts: npt.NDArray[np.int64], total: Float64) -> Float64:
    """Epsilon squared of each neuron from the words' distances to its mean."""
    tokens, types = int(counts.sum()), int((counts > 0).sum())
    if types == tokens:
        return np.full(len(total), np.nan)
    between = np.einsum("w,wn,wn->n", counts.astype(np.float64), offsets, offsets)
    within = np.maximum(total - between, 0.0) / (tokens - types)
    overall = total / (tokens - 1)
    alive = overall > 0
    unexplained = np.divide(within, overall, out=np.ones_like(within), where=alive)
    return np.clip(1.0 - unexplained, 0.0, 1.0)
