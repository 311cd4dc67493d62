"""``fairseq-neuron-analyze overlap``: how many of their first neurons rankings have in common."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ..analysis.inputs import check_same_neurons, unique_names
from ..analysis.overlap import Overlap, origin, overlap
from ..analysis.overlap_plot import plot_overlap
from ..errors import UserError
from ..neurons import parse_amount
from ..ranking import ORDERS, Ranking
from ..signature import format_signature, short_hash, versions
from .analyze_common import Analysis, Found
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
        default="10,50,100,10%",
        metavar="K",
        help="how many neurons: numbers or shares, comma-separated (default: 10,50,100,10%%)",
    )
    parser.add_argument(
        "--label", metavar="L", help="take label L's own order where a ranking does not say which"
    )
    parser.add_argument(
        "--order", choices=ORDERS, default="top", help="the end that is compared (default: top)"
    )


def _run(args: argparse.Namespace) -> Found:
    files = [_split(argument) for argument in args.rankings]
    paths = list(dict.fromkeys(path for path, _ in files))
    loaded = {path: Ranking.load(path) for path in paths}
    short = dict(zip(paths, unique_names(paths), strict=True))
    rankings: dict[str, Ranking] = {}
    labels: dict[str, str] = {}
    inputs = []
    for path, own in files:
        label = own or args.label
        name = f"{short[path]}:{own}" if own else short[path]
        if name in rankings:
            raise UserError(f"{name} is given twice")
        ranking = rankings[name] = loaded[path]
        if label is not None:
            labels[name] = label
        inputs.append(
            {
                "name": name,
                "path": str(path),
                "label": label,
                "method": ranking.method,
                "signature": ranking.signature,
            }
        )
    # Before the numbers of neurons are read, which may be shares of them.
    check_same_neurons("ranking", {name: origin(ranking) for name, ranking in rankings.items()})
    first = next(iter(rankings.values()))
    points = {
        amount: overlap(rankings, k, args.order, labels)
        for amount, k in _amounts(args.k, len(first.neurons)).items()
    }
    signature = format_signature(
        {
            "analysis": "overlap",
            "k": "+".join(str(point.k) for point in points.values()),
            "order": args.order,
            "neurons": len(first.neurons),
            "labels": "+".join(labels.get(name, "-") for name in rankings),
            "rankings": "+".join(short_hash(one.signature) for one in rankings.values()),
            **versions("numpy"),
        }
    )
    known = [ranking for ranking in rankings.values() if ranking.space]
    document = {
        "analysis": "overlap",
        "signature": signature,
        "neurons": len(first.neurons),
        "layers": known[0].space.to_json() if known and known[0].space else None,
        "model": next((one.model for one in rankings.values() if one.model), None),
        "order": args.order,
        "rankings": inputs,
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
    return Found(
        text="\n\n".join(_table(point, amount, args.order) for amount, point in points.items()),
        tables={"overlap": [row for point in points.values() for row in _pairs(point)]},
        document=document,
        draw=lambda folder: plot_overlap(list(points.values()), folder / "overlap.png"),
    )


def _split(argument: str) -> tuple[Path, str | None]:
    """File and label of ``FILE.json`` or ``FILE.json:label=L``."""
    if argument.endswith(".json"):
        return Path(argument), None
    match = re.fullmatch(r"(.+?\.json):label=(.+)", argument)
    if not match:
        raise UserError(
            f"cannot read ranking {argument!r}; write RANKING.json or RANKING.json:label=VERB"
        )
    return Path(match[1]), match[2]


def _amounts(text: str, neurons: int) -> dict[str, int]:
    """Numbers of neurons by how they were written; two ways to write one number count once."""
    found: dict[str, int] = {}
    for amount in filter(None, (part.strip() for part in text.split(","))):
        k = parse_amount(amount, neurons)
        if k not in found.values():
            found[amount] = k
    if not found:
        raise UserError("--k names no number of neurons; write for example 10,50,10%")
    return found


def _table(point: Overlap, amount: str, order: str) -> str:
    """The share in common, ranking by ranking; nothing where a ranking meets itself."""
    rows = [
        [name, *(None if row == column else 100 * share for column, share in enumerate(line))]
        for row, (name, line) in enumerate(zip(point.names, point.share.tolist(), strict=True))
    ]
    end = "first" if order == "top" else "last"
    k = f"{point.k} ({amount})" if "%" in amount else str(point.k)
    title = f"{end} {k} of {point.neurons} neurons, % in common; chance {100 * point.chance:.2f}"
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
