"""How strong should the penalty be? Probes over a grid of λ1 and λ2 (paper, figure 2)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..errors import UserError
from ..neurons import parse_amount
from ..rankings.salience import linguistic
from ..rows import NonFiniteError
from .elastic_net import ElasticNetProbe
from .grid_plan import DEFAULT, GridPlan, parse_grid
from .labelled import LabelledTokens
from .mask_curve import class_codes, mask_accuracies
from .path import ProbePath

__all__ = ["DEFAULT", "Cell", "Grid", "GridPlan", "measure_grid", "parse_grid"]

# Accuracies are quotients: a difference may miss the margin by rounding alone.
ROUNDING = 1e-12

CELL_STEPS = 2

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Cell:
    """What one pair of strengths gave.

    Attributes:
        l1, l2: the strengths.
        accuracy: share of the held-out tokens whose label is right, 0 to 1.
        top, bottom: the same with all but the top or bottom neurons of the probe's own ranking
            masked (set to 0).
        nonzero: number of weights that are not 0.
        passes: how often the fit went through the data.
        objective: value reached on the training data, penalty included.
        kkt_residual: see `ElasticNetProbe`.
        converged: whether the residual is within the probe's ``tol``. Without a penalty there may
            be no finite optimum to converge to (labels that can be told apart without error).
        seconds: wall-clock time of the fit.
    """

    l1: float
    l2: float
    accuracy: float
    top: float
    bottom: float
    nonzero: int
    passes: int
    objective: float
    kkt_residual: float
    converged: bool
    seconds: float

    @property
    def contrast(self) -> float:
        """``A_t - A_b``: how much more the top neurons know than the bottom ones."""
        return self.top - self.bottom


@dataclass(frozen=True)
class Grid:
    """A measured grid.

    Attributes:
        cells: every pair of strengths, ascending by l1, then l2.
        share: the share of neurons kept for ``top`` and ``bottom``, as given, e.g. ``20%``.
        kept: how many neurons that is.
        tokens: number of held-out tokens.
        seconds: wall-clock time of the whole grid.
    """

    cells: tuple[Cell, ...]
    share: str
    kept: int
    tokens: int
    seconds: float

    @property
    def reference(self) -> Cell:
        """The cell that stands for "without regularisation" (``A_z``): the weakest of the grid.

        That is (0, 0), as far as the solver got, where the grid has it; else the smallest l1, and
        of these the smallest l2.
        """
        return min(self.cells, key=lambda cell: (cell.l1, cell.l2))

    def pick(self, margin: float = 0.01) -> Cell:
        """The most selective strengths among those that cost little accuracy.

        The paper (section 3.1) chooses λ by ``α (A_t - A_b) - β (A_z - A_l)`` without saying what
        the factors are. Here ``A_z - A_l``, the loss against `reference`, must be at most
        ``margin``, and the largest ``A_t - A_b`` wins; of equals the larger l1, then l2.

        Raises:
            UserError: a margin below 0.
        """
        if not margin >= 0:
            raise UserError(f"the margin of a grid must be at least 0, not {margin:g}")
        least = self.reference.accuracy - margin - ROUNDING
        good = [cell for cell in self.cells if cell.accuracy >= least]
        best = max(cell.contrast for cell in good) - ROUNDING
        return max(
            (cell for cell in good if cell.contrast >= best), key=lambda cell: (cell.l1, cell.l2)
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """A flat row for each cell, for CSV."""
        rows = []
        for cell in self.cells:
            row = asdict(cell)
            before = {key: row.pop(key) for key in ("l1", "l2", "accuracy", "top", "bottom")}
            rows.append({**before, "top_minus_bottom": cell.contrast, **row})
        return rows

    def to_json(self, margin: float = 0.01) -> dict[str, Any]:
        """All of it, with the cell that is the reference and the one that is picked."""
        named = {"reference": self.reference, "picked": self.pick(margin)}
        return {
            "share": self.share,
            "kept": self.kept,
            "held_out_tokens": self.tokens,
            "margin": margin,
            **{name: {"l1": cell.l1, "l2": cell.l2} for name, cell in named.items()},
            "seconds": self.seconds,
            "cells": self.to_rows(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Grid:
        """The grid that `to_json` gave."""
        known = [each.name for each in fields(Cell)]
        cells = [Cell(**{name: cell[name] for name in known}) for cell in content["cells"]]
        tokens = content["held_out_tokens"]
        return cls(tuple(cells), content["share"], content["kept"], tokens, content["seconds"])


def measure_grid(
    train: LabelledTokens,
    dev: LabelledTokens,
    plan: GridPlan,
    *,
    share: str = "20%",
    exact: bool = False,
    report: Report | None = None,
    **settings: Any,
) -> Grid:
    """Fit a probe for every pair of strengths and measure it on held-out tokens.

    Each fit starts from a neighbour that is there already and is held to what accuracies need:
    `CELL_STEPS` steps at most, and a KKT residual of a tenth of the larger strength (between the
    probe's ``tol`` and 1e-4). On a real store accuracies were within 0.7 points, on average 0.1,
    of those of exact fits, at a fifth of the time; `Cell.kkt_residual` says where a cell ended.

    Args:
        train: what the probes are fitted to.
        dev: what they are measured on: other sentences, and never the test data. Labels that
            ``train`` lacks count as wrong.
        plan: the strengths.
        exact: fit every cell to the probe's ``tol``, whatever that takes.
        share: which part of the neurons is kept for ``top`` and ``bottom``: ``20%``, or a number.
        report: called before each fit and at the end with (cells done, cells in all, what is
            fitted).
        **settings: further parameters of `ElasticNetProbe`, the same for all cells.

    Raises:
        UserError: no held-out token, other neurons than in training, a share that keeps none, NaN
            or infinity among the activations.
    """
    began = time.perf_counter()
    neurons = train.activations.shape[1]
    if dev.activations.shape[1] != neurons:
        raise UserError(f"held-out data of {dev.activations.shape[1]} neurons, training {neurons}")
    if not len(dev):
        raise UserError("a grid needs held-out tokens to be measured on")
    kept = parse_amount(share, neurons)
    if kept == 0:
        raise UserError(f"cannot keep {share} of {neurons} neurons: a grid needs at least one")
    measure = _HeldOut(dev, train, kept)
    cells = []
    with _finite(train), ProbePath(train.activations, train.label_codes, **settings) as path:
        for number, (probe, seconds) in enumerate(_fits(path, plan, exact, report), start=1):
            cells.append(_cell(probe, seconds, measure(probe)))
            if report is not None and number == len(plan):
                report(number, number, "done")
    cells.sort(key=lambda cell: (cell.l1, cell.l2))
    return Grid(tuple(cells), share, kept, len(dev), time.perf_counter() - began)


def _fits(
    path: ProbePath, plan: GridPlan, exact: bool, report: Report | None
) -> Iterator[tuple[ElasticNetProbe, float]]:
    """The probe of each cell and the seconds it took, from strong to weak.

    Only the row before is kept, as weights are large.
    """
    above: dict[float, ElasticNetProbe] = {}
    done = 0
    for l2 in reversed(plan.l2):
        row: dict[float, ElasticNetProbe] = {}
        stronger: ElasticNetProbe | None = None
        for l1 in reversed(plan.l1):
            if report is not None:
                report(done, len(plan), f"l1={l1:g}, l2={l2:g}")
            neighbours = [probe for probe in (stronger, above.get(l1)) if probe is not None]
            start = min(neighbours, key=lambda p: _objective_at(p, l1, l2), default=None)
            began = time.perf_counter()
            with warnings.catch_warnings():
                # Whether it converged stands in the cell.
                warnings.simplefilter("ignore", ConvergenceWarning)
                effort = {} if exact or start is None else _effort(path, l1, l2)
                row[l1] = stronger = path.fit(l1, l2, start, **effort)
            yield stronger, time.perf_counter() - began
            done += 1
        above = row


def _effort(path: ProbePath, l1: float, l2: float) -> dict[str, float | int]:
    """How far a cell is followed from its neighbour."""
    tol = max(ElasticNetProbe(**path.settings).tol, min(1e-4, 0.1 * max(l1, l2)))
    return {"tol": tol, "max_iter": CELL_STEPS}


def _objective_at(probe: ElasticNetProbe, l1: float, l2: float) -> float:
    """The probe's objective had its penalty had these strengths; costs no pass over the data."""
    size, square = float(np.abs(probe.coef_).sum()), float((probe.coef_**2).sum())
    return float(probe.objective_ + (l1 - probe.l1) * size + (l2 - probe.l2) * square)


def _cell(probe: ElasticNetProbe, seconds: float, accuracies: tuple[float, float, float]) -> Cell:
    accuracy, top, bottom = accuracies
    return Cell(
        l1=float(probe.l1),
        l2=float(probe.l2),
        accuracy=accuracy,
        top=top,
        bottom=bottom,
        nonzero=int(np.count_nonzero(probe.coef_)),
        passes=int(probe.n_passes_),
        objective=float(probe.objective_),
        kkt_residual=float(probe.kkt_residual_),
        converged=bool(probe.kkt_residual_ <= probe.tol),
        seconds=seconds,
    )


class _HeldOut:
    """Measures probes, fitted to the codes of the training labels, on held-out tokens."""

    def __init__(self, tokens: LabelledTokens, train: LabelledTokens, kept: int) -> None:
        self.tokens, self.kept = tokens, kept
        known = np.asarray(train.label_names)
        self.gold = class_codes(known, np.asarray(tokens.label_names))[tokens.label_codes]

    def __call__(self, probe: ElasticNetProbe) -> tuple[float, float, float]:
        """Accuracy with all neurons, with the top and with the bottom ones."""
        ranked = linguistic(probe.coef_).neurons
        X = self.tokens.activations
        with _finite(self.tokens):
            top, accuracy = mask_accuracies(probe, ranked, [self.kept, len(ranked)], X, self.gold)
            [bottom] = mask_accuracies(probe, ranked[::-1], [self.kept], X, self.gold)
        return accuracy, top, bottom


@contextmanager
def _finite(tokens: LabelledTokens) -> Iterator[None]:
    try:
        yield
    except NonFiniteError as error:
        raise UserError(
            f"NaN or infinity among the activations: neuron {error.column}, "
            f"sentence {int(tokens.sentence[error.row]) + 1}"
        ) from error
