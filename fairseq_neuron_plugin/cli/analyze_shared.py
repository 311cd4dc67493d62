"""``fairseq-neuron-analyze shared``: neurons that several labels or properties have in common."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..analysis.inputs import Origin, check_same_neurons, unique_names
from ..analysis.overlap import origin
from ..analysis.shared import SalientSet, Shared, sets_of_probe, sets_of_ranking, shared
from ..analysis.shared_plot import plot_shared
from ..errors import UserError
from ..neurons import NeuronSpace
from ..ranking import Ranking
from ..signature import format_signature, versions
from .analyze_common import Analysis, Found
from .analyze_probes import add_mass, choose_labels, hashes, read_mass, read_probes
from .analyze_shared_tables import neuron_rows, pair_rows, text


@dataclass(frozen=True)
class _Given:
    """The inputs: neurons of each label, whose they are, and what a result says about them."""

    sets: list[SalientSet]
    origins: Mapping[str, Origin]
    how: str
    inputs: Sequence[Mapping[str, object]]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--probe", nargs="+", metavar="DIR", help="probe folders, one for each property"
    )
    source.add_argument(
        "--ranking", nargs="+", metavar="R", help="ranking files whose labels have their own order"
    )
    add_mass(parser)
    parser.add_argument(
        "--top",
        type=int,
        metavar="K",
        help="with --ranking: a label's salient neurons, its first K",
    )
    parser.add_argument("--labels", metavar="L,L", help="only these labels")


def _run(args: argparse.Namespace) -> Found:
    given = _read_probes(args) if args.probe else _read_rankings(args)
    sets = given.sets
    chosen = None
    if args.labels is not None:
        chosen = choose_labels(args.labels, (one.label for one in sets))
        sets = [one for one in sets if one.label in chosen]
    empty = [one for one in sets if not len(one.neurons)]
    space = next((one.space for one in given.origins.values() if one.space), None)
    size = next(iter(given.origins.values())).size
    table = shared([one for one in sets if len(one.neurons)], size)
    names = _names(table)
    rows = neuron_rows(table, space)
    pairs = pair_rows(table)
    return Found(
        text=text(table, names, rows, pairs, empty),
        tables={
            "neurons": [{**row, "which": _which(row)} for row in rows],
            "salient": _salient_rows(table, space),
            "pairs": pairs,
        },
        document={
            "analysis": "shared",
            "signature": _signature(given, chosen, size),
            "salient": given.how,
            "inputs": given.inputs,
            "neurons": size,
            "labels": [
                {"property": one.property, "label": one.label, "neurons": one.neurons.tolist()}
                for one in table.sets
            ],
            "without_weight": [[one.property, one.label] for one in empty],
            "common": table.common.tolist(),
            "properties": list(table.properties),
            "common_of_properties": table.common_of_properties.tolist(),
            "neurons_by_number_of_labels": table.found.tolist(),
            "the_same_by_chance": table.chance.tolist(),
            "shared": rows,
        },
        draw=lambda path: plot_shared(table, names, path),
    )


def _signature(given: _Given, labels: Sequence[str] | None, neurons: int) -> str:
    return format_signature(
        {
            "analysis": "shared",
            "salient": given.how,
            "labels": "all" if labels is None else "+".join(labels),
            "neurons": neurons,
            "inputs": hashes(str(one["signature"]) for one in given.inputs),
            **versions("numpy"),
        }
    )


def _read_probes(args: argparse.Namespace) -> _Given:
    if args.top is not None:
        raise UserError("--top applies to --ranking; with --probe give --mass")
    mass = read_mass(args)
    probes = read_probes(args.probe)
    origins = {probe.name: probe.origin for probe in probes}
    check_same_neurons("probe", origins)
    sets = [
        found
        for probe in probes
        for found in sets_of_probe(probe.name, probe.folder.weight, probe.folder.labels, mass)
    ]
    return _Given(sets, origins, f"{100 * mass:g}% of mass", [one.to_json() for one in probes])


def _read_rankings(args: argparse.Namespace) -> _Given:
    if args.mass is not None:
        raise UserError("--mass applies to --probe; with --ranking give --top")
    if args.top is None:
        raise UserError("--ranking needs --top: how many neurons of each label")
    names = unique_names(args.ranking)
    rankings = {name: Ranking.load(path) for name, path in zip(names, args.ranking, strict=True)}
    origins = {name: origin(ranking) for name, ranking in rankings.items()}
    check_same_neurons("ranking", origins)
    sets = [
        found
        for name, ranking in rankings.items()
        for found in sets_of_ranking(name, ranking, args.top)
    ]
    inputs = [
        {"name": name, "path": path, "model": ranking.model, "signature": ranking.signature}
        for path, (name, ranking) in zip(args.ranking, rankings.items(), strict=True)
    ]
    return _Given(sets, origins, f"first {args.top}", inputs)


def _names(table: Shared) -> list[str]:
    """The labels; with the property where there are several."""
    several = len(table.properties) > 1
    return [f"{one.property}:{one.label}" if several else one.label for one in table.sets]


def _which(row: Mapping[str, Any]) -> str:
    return " ".join(f"{label['property']}:{label['label']}" for label in row["which"])


def _salient_rows(table: Shared, space: NeuronSpace | None) -> list[dict[str, object]]:
    """Every label's neurons, one a row."""
    return [
        {
            "property": one.property,
            "label": one.label,
            "rank": rank,
            "id": neuron,
            "neuron": space.name_of(neuron) if space else str(neuron),
            "weight": None if one.weights is None else float(one.weights[rank - 1]),
        }
        for one in table.sets
        for rank, neuron in enumerate(one.neurons.tolist(), start=1)
    ]


SHARED = Analysis(
    help="neurons that several labels or properties have in common (Dalvi et al. 2019)",
    example="shared --probe probe-pos probe-sem --mass 25 --output-dir shared\n"
    "shared --ranking probeless.json --top 20 --output-dir shared",
    add_arguments=_add_arguments,
    run=_run,
)
