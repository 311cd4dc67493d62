"""``fairseq-neuron-rank``: a probe or activations to a ranking of neurons."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ..activations import Activations
from ..errors import UserError
from ..probing.probe_folder import load_probe
from ..ranking import Ranking
from ..rankings import cross_model, linguistic, mean_distance, random, variance
from ..rankings.correlation import COMBINE
from ..signature import short_hash
from .common import CommandParser, format_table, run_command

PROG = "fairseq-neuron-rank"
EXAMPLES = {
    "linguistic": f"  {PROG} linguistic --probe probe-pos --output linguistic.json",
    "cross-model": f"  {PROG} cross-model acts-a acts-b acts-c --output cross-model.json",
    "variance": f"  {PROG} variance acts --output variance.json",
    "mean-distance": f"  {PROG} mean-distance acts --reverse --output mean-distance.json",
    "random": f"  {PROG} random acts --seed 1 --output random.json",
}
SHOWN = 10


@dataclass(frozen=True)
class Method:
    """A way to rank neurons; adding one is an entry in `METHODS`.

    Attributes:
        help: what it does, in one line.
        arguments: declares its arguments on the parser.
        rank: makes the ranking from the parsed arguments.
    """

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    rank: Callable[[argparse.Namespace], Ranking]


def _linguistic_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--probe", required=True, metavar="DIR", help="a probe folder")
    parser.add_argument(
        "--step", type=float, default=1.0, help="percent of the weight mass (default: 1)"
    )


def _rank_linguistic(args: argparse.Namespace) -> Ranking:
    probe = load_probe(args.probe)
    ranking = linguistic(probe.weight, probe.labels, args.step, probe.space, probe.model)
    return _signed_by(ranking, "probe", probe.signature)


def _cross_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store of the ranked model")
    parser.add_argument(
        "others", nargs="+", metavar="OTHER", help="stores of other models over the same text"
    )
    parser.add_argument(
        "--signed",
        action="store_true",
        help="the correlation itself, as the paper prints it (default: its absolute value)",
    )
    parser.add_argument(
        "--combine",
        choices=list(COMBINE),
        default="max",
        help="over the other models (default: max)",
    )


def _rank_cross_model(args: argparse.Namespace) -> Ranking:
    store = Activations(args.acts)
    others = [Activations(path) for path in args.others]
    for other in others:
        _check_same_text(store, other)
    arrays = [other.array for other in others]
    ranking = cross_model(
        store.array, arrays, args.signed, args.combine, store.layers, store.model_sha256
    )
    models = [
        # The layers that the neurons of best_match count through.
        {"path": str(other.path), "model": other.model_sha256, "layers": other.layers.to_json()}
        for other in others
    ]
    signatures = "\n".join(s.signature for s in (store, *others))
    ranking = replace(ranking, details={"models": models, **ranking.details})
    return _signed_by(ranking, "acts", signatures)


def _check_same_text(store: Activations, other: Activations) -> None:
    """`UserError` that names the first difference between the words of two stores."""
    if store.sentences == other.sentences:
        return
    where = f"{other.path} and {store.path} are not over the same text"
    for number, (one, two) in enumerate(
        zip(store.sentences, other.sentences, strict=False), start=1
    ):
        for position, (word, found) in enumerate(zip(one, two, strict=False), start=1):
            if word != found:
                raise UserError(
                    f"{where}: sentence {number}, word {position} is {found!r} and {word!r}"
                )
        if len(one) != len(two):
            raise UserError(f"{where}: sentence {number} has {len(two)} and {len(one)} words")
    raise UserError(f"{where}: {len(other.sentences)} and {len(store.sentences)} sentences")


def _single_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store")
    parser.add_argument("--reverse", action="store_true", help="smallest first")


def _rank_single(
    method: Callable[..., Ranking],
) -> Callable[[argparse.Namespace], Ranking]:
    def rank(args: argparse.Namespace) -> Ranking:
        store = Activations(args.acts)
        ranking = method(store.array, args.reverse, store.layers, store.model_sha256)
        return _signed_by(ranking, "acts", store.signature)

    return rank


def _random_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store, for its layers")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def _rank_random(args: argparse.Namespace) -> Ranking:
    store = Activations(args.acts)
    return random(store.layers.size, args.seed, store.layers, store.model_sha256)


METHODS = {
    "linguistic": Method(
        "by a probe's weights: Algorithm 1 of the paper", _linguistic_arguments, _rank_linguistic
    ),
    "cross-model": Method(
        "by the best correlation with neurons of other models",
        _cross_model_arguments,
        _rank_cross_model,
    ),
    "variance": Method("by variance, largest first", _single_arguments, _rank_single(variance)),
    "mean-distance": Method(
        "by the distance of a neuron's mean from the mean of all means, largest first",
        _single_arguments,
        _rank_single(mean_distance),
    ),
    "random": Method("at random, the same for the same seed", _random_arguments, _rank_random),
}


def build_parser() -> CommandParser:
    """The command's arguments."""
    parser = CommandParser(
        PROG, "Order all neurons, most important first.", "\n".join(EXAMPLES.values())
    )
    methods = parser.add_subparsers(dest="method", required=True, metavar="METHOD")
    for name, method in METHODS.items():
        own = methods.add_parser(
            name,
            prog=f"{PROG} {name}",
            description=f"Rank neurons {method.help}.",
            example=EXAMPLES[name],
            help=method.help,
        )
        method.arguments(own)
        own.add_argument("--output", required=True, metavar="RANKING", help="JSON file to write")
        own.add_argument("--force", action="store_true", help="overwrite the file")
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    args = build_parser().parse_args(argv)
    run_command(PROG, lambda: _rank(args))


def _rank(args: argparse.Namespace) -> None:
    if Path(args.output).is_dir():
        raise UserError(f"{args.output} is a folder; --output names a file")
    if not args.output.endswith(".json"):
        raise UserError(f"--output {args.output} must end in .json: --ablate knows rankings by it")
    if Path(args.output).exists() and not args.force:
        raise UserError(f"{args.output} exists; choose another file or give --force")
    ranking = METHODS[args.method].rank(args)
    ranking.save(args.output)
    print(_summary(ranking))
    print(f"\n{args.output}: {ranking.signature}")


def _signed_by(ranking: Ranking, name: str, origin: str) -> Ranking:
    """The ranking with the hash of what it was made from in its signature."""
    return replace(ranking, signature=f"{ranking.signature}|{name}:{short_hash(origin)}")


def _summary(ranking: Ranking) -> str:
    shown = min(SHOWN, len(ranking.neurons))
    rows = [
        [
            ranking.space.name_of(int(neuron)) if ranking.space else str(neuron),
            int(neuron),
            f"{score:.4f}",
        ]
        for neuron, score in zip(ranking.neurons[:shown], ranking.scores[:shown], strict=True)
    ]
    title = f"{ranking.method}: {len(ranking.neurons)} neurons, the first {shown}"
    return f"{title}\n{format_table(['neuron', 'id', 'score'], rows)}"


if __name__ == "__main__":
    main()
