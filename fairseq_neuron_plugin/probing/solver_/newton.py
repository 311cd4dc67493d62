"""A Newton step on the weights that are not zero, by preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from .objective import Curvature, SoftmaxObjective
from .penalty import Penalty, Point

Array = npt.NDArray[Any]

GROUP_BYTES = 256 * 2**20
MAX_PRODUCTS = 25
MAX_HALVINGS = 12


class Preconditioner:
    """Inverse of the Hessian's diagonal blocks, one a label, on the free weights of the label."""

    def __init__(self, curvature: Curvature, penalty: Penalty, free: Array) -> None:
        objective = curvature.objective
        width = objective.neurons + 1
        group = max(1, GROUP_BYTES // (width * width * objective.dtype.itemsize))
        self.workers = objective.workers
        self.indices = [np.flatnonzero(row) for row in free]
        self.factors: list[tuple[Array, bool]] = []
        for start in range(0, objective.labels, group):
            labels = range(start, min(start + group, objective.labels))
            blocks = curvature.label_blocks(slice(labels.start, labels.stop))
            pairs = [(block, self.indices[n]) for n, block in zip(labels, blocks, strict=True)]
            self.factors += self.workers.map(partial(_factor, penalty), pairs)

    def __call__(self, vector: Array) -> Array:
        """Solve for one right-hand side ``[labels, neurons + 1]``, 0 outside the free weights."""
        result = np.zeros_like(vector)
        for label, (chosen, factor) in enumerate(zip(self.indices, self.factors, strict=True)):
            right = vector[label, chosen].astype(factor[0].dtype)
            result[label, chosen] = cho_solve(factor, right, check_finite=False)
        return result


def _factor(penalty: Penalty, pair: tuple[Array, Array]) -> tuple[Array, bool]:
    block, chosen = pair
    matrix = block[np.ix_(chosen, chosen)]
    ridge = 2 * penalty.l2[chosen] + 1e-7 * np.diag(matrix).mean() + 1e-12
    matrix[np.diag_indices(len(chosen))] += ridge.astype(matrix.dtype)
    factor: tuple[Array, bool] = cho_factor(matrix, lower=True, overwrite_a=True)
    return factor


def newton_step(
    objective: SoftmaxObjective,
    penalty: Penalty,
    start: Point,
    evaluate: Callable[[Array], Point],
) -> Point:
    """One step within the orthant that the signs of the weights span.

    Weights at zero whose subgradient is not zero are free too, in the direction in which the
    objective falls. A weight that would change its sign stops at exactly 0.

    Args:
        objective: the data.
        penalty: the penalty.
        start: where to start.
        evaluate: gives the point at some parameters, for one pass.

    Returns:
        The point reached, or ``start`` itself where no step length lowers the objective.
    """
    parameters = start.parameters
    slope = penalty.subgradient(parameters, start.gradient)
    signs = np.where(parameters != 0, np.sign(parameters), -np.sign(slope))
    free = signs != 0
    free[:, -1] = True
    direction = _solve(objective.curvature(parameters), penalty, slope, free)
    length = 1.0
    for _ in range(MAX_HALVINGS):
        moved = parameters + length * direction
        crossed = moved * signs < 0
        crossed[:, -1] = False
        moved[crossed] = 0.0
        point = evaluate(moved)
        if point.objective < start.objective:
            return point
        length /= 2
    return start


def _solve(curvature: Curvature, penalty: Penalty, slope: Array, free: Array) -> Array:
    """``(H + 2 l2)⁻¹ (-slope)`` on the free weights, the more exactly the smaller the slope."""
    precondition = Preconditioner(curvature, penalty, free)
    rest = np.where(free, -slope, 0.0)
    solution = np.zeros_like(rest)
    shaped = precondition(rest)
    direction = shaped
    size = first = float((rest * shaped).sum())
    goal = min(0.05, float(np.sqrt(np.abs(slope).max()))) ** 2 * first
    for _ in range(MAX_PRODUCTS):
        if size <= goal or size <= 0:
            break
        bent = np.where(free, curvature.product(direction) + 2 * penalty.l2 * direction, 0.0)
        bend = float((direction * bent).sum())
        if bend <= 0:
            break  # flat up to rounding
        step = size / bend
        solution += step * direction
        rest = rest - step * bent
        shaped = precondition(rest)
        before, size = size, float((rest * shaped).sum())
        direction = shaped + size / before * direction
    return solution if solution.any() else direction
