"""The elastic-net penalty on standardised neurons; the last column, the intercept, is free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Point:
    """Parameters ``[labels, neurons + 1]`` and what was found out about them.

    ``objective`` includes the penalty, ``gradient`` is that of the smooth part alone, ``residual``
    is the KKT residual, ``chances`` the probabilities by block.
    """

    parameters: Tensor
    objective: float
    gradient: Tensor
    residual: float
    chances: dict[int, Tensor]


class Penalty:
    """``sum_kj l1 |W_kj| + l2 W_kj²`` in terms of ``V = W * scale``.

    Attributes:
        l1, l2: float64 ``[neurons + 1]``, the strengths that hold for ``V``; 0 for the intercept.
        scale: float64 ``[neurons + 1]``, 1 for the intercept.
    """

    def __init__(self, l1: float, l2: float, scale: npt.NDArray[np.float64]) -> None:
        self.l1 = torch.from_numpy(np.append(l1 / scale, 0.0))
        self.l2 = torch.from_numpy(np.append(l2 / scale**2, 0.0))
        self.scale = torch.from_numpy(np.append(scale, 1.0))

    def value(self, parameters: Tensor) -> float:
        """The penalty of parameters ``[labels, neurons + 1]``."""
        each = parameters.abs().sum(dim=0) * self.l1 + (parameters**2).sum(dim=0) * self.l2
        return float(each.sum())

    def subgradient(self, parameters: Tensor, gradient: Tensor) -> Tensor:
        """The subgradient of the whole objective that is smallest in size; 0 at the optimum."""
        total = gradient + 2 * self.l2 * parameters
        at_zero = total.sign() * (total.abs() - self.l1).clamp(min=0)
        return torch.where(parameters != 0, total + self.l1 * parameters.sign(), at_zero)

    def residual(self, parameters: Tensor, gradient: Tensor) -> float:
        """Largest entry of `subgradient`, in the units of the data as given."""
        return float((self.subgradient(parameters, gradient) * self.scale).abs().max())

    def centred(self, parameters: Tensor) -> Tensor:
        """Shift each neuron's weights, the same for all labels, to where the penalty is least.

        Such a shift changes no probability: the cross-entropy alone does not determine it.
        """
        weights, l1, l2 = parameters[:, :-1], self.l1[:-1], self.l2[:-1]
        labels = len(weights)
        kinks = -weights.sort(dim=0, descending=True).values  # of l1 |w + t|, ascending
        place = torch.arange(1, labels + 1)[:, None]
        # Slope just right of kink i: i + 1 weights are positive there, the others negative.
        slope = l1 * (2 * place - labels) + 2 * l2 * (weights.sum(dim=0) + labels * kinks)
        first = (slope >= 0).int().argmax(dim=0, keepdim=True)
        shift = kinks.gather(0, first)[0]
        left = slope.gather(0, first)[0] - 2 * l1
        between = -(l1 * (2 * first[0] - labels) / (2 * l2.clamp(min=1e-300)) + weights.sum(dim=0))
        shift = torch.where((left > 0) & (l2 > 0) & (first[0] > 0), between / labels, shift)
        shift = torch.where(l1 + l2 > 0, shift, 0.0)
        moved = parameters.clone()
        moved[:, :-1] = torch.where(weights == -shift, 0.0, weights + shift)
        moved[:, -1] -= moved[:, -1].mean()
        return moved

    def shifted(self, point: Point) -> Point:
        """The point with its shift put right (see `centred`); costs no pass."""
        parameters = self.centred(point.parameters)
        gain = self.value(point.parameters) - self.value(parameters)
        if gain <= 0:
            return point
        residual = self.residual(parameters, point.gradient)
        return replace(
            point, parameters=parameters, objective=point.objective - gain, residual=residual
        )


def line_minimum(slope: float, bend: float, kinks: Tensor, jumps: Tensor) -> tuple[float, int]:
    """Where ``slope t + ½ bend t² + kinks`` is least, for ``t >= 0``.

    Args:
        slope: derivative at 0, negative.
        bend: second derivative between the kinks.
        kinks: where the derivative jumps, positive, in any order, ``[n]``.
        jumps: by how much, ``[n]``.

    Returns:
        The minimum and the number of the kink it lies on, -1 for none.
    """
    ordered, order = kinks.sort()
    after = slope + bend * ordered + jumps[order].cumsum(dim=0)
    found = (after >= 0).nonzero()
    number = int(found[0]) if len(found) else len(ordered)
    jumped = float(jumps[order][:number].sum())
    best = -(slope + jumped) / bend
    if number < len(ordered) and best >= float(ordered[number]):
        return float(ordered[number]), int(order[number])
    return best, -1
