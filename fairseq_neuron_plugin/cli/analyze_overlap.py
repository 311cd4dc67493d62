"""``fairseq-neuron-analyze overlap``: how many of their first neurons rankings have in common."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..analysis.inputs import check_same_neurons, unique_names
from ..analysis.overlap import Overlap, origin, overlap
from ..analysis.overlap_plot import plot_overlap
from ..core.quoting import unquote
from ..errors import UserError
from ..neurons import parse_amount
from ..ranking import ORDERS, Ranking
from ..signature import format_signature, versions
from .analyze_common import Analysis, Found
from .analyze_probes import hashes
from .common import format_table


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "rankings",
        nargs="+",
        metavar="RANKING",
        help="ranking files over the same neurons; FILE.json:label=L takes label L's own order",
    )
    parser.add_argument(
        "--k",
        metavar="K,K",
        help="how many neurons: numbers or shares, comma-separated (default: 10,50,100,10%%, less "
        "the numbers that are too large)",
    )
    parser.add_argument(
        "--label", metavar="L", help="take label L's own order where a ranking does not say which"
    )
    parser.add_argument(
        "--order", choices=ORDERS, default="top", help="the end that is compared (default: top)"
    )


@dataclass(frozen=True)
class _Input:
    """One ranking of the comparison; ``label`` is the one whose own order is meant."""

    name: str
    path: Path
    label: str | None
    ranking: Ranking

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "path": str(self.path),
            "label": self.label,
            "method": self.ranking.method,
            "signature": self.ranking.signature,
        }


def _run(args: argparse.Namespace) -> Found:
    inputs = _read(args.rankings, args.label)
    rankings = {one.name: one.ranking for one in inputs}
    labels = {one.name: one.label for one in inputs if one.label is not None}
    # Before the numbers of neurons are read, which may be shares of them.
    check_same_neurons("ranking", {one.name: origin(one.ranking) for one in inputs})
    points = {
        amount: overlap(rankings, k, args.order, labels)
        for amount, k in _amounts(args.k, len(inputs[0].ranking.neurons)).items()
    }
    return Found(
        text="\n\n".join(_table(point, amount) for amount, point in points.items()),
        tables={"overlap": [row for point in points.values() for row in _pairs(point)]},
        document=_document(inputs, points, args.order),
        draw=lambda path: plot_overlap(list(points.values()), path),
    )


def _read(arguments: Sequence[str], default: str | None) -> list[_Input]:
    """The rankings, with names that tell them apart.

    Raises:
        UserError: one that cannot be read, or one given twice.
    """
    files = [_split(argument) for argument in arguments]
    paths = list(dict.fromkeys(path for path, _ in files))
    short = dict(zip(paths, unique_names(paths), strict=True))
    loaded = {path: Ranking.load(path) for path in paths}
    inputs: list[_Input] = []
    for path, own in files:
        label = own or default
        if any((one.path, one.label) == (path, label) for one in inputs):
            of = f", label {label}," if label else ""
            raise UserError(f"{path}{of} is given twice")
        name = f"{short[path]}:{own}" if own else short[path]
        inputs.append(_Input(name, path, label, loaded[path]))
    return inputs


def _document(
    inputs: Sequence[_Input], points: Mapping[str, Overlap], order: str
) -> dict[str, object]:
    rankings = [one.ranking for one in inputs]
    space = next((one.space for one in rankings if one.space), None)
    signature = format_signature(
        {
            "analysis": "overlap",
            "k": "+".join(str(point.k) for point in points.values()),
            "order": order,
            "neurons": len(rankings[0].neurons),
            "labels": "+".join(one.label or "-" for one in inputs),
            "rankings": hashes(one.signature for one in rankings),
            **versions("numpy"),
        }
    )
    return {
        "analysis": "overlap",
        "signature": signature,
        "neurons": len(rankings[0].neurons),
        "layers": space.to_json() if space else None,
        "model": next((one.model for one in rankings if one.model), None),
        "order": order,
        "rankings": [one.to_json() for one in inputs],
        "points": [
            {
                "amount": amount,
                "k": point.k,
                "chance": point.chance,
                "share": point.share.tolist(),
                "p": point.p.tolist(),
            }
            for amount, point in points.items()
        ],
    }


def _split(argument: str) -> tuple[Path, str | None]:
    """File and label of ``FILE.json`` or ``FILE.json:label=L``."""
    if argument.endswith(".json"):
        return Path(argument), None
    match = re.fullmatch(r"(.+?\.json):label=(.+)", argument)
    if not match:
        raise UserError(
            f"cannot read ranking {argument!r}; write RANKING.json or RANKING.json:label=VERB"
        )
    return Path(match[1]), unquote(match[2])


def _amounts(text: str | None, neurons: int) -> dict[str, int]:
    """Numbers of neurons by how they were written; two ways to write one number count once."""
    if text is None:
        amounts = [*(str(k) for k in (10, 50, 100) if k <= neurons), "10%"]
    else:
        amounts = [part.strip() for part in text.split(",")]
    found: dict[str, int] = {}
    for amount in filter(None, amounts):
        k = parse_amount(amount, neurons)
        if k not in found.values():
            found[amount] = k
    if not found:
        raise UserError("--k names no number of neurons; write for example 10,50,10%")
    return found


def _table(point: Overlap, amount: str) -> str:
    """The share in common, ranking by ranking; nothing where a ranking meets itself."""
    rows = [
        [name, *(None if row == column else 100 * share for column, share in enumerate(line))]
        for row, (name, line) in enumerate(zip(point.names, point.share.tolist(), strict=True))
    ]
    which = f"{point.end} {point.k}" + (f" ({amount})" if "%" in amount else "")
    chance = f"chance {100 * point.chance:.2f}"
    title = f"{which} of {point.neurons} neurons, % in common; {chance}"
    return f"{title}\n{format_table(['ranking', *point.names], rows)}"


def _pairs(point: Overlap) -> Sequence[dict[str, object]]:
    common, share, p = point.common.tolist(), point.share.tolist(), point.p.tolist()
    return [
        {
            "k": point.k,
            "ranking": point.names[one],
            "other": point.names[two],
            "common": common[one][two],
            "share": share[one][two],
            "chance": point.chance,
            "p": p[one][two],
        }
        for one in range(len(point.names))
        for two in range(one + 1, len(point.names))
    ]


OVERLAP = Analysis(
    help="share of common neurons among the first k of rankings (Dalvi et al. 2019, section 5)",
    example="overlap cross-model.json variance.json mean-distance.json --k 10,50,10% "
    "--output-dir overlap",
    add_arguments=_add_arguments,
    run=_run,
)
