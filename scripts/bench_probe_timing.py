"""Clocks for bench_probe.py: whole fits, and fits up to an objective."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from bench_probe_data import Problem, objective

from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe


class Clock:
    """CPU and wall seconds since it was made; `stop` adds what was reached by then."""

    cpu: float | None
    wall: float | None
    objective: float
    note: str

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self, objective: float = float("nan"), note: str = "") -> Clock:
        self.cpu = time.process_time() - self._cpu
        self.wall = time.perf_counter() - self._wall
        self.objective, self.note = objective, note
        return self

    def row(self, what: str) -> dict[str, Any]:
        return {
            "what": what,
            "cpu": self.cpu,
            "wall": self.wall,
            "objective": self.objective,
            "note": self.note,
        }


def medians(what: str, clocks: Sequence[Clock]) -> dict[str, Any]:
    """A row for repeated runs; no time if one of them did not get there."""
    row = clocks[-1].row(what)
    for name in ("cpu", "wall", "objective"):
        values = [getattr(clock, name) for clock in clocks]
        row[name] = None if None in values else statistics.median(values)
    if len(clocks) > 1 and row["cpu"] is not None:
        cpu = [clock.cpu for clock in clocks]
        row["note"] = f"{row['note']}; {min(cpu):.2f} to {max(cpu):.2f} CPU s".lstrip("; ")
    return row


class _Reached(Exception):
    """Ends a fit whose objective is low enough."""


def fit_to(problem: Problem, l1: float, l2: float, goal: float) -> Clock:
    """Time from the call of `fit`, all preparation included, to an objective of at most ``goal``.

    The fit tells its objective after each round of steps, so the time is that of a whole round.
    """
    clock = Clock()

    def watch(steps: int, objective: float, residual: float) -> None:
        if objective <= goal:
            clock.stop(objective, f"{steps} steps")
            raise _Reached

    probe = ElasticNetProbe(l1, l2, progress=watch)
    try:
        probe.fit(problem.X, problem.codes)
    except _Reached:
        return clock
    clock.stop(probe.objective_, "did not get there")
    clock.cpu = clock.wall = None
    return clock


def fit_whole(problem: Problem, l1: float, l2: float, **settings: Any) -> Clock:
    """A fit to its end; the objective is computed anew from the weights."""
    clock = Clock()
    probe = ElasticNetProbe(l1, l2, **settings)
    probe.fit(problem.X, problem.codes)
    clock.stop()
    clock.objective = objective(probe.coef_, probe.intercept_, problem, l1, l2)
    clock.note = (
        f"{probe.n_passes_} passes, KKT residual {probe.kkt_residual_:.1e}, "
        f"{(probe.coef_ != 0).mean():.1%} of the weights not 0"
    )
    return clock
