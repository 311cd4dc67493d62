"""Minimise the probe's objective to a stated KKT tolerance.

Three stages. Stochastic gradients in the metric of the Gram matrix (`warm_start`) come near the
optimum in a few passes. Proximal Newton steps (Lee, Sun & Saunders 2014) then find which weights
are zero and the values of the rest: each minimises the second-order model of the cross-entropy
with the penalty as it is (`newton`), by a lasso for each label (`block_lasso`) and conjugate
gradients for what couples the labels (`curvature`). A line search on the objective itself, with
exact gradients, makes each step safe; so the model may be rough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .block_lasso import BlockLasso
from .curvature import Curvature, LabelBlocks
from .newton import CG_STEPS, minimise_model
from .objective import SoftmaxObjective
from .penalty import Penalty, Point
from .warm_start import FEWEST_ROWS, LONG, SHORT, stochastic_gradients

Report = Callable[[int, float, float], None]

GRAM_ROWS = 12_288
NEW_BLOCKS = 4  # how many steps make label blocks of their own; later ones while they go on well
SLOW = 0.4  # share of the residual that a step may leave to have gone well
FIRST_MODEL_STEPS, MODEL_STEPS = (
    3,
    9,
)  # inner steps: far from the optimum the model is not worth more
MAX_HALVINGS = 12


@dataclass(frozen=True)
class Solution:
    """What `minimise` ends with.

    ``parameters`` are those of the standardised neurons; ``weight`` and ``intercept`` those of the
    data as given. ``steps`` counts proximal Newton steps, ``passes`` how often the data was gone
    through.
    """

    parameters: Tensor
    weight: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    objective: float
    residual: float
    steps: int
    passes: int
    converged: bool


class Solver:
    """Fits on the same data, for any strengths of the penalty."""

    def __init__(self, objective: SoftmaxObjective, seed: int = 0) -> None:
        self.objective, self.design, self.seed = objective, objective.design, seed
        self.gram = self.design.sampled_gram(GRAM_ROWS)
        self._blocks: LabelBlocks | None = None
        self._counted = 0
        # How far two equal objectives may differ by rounding.
        self.noise = 1e-8 if self.design.dtype == torch.float32 else 1e-14

    def minimise(
        self,
        l1: float,
        l2: float,
        tol: float,
        max_iter: int,
        report: Report | None = None,
        start: Tensor | None = None,
    ) -> Solution:
        """Minimise ``mean CE + l1 |W|_1 + l2 |W|²`` until the KKT residual is at most ``tol``.

        Args:
            l1, l2: strengths of the penalty on weights for the data as given.
            tol: largest entry of the subgradient of least size, neurons taken as centred.
            max_iter: most proximal Newton steps.
            report: called with steps, objective and residual after the start and each step.
            start: parameters to start from; else stochastic gradients find some.
        """
        penalty = Penalty(l1, l2, self.design.scale)
        steps = 0
        point = self._start(penalty, start, report)
        lasso = BlockLasso(self._blocks, penalty, self.design.workers) if self._blocks else None
        renew, fast = start is None, True
        while True:
            if report is not None:
                report(steps, point.objective, point.residual)
            if point.residual <= tol or steps >= max_iter:
                break
            curvature = Curvature(self.objective, point)
            if lasso is None or renew:
                self._blocks = curvature.label_blocks(self.gram, self.seed + steps)
                lasso = BlockLasso(self._blocks, penalty, self.design.workers)
            goal = max(0.1 * point.residual, 0.5 * tol)
            effort = min(MODEL_STEPS, FIRST_MODEL_STEPS * (steps + 1))
            found = minimise_model(
                point, curvature, lasso, penalty, goal, effort, CG_STEPS if fast else 4 * CG_STEPS
            )
            better = self._search(penalty, point, found)
            steps += 1
            if better is point and renew:
                break  # rounding allows no further progress
            better = penalty.shifted(better)
            quick = better.residual <= SLOW * point.residual
            # Few steps from the start are slow for other reasons than those of the endgame.
            fast = quick or steps < NEW_BLOCKS
            renew = (start is None and steps < NEW_BLOCKS) or not quick
            point = better
        weight, intercept = self.design.to_raw(point.parameters)
        return Solution(
            parameters=point.parameters,
            weight=weight,
            intercept=intercept,
            objective=point.objective,
            residual=point.residual,
            steps=steps,
            passes=self._passes(),
            converged=point.residual <= tol,
        )

    def _passes(self) -> int:
        """Passes since the last fit; those that prepared the data count for the first."""
        since, self._counted = self.design.passes - self._counted, self.design.passes
        return since

    def _at(self, penalty: Penalty, parameters: Tensor) -> Point:
        value, gradient, chances = self.objective.evaluate(parameters)
        value += penalty.value(parameters)
        residual = penalty.residual(parameters, gradient)
        return Point(parameters, value, gradient, residual, chances)

    def _start(self, penalty: Penalty, start: Tensor | None, report: Report | None) -> Point:
        """The best of what is known before the first step; without any weight at worst."""
        zero = self.objective.start
        share = self.objective.frequency
        worst = -float((share * share.log()).sum())  # cross-entropy without any weight
        if start is not None:
            point = self._at(penalty, penalty.centred(start))
            return point if point.objective <= worst else self._at(penalty, zero)
        if self.design.rows < FEWEST_ROWS:
            return self._at(penalty, zero)
        best: Point | None = None
        parameters = zero
        for number, run in enumerate((SHORT, LONG)):
            parameters = penalty.centred(
                stochastic_gradients(
                    self.objective, penalty, self.gram, parameters, run, self.seed + number
                )
            )
            point = self._at(penalty, parameters)
            if point.objective <= (worst if best is None else best.objective):
                best = point
            parameters = zero if best is None else best.parameters
            if report is not None and best is not None and number == 0:
                report(0, best.objective, best.residual)
        return self._at(penalty, zero) if best is None else best

    def _search(self, penalty: Penalty, point: Point, found: Tensor) -> Point:
        """Halve the step until the objective falls; the point itself where it does not."""
        direction, length = found - point.parameters, 1.0
        slack = self.noise * abs(point.objective)
        for _ in range(MAX_HALVINGS):
            other = self._at(
                penalty, found if length == 1 else point.parameters + length * direction
            )
            if other.objective < point.objective:
                return other
            if other.objective <= point.objective + slack and other.residual < point.residual:
                return other
            length /= 2
        return point
