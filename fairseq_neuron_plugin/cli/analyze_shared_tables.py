"""The tables of ``fairseq-neuron-analyze shared``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.shared import SalientSet, Shared
from ..neurons import NeuronSpace
from .common import format_table

SHOWN = 20
PAIRS_SHOWN = 10
LABELS_SHOWN = 6

Row = Mapping[str, Any]


def neuron_rows(table: Shared, space: NeuronSpace | None) -> list[dict[str, Any]]:
    """Every salient neuron with its labels, those of most labels first.

    ``which`` holds the labels, that in which the neuron ranks highest first.
    """
    labels: dict[int, list[dict[str, Any]]] = {}
    for one in table.sets:
        for rank, neuron in enumerate(one.neurons.tolist(), start=1):
            weight = None if one.weights is None else float(one.weights[rank - 1])
            entry = {"property": one.property, "label": one.label, "rank": rank, "weight": weight}
            labels.setdefault(neuron, []).append(entry)
    rows = []
    for neuron in table.order.tolist():
        which = sorted(labels[neuron], key=lambda entry: entry["rank"])
        rows.append(
            {
                "neuron": space.name_of(neuron) if space else str(neuron),
                "id": neuron,
                "labels": len(which),
                "properties": len({entry["property"] for entry in which}),
                "which": which,
            }
        )
    return rows


def pair_rows(table: Shared) -> list[dict[str, Any]]:
    """Every two labels, those that share most beyond chance first."""
    common = table.common
    rows = []
    for one, first in enumerate(table.sets):
        for two in range(one + 1, len(table.sets)):
            second = table.sets[two]
            sizes = len(first.neurons), len(second.neurons)
            rows.append(
                {
                    "property": first.property,
                    "label": first.label,
                    "neurons": sizes[0],
                    "other_property": second.property,
                    "other_label": second.label,
                    "other_neurons": sizes[1],
                    "common": int(common[one, two]),
                    "chance": sizes[0] * sizes[1] / table.neurons,
                }
            )
    return sorted(rows, key=lambda row: row["chance"] - row["common"])


def text(
    table: Shared,
    names: Sequence[str],
    rows: Sequence[Row],
    pairs: Sequence[Row],
    empty: Sequence[SalientSet],
) -> str:
    """What is printed."""
    name_of = {(one.property, one.label): name for one, name in zip(table.sets, names, strict=True)}
    parts = [_neurons(rows, name_of), _numbers(table), _pairs(pairs, name_of)]
    if len(table.properties) > 1:
        parts.append(_properties(table))
    if empty:
        parts.append(f"labels without any weight, left out: {', '.join(x.label for x in empty)}")
    return "\n\n".join(parts)


def _neurons(rows: Sequence[Row], name_of: Mapping[tuple[str, str], str]) -> str:
    several = [row for row in rows if row["labels"] > 1]
    shown = several[:SHOWN]
    title = f"{len(several)} neurons are salient for several labels; the first {len(shown)}"
    if not shown:
        return "no neuron is salient for several labels"
    columns = ("neuron", "id", "labels", "properties")
    lines = format_table(columns, [[row[key] for key in columns] for row in shown]).split("\n")
    lists = ["which: rank in the label and weight"]
    for row in shown:
        first = [_entry(entry, name_of) for entry in row["which"][:LABELS_SHOWN]]
        more = row["labels"] - len(first)
        lists.append(", ".join(first) + (f", {more} more" if more else ""))
    # The tables' last columns are to the right; these texts are to the left.
    return "\n".join([title, *(f"{a}  {b}" for a, b in zip(lines, lists, strict=True))])


def _entry(entry: Row, name_of: Mapping[tuple[str, str], str]) -> str:
    weight = "" if entry["weight"] is None else f" {entry['weight']:+.2f}"
    return f"{name_of[entry['property'], entry['label']]} #{entry['rank']}{weight}"


def _numbers(table: Shared) -> str:
    """How many neurons are salient for 0, 1, … labels, beside what chance gives."""
    last = int(table.times.max())
    rows = [
        [str(times), int(table.found[times]), float(table.chance[times])]
        for times in range(last + 1)
    ]
    rows.append([f"more than {last}", 0, float(table.chance[last + 1 :].sum())])
    return format_table(["labels a neuron is salient for", "neurons", "by chance"], rows)


def _pairs(pairs: Sequence[Row], name_of: Mapping[tuple[str, str], str]) -> str:
    rows = [
        [
            f"{name_of[row['property'], row['label']]}, "
            f"{name_of[row['other_property'], row['other_label']]}",
            row["neurons"],
            row["other_neurons"],
            row["common"],
            row["chance"],
        ]
        for row in pairs[:PAIRS_SHOWN]
        if row["common"]
    ]
    return format_table(
        ["labels that share most", "neurons", "of the other", "in common", "by chance"], rows
    )


def _properties(table: Shared) -> str:
    """Neurons that two properties share; by chance in brackets."""
    common = table.common_of_properties.tolist()
    own = [common[place][place] for place in range(len(common))]
    rows = [
        [
            name,
            *(
                str(cell)
                if row == column
                else f"{cell} ({own[row] * own[column] / table.neurons:.0f})"
                for column, cell in enumerate(common[row])
            ),
        ]
        for row, name in enumerate(table.properties)
    ]
    title = "neurons that properties have in common (by chance)"
    return f"{title}\n{format_table(['property', *table.properties], rows)}"
