"""A probe with everything that is measured on it (paper, section 5; tables 1, 2 and 4).

Usage::

    settings = ProbeSettings("acts", labels="train.pos", control_tasks=3, ablate="10,15,20")
    experiment = run_experiment(settings, read_data(settings))
    experiment.result["test"]["accuracy"], experiment.ablation
    experiment.save("probe")
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..files import StrPath
from ..neurons import parse_amount
from ..rankings import linguistic
from .baselines import majority_accuracy
from .classifier_ablation import AblationRow, ablate_classifier
from .control_task import run_control_tasks
from .elastic_net import ElasticNetProbe
from .experiment_data import HELD_OUT, ProbeData, check_labels, read_data
from .experiment_signature import signature
from .grid import Grid, measure_grid
from .grid_plot import plot_grid
from .labelled import split_by_sentence
from .probe_folder import save_probe
from .scores import LabelScore, score_labels
from .settings import ProbeSettings
from .work import Report, Work

__all__ = ["Experiment", "ProbeSettings", "read_data", "run_experiment", "signature"]

GRID_CELL = 1 / 8  # of a fit: a cell starts where its neighbour ended


@dataclass(frozen=True)
class Experiment:
    """A fitted probe and its measurements.

    Attributes:
        settings, data: what it was made of.
        probe: fitted on all training tokens.
        result: the content of ``result.json``.
        labels: scores of each label on the test tokens.
        ablation: the lines of the ablation table, none unless asked for.
        grid: measured on held-out training sentences, if asked for.
    """

    settings: ProbeSettings
    data: ProbeData
    probe: ElasticNetProbe
    result: dict[str, Any]
    labels: Sequence[LabelScore]
    ablation: Sequence[AblationRow]
    grid: Grid | None

    def save(
        self,
        path: StrPath,
        command: Sequence[str] | None = None,
        pictures: Sequence[str] = ("png",),
    ) -> None:
        """Write the probe folder; it is complete or absent.

        Args:
            path: a free or empty folder.
            command: the command line, noted in ``result.json``.
            pictures: formats in which a grid is drawn, which takes matplotlib: ``png``, ``svg``.

        Raises:
            UserError: the folder holds another run, or cannot be written.
        """
        tables = {"labels.csv": [asdict(score) for score in self.labels]}
        documents: dict[str, dict[str, Any]] = {}
        if self.ablation:
            tables["ablation.csv"] = self.result["ablation"]
            documents["ablation.json"] = self._document({"rows": self.result["ablation"]})
        if self.grid is not None:
            tables["grid.csv"] = self.grid.to_rows()
            documents["grid.json"] = self._document(self.result["grid"])
        save_probe(
            path,
            self.probe,
            {"command": list(command) if command else None, **self.result},
            self.data.store.layers,
            self.data.store.model_sha256,
            tables,
            documents,
            lambda folder: self._draw(folder, pictures),
        )

    def _document(self, content: dict[str, Any]) -> dict[str, Any]:
        return {"signature": self.result["signature"], **content}

    def _draw(self, folder: Path, formats: Sequence[str]) -> None:
        if self.grid is not None:
            for kind in formats:
                plot_grid(self.grid, folder / f"grid.{kind}", self.settings.grid_margin)


def run_experiment(
    settings: ProbeSettings, data: ProbeData, report: Report | None = None
) -> Experiment:
    """Measure the grid, fit the probe, run control tasks and the classifier ablation.

    Args:
        settings: what to do.
        data: of `read_data`.
        report: called with the share of the work that is done, 0 to 1, and what is being done.

    Raises:
        UserError: training sentences too few to hold some out for a grid.
    """
    work = Work(_weight(settings, data), settings.tol, report)
    with _unconverged(work) as unconverged:
        grid = _measure_grid(settings, data, work)
        strengths = settings.l1, settings.l2
        if grid is not None and settings.picks:
            picked = grid.pick(settings.grid_margin)
            strengths = picked.l1, picked.l2
        probe, accuracy, seconds = _fit(settings, data, strengths, work)
        scores = score_labels(
            data.test.labels.tolist(),
            probe.predict(data.test.activations).tolist(),
            set(probe.classes_.tolist()),
        )
        control = _control_tasks(settings, data, probe, scores.accuracy, work)
        rows = _ablate(settings, data, probe, work)
    train = data.train
    result = {
        "signature": signature(settings, data, strengths),
        "settings": {**asdict(settings), "l1": strengths[0], "l2": strengths[1]},
        "train": {
            "accuracy": accuracy,
            "tokens": len(train),
            "sentences": train.sentences,
            "labels": len(probe.classes_),
        },
        "test": {"sentences": data.test.sentences, **scores.to_json()},
        "majority_baseline": majority_accuracy(train, data.test),
        "control": control,
        "left_out": data.left_out,
        "grid": None if grid is None else grid.to_json(settings.grid_margin),
        "ablation": [row.to_json() for row in rows],
        "solver": _solver_report(settings, probe, seconds),
        "unconverged": unconverged,
        "activations": {"train": data.store.signature, "test": data.tested.signature},
    }
    return Experiment(settings, data, probe, result, scores.labels, rows, grid)


def _weight(settings: ProbeSettings, data: ProbeData) -> float:
    """Of all fits together, the whole probe's being 1."""
    neurons = data.store.layers.size
    cells = 0 if settings.plan is None else len(settings.plan)
    retrained = sum(_retraining(share, neurons) for share in settings.shares)
    return 1 + settings.control_tasks + cells * GRID_CELL + 3 * retrained


def _retraining(share: str, neurons: int) -> float:
    kept = parse_amount(share, neurons) / neurons
    return 0.0 if kept == 1 else kept


def _measure_grid(settings: ProbeSettings, data: ProbeData, work: Work) -> Grid | None:
    if settings.plan is None:
        return None
    train, held_out = split_by_sentence(data.train, HELD_OUT, settings.seed)
    check_labels(train, "the part of the training data that the grid is fitted to")

    def report(done: int, cells: int, title: str) -> None:
        if done < cells:
            work.begin(f"grid {done + 1}/{cells}, {title}", GRID_CELL)

    return measure_grid(train, held_out, settings.plan, report=report, **settings.fit_settings())


def _fit(
    settings: ProbeSettings, data: ProbeData, strengths: tuple[float, float], work: Work
) -> tuple[ElasticNetProbe, float, float]:
    """The probe, its training accuracy and the seconds that the fit took."""

    # A function and no method: `sklearn.base.clone` copies what a method belongs to.
    def step(steps: int, objective: float, residual: float) -> None:
        work.step(steps, objective, residual)

    work.begin("probe")
    train = data.train
    probe = ElasticNetProbe(*strengths, **settings.fit_settings(), progress=step)
    began = time.perf_counter()
    # Numbers are sorted as their names are, and take less memory than strings.
    probe.fit(train.activations, train.label_codes)
    seconds = time.perf_counter() - began
    accuracy = float((probe.predict(train.activations) == train.label_codes).mean())
    probe.classes_ = np.asarray(train.label_names, dtype=np.str_)
    return probe, accuracy, seconds


def _control_tasks(
    settings: ProbeSettings, data: ProbeData, probe: ElasticNetProbe, accuracy: float, work: Work
) -> dict[str, Any] | None:
    if not settings.control_tasks:
        return None
    seeds = range(settings.seed, settings.seed + settings.control_tasks)
    found = run_control_tasks(probe, data.train, data.test, seeds, work.begin)
    return {**found.to_json(), "selectivity": found.selectivity(accuracy)}


def _ablate(
    settings: ProbeSettings, data: ProbeData, probe: ElasticNetProbe, work: Work
) -> list[AblationRow]:
    if not settings.shares:
        return []
    neurons = probe.coef_.shape[1]
    ranking = linguistic(probe.coef_, probe.classes_.tolist())

    def report(title: str) -> None:
        work.begin(f"retrain {title}", _retraining(title.split(" ")[-1], neurons))

    train, test = ((part.activations, part.labels) for part in (data.train, data.test))
    return ablate_classifier(
        probe, ranking, train, test, settings.shares, report, seed=settings.seed
    )


@contextmanager
def _unconverged(work: Work) -> Iterator[list[str]]:
    """The titles of the fits that end short of their tolerance, instead of warnings."""
    titles: list[str] = []

    def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ConvergenceWarning):
            titles.append(work.title)
        else:
            show(message, category, *where, **more)

    with warnings.catch_warnings():
        show = warnings.showwarning
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.showwarning = note
        yield titles


def _solver_report(
    settings: ProbeSettings, probe: ElasticNetProbe, seconds: float
) -> dict[str, Any]:
    return {
        "solver": settings.solver,
        "device": settings.device,
        "objective": probe.objective_,
        "kkt_residual": probe.kkt_residual_,
        "converged": probe.kkt_residual_ <= settings.tol,
        "steps": probe.n_iter_,
        "passes": probe.n_passes_,
        "nonzero": int((probe.coef_ != 0).sum()),
        "weights": probe.coef_.size,
        "seconds": seconds,
    }
