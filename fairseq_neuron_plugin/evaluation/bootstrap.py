"""Bootstrap resampling of a text's sentences: intervals, and a test of one system against another.

Koehn 2004, *Statistical significance tests for machine translation evaluation*; the same resamples
and formulas as in sacrebleu's ``significance.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES, SEED = 1000, 12345  # sacrebleu's defaults
_BLOCK = 2**20  # draws at a time

FloatArray = npt.NDArray[np.float64]


class Resampling:
    """The texts that one gets by drawing as many sentences as there are, with replacement.

    They are sacrebleu's: those of ``numpy.random.default_rng(seed).choice``. They are drawn anew
    for each use, so memory does not grow with sentences times resamples.

    Args:
        n_sentences: of the text; whatever is drawn as one, at least 1.
        resamples: how many such texts.
        seed: of the draws.
    """

    def __init__(self, n_sentences: int, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        self.n_sentences = n_sentences
        self.resamples = resamples
        self.seed = seed

    def sums(self, statistics: npt.ArrayLike) -> FloatArray:
        """Statistics summed over each resampled text.

        Args:
            statistics: finite numbers, ``[sentences, k]``.

        Returns:
            ``[resamples, k]``; sums of whole numbers are exact, those of others as exact as double
            precision is, and the same in whatever order they are added up.
        """
        given = _summable(np.asarray(statistics, dtype=np.float64))
        if given.shape[0] != self.n_sentences:
            raise ValueError(f"statistics of {given.shape[0]} sentences, not {self.n_sentences}")
        return np.concatenate([counts @ given for counts in self._counts()])

    def scores(self, statistics: npt.ArrayLike, score: Callable[[FloatArray], Any]) -> FloatArray:
        """The score of each resampled text.

        Args:
            statistics: as for `sums`; what a score needs to know of each sentence.
            score: from summed statistics, ``[k]``, to a number.

        Returns:
            ``[resamples]``, in the order of the draws: two systems' are pairs.
        """
        return np.array([float(score(row)) for row in self.sums(statistics)], dtype=np.float64)

    def _counts(self) -> Iterator[FloatArray]:
        """How often each sentence was drawn, ``[some resamples, sentences]``, block by block."""
        n = self.n_sentences
        rng = np.random.default_rng(self.seed)
        rows = max(1, _BLOCK // n)
        for start in range(0, self.resamples, rows):
            size = min(rows, self.resamples - start)
            drawn = rng.choice(n, size=(size, n), replace=True)
            drawn += np.arange(size)[:, None] * n
            counts = np.bincount(drawn.ravel(), minlength=size * n)
            yield counts.reshape(size, n).astype(np.float64)


def interval(scores: npt.ArrayLike) -> tuple[float, float]:
    """Ends of the 95% interval of resampled scores.

    Half their distance is what sacrebleu prints after ±.

    Args:
        scores: ``[resamples]``, at least one.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    cut = len(ordered) // 40
    return float(ordered[cut]), float(ordered[-1 - cut])


def paired_p(baseline: npt.ArrayLike, other: npt.ArrayLike, difference: float) -> float:
    """p-value of the paired bootstrap test, two-sided.

    The share of resampled texts whose absolute difference lies further above the mean of these
    than ``difference``; one is added to both counts. As in sacrebleu, two equal systems, all of
    whose differences are 0, get the smallest value there is, ``1 / (resamples + 1)``: the test
    has nothing to say of them.

    Args:
        baseline: one system's scores of the resampled texts, ``[resamples]``.
        other: the other's, over the same texts.
        difference: of the two systems' scores of the text itself; the sign does not matter.
    """
    apart = np.abs(np.asarray(other, dtype=np.float64) - np.asarray(baseline, dtype=np.float64))
    beyond = int(np.sum(apart - apart.mean() > abs(difference)))
    return (beyond + 1) / (len(apart) + 1)


def _summable(statistics: FloatArray) -> FloatArray:
    """Rounded, column by column, so that sums of as many have no rounding of their own.

    Then it is the same whatever order a matrix product adds in: each sum is a multiple, up to
    2**53, of one power of 2.
    """
    largest = np.abs(statistics).max(axis=0, initial=0.0) * max(1, len(statistics))
    _, exponent = np.frexp(largest)
    unit = np.ldexp(1.0, exponent - 53)
    return np.rint(statistics / unit) * unit
