"""One normal distribution per label, conditioned on more and more neurons."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from .blocks import blocks_of_rows
from .class_moments import class_moments, indicator_of
from .moments import RowSource

Float64 = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Estimate = Literal["mean", "mode"]

# Least variance within the labels, as a share of all variance, and as a share of the pooled one.
FLOOR = 1e-6
# Share of its variance that a neuron must have left once the chosen ones are known.
OWN = 1e-6


class LabelNormals:
    """Normals of all labels over neurons brought to mean 0 and variance 1 of all training tokens.

    The covariance matrices are never held. Each chosen neuron adds one row to every label's
    Cholesky factor, over all neurons (as in a pivoted Cholesky factorisation): from it follow
    every other neuron's variance and regression given the chosen ones.

    Args:
        X: ``[tokens, neurons]``; read once here, and once for each chosen neuron.
        labels: one a token.
        held_out: ascending numbers of the tokens that are left out.
        estimate: of the covariances, see `gaussian.gaussian`.

    Attributes:
        counts: training tokens of each label.
        varies: ``[neurons]``, whether the neuron has any variance.
        means: ``[labels, neurons]``.
        variances: ``[labels, neurons]``, given the chosen neurons.
        chosen: the neurons that are conditioned on, in order.
    """

    def __init__(
        self, X: RowSource, labels: Coded, held_out: Places, estimate: Estimate = "mean"
    ) -> None:
        self._X, self._names = X, labels.names
        self._codes = labels.codes.copy()
        self._codes[held_out] = len(labels.names)  # a label of their own, which is dropped
        moments = class_moments(X, Coded(self._codes, (*labels.names, "")))
        self.counts = moments.counts[:-1]
        offsets, deviations = moments.offsets[:-1], moments.deviations[:-1]
        tokens = self.counts.sum()
        centre = self.counts @ offsets / tokens
        within = deviations.sum(axis=0) / tokens
        total = within + self.counts @ (offsets - centre) ** 2 / tokens
        self.varies = total > 0
        self._origin, self._centre = moments.origin, centre
        self._scale = np.where(self.varies, 1 / np.sqrt(np.where(self.varies, total, 1.0)), 0.0)
        self.means = (offsets - centre) * self._scale
        own = deviations * self._scale**2 / self.counts[:, None]
        pooled = np.maximum(within * self._scale**2, FLOOR)
        width = X.shape[1]
        self._prior, freedom = np.broadcast_to(pooled, own.shape), 1
        if estimate == "mode":
            # A label of one token, or a neuron that is silent in it, has no variance of its own.
            self._prior, freedom = np.where(own > FLOOR * pooled, own, pooled), 2 * width + 4
        self._over = 1 / (self.counts + freedom)[:, None]
        self.variances = (own * self.counts[:, None] + self._prior) * self._over
        self._least = self._prior * self._over
        self.chosen: list[int] = []
        self._factor: list[Float64] = []  # for each chosen neuron [labels, neurons]
        self._pooled = within * self._scale**2
        self._pooled_left = self._pooled.copy()
        self._pooled_factor: list[Float64] = []

    @property
    def log_prior(self) -> Float64:
        """Logarithm of each label's share of the training tokens."""
        shares: Float64 = np.log(self.counts / self.counts.sum())
        return shares

    @property
    def spanned(self) -> npt.NDArray[np.bool_]:
        """Whether the chosen neurons determine a neuron, e.g. its copy, within the labels."""
        left: npt.NDArray[np.bool_] = self._pooled_left <= OWN * self._pooled
        # What is constant within the labels cannot be told by correlation.
        return left & (self._pooled > FLOOR) & self.varies

    def standardise(self, values: npt.NDArray[np.generic]) -> Float64:
        """Values ``[tokens, neurons]`` as these normals take them."""
        found: Float64 = (values.astype(np.float64) - self._origin - self._centre) * self._scale
        return found

    def regression(self, neurons: Places | slice = slice(None)) -> tuple[Float64, Float64]:
        """Each neuron as a linear function of the chosen ones, for each label.

        Returns:
            Coefficients ``[labels, chosen, neurons]`` and intercepts ``[labels, neurons]``.
        """
        if not self.chosen:
            labels, width = self.means[:, neurons].shape
            return np.zeros((labels, 0, width)), self.means[:, neurons]
        factor = np.stack(self._factor, axis=1)
        triangle = np.triu(factor[:, :, self.chosen])
        slopes = np.linalg.solve(triangle, factor[:, :, neurons]).astype(np.float64, copy=False)
        known = self.means[:, None, self.chosen]
        return slopes, self.means[:, neurons] - (known @ slopes)[:, 0]

    def choose(self, neuron: int) -> None:
        """Condition on one more neuron."""
        scatter = self._scatter_with(neuron)
        covariance = scatter * self._over
        covariance[:, neuron] += self._prior[:, neuron] * self._over[:, 0]
        for row in self._factor:
            covariance -= row[:, neuron, None] * row
        row = covariance / np.sqrt(self.variances[:, neuron, None])
        self._factor.append(row)
        self.variances = np.maximum(self.variances - row**2, self._least)
        if self._pooled_left[neuron] > 0:
            pooled = scatter.sum(axis=0) / self.counts.sum()
            pooled -= sum(old[neuron] * old for old in self._pooled_factor)
            pooled /= np.sqrt(self._pooled_left[neuron])
            self._pooled_factor.append(pooled)
            self._pooled_left = np.maximum(self._pooled_left - pooled**2, 0.0)
        self.chosen.append(neuron)

    def _scatter_with(self, neuron: int) -> Float64:
        """Sums of products of one neuron's and all neurons' deviations, ``[labels, neurons]``."""
        found = np.zeros_like(self.means)
        for rows, block in blocks_of_rows(self._X):
            codes = self._codes[rows]
            training = codes < len(self._names)
            codes = codes[training]
            values = self.standardise(block[training])
            sums = indicator_of(codes, len(found))
            # The neuron's deviations add up to 0 in each label: the others need no centring.
            deviations = values[:, neuron] - self.means[codes, neuron]
            sums.data *= deviations[sums.indices]
            found += sums @ values
        return found
