"""One proximal Newton step: the second-order model of the objective, minimised with its penalty."""

from __future__ import annotations

import torch
from torch import Tensor

from .block_lasso import BlockLasso
from .curvature import Curvature
from .penalty import Penalty, Point, line_minimum

CG_EVERY, CG_STEPS = 3, 10
# diag(p) - p pᵀ is a graph's Laplacian: twice its diagonal is never below it.
BOUND = 2.0


class ModelState:
    """Where the inner minimisation stands: ``z`` and the model's smooth gradient there."""

    def __init__(self, point: Point, penalty: Penalty) -> None:
        self.penalty = penalty
        self.z, self.gradient = point.parameters, point.gradient
        self.last_z, self.last_gradient = self.z, self.gradient
        self.momentum = 1.0

    def ahead(self) -> tuple[Tensor, Tensor, float]:
        """Extrapolated point, its gradient (the model is quadratic), and the next momentum."""
        following = (1 + (1 + 4 * self.momentum**2) ** 0.5) / 2
        share = (self.momentum - 1) / following
        z = self.z + share * (self.z - self.last_z)
        return z, self.gradient + share * (self.gradient - self.last_gradient), following

    def gain(self, step: Tensor, bent: Tensor) -> float:
        """Change of the model with its penalty along a step, ``bent`` the Hessian times it."""
        smooth = float((step * (self.gradient + bent / 2)).sum())
        return smooth + self.penalty.value(self.z + step) - self.penalty.value(self.z)

    def move(self, z: Tensor, bent: Tensor) -> None:
        """Go to ``z``."""
        self.last_z, self.last_gradient = self.z, self.gradient
        self.z, self.gradient = z, self.gradient + bent

    def restart(self) -> None:
        """Forget the momentum (O'Donoghue & Candès 2015)."""
        self.last_z, self.last_gradient, self.momentum = self.z, self.gradient, 1.0

    @property
    def residual(self) -> float:
        """KKT residual of the model."""
        return self.penalty.residual(self.z, self.gradient)


def minimise_model(
    point: Point,
    curvature: Curvature,
    lasso: BlockLasso,
    penalty: Penalty,
    tol: float,
    max_steps: int,
    cg_steps: int = CG_STEPS,
) -> Tensor:
    """Lower the model at ``point`` until its KKT residual is at most ``tol``, or nearly.

    Accelerated proximal steps in the metric of the label blocks find the zeros, and the signs of
    the rest; in between a few steps of conjugate gradients, preconditioned by the same blocks, go
    along what couples the labels.

    Returns:
        The model's minimum, ``[labels, neurons + 1]``.
    """
    state = ModelState(point, penalty)
    factor = BOUND
    for number in range(1, max_steps + 1):
        start, gradient, following = state.ahead()
        # From z, the last point itself, as it has the right zeros.
        slope = gradient + factor * lasso.product(state.z - start)
        z = penalty.centred(lasso.solve(state.z, slope, factor))
        step = z - state.z
        bent = curvature.product(step)
        if state.gain(step, bent) > 0:
            if state.momentum == 1.0:
                factor *= 1.5
            state.restart()
            continue
        turned = float((lasso.product(start - z) * step).sum()) > 0
        state.move(z, bent)
        state.momentum = 1.0 if turned else following
        if state.residual <= tol:
            break
        if number % CG_EVERY == 0:
            _coupled_step(state, curvature, lasso, cg_steps)
            if state.residual <= tol:
                break
    return state.z


def _coupled_step(
    state: ModelState, curvature: Curvature, lasso: BlockLasso, cg_steps: int
) -> None:
    """Conjugate gradients on the weights that are not 0, then the best point on that line."""
    penalty, z = state.penalty, state.z
    free = z != 0
    free[:, -1] = True
    slope = state.gradient + 2 * penalty.l2 * z + penalty.l1 * z.sign()
    direction, bent = _conjugate_gradients(slope, free, curvature, lasso, penalty, cg_steps)
    descent = float((direction * slope).sum())
    bend = float((direction * bent).sum() + (2 * penalty.l2 * direction**2).sum())
    if not (descent < 0 < bend):
        return
    kinks = -z / direction
    ahead = (free & (kinks > 0) & kinks.isfinite() & (penalty.l1 > 0)).nonzero()
    rows, columns = ahead[:, 0], ahead[:, 1]
    jumps = 2 * penalty.l1[columns] * direction[rows, columns].abs()
    length, hit = line_minimum(descent, bend, kinks[rows, columns], jumps)
    moved = z + length * direction
    if hit >= 0:
        moved[rows[hit], columns[hit]] = 0
    if state.gain(moved - z, length * bent) < 0:
        state.move(moved, length * bent)
    state.restart()


def _conjugate_gradients(
    slope: Tensor,
    free: Tensor,
    curvature: Curvature,
    lasso: BlockLasso,
    penalty: Penalty,
    cg_steps: int,
) -> tuple[Tensor, Tensor]:
    """Solve ``(H + 2 l2) d = -slope`` on the free weights, nearly; gives ``d`` and ``H d``."""
    indices = [row.nonzero()[:, 0] for row in free]

    def precondition(vector: Tensor) -> Tensor:
        result = torch.zeros_like(vector)
        for label, chosen in enumerate(indices):
            factor = lasso.factor(label, chosen, lasso.l2)
            if factor is not None:
                right = vector[label, chosen, None].to(factor.dtype)
                result[label, chosen] = torch.cholesky_solve(right, factor)[:, 0].to(vector.dtype)
        return result

    rest = torch.where(free, -slope, 0.0)
    direction = shaped = precondition(rest)
    solution, bent = torch.zeros_like(rest), torch.zeros_like(rest)
    size = first = float((rest * shaped).sum())
    for _ in range(cg_steps):
        product = curvature.product(direction)
        full = torch.where(free, product + 2 * penalty.l2 * direction, 0.0)
        bend = float((direction * full).sum())
        if bend <= 0:
            break  # flat up to rounding
        step = size / bend
        solution, bent = solution + step * direction, bent + step * product
        rest = rest - step * full
        shaped = precondition(rest)
        before, size = size, float((rest * shaped).sum())
        if size <= 0.01 * first:
            break
        direction = shaped + size / before * direction
    return solution, bent
