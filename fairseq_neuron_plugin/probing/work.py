"""How far a series of fits has come."""

from __future__ import annotations

import math
from collections.abc import Callable

from .adam import EPOCHS

Report = Callable[[float, str], None]


class Work:
    """Counts fits, and how far the present one is.

    Args:
        total: of the weights of all fits; a weight is about the share of a whole fit's time.
        tol: the KKT residual at which a fit ends.
        report: called with the share of the work that is done, 0 to 1, and what is being done.

    Attributes:
        title: the present fit.
    """

    def __init__(self, total: float, tol: float, report: Report | None = None) -> None:
        self.title = ""
        self._total, self._tol, self._report = max(total, 1e-9), tol, report
        self._done = self._weight = self._part = 0.0
        self._first: float | None = None

    def begin(self, title: str, weight: float = 1.0) -> None:
        """The fit before is finished; the next one begins."""
        self._done += self._weight
        self.title, self._weight, self._part, self._first = title, weight, 0.0, None
        self._tell(title)

    def step(self, steps: int, objective: float, residual: float) -> None:
        """What `ElasticNetProbe` reports as ``progress``."""
        self._part = min(max(self._part, self._way(steps, residual)), 1.0)
        if math.isnan(residual):
            self._tell(f"{self.title}: epoch {steps}, loss {objective:.6f}")
        else:
            self._tell(f"{self.title}: objective {objective:.6f}, KKT residual {residual:.1e}")

    def _way(self, steps: int, residual: float) -> float:
        """How far the present fit is, about: its residual falls by even factors."""
        if math.isnan(residual):
            return steps / EPOCHS
        if residual <= self._tol:
            return 1.0
        self._first = self._first or residual
        if self._tol <= 0 or self._first <= self._tol:
            return 0.0
        return math.log(self._first / residual) / math.log(self._first / self._tol)

    def _tell(self, text: str) -> None:
        if self._report is not None:
            done = self._done + self._part * self._weight
            self._report(min(done / self._total, 1.0), text)
