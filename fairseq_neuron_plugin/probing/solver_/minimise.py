"""Minimise the probe's objective to a stated KKT tolerance.

Two steps take turns. The first is accelerated proximal gradient (Beck & Teboulle 2009, with the
restart of O'Donoghue & Candès 2015) in the metric of the bound ``H ⪯ ½ I ⊗ Gram`` on the
Hessian of the cross-entropy (Böhning 1992); its inner problem, a lasso per label with one matrix
for all of them, is solved by ADMM in the eigenbasis of the Gram matrix. It finds which weights are
zero. The second is a Newton step on the weights that are not (see `newton`), which is fast once
the zeros are nearly right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .newton import newton_step
from .objective import SoftmaxObjective
from .penalty import Penalty, Point

Array = npt.NDArray[Any]
Report = Callable[[int, float, float], None]

BOUND = 0.5
INNER_STEPS = 40
FIRST_RUN, RUN, NEWTON_RUN = 40, 20, 2  # steps before the kinds take turns; found by trial


@dataclass(frozen=True)
class Solution:
    """What `minimise` ends with.

    ``steps`` counts proximal and Newton steps, ``passes`` how often the data was gone through.
    """

    weight: Array
    intercept: Array
    objective: float
    residual: float
    steps: int
    passes: int
    converged: bool


class ProximalStep:
    """Proximal gradient steps in the metric ``½ Gram``, the inner problem by ADMM.

    The dual variable is kept from step to step, so that a few inner iterations are enough.
    """

    def __init__(self, gram: Array, penalty: Penalty) -> None:
        values, basis = np.linalg.eigh(gram)
        width = len(values) + 1
        self.basis = np.eye(width)
        self.basis[:-1, :-1] = basis
        # Standardised columns are orthogonal to the intercept's, whose mean square is 1.
        self.curvature = BOUND * np.append(np.maximum(values, 0.0), 1.0)
        self.penalty = penalty
        self.strength = 1e-3
        self.dual: Array | None = None

    def metric(self, first: Array, second: Array) -> float:
        """Inner product of two directions ``[labels, neurons + 1]``."""
        return float(((first @ self.basis) * self.curvature * (second @ self.basis)).sum())

    def __call__(self, start: Array, gradient: Array) -> Array:
        """Minimise ``<g, z - v> + ½ |z - v|² + penalty(z)`` over ``z``, nearly."""
        basis, strength = self.basis, self.strength
        pull = ((start @ basis) * self.curvature) @ basis.T - gradient
        inverse = 1 / (self.curvature + strength)
        sparse = start.copy()
        dual = np.zeros_like(start) if self.dual is None else self.dual / strength
        for _ in range(INNER_STEPS):
            smooth = ((pull + strength * (sparse - dual)) @ basis * inverse) @ basis.T
            before = sparse
            sparse = self.penalty.shrink(smooth + dual, strength)
            dual += smooth - sparse
            primal = float(np.linalg.norm(smooth - sparse))
            change = float(np.linalg.norm(sparse - before))
            if max(primal, change) <= 1e-3 * float(np.linalg.norm(sparse - start)):
                break
        self.dual = dual * strength
        # Residual balancing (Boyd et al. 2011, section 3.4.1).
        if primal > 3 * change:
            self.strength *= 1.6
        elif change > 3 * primal:
            self.strength /= 1.6
        return sparse


class _Solver:
    def __init__(self, objective: SoftmaxObjective, penalty: Penalty, tol: float) -> None:
        self.objective, self.penalty, self.tol = objective, penalty, tol
        self.proximal = ProximalStep(objective.gram, penalty)
        # How far two equal objectives may differ by rounding.
        self.noise = 1e-8 if objective.dtype == np.float32 else 1e-14
        self.steps = 0

    def at(self, parameters: Array) -> Point:
        value, gradient = self.objective.value_and_gradient(parameters)
        value += self.penalty.value(parameters)
        return Point(parameters, value, gradient, self.penalty.residual(parameters, gradient))

    def start(self) -> Point:
        parameters = np.zeros((self.objective.labels, self.objective.neurons + 1))
        parameters[:, -1] = np.log(self.objective.frequency)
        parameters[:, -1] -= parameters[:, -1].mean()
        return self.at(parameters)

    def proximal_run(self, point: Point, steps: int) -> Point:
        """Accelerated steps; every point kept is better than the one before.

        The gradient at the extrapolated point is extrapolated too, from the gradients at the last
        two points, so that each pass is spent at a point whose objective is then known.
        """
        last, momentum = point, 1.0
        for _ in range(steps):
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            share = (momentum - 1) / following
            while True:
                ahead = point.parameters + share * (point.parameters - last.parameters)
                gradient = point.gradient + share * (point.gradient - last.gradient)
                found = self.at(self.proximal(ahead, gradient))
                self.steps += 1
                if share == 0 or found.objective <= point.objective:
                    break
                share, following = 0.0, 1.0
            if found.objective > point.objective + self.noise:
                return point  # the inner problem is not solved finely enough to get further
            turn = self.proximal.metric(
                ahead - found.parameters, found.parameters - point.parameters
            )
            last, point, momentum = point, found, 1.0 if turn > 0 else following
            if point.residual <= self.tol:
                break
        return self.shifted(point)

    def shifted(self, point: Point) -> Point:
        """The point with the shift that the cross-entropy cannot see put right; costs no pass."""
        parameters = self.penalty.centred(point.parameters)
        gain = self.penalty.value(point.parameters) - self.penalty.value(parameters)
        if gain <= 0:
            return point
        residual = self.penalty.residual(parameters, point.gradient)
        return replace(
            point, parameters=parameters, objective=point.objective - gain, residual=residual
        )


def minimise(
    objective: SoftmaxObjective,
    l1: float,
    l2: float,
    tol: float,
    max_iter: int,
    report: Report | None = None,
) -> Solution:
    """Minimise ``mean CE + l1 |W|_1 + l2 |W|²`` until the KKT residual is at most ``tol``.

    Args:
        objective: the data.
        l1, l2: strengths of the penalty on weights for the data as given.
        tol: largest entry of the subgradient of least size, neurons taken as centred.
        max_iter: most proximal and Newton steps.
        report: called after each round with steps, objective and residual.
    """
    penalty = Penalty(l1, l2, objective.scale)
    solver = _Solver(objective, penalty, tol)
    point = solver.start()
    run = FIRST_RUN
    while point.residual > tol and solver.steps < max_iter:
        before = point
        point = solver.proximal_run(point, min(run, max_iter - solver.steps))
        run = RUN
        for _ in range(NEWTON_RUN):
            if point.residual <= tol or solver.steps >= max_iter:
                break
            better = newton_step(objective, penalty, point, solver.at)
            solver.steps += 1
            if better is point:
                break
            point = solver.shifted(better)
        if report is not None:
            report(solver.steps, point.objective, point.residual)
        if point.objective >= before.objective and point.residual >= before.residual:
            break  # rounding allows no further progress
    weight, intercept = objective.to_raw(point.parameters)
    return Solution(
        weight=weight,
        intercept=intercept,
        objective=point.objective,
        residual=point.residual,
        steps=solver.steps,
        passes=objective.passes,
        converged=point.residual <= tol,
    )
