"""The elastic-net penalty on standardised neurons; the last column, the intercept, is free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Point:
    """Parameters ``[labels, neurons + 1]`` and what was found out about them.

    ``objective`` includes the penalty, ``gradient`` is that of the smooth part alone, ``residual``
    is the KKT residual.
    """

    parameters: Array
    objective: float
    gradient: Array
    residual: float


class Penalty:
    """``sum_kj l1 |W_kj| + l2 W_kj²`` in terms of ``V = W * scale``.

    Attributes:
        l1, l2: float64 ``[neurons + 1]``, the strengths that hold for ``V``; 0 for the intercept.
        scale: float64 ``[neurons + 1]``, 1 for the intercept.
    """

    def __init__(self, l1: float, l2: float, scale: Array) -> None:
        self.l1 = np.append(l1 / scale, 0.0)
        self.l2 = np.append(l2 / scale**2, 0.0)
        self.scale = np.append(scale, 1.0)

    def value(self, parameters: Array) -> float:
        """The penalty of parameters ``[labels, neurons + 1]``."""
        return float(
            (np.abs(parameters).sum(axis=0) * self.l1 + (parameters**2).sum(axis=0) * self.l2).sum()
        )

    def shrink(self, parameters: Array, strength: float) -> Array:
        """Minimise ``penalty(z) + strength/2 |z - parameters|²``; zeros are exact."""
        size = np.maximum(np.abs(parameters) - self.l1 / strength, 0)
        return np.copysign(size, parameters) / (1 + 2 * self.l2 / strength)

    def subgradient(self, parameters: Array, gradient: Array) -> Array:
        """The subgradient of the whole objective that is smallest in size; 0 at the optimum."""
        total = gradient + 2 * self.l2 * parameters
        at_zero = np.copysign(np.maximum(np.abs(total) - self.l1, 0), total)
        return np.where(parameters != 0, total + self.l1 * np.sign(parameters), at_zero)

    def residual(self, parameters: Array, gradient: Array) -> float:
        """Largest entry of `subgradient`, in the units of the data as given."""
        return float(np.abs(self.subgradient(parameters, gradient) * self.scale).max())

    def centred(self, parameters: Array) -> Array:
        """Shift each neuron's weights, the same for all labels, to where the penalty is least.

        Such a shift changes no probability: the cross-entropy alone does not determine it.
        """
        moved = parameters.copy()
        for column in np.flatnonzero(self.l1 + self.l2 > 0):
            moved[:, column] += _best_shift(parameters[:, column], self.l1[column], self.l2[column])
        moved[:, -1] -= moved[:, -1].mean()
        return moved


def _best_shift(weights: Array, l1: float, l2: float) -> float:
    """The ``t`` that minimises ``sum_k l1 |w_k + t| + l2 (w_k + t)²``."""
    labels = len(weights)
    points = -np.sort(weights)[::-1]  # kinks, ascending
    # Slope just right of kink i: i + 1 weights are positive there, the others negative.
    signs = 2 * np.arange(1, labels + 1) - labels
    slope = l1 * signs + 2 * l2 * (weights.sum() + labels * points)
    right = int(np.argmax(slope >= 0))
    if slope[right] - 2 * l1 <= 0 or right == 0 or l2 == 0:
        return float(points[right])  # the slope jumps over 0 at the kink
    return float(-(l1 * signs[right - 1] / (2 * l2) + weights.sum()) / labels)
