"""``fairseq-neuron-analyze focus``: how many neurons each label of a probe needs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.focus import Focus, focus, group_focus
from ..analysis.focus_plot import plot_focus
from ..errors import UserError
from ..signature import format_signature, versions
from .analyze_common import Analysis, Found
from .analyze_probes import NamedProbe, add_mass, choose_labels, hashes, read_mass, read_probes
from .common import format_table

Groups = Mapping[str, Sequence[str]]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probe",
        required=True,
        nargs="+",
        metavar="DIR",
        help="probe folders; several are put side by side, label by label",
    )
    add_mass(parser)
    parser.add_argument("--labels", metavar="L,L", help="only these labels")
    parser.add_argument(
        "--groups",
        nargs="+",
        default=[],
        metavar="NAME=L,L",
        help="groups of labels, whose means are given too",
    )


def _run(args: argparse.Namespace) -> Found:
    mass = read_mass(args)
    probes = read_probes(args.probe)
    known = sorted({label for probe in probes for label in probe.folder.labels})
    chosen = choose_labels(args.labels, known) if args.labels is not None else known
    groups = _read_groups(args.groups, chosen)
    found = {probe.name: focus(probe.folder.weight, probe.folder.labels, mass) for probe in probes}
    rows = _label_rows(chosen, groups, probes, found)
    group_rows = [
        {"group": name, "probe": probe, **vars(group_focus(one.needs, labels))}
        for name, labels in groups.items()
        for probe, one in found.items()
    ]
    means = {
        name: (labels, _mean([row["mean"] for row in group_rows if row["group"] == name]))
        for name, labels in groups.items()
    }
    signature = format_signature(
        {
            "analysis": "focus",
            "mass": mass,
            "labels": "+".join(chosen) if args.labels is not None else "all",
            "groups": "+".join(f"{k}={','.join(v)}" for k, v in groups.items()) or "none",
            "probes": hashes(probe.folder.signature for probe in probes),
            **versions("numpy"),
        }
    )
    return Found(
        text=_text(rows, group_rows, probes, found, mass),
        tables={
            "focus": [_flat(row, name, one) for row in rows for name, one in found.items()],
            **({"groups": group_rows} if groups else {}),
        },
        document={
            "analysis": "focus",
            "signature": signature,
            "mass": mass,
            "probes": [_probe_row(probe, found[probe.name]) for probe in probes],
            "labels": rows,
            "groups": group_rows,
        },
        draw=lambda path: _draw(rows, list(found), means, mass, path),
    )


def _draw(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    groups: Mapping[str, tuple[Sequence[str], float | None]],
    mass: float,
    path: Path,
) -> None:
    counts = {name: [row["neurons"][name] for row in rows] for name in names}
    plot_focus([row["label"] for row in rows], counts, path, mass, groups)


def _probe_row(probe: NamedProbe, found: Focus) -> dict[str, object]:
    return {**probe.to_json(), "used": found.used, "salient": found.salient}


def _read_groups(texts: Sequence[str], known: Sequence[str]) -> dict[str, list[str]]:
    """Labels by group.

    Raises:
        UserError: no group, an unknown label, a group or a label twice.
    """
    groups: dict[str, list[str]] = {}
    taken: dict[str, str] = {}
    for text in texts:
        name, equals, labels = text.partition("=")
        if not equals or not name:
            raise UserError(f"cannot read group {text!r}; write NAME=LABEL,LABEL")
        if name in groups:
            raise UserError(f"group {name} is given twice")
        groups[name] = choose_labels(labels, known, f"--groups {name}")
        for label in groups[name]:
            if label in taken:
                raise UserError(f"label {label} is in two groups, {taken[label]} and {name}")
            taken[label] = name
    return groups


def _label_rows(
    labels: Sequence[str],
    groups: Groups,
    probes: Sequence[NamedProbe],
    found: Mapping[str, Focus],
) -> list[dict[str, Any]]:
    """One row a label, those that need fewest neurons first, those without weight last."""
    needs = {name: one.needs for name, one in found.items()}
    effective = {
        name: dict(zip(one.labels, one.effective.tolist(), strict=True))
        for name, one in found.items()
    }
    tokens = {probe.name: probe.tokens for probe in probes}
    rows = [
        {
            "label": label,
            "group": next((name for name, own in groups.items() if label in own), None),
            "mean": _mean([needs[name].get(label) for name in found]),
            "mean_share": _mean(
                [
                    needs[name][label] / one.neurons if label in needs[name] else None
                    for name, one in found.items()
                ]
            ),
            "neurons": {name: needs[name].get(label) for name in found},
            "effective": {name: effective[name].get(label) or None for name in found},
            "test_tokens": {name: tokens[name].get(label) for name in found},
        }
        for label in labels
    ]
    return sorted(rows, key=lambda row: (row["mean"] is None, row["mean"] or 0, row["label"]))


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _flat(row: Mapping[str, Any], name: str, one: Focus) -> dict[str, object]:
    """A row of the CSV file: a label in a probe."""
    count = row["neurons"][name]
    return {
        "label": row["label"],
        "group": row["group"],
        "probe": name,
        "neurons": count,
        "share": None if count is None else count / one.neurons,
        "effective": row["effective"][name],
        "test_tokens": row["test_tokens"][name],
    }


def _text(
    rows: Sequence[Mapping[str, Any]],
    group_rows: Sequence[Mapping[str, Any]],
    probes: Sequence[NamedProbe],
    found: Mapping[str, Focus],
    mass: float,
) -> str:
    names = list(found)
    several = len(names) > 1
    title = f"neurons that hold {100 * mass:g}% of the label's weight mass"
    marked = ["group"] if group_rows else []
    header = ["label", *marked, *(names if several else ["neurons"])]
    header += ["mean", "mean %"] if several else ["%", "effective"]
    header += ["test tokens"]
    table = []
    for row in rows:
        cells = [row["label"], *([row["group"]] if marked else []), *row["neurons"].values()]
        share = None if row["mean_share"] is None else 100 * row["mean_share"]
        if several:
            cells += [row["mean"], share]
        else:
            cells += [share, row["effective"][names[0]]]
        # Of several probes the most: a label that is rare needs few neurons for that alone.
        cells += [max((n for n in row["test_tokens"].values() if n is not None), default=None)]
        table.append(cells)
    parts = [f"{title}\n{format_table(header, table)}"]
    if any(None in row["neurons"].values() for row in rows):
        parts.append("-: the probe gives the label no weight, or does not have it")
    if group_rows:
        columns = ("group", "probe", "labels", "mean", "smallest", "largest")
        cells = [[row[column] for column in columns] for row in group_rows]
        parts.append(format_table(["mean of labels", *columns[1:]], cells))
    whole = [
        [probe.name, one.neurons, one.used, one.salient]
        for probe, one in zip(probes, found.values(), strict=True)
    ]
    header = ["probe", "neurons", "with any weight", "salient for any label"]
    return "\n\n".join([*parts, format_table(header, whole)])


FOCUS = Analysis(
    help="how many neurons each label needs: focused or distributed (Dalvi et al. 2019, figure 6)",
    example="focus --probe probe-pos --groups open=NOUN,VERB,ADJ closed=DET,ADP,AUX "
    "--output-dir focus",
    add_arguments=_add_arguments,
    run=_run,
)
