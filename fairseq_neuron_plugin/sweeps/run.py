"""Run a sweep: every point evaluated and written down; points that clamp the same, once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..files import StrPath, sha256_file
from ..interventions import list_layers
from ..ranking import Ranking
from ..signature import format_signature, short_hash
from .evaluator import Evaluator, Intervention, Progress
from .folder import SweepFolder
from .held import HeldAt, read_held
from .points import Point, plan_points


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
    value: str,
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


def run_sweep(
    evaluator: Evaluator,
    plan: SweepPlan,
    output_dir: StrPath,
    progress: Progress = lambda steps: None,
) -> SweepFolder:
    """Evaluate every point that is not on disk yet.

    Args:
        evaluator: model and split.
        plan: the points.
        output_dir: the folder; free, empty, or the same sweep, unfinished.
        progress: called with the number of steps done since the last call; a sweep has
            ``points × len(evaluator)``.

    Returns:
        The complete sweep.
    """
    settings = sweep_settings(evaluator, plan)
    folder = SweepFolder(output_dir, settings, evaluator.columns, evaluator.references)
    known: dict[Any, str] = {}
    for point in plan.points:
        if point.name in folder.rows:
            progress(len(evaluator))
        elif point.key in known:
            twin = known[point.key]
            row = {**folder.rows[twin], **_identity(point)}
            folder.add(point.name, row, folder.hypotheses(twin))
            progress(len(evaluator))
        else:
            _run_point(evaluator, plan, point, folder, progress)
        known.setdefault(point.key, point.name)
    if not folder.complete:
        metrics = evaluator.signatures()
        line = format_signature({**settings, **{f"sacrebleu.{k}": v for k, v in metrics.items()}})
        folder.finish([point.name for point in plan.points], {"signature": line, **metrics})
    return folder


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


def _run_point(
    evaluator: Evaluator, plan: SweepPlan, point: Point, folder: SweepFolder, progress: Progress
) -> None:
    start = time.perf_counter()
    intervention = Intervention(point.neurons, plan.held.at(point.neurons), plan.scope)
    found = evaluator.evaluate(intervention, progress)
    seconds = round(time.perf_counter() - start, 2)
    row = {**_identity(point), **found.numbers, "seconds": seconds}
    folder.add(point.name, row, found.lines)


def _identity(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "ranking": point.ranking,
        "order": point.order,
        "ablated": point.ablated,
        "share": point.share,
        "per_layer": {name: len(ids) for name, ids in point.neurons.items()},
    }
