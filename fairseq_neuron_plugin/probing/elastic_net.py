"""The probe: multinomial logistic regression with an elastic-net penalty."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .objective import NonFiniteError, SoftmaxObjective, row_blocks
from .rows import reads_in_blocks
from .solver import minimise
from .workers import Workers

Array = npt.NDArray[Any]

FLOATS = (np.float64, np.float32, np.float16)


class ElasticNetProbe(ClassifierMixin, BaseEstimator):
    """Linear probe from neurons to labels (paper, section 3.1, equation 1).

    Minimises ``mean_i CE(W x_i + b, y_i) + l1 * |W|_1 + l2 * |W|_F^2``; the intercept ``b`` is not
    penalised. The optimum is found to a stated tolerance, with exact zeros; the result does not
    depend on chance.

    Parameters:
        l1, l2: strengths of the penalty.
        tol: the fit ends when no entry of the subgradient of least size (the KKT residual) is
            larger than this.
        max_iter: most proximal and Newton steps; a `ConvergenceWarning` tells when it was reached.
        progress: called after each round of steps with (steps, objective, KKT residual).

    Attributes:
        coef_: float64 ``[labels, neurons]``, two rows also where there are two labels.
        intercept_: float64 ``[labels]``.
        classes_: the labels, sorted.
        objective_: value reached.
        kkt_residual_: largest entry of the subgradient of least size, with respect to the weights
            (neurons taken as centred) and the intercept.
        n_iter_: steps made; n_passes_: how often all rows were gone through.
        n_features_in_: number of neurons.

    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> ElasticNetProbe().fit(X, ["low", "low", "high", "high"]).predict([[0.5], [2.5]]).tolist()
    ['low', 'high']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "progress": [None, callable],
    }

    coef_: npt.NDArray[np.float64]
    intercept_: npt.NDArray[np.float64]
    classes_: Array

    def __init__(
        self,
        l1: float = 1e-5,
        l2: float = 1e-5,
        *,
        tol: float = 1e-6,
        max_iter: int = 1000,
        progress: Callable[[int, float, float], None] | None = None,
    ) -> None:
        self.l1 = l1
        self.l2 = l2
        self.tol = tol
        self.max_iter = max_iter
        self.progress = progress

    def fit(self, X: Any, y: Any) -> ElasticNetProbe:
        """Find the weights.

        Args:
            X: ``[tokens, neurons]``, float16, float32 or float64; a `numpy.memmap` is read in
                blocks of rows and never copied whole.
            y: ``[tokens]``, a label each.

        Raises:
            ValueError: NaN or infinity in ``X``, fewer than two labels, lengths that differ.
        """
        self._validate_params()
        if reads_in_blocks(X):
            y = column_or_1d(y)
            if len(y) != len(X):
                raise ValueError(f"{len(X)} rows of activations, but {len(y)} labels")
            self.n_features_in_ = X.shape[1]
        else:
            X, y = validate_data(self, X, y, dtype=FLOATS, ensure_all_finite=False)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"a probe needs at least two labels; y holds one class only: {self.classes_[0]!r}"
            )
        with Workers() as workers:
            objective = SoftmaxObjective(X, codes, len(self.classes_), workers)
            solution = minimise(objective, self.l1, self.l2, self.tol, self.max_iter, self.progress)
        self.coef_, self.intercept_ = solution.weight, solution.intercept
        self.objective_ = solution.objective
        self.kkt_residual_ = solution.residual
        self.n_iter_ = max(1, solution.steps)
        self.n_passes_ = solution.passes
        if not solution.converged:
            warnings.warn(
                f"the probe stopped after {solution.steps} steps with a KKT residual of "
                f"{solution.residual:.1e}, above tol={self.tol:g}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Scores before the softmax, ``[tokens, labels]``.

        For two labels ``[tokens]``, the second's score less the first's.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities, ``[tokens, labels]``."""
        scores = self._scores(X)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        return scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Array:
        """The most probable label of each token, ``[tokens]``."""
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]

    def _scores(self, X: Any) -> npt.NDArray[np.float64]:
        check_is_fitted(self)
        if not reads_in_blocks(X):
            X = validate_data(self, X, dtype=FLOATS, reset=False, ensure_all_finite=False)
        elif X.shape[1] != self.n_features_in_:
            raise ValueError(f"{X.shape[1]} neurons, but the probe knows {self.n_features_in_}")
        scores = np.empty((X.shape[0], len(self.classes_)))
        for rows in row_blocks(X.shape):
            block = np.asarray(X[rows], dtype=np.float64)
            if not np.isfinite(block.sum()) and not np.isfinite(block).all():
                row, column = np.argwhere(~np.isfinite(block))[0]
                raise NonFiniteError(rows.start + int(row), int(column))
            scores[rows] = block @ self.coef_.T + self.intercept_
        return scores
