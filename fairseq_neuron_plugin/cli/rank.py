"""``fairseq-neuron-rank``: weights, activations, labels or gradients to a ranking of neurons."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ..errors import UserError
from ..ranking import Ranking
from ..rankings import METHODS
from ..rankings.registry import RankingMethod
from ..signature import format_signature
from .common import CommandParser, StepProgress, format_table, run_command
from .plugins import load_plugins
from .rank_gradients import GRADIENTS
from .rank_inputs import InputReader
from .rank_labels import LABELS
from .rank_models import MODELS
from .rank_options import add_options, read_options
from .rank_stores import PROBE, STORE

PROG = "fairseq-neuron-rank"
READERS = {
    "activations": STORE,
    "gradients": GRADIENTS,
    "labels": LABELS,
    "models": MODELS,
    "probe": PROBE,
}
EXAMPLES = {"language-entropy": "acts.en acts.de --store-labels en de"}  # unlike those of its kind
SHOWN = 10


def build_parser() -> CommandParser:
    """The command's arguments: a sub-command for each registered method."""
    parser = CommandParser(
        PROG,
        "Order all neurons, most important first. --plugin FILE.py before METHOD adds methods of "
        "your own.",
        "\n".join(_example(method) for method in METHODS.values()),
    )
    parser.add_argument(
        "--plugin", action="append", metavar="FILE", help="Python file that registers methods"
    )
    methods = parser.add_subparsers(dest="method", required=True, metavar="METHOD")
    for name, method in METHODS.items():
        own = methods.add_parser(
            name,
            prog=f"{PROG} {name}",
            description=_description(method),
            example=_example(method),
            help=method.summary.replace("%", "%%"),
        )
        _reader(method).add_arguments(own)
        own.add_argument("--output", required=True, metavar="RANKING", help="JSON file to write")
        own.add_argument("--force", action="store_true", help="overwrite the file")
        own.add_argument("--plugin", action="append", help=argparse.SUPPRESS)
        add_options(own, method)
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    run_command(PROG, lambda: _rank(arguments))


def _rank(arguments: Sequence[str]) -> None:
    load_plugins(arguments)
    parser = build_parser()
    args, fairseq_flags = parser.parse_known_args(arguments)
    method = METHODS[args.method]
    reader = _reader(method)
    if fairseq_flags and not reader.takes_fairseq_flags:
        parser.error(f"unrecognized arguments: {' '.join(fairseq_flags)}")
    _check_output(args)
    given = reader.read(args, fairseq_flags)
    options: dict[str, Any] = read_options(args, method)
    with StepProgress(method.name) as progress:
        if method.shows_progress:
            options["progress"] = progress
        ranking = method.rank(*given.arguments, **options)
    if given.space is not None and len(ranking.neurons) != given.space.size:
        raise UserError(
            f"the method {method.name} gives {len(ranking.neurons)} scores; there are "
            f"{given.space.size} neurons"
        )
    ranking = replace(
        ranking,
        space=given.space,
        model=given.model,
        signature=f"{ranking.signature}|{format_signature(given.origin)}",
        details={**given.details, **ranking.details},
    )
    ranking.save(args.output)
    print(_summary(ranking))
    print(f"\n{args.output}: {ranking.signature}")


def _reader(method: RankingMethod) -> InputReader:
    return READERS[method.inputs]


def _example(method: RankingMethod) -> str:
    inputs = EXAMPLES.get(method.name, _reader(method).example)
    return f"  {PROG} {method.name} {inputs} --output {method.name}.json"


def _description(method: RankingMethod) -> str:
    """The function's docstring up to its arguments."""
    text = inspect.getdoc(method.function) or ""
    return text.partition("\nArgs:\n")[0].strip().replace("``", "")


def _check_output(args: argparse.Namespace) -> None:
    if Path(args.output).is_dir():
        raise UserError(f"{args.output} is a folder; --output names a file")
    if not args.output.endswith(".json"):
        raise UserError(f"--output {args.output} must end in .json: --ablate knows rankings by it")
    if Path(args.output).exists() and not args.force:
        raise UserError(f"{args.output} exists; choose another file or give --force")
    folder = next(path for path in Path(args.output).absolute().parents if path.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"cannot write {args.output}: {folder} is no folder that can be written to")


def _summary(ranking: Ranking) -> str:
    shown = min(SHOWN, len(ranking.neurons))
    best = ranking.details.get("best_label")
    rows = []
    for neuron, score in zip(ranking.neurons[:shown].tolist(), ranking.scores[:shown], strict=True):
        name = ranking.space.name_of(neuron) if ranking.space else str(neuron)
        label = [best[neuron]["label"] if best[neuron] else "-"] if best else []
        rows.append([name, neuron, f"{score:.4g}", *label])
    rises = ranking.scores[0] < ranking.scores[-1]
    header = ["neuron", "id", "score, small first" if rises else "score"]
    title = f"{ranking.method}: {len(ranking.neurons)} neurons, the first {shown}"
    table = format_table([*header, *(["label"] if best else [])], rows)
    return "\n".join([*_label_counts(ranking), title, table])


def _label_counts(ranking: Ranking) -> list[str]:
    """A line of the labels and their tokens, the most frequent first."""
    counts = ranking.details.get("labels")
    if not counts:
        return []
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{label} {count}" for label, count in ordered[:SHOWN])
    return [f"{len(counts)} labels: {shown}{', ...' if len(counts) > SHOWN else ''}\n"]


if __name__ == "__main__":
    main()
