"""``fairseq-neuron-analyze top-words`` and ``neuron``: what single neurons react to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from ..activations import Activations
from ..analysis.inputs import unique_names
from ..analysis.neuron_card import CardSettings, neuron_card
from ..analysis.neuron_card_plot import plot_neuron_card
from ..analysis.selection import select_neurons
from ..analysis.top_words import top_words, words_of
from ..analysis.top_words_plot import plot_top_words
from ..errors import UserError
from ..probing.probe_folder import load_probe
from ..ranking import Ranking
from ..signature import format_signature, short_hash, versions
from .analyze_common import Analysis, Found
from .analyze_neurons_tables import (
    card_text,
    example_rows,
    neuron_rows,
    ranking_rows,
    top_words_text,
    weight_rows,
    word_rows,
)
from .common import StepProgress
from .stores import add_verify, open_store


def _add_top_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("acts", metavar="ACTS", help="activation store")
    add_verify(parser)
    neurons = parser.add_mutually_exclusive_group(required=True)
    neurons.add_argument(
        "--neurons",
        nargs="+",
        metavar="SPEC",
        help="flat ids or names, with ranges: 3,17-25 or encoder.layers.1:7; or as --ranking",
    )
    neurons.add_argument(
        "--ranking",
        nargs="+",
        metavar="R",
        help="selections from rankings: R.json:top:10 or R.json:label=NUM:top:5",
    )
    _add_word_arguments(parser)


def _find_top_words(args: argparse.Namespace) -> Found:
    store = open_store(args, args.acts)
    for spec in args.ranking or ():
        if ".json" not in spec:
            raise UserError(f"--ranking {spec} is no selection from a ranking: write R.json:top:10")
    selections = select_neurons(args.ranking or args.neurons, store)
    neurons = list(selections)
    with StepProgress("top-words") as progress:
        found = top_words(
            store.array,
            words_of(store, args.lowercase),
            neurons,
            min_count=args.min_count,
            amount=args.words,
            progress=progress,
        )
    space = store.layers
    return Found(
        text=top_words_text(found, space, selections),
        tables={
            "top-words": word_rows(found, space),
            "neurons": neuron_rows(found, space, selections),
        },
        document={
            "analysis": "top-words",
            "signature": _signature("top-words", args, store, neurons, {}),
            "acts": args.acts,
            "layers": space.to_json(),
            "model": store.model_sha256,
            "neurons": [
                {
                    "name": space.name_of(top.neuron),
                    "selections": selections[top.neuron],
                    **asdict(top),
                }
                for top in found
            ],
        },
        draw=lambda path: plot_top_words(
            found, [f"{space.name_of(top.neuron)} ({top.neuron})" for top in found], path
        ),
    )


def _add_neuron(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("neuron", metavar="ID", help="e.g. encoder.layers.1:12, or a flat id: 140")
    parser.add_argument("--acts", required=True, metavar="ACTS", help="activation store")
    add_verify(parser)
    parser.add_argument(
        "--ranking", nargs="+", default=[], metavar="R.json", help="rankings: its places in them"
    )
    parser.add_argument(
        "--probe", nargs="+", default=[], metavar="DIR", help="probes: labels it is salient for"
    )
    _add_word_arguments(parser)
    parser.add_argument(
        "--examples",
        type=int,
        default=5,
        metavar="N",
        help="sentences with the highest, and with the lowest, activations (default 5)",
    )
    parser.add_argument(
        "--context",
        type=int,
        default=8,
        metavar="N",
        help="words shown before and after the word (default 8)",
    )


def _find_neuron(args: argparse.Namespace) -> Found:
    if args.context < 0:
        raise UserError(f"--context must be 0 or more, not {args.context}")
    store = open_store(args, args.acts)
    neurons = store.layers.parse(args.neuron)
    if len(neurons) != 1:
        raise UserError(f"{args.neuron!r} names {len(neurons)} neurons; one can be shown")
    rankings = {
        name: Ranking.load(path)
        for name, path in zip(unique_names(args.ranking), args.ranking, strict=True)
    }
    probes = {
        name: load_probe(path)
        for name, path in zip(unique_names(args.probe), args.probe, strict=True)
    }
    settings = CardSettings(
        min_count=args.min_count,
        words=args.words,
        lowercase=args.lowercase,
        examples=args.examples,
    )
    card = neuron_card(store, neurons[0], rankings, probes, settings)
    others = {
        "rankings": "\n".join(ranking.signature for ranking in rankings.values()),
        "probes": "\n".join(probe.signature for probe in probes.values()),
    }
    return Found(
        text=card_text(card, len(store), args.context),
        tables={
            "top-words": word_rows([card.top_words], store.layers),
            "examples": example_rows(card),
            "rankings": ranking_rows(card),
            "weights": weight_rows(card),
        },
        document={
            "analysis": "neuron",
            "signature": _signature("neuron", args, store, neurons, others),
            "acts": args.acts,
            "layers": store.layers.to_json(),
            "model": store.model_sha256,
            "rankings": dict(zip(rankings, args.ranking, strict=True)),
            "probes": dict(zip(probes, args.probe, strict=True)),
            "card": asdict(card),
        },
        draw=lambda path: plot_neuron_card(card, path),
    )


def _add_word_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-count",
        type=int,
        default=5,
        metavar="N",
        help="words seen fewer than N times are not shown (default 5)",
    )
    parser.add_argument(
        "--words", type=int, default=10, metavar="N", help="words on either side (default 10)"
    )
    parser.add_argument("--lowercase", action="store_true", help="count case variants as one word")


def _signature(
    analysis: str,
    args: argparse.Namespace,
    store: Activations,
    neurons: Sequence[int],
    others: dict[str, str],
) -> str:
    settings: dict[str, object] = {
        "analysis": analysis,
        "neurons": neurons[0] if len(neurons) == 1 else short_hash(",".join(map(str, neurons))),
        "min_count": args.min_count,
        "words": args.words,
        "lowercase": "yes" if args.lowercase else "no",
        "acts": short_hash(store.signature),
    }
    settings |= {key: short_hash(text) for key, text in others.items() if text}
    if "examples" in args:
        settings["examples"] = args.examples
    return format_signature({**settings, **versions("numpy")})


TOP_WORDS = Analysis(
    help="the words that drive neurons highest and lowest (the paper's table 3)",
    example="top-words acts --ranking linguistic.json:label=NUM:top:5",
    add_arguments=_add_top_words,
    run=_find_top_words,
)
NEURON = Analysis(
    help="everything known of one neuron",
    example="neuron encoder.layers.1:12 --acts acts --ranking linguistic.json --probe probe-pos",
    add_arguments=_add_neuron,
    run=_find_neuron,
)
