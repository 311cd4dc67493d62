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
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import Tensor

from ..rows import reads_in_blocks, refuse_non_finite, row_blocks
from .adam import EPOCHS as ADAM_EPOCHS
from .adam import fit_adam
from .solver.design import Design
from .solver.minimise import Solver
from .solver.objective import SoftmaxObjective
from .solver.workers import Workers

Array = npt.NDArray[Any]

FLOATS = (np.float64, np.float32, np.float16)


class ElasticNetProbe(ClassifierMixin, BaseEstimator):
    """Linear probe from neurons to labels (paper, section 3.1, equation 1).

    Minimises ``mean_i CE(W x_i + b, y_i) + l1 * |W|_1 + l2 * |W|_F^2``; the intercept ``b`` is not
    penalised. The optimum is found to a stated tolerance, with exact zeros.

    Parameters:
        l1, l2: strengths of the penalty.
        solver: ``exact``, or ``adam`` for the authors' protocol: Adam with a rate of 1e-3, 10
            epochs in the order of the data, batches of 512, whatever that ends with.
        tol: the exact fit ends when no entry of the subgradient of least size (the KKT residual)
            is larger than this.
        max_iter: most proximal Newton steps; a `ConvergenceWarning` tells when it was reached.
        device: where torch works on the data: ``cpu``, ``cuda``, ``cuda:1``, ...
        random_state: seed of the draws that the solver makes on the way, or of Adam's first
            weights. The same seed gives the same probe.
        progress: called with (steps, objective, KKT residual) at the start and after each step;
            with Adam after each epoch with (epochs, mean loss, NaN).

    Attributes:
        coef_: float64 ``[labels, neurons]``, two rows also where there are two labels.
        intercept_: float64 ``[labels]``.
        classes_: the labels, sorted.
        objective_: value reached.
        kkt_residual_: largest entry of the subgradient of least size, with respect to the weights
            (neurons taken as centred) and the intercept.
        n_iter_: steps (with Adam: epochs) made; n_passes_: how often all rows were gone through.
        n_features_in_: number of neurons.

    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> ElasticNetProbe().fit(X, ["low", "low", "high", "high"]).predict([[0.5], [2.5]]).tolist()
    ['low', 'high']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"exact", "adam"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
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
        solver: str = "exact",
        tol: float = 1e-6,
        max_iter: int = 1000,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = 0,
        progress: Callable[[int, float, float], None] | None = None,
    ) -> None:
        self.l1 = l1
        self.l2 = l2
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.random_state = random_state
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
        X, codes = self._check(X, y)
        if self.solver == "adam":
            return self._fit_adam(X, codes)
        with Workers() as workers:
            return self._fit_exact(self._solver(X, codes, workers))

    def _check(self, X: Any, y: Any) -> tuple[Any, npt.NDArray[np.intp]]:
        """Checked activations and the number of each token's label in `classes_`."""
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
        if not len(self.classes_):
            raise ValueError("a probe needs at least two labels; there are no tokens")
        if len(self.classes_) < 2:
            raise ValueError(
                f"a probe needs at least two labels; y holds one class only: {self.classes_[0]!r}"
            )
        return X, codes

    def _solver(self, X: Any, codes: npt.NDArray[np.intp], workers: Workers) -> Solver:
        design = Design(X, workers, self.device, len(self.classes_))
        return Solver(SoftmaxObjective(design, codes, len(self.classes_)), self._seed())

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31))

    def _fit_exact(self, solver: Solver, start: Tensor | None = None) -> ElasticNetProbe:
        solution = solver.minimise(self.l1, self.l2, self.tol, self.max_iter, self.progress, start)
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
                stacklevel=3,
            )
        return self

    def _fit_adam(self, X: Any, codes: npt.NDArray[np.intp]) -> ElasticNetProbe:
        def report(epoch: int, loss: float) -> None:
            if self.progress is not None:
                self.progress(epoch, loss, float("nan"))

        solution = fit_adam(
            X, codes, len(self.classes_), self.l1, self.l2,
            seed=self._seed(), device=self.device, report=report,
        )  # fmt: skip
        self.coef_, self.intercept_ = solution.weight, solution.intercept
        self.objective_ = solution.objective
        self.kkt_residual_ = solution.kkt_residual
        self.n_iter_ = ADAM_EPOCHS
        self.n_passes_ = solution.passes
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
            refuse_non_finite(block, rows.start)
            scores[rows] = block @ self.coef_.T + self.intercept_
        return scores
