"""``fairseq-neuron-generate``: translation under ablation, and the BLEU curve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ..errors import UserError
from ..files import sha256_file
from ..instruments.base import SCOPES
from ..ranking import Ranking
from .common import CommandParser, Progress, format_table, quiet_fairseq, run_command

PROG = "fairseq-neuron-generate"
EXAMPLE = f"""\
  {PROG} data-bin --path checkpoint_best.pt --gen-subset test --beam 5 \\
      --ranking linguistic.json cross-model.json --ablate 0,10,50,5%,20% --order top,bottom \\
      --output-dir sweep"""


def build_parser() -> CommandParser:
    """The command's own arguments; all others are fairseq's."""
    parser = CommandParser(
        PROG,
        "Translate a split again and again while more and more neurons are ablated. Every flag of "
        "fairseq-generate is understood too (--beam, --lenpen, --max-len-a, --max-len-b, "
        "--max-tokens, --source-lang, --post-process, --tokenizer, --model-overrides, ...) and "
        "holds for the whole curve.",
        EXAMPLE,
    )
    parser.add_argument("data", help="folder with the dictionaries and the binarised split")
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    parser.add_argument(
        "--ranking", required=True, nargs="+", metavar="R", help="ranking files, one curve each"
    )
    parser.add_argument(
        "--ablate",
        required=True,
        metavar="POINTS",
        help="how many neurons, comma-separated: numbers or shares, e.g. 0,10,50,5%%",
    )
    parser.add_argument(
        "--order", default="top,bottom", help="from which end of the ranking (default: top,bottom)"
    )
    parser.add_argument("--output-dir", required=True, metavar="SWEEP", help="folder to write")
    parser.add_argument("--gen-subset", default="test", metavar="S", help="split (default: test)")
    parser.add_argument(
        "--reference", metavar="FILE", help="score against this raw text, not the binarised target"
    )
    parser.add_argument(
        "--ablate-value", type=float, default=0.0, metavar="V", help="hold neurons at V (default 0)"
    )
    parser.add_argument(
        "--ablate-scope", choices=SCOPES, default="recurrent", help="default: recurrent"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    args, fairseq_flags = build_parser().parse_known_args(argv)
    run_command(PROG, lambda: _generate(args, fairseq_flags))


def _generate(args: argparse.Namespace, fairseq_flags: list[str]) -> None:
    rankings = _read_rankings(args.ranking)
    quiet_fairseq()
    from ..loading import open_session
    from ..sweeps.decoding import Translator
    from ..sweeps.plot import plot_sweep
    from ..sweeps.run import plan_sweep, run_sweep
    from ..sweeps.scoring import Scorer, read_references

    session = open_session([args.data, "--path", args.path, *fairseq_flags])
    translator = Translator(session, args.gen_subset)
    if args.reference:
        scorer = Scorer(read_references(args.reference, len(translator)), "file")
    else:
        scorer = Scorer(translator.references(), "data")
    orders = [order for order in args.order.split(",") if order]
    plan = plan_sweep(
        translator,
        rankings,
        args.ablate,
        orders,
        args.ablate_value,
        args.ablate_scope,
        args.gen_subset,
    )
    _note_other_checkpoints(rankings, session.paths[0])
    total = len(plan.points) * len(translator)
    with Progress(total, "translate", " sentences") as progress:
        folder = run_sweep(translator, scorer, plan, args.output_dir, progress)
    rows = [folder.rows[point.name] for point in plan.points]
    columns = ("ranking", "order", "ablated", "bleu", "chrf", "sentences", "seconds")
    print(format_table(columns, [[row[column] for column in columns] for row in rows]))
    try:
        plot_sweep(rows, folder.path / "sweep.png")
        print(f"picture: {folder.path / 'sweep.png'}")
    except UserError as error:
        print(f"{PROG}: {error}", file=sys.stderr)


def _note_other_checkpoints(rankings: Mapping[str, Ranking], path: str) -> None:
    """Say when a ranking's neurons are not this model's: same shape, other neurons."""
    sha256 = sha256_file(path)
    for name, ranking in rankings.items():
        if ranking.model not in (None, sha256):
            print(f"{PROG}: note: ranking {name} is of another checkpoint", file=sys.stderr)


def _read_rankings(paths: Sequence[str]) -> dict[str, Ranking]:
    rankings: dict[str, Ranking] = {}
    for path in paths:
        name = Path(path).stem
        if name in rankings:
            raise UserError(f"two rankings are called {name}; rename one of the files")
        rankings[name] = Ranking.load(path)
    return rankings


if __name__ == "__main__":
    main()
