"""What the two commands that sweep share: their arguments, and what they print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import sha256_file
from ..instruments.base import SCOPES
from ..ranking import Ranking
from .common import Progress, format_table

if TYPE_CHECKING:
    from ..sweeps.evaluator import Evaluator


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is evaluated, and what is clamped."""
    parser.add_argument("data", help="folder with the dictionaries and the binarised split")
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    parser.add_argument(
        "--ranking", required=True, nargs="+", metavar="R", help="ranking files, one curve each"
    )
    parser.add_argument(
        "--ablate",
        required=True,
        metavar="POINTS",
        help="how many neurons, comma-separated: numbers or shares, e.g. 0,10,50,5%%, and ranges "
        "first:last:step, e.g. 0:20%%:1%%",
    )
    parser.add_argument(
        "--order",
        default="top,bottom",
        help="from which end of the ranking; random for comparison (default: top,bottom)",
    )
    parser.add_argument(
        "--ablate-seed", type=int, default=0, metavar="N", help="of --order random (default: 0)"
    )
    parser.add_argument("--output-dir", required=True, metavar="SWEEP", help="folder to write")
    parser.add_argument("--gen-subset", default="test", metavar="S", help="split (default: test)")
    parser.add_argument(
        "--ablate-value",
        default="0",
        metavar="V",
        help="hold neurons at V, or at their mean over --ablate-acts: 'mean' (default 0)",
    )
    parser.add_argument(
        "--ablate-acts", metavar="ACTS", help="activation store of --ablate-value mean"
    )
    parser.add_argument(
        "--ablate-scope", choices=SCOPES, default="recurrent", help="default: recurrent"
    )


def read_rankings(paths: Sequence[str]) -> dict[str, Ranking]:
    """Ranking files by name.

    Raises:
        UserError: two of one name, or a file that is none.
    """
    rankings: dict[str, Ranking] = {}
    for path in paths:
        name = Path(path).stem
        if name in rankings:
            raise UserError(f"two rankings are called {name}; rename one of the files")
        rankings[name] = Ranking.load(path)
    return rankings


def sweep(
    args: argparse.Namespace,
    evaluator: Evaluator,
    rankings: dict[str, Ranking],
    prog: str,
    unit: str,
    metric: str,
) -> None:
    """Run the sweep, print its table and draw its picture.

    Args:
        args: of `add_sweep_arguments`.
        evaluator: model and split.
        rankings: by name.
        prog: the command's name.
        unit: what the progress bar counts.
        metric: the column that the picture shows.
    """
    from ..sweeps.plot import plot_sweep
    from ..sweeps.run import plan_sweep, run_sweep

    plan = plan_sweep(
        evaluator,
        rankings,
        args.ablate,
        [order for order in args.order.split(",") if order],
        args.ablate_value,
        args.ablate_scope,
        args.gen_subset,
        args.ablate_acts,
        args.ablate_seed,
    )
    _note_other_checkpoints(prog, rankings, args.ablate_acts, evaluator.session.paths[0])
    with Progress(len(plan.points) * len(evaluator), "sweep", f" {unit}") as progress:
        folder = run_sweep(evaluator, plan, args.output_dir, progress)
    rows = [folder.rows[point.name] for point in plan.points]
    columns = ("ranking", "order", "ablated", *evaluator.columns, "seconds")
    print(format_table(columns, [[_cell(row, column) for column in columns] for row in rows]))
    try:
        plot_sweep(rows, folder.path / "sweep.png", metric)
        print(f"picture: {folder.path / 'sweep.png'}")
    except UserError as error:
        print(f"{prog}: {error}", file=sys.stderr)


def _cell(row: Mapping[str, object], column: str) -> object:
    """Losses with four digits, as fairseq-eval-lm prints them."""
    return f"{row[column]:.4f}" if column == "loss" else row[column]


def _note_other_checkpoints(
    prog: str, rankings: dict[str, Ranking], acts: str | None, path: str
) -> None:
    """Say when neurons or means are not this model's: same shape, other neurons."""
    from ..activations import Activations

    origins = {f"ranking {name}": ranking.model for name, ranking in rankings.items()}
    if acts is not None:
        origins[f"activation store {acts}"] = Activations(acts).model_sha256
    sha256 = sha256_file(path)
    for what, origin in origins.items():
        if origin not in (None, sha256):
            print(f"{prog}: note: {what} is of another checkpoint", file=sys.stderr)
