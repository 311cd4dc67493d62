"""How the two commands that sweep run: processes, devices and shards; and what they print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UserError
from ..sweeps.shards import Rank, Shard, parse_shard, torchrun_rank, wait_for_all_ranks
from .common import Progress
from .picture_formats import DEFAULT
from .sweep_table import format_sweep

if TYPE_CHECKING:
    from ..evaluation.evaluator import Evaluator
    from ..sweeps.run import SweepPlan, SweepRun


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how a sweep is run; no result depends on them."""
    group = parser.add_argument_group("how it is run (no result depends on this)")
    group.add_argument(
        "--workers",
        type=_at_least_one,
        metavar="N",
        help="processes, one thread each (default: as many as torch would use threads; on a GPU "
        "1: for several GPUs start the command by torchrun --nproc-per-node)",
    )
    group.add_argument(
        "--points-together",
        type=_number_or_auto,
        metavar="N",
        help="points in one batch (default: auto, by the size of the batches; measured for a CPU, "
        "estimated for a GPU)",
    )
    group.add_argument(
        "--device", metavar="D", help="cpu, cuda or cuda:N (default: a GPU where there is one)"
    )
    group.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="do only a part of the points, the first of four with 0/4, for a batch system; the "
        "same command without this then merges",
    )


def device_flags(args: argparse.Namespace, fairseq_flags: list[str]) -> list[str]:
    """Choose the device; before the model is loaded.

    Args:
        args: of `add_run_arguments`.
        fairseq_flags: those given.

    Returns:
        Those to be added.

    Raises:
        UserError: see `choose_device`; or ``--shard`` under torchrun.
    """
    from ..sweeps.devices import choose_device

    rank = torchrun_rank()
    if rank is not None and args.shard is not None:
        raise UserError("torchrun deals out the points itself; leave out --shard")
    return choose_device(args.device, fairseq_flags, rank)


def run_and_report(
    args: argparse.Namespace,
    evaluator: Evaluator,
    plan: SweepPlan,
    prog: str,
    unit: str,
    metric: str,
) -> None:
    """Run a sweep or a shard of it; print the table and draw the picture once it is complete.

    Args:
        args: of `add_run_arguments`, and ``output_dir``.
        evaluator: model and split.
        plan: the points.
        prog: the command's name.
        unit: what the progress bar counts.
        metric: the column that the picture shows.
    """
    from ..sweeps.run import SweepRun
    from ..sweeps.workers import choose_workers

    rank = torchrun_rank()
    shard = rank.shard if rank else args.shard
    workers = choose_workers(args.workers, evaluator.session.cuda)
    run = SweepRun(evaluator, plan, args.output_dir, workers, args.points_together, shard)
    _evaluate(run, unit, rank)
    if rank is not None:
        wait_for_all_ranks()
        if rank.shard.number:
            return
        run = SweepRun(evaluator, plan, args.output_dir, workers, run.together)
        _evaluate(run, unit, None)
    elif shard is not None:
        print(_shard_line(run, plan, shard))
        return
    run.finish()
    _report(run, evaluator, plan, metric, rank)
    for note in evaluator.notes(run.folder.baseline or {}):
        print(f"{prog}: note: {note}", file=sys.stderr)
    _draw(run, plan, prog, metric, args.format or DEFAULT)


def _evaluate(run: SweepRun, unit: str, rank: Rank | None) -> None:
    if rank is not None and rank.shard.number:
        run.evaluate()  # one bar is enough
        return
    with Progress(run.steps, "sweep", f" {unit}") as progress:
        run.evaluate(progress)


def _report(
    run: SweepRun, evaluator: Evaluator, plan: SweepPlan, metric: str, rank: Rank | None
) -> None:
    rows = [run.folder.rows[point.name] for point in plan.points]
    unablated = "" if any(not point.neurons for point in plan.points) else " and the unablated"
    if unablated and run.folder.baseline:
        rows.insert(0, run.folder.baseline)
    processes = f"{rank.shard.count} processes of " if rank else ""
    print(
        f"{processes}{_count(run.workers, 'worker')}, {_count(run.together, 'point')} at a time, "
        f"{len(run.jobs)} distinct interventions of {_count(len(plan.points), 'point')}{unablated}"
    )
    print(format_sweep(rows, evaluator.columns, evaluator.metrics, metric))


def _draw(run: SweepRun, plan: SweepPlan, prog: str, metric: str, formats: Sequence[str]) -> None:
    from ..sweeps.plot import plot_sweep

    rows = [run.folder.rows[point.name] for point in plan.points]
    try:
        for kind in formats:
            picture = run.folder.path / f"sweep.{kind}"
            plot_sweep(rows, picture, metric, run.folder.baseline)
            print(f"picture: {picture}")
    except UserError as error:
        print(f"{prog}: {error}", file=sys.stderr)


def _shard_line(run: SweepRun, plan: SweepPlan, shard: Shard) -> str:
    path = run.folder.path
    if run.folder.complete:
        return f"shard {shard}: the sweep in {path} is complete already"
    done = sum(point.name in run.folder.added for point in plan.points)
    return (
        f"shard {shard} is done: its {done} of {_count(len(plan.points), 'point')} are in {path}; "
        "once all shards are, the same command without --shard writes the table"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number, at least 1, not {text}")
    return int(text)


def _number_or_auto(text: str) -> int | None:
    return None if text == "auto" else _at_least_one(text)


def _shard(text: str) -> Shard:
    try:
        return parse_shard(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
