"""Run a sweep: every point evaluated and written down; points that clamp the same, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UserError
from ..evaluation.evaluator import Evaluation, Evaluator, Intervention, Progress
from ..files import StrPath, sha256_file
from ..interventions import list_layers
from ..ranking import Ranking
from ..signature import format_signature, short_hash
from .folder import SweepFolder
from .held import HeldAt, read_held
from .points import Point, plan_points
from .schedule import (
    UNABLATED,
    Job,
    cut_into_chunks,
    distinct_jobs,
    fill_workers,
    unablated_name,
    unfinished,
)
from .shards import Shard
from .significance import with_p_values
from .workers import evaluate_chunks


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep does.

    Attributes:
        points: every point, in table order.
        held: what the neurons are held at.
        scope: see `ablate`.
        split: the split that is evaluated.
        rankings: by name.
    """

    points: Sequence[Point]
    held: HeldAt
    scope: str
    split: str
    rankings: Mapping[str, Ranking]


def plan_sweep(
    evaluator: Evaluator,
    rankings: Mapping[str, Ranking],
    amounts: str,
    orders: Sequence[str],
    value: str | float,
    scope: str,
    split: str,
    acts: StrPath | None = None,
    seed: int = 0,
) -> SweepPlan:
    """A plan for the evaluator's model.

    See `plan_points` and `read_held` for the arguments and errors.
    """
    layers = list_layers(evaluator.session.models[0])
    points = plan_points(rankings, amounts, orders, layers, seed)
    used = {name for point in points for name in point.neurons}
    held = read_held(value, acts, sorted(used), layers)
    return SweepPlan(points, held, scope, split, rankings)


class SweepRun:
    """A sweep, or a shard of one, that is ready to be evaluated.

    Args:
        evaluator: model and split.
        plan: the points.
        output_dir: the folder; free, empty, or the same sweep, unfinished.
        workers: processes, see `choose_workers`.
        together: interventions that are evaluated together; None means as many as the evaluator
            says are fastest, and fewer where workers or shards would have nothing to do.
        shard: which part of the work is this run's; None means all of it.

    Attributes:
        folder: what is on disk.
        jobs: the distinct interventions of the whole sweep, the unablated model among them.
        together: interventions that are evaluated together.
        workers: processes that have something to do, if nothing is done yet.
        chunks: what is still to be evaluated here.

    Raises:
        UserError: the folder holds another run, or ``together`` is below 1.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        plan: SweepPlan,
        output_dir: StrPath,
        workers: int = 1,
        together: int | None = None,
        shard: Shard | None = None,
    ) -> None:
        self.jobs = distinct_jobs(plan.points)
        if together is None:
            processes = workers * (shard.count if shard else 1)
            together = fill_workers(evaluator.together, len(self.jobs), processes)
        if together < 1:
            raise UserError(f"--points-together must be at least 1, not {together}")
        self.together = together
        self._evaluator, self._plan = evaluator, plan
        self._settings = sweep_settings(evaluator, plan)
        self._points = {point.name: point for point in plan.points}
        self.folder = SweepFolder(
            output_dir, self._settings, table_columns(evaluator), evaluator.references, shard
        )
        mine = cut_into_chunks(self.jobs, together, shard)
        self.workers = max(1, min(workers, len(mine)))
        self._mine = [job for chunk in mine for job in chunk]
        self.chunks = [] if self.folder.complete else unfinished(mine, self.folder.rows)

    @property
    def steps(self) -> int:
        """Steps of progress still to be done."""
        return sum(map(len, self.chunks)) * len(self._evaluator)

    def evaluate(self, progress: Progress = lambda steps: None) -> None:
        """Evaluate what is not on disk yet; each chunk is put there at once.

        Args:
            progress: called with the number of steps done since the last call.

        Raises:
            UserError: as from the evaluator; or a worker was killed.
        """
        if self.folder.complete:
            return
        for job in self._mine:
            self._copy_to_twins(job)
        chunks = [[self._intervention(job) for job in chunk] for chunk in self.chunks]
        evaluated = evaluate_chunks(self._evaluator, chunks, self.workers, progress)
        with closing(evaluated):  # workers end before an error is told
            for done in evaluated:
                chunk = self.chunks[done.chunk]
                seconds = round(done.seconds / len(chunk), 2)
                for job, found in zip(chunk, done.evaluations, strict=True):
                    self._write(job, {**found.numbers, "seconds": seconds}, found)
        self.chunks = []

    def finish(self) -> None:
        """Write the table; not for a shard.

        Raises:
            UserError: a point's scores of the resampled texts are not on disk.
        """
        if self.folder.complete:
            return
        metrics = self._evaluator.signatures()
        signatures = {f"sacrebleu.{name}": line for name, line in metrics.items()}
        line = format_signature({**self._settings, **signatures})
        rows = with_p_values(self.folder, unablated_name(self.jobs), self._evaluator.metrics)
        self.folder.finish(
            [rows[point.name] for point in self._plan.points],
            rows[unablated_name(self.jobs)],
            {"signature": line, **metrics},
        )

    def _intervention(self, job: Job) -> Intervention:
        return Intervention(job.neurons, self._plan.held.at(job.neurons), self._plan.scope)

    def _write(self, job: Job, numbers: Mapping[str, Any], found: Evaluation) -> None:
        """Nothing, if all of it was there and the job only filled up its chunk."""
        missing = [name for name in job.names if name not in self.folder.rows]
        if missing:
            rows = [{**self._identity(name), **numbers} for name in missing]
            names = self._evaluator.metrics
            resampled = np.stack([found.resampled[name] for name in names]) if names else None
            self.folder.add(rows, found.lines, resampled)

    def _copy_to_twins(self, job: Job) -> None:
        """Of a job of which some points are done, the others."""
        done = [name for name in job.names if name in self.folder.rows]
        missing = [name for name in job.names if name not in self.folder.rows]
        if done and missing:
            row = self.folder.rows[done[0]]
            rows = [{**row, **self._identity(name)} for name in missing]
            resampled = self.folder.resampled(done[0]) if self._evaluator.metrics else None
            self.folder.add(rows, self.folder.hypotheses(done[0]), resampled)

    def _identity(self, name: str) -> dict[str, Any]:
        if name == UNABLATED:
            which: dict[str, Any] = {"ranking": None, "order": None, "ablated": 0, "share": 0.0}
            return {"name": name, **which, "per_layer": {}}
        point = self._points[name]
        return {
            "name": name,
            "ranking": point.ranking,
            "order": point.order,
            "ablated": point.ablated,
            "share": point.share,
            "per_layer": {layer: len(ids) for layer, ids in point.neurons.items()},
        }


def run_sweep(
    evaluator: Evaluator,
    plan: SweepPlan,
    output_dir: StrPath,
    progress: Progress = lambda steps: None,
    workers: int = 1,
    together: int | None = None,
) -> SweepFolder:
    """Evaluate every point that is not on disk yet, and write the table.

    See `SweepRun` for the arguments.

    Returns:
        The complete sweep.
    """
    run = SweepRun(evaluator, plan, output_dir, workers, together)
    run.evaluate(progress)
    run.finish()
    return run.folder


def table_columns(evaluator: Evaluator) -> list[str]:
    """The evaluator's columns; behind each metric's interval the p-value, ``m_p``."""
    ends = {f"{metric}_high": f"{metric}_p" for metric in evaluator.metrics}
    return [
        name
        for column in evaluator.columns
        for name in ((column, ends[column]) if column in ends else (column,))
    ]


def sweep_settings(evaluator: Evaluator, plan: SweepPlan) -> dict[str, Any]:
    """Everything that can change the numbers of a sweep, as plain values."""
    rankings = ",".join(
        f"{name}={short_hash(repr(ranking.neurons.tolist()))}"
        for name, ranking in plan.rankings.items()
    )
    return {
        "model": sha256_file(evaluator.session.paths[0])[:12],
        "data": evaluator.data_hash(),
        "split": plan.split,
        "rankings": rankings,
        "points": ",".join(point.name for point in plan.points),
        # The same flat ids mean other neurons in a ranking of other layers.
        "neurons": short_hash(repr([point.key for point in plan.points])),
        **plan.held.settings(),
        "scope": plan.scope,
        **evaluator.settings(),
    }
