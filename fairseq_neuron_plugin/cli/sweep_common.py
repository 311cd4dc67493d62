"""What the two commands that sweep share: their arguments, and what they print."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..files import sha256_file
from ..instruments.base import SCOPES
from ..ranking import Ranking
from .picture_formats import add_format
from .sweep_run import add_run_arguments, run_and_report

if TYPE_CHECKING:
    from ..evaluation.evaluator import Evaluator


def add_sweep_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the arguments that say what is evaluated, and what is clamped.

    Args:
        parser: the command's.
        required: whether the command does nothing but sweep.
    """
    parser.add_argument("data", help="folder with the dictionaries and the binarised split")
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    parser.add_argument(
        "--ranking",
        required=required,
        nargs="+",
        metavar="R",
        help="ranking files, one curve each; R.json:label=VERB for the order of one label",
    )
    parser.add_argument(
        "--label", metavar="L,...", help="of each ranking a curve for each of these labels instead"
    )
    parser.add_argument(
        "--ablate",
        required=required,
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
    parser.add_argument("--output-dir", required=required, metavar="DIR", help="folder to write")
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
    add_format(parser)
    add_run_arguments(parser)


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
    from ..sweeps.run import plan_sweep

    plan = plan_sweep(
        evaluator,
        rankings,
        args.ablate,
        [order.strip() for order in args.order.split(",") if order.strip()],
        args.ablate_value,
        args.ablate_scope,
        args.gen_subset,
        args.ablate_acts,
        args.ablate_seed,
    )
    _note_other_checkpoints(prog, rankings, args.ablate_acts, evaluator.session.paths[0])
    run_and_report(args, evaluator, plan, prog, unit, metric)


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
