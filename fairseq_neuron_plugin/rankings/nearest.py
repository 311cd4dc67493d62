"""Mutual information of numbers and labels from distances to nearest neighbours (Ross 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import digamma

Float64 = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

NOISE = 1e-10  # of a neuron's standard deviation, as in Kraskov et al. 2004 and scikit-learn


class Groups:
    """Tokens by label, and what depends on the labels alone.

    Tokens whose label no other has are left out.

    Args:
        codes: ``[tokens]``.
        neighbours: that set the distance; a label of fewer tokens takes all there are.
    """

    def __init__(self, codes: Codes, neighbours: int) -> None:
        counts = np.bincount(codes)
        self.kept = np.flatnonzero(counts[codes] > 1)
        # Names that do not occur, or once, are empty groups from here on.
        self.codes = codes[self.kept]
        sizes = np.where(counts > 1, counts, 0)
        size = np.repeat(sizes, sizes)
        places = np.arange(len(size))
        self.first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        self.last = self.first + size - 1
        self.neighbours = np.minimum(neighbours, size - 1)
        self.places = places
        self.psi = digamma(np.arange(1, len(size) + 1))
        self.constant = self.psi[-1] + np.mean(self.psi[self.neighbours - 1] - self.psi[size - 1])

    def radius(self, values: Float64) -> Float64:
        """Distance of each to its k-th nearest of the same label; sorted within the labels.

        The k nearest of a number among sorted numbers are j to its left and k - j to its right.
        """
        radius = np.full(len(values), np.inf)
        for left in range(int(self.neighbours.max()) + 1):
            low, high = self.places - left, self.places + self.neighbours - left
            fits = (low >= self.first) & (high <= self.last) & (high >= self.places)
            low, high = np.maximum(low, 0), np.minimum(high, len(values) - 1)
            reach = np.maximum(values - values[low], values[high] - values)
            np.minimum(radius, reach, out=radius, where=fits)
        return radius


def mutual_information_of(
    values: npt.NDArray[Any], groups: Sequence[Groups], noise: Float64
) -> list[float]:
    """Mutual information in nats of one neuron with each of several labellings.

    Args:
        values: ``[tokens]``, finite.
        groups: the labellings.
        noise: ``[tokens]``, standard normal; breaks ties.

    Returns:
        One estimate a labelling; never below 0, and 0 for constant values.
    """
    scaled = values.astype(np.float64)
    if (scaled == scaled[0]).all():
        return [0.0] * len(groups)
    scaled /= scaled.std()
    scaled += NOISE * max(1.0, float(np.abs(scaled).mean())) * noise
    return [_estimate(scaled[of.kept], of) for of in groups]


def _estimate(values: Float64, groups: Groups) -> float:
    """The estimate of Ross 2014 for discrete and continuous data."""
    ordered = values[np.lexsort((values, groups.codes))]
    everything = np.sort(values)
    # The k-th neighbour itself does not count: stay short of it, by more than sums are rounded.
    rounding = 4 * np.finfo(np.float64).eps * np.abs(everything[[0, -1]]).max()
    radius = np.maximum(groups.radius(ordered) - rounding, 0.0)
    nearer = np.searchsorted(everything, ordered + radius, side="right")
    nearer -= np.searchsorted(everything, ordered - radius, side="left")
    return max(0.0, float(groups.constant - groups.psi[nearer - 1].mean()))
