"""Probes for many strengths of the penalty on the same data, each fit starting from another."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .elastic_net import ElasticNetProbe
from .solver.minimise import Solver
from .solver.workers import Workers


class ProbePath:
    """Fits with shared statistics of the data, each started where an earlier one ended.

    Usage::

        with ProbePath(X, y) as path:
            strong = path.fit(l1=1e-3, l2=1e-5)
            weak = path.fit(l1=1e-4, l2=1e-5, start=strong)

    Args:
        X: ``[tokens, neurons]``, as `ElasticNetProbe.fit` takes it.
        y: ``[tokens]``, a label each.
        **settings: further parameters of `ElasticNetProbe`, the same for all fits.
    """

    def __init__(self, X: Any, y: Any, **settings: Any) -> None:
        self.X, self.y, self.settings = X, y, settings
        self._workers = Workers()
        self._solver: Solver | None = None
        self._classes: Any = None

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._solver = None
        self._workers.__exit__(*error)

    def fit(
        self, l1: float, l2: float, start: ElasticNetProbe | None = None, **settings: Any
    ) -> ElasticNetProbe:
        """A fitted probe.

        Args:
            l1, l2: strengths of the penalty.
            start: an earlier probe of this path.
            **settings: ``tol``, ``max_iter`` or ``progress`` of this fit alone.
        """
        probe = ElasticNetProbe(l1, l2, **{**self.settings, **settings})
        probe._validate_params()
        known = self._classes
        if start is not None and known is not None and not np.array_equal(start.classes_, known):
            raise ValueError("a path goes on from a probe of its own labels only")
        if probe.solver != "exact":
            return probe.fit(self.X, self.y)
        if self._solver is None:
            X, codes = probe._check(self.X, self.y)
            self._solver, self._classes = probe._solver(X, codes, self._workers), probe.classes_
        probe.classes_, probe.n_features_in_ = self._classes, self._solver.design.neurons
        first = None
        if start is not None:
            first = self._solver.design.from_raw(start.coef_, start.intercept_)
        return probe._fit_exact(self._solver, first)
