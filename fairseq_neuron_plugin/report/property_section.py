"""How many neurons a label needs, and which ones labels share (paper, section 6, figure 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..analysis.focus import Focus, focus
from ..analysis.focus_plot import plot_focus
from ..analysis.shared import SalientSet, Shared, sets_of_probe, shared
from ..analysis.shared_plot import plot_shared
from ..probing.probe_folder import ProbeFolder
from .document import Column, Figure, Section, Table
from .figures import figure_svg
from .inputs import Inputs, Named
from .model_section import ModelNames

Probe = Named[ProbeFolder]
_SIDE_BY_SIDE = 6  # probes in one picture of bars
_SHOWN = 20  # neurons that labels share
_LABELS = 80  # in a heatmap


def focus_section(inputs: Inputs, mass: float) -> Section | None:
    """Bars of the labels, those that need fewest neurons first."""
    figures = []
    for number, probes in enumerate(_of_same_labels(inputs.probes)):
        figures.append(_focus_figure(number, probes, mass))
    if not figures:
        return None
    return Section(
        "focus",
        "Focused and distributed labels",
        (
            f"The number of neurons that hold {100 * mass:g}% of the size of a label's weights in "
            "the probe. Few neurons: the label is focused. Many: it is distributed over the "
            "layer. In the paper closed classes of words are focused, open ones distributed "
            "(figure 6). Rare labels need few neurons for that alone: see their test words.",
        ),
        tuple(figures),
    )


def _of_same_labels(probes: Sequence[Probe]) -> Iterator[list[Probe]]:
    """Probes of one set of labels belong into one picture: one property in several models."""
    groups: dict[frozenset[str], list[Probe]] = {}
    for probe in probes:
        groups.setdefault(frozenset(probe.content.labels), []).append(probe)
    for group in groups.values():
        for start in range(0, len(group), _SIDE_BY_SIDE):
            yield group[start : start + _SIDE_BY_SIDE]


def _focus_figure(number: int, probes: Sequence[Probe], mass: float) -> Figure:
    found = {
        probe.name: focus(probe.content.weight, probe.content.labels, mass) for probe in probes
    }
    needs = {name: one.needs for name, one in found.items()}
    labels = sorted(probes[0].content.labels, key=lambda label: (_mean(label, needs), label))
    counts = {name: [of.get(label) for label in labels] for name, of in needs.items()}
    tokens = {
        str(row["label"]): row["support"]
        for probe in probes
        for row in (probe.content.result.get("test") or {}).get("labels", [])
    }
    rows = tuple(
        (
            label,
            tokens.get(label),
            *(
                cell
                for name, one in found.items()
                for cell in (needs[name].get(label), _effective(one, label))
            ),
        )
        for label in labels
    )
    columns = [Column("label"), Column("test words", "integer")]
    for name in found:
        columns += [
            Column(name, "integer", f"neurons that hold {100 * mass:g}% of the weights"),
            Column("effective", "number", "exponential of the entropy of the weights' sizes"),
        ]
    names = ", ".join(found)
    return Figure(
        f"Neurons that each label needs: {names}",
        figure_svg(lambda path: plot_focus(labels, counts, path, mass), f"focus{number}"),
        f"Bars: neurons of each label in {names}{_extremes(labels, needs)}.",
        Table("Neurons by label", tuple(columns), rows, label_column=0),
    )


def _extremes(labels: Sequence[str], needs: dict[str, dict[str, int]]) -> str:
    """Which of sorted labels need fewest and most neurons, if they differ."""
    known = [label for label in labels if _mean(label, needs) < float("inf")]
    if not known or _mean(known[0], needs) == _mean(known[-1], needs):
        return ""
    return f"; {known[0]} needs fewest, {known[-1]} most"


def _mean(label: str, needs: dict[str, dict[str, int]]) -> float:
    """Labels without weight come last."""
    counts = [of[label] for of in needs.values() if label in of]
    return sum(counts) / len(counts) if counts else float("inf")


def _effective(found: Focus, label: str) -> float | None:
    value = float(found.effective[found.labels.index(label)])
    return value or None


def shared_section(inputs: Inputs, models: ModelNames, mass: float) -> Section | None:
    """Neurons that several labels have among their salient ones, model by model."""
    parts: list[Table | Figure] = []
    groups: dict[tuple[str | None, int], list[Probe]] = {}
    for probe in inputs.probes:
        key = (probe.content.model, probe.content.weight.shape[1])
        groups.setdefault(key, []).append(probe)
    for number, ((model, neurons), probes) in enumerate(groups.items()):
        sets = [
            one
            for probe in probes
            for one in sets_of_probe(probe.name, probe.content.weight, probe.content.labels, mass)
            if len(one.neurons)
        ]
        if len(sets) < 2:
            continue
        table = shared(sets, neurons)
        several = len(probes) > 1
        names = [f"{one.property}: {one.label}" if several else one.label for one in sets]
        parts.append(_most_shared(table, several, models.of(model), probes[0]))
        pairs = _pairs(models.of(model), table, names)
        if len(sets) <= _LABELS:
            parts.append(_heatmap(number, table, names, models.of(model), pairs))
        else:
            parts.append(pairs)
    if not parts:
        return None
    return Section(
        "shared",
        "Neurons that labels share",
        (
            f"A neuron is salient for a label if it is among the fewest that hold {100 * mass:g}% "
            "of the size of the label's weights. Some are salient for several labels (paper, "
            "section 6). Two labels have some neurons in common by chance alone: the tables "
            "of pairs say how many.",
        ),
        tuple(parts),
    )


def _most_shared(table: Shared, several: bool, model: str, probe: Probe) -> Table:
    space = probe.content.space
    rows = []
    for neuron in table.order[:_SHOWN].tolist():
        has = [one for one, it in zip(table.sets, table.member[:, neuron], strict=True) if it]
        if len(has) > 1:
            name = space.name_of(neuron) if space else str(neuron)
            rows.append((name, len(has), _by_property(has, several)))
    columns = (Column("neuron", "code"), Column("labels", "integer"), Column("which"))
    count = int((table.times > 1).sum())
    title = f"{model}: {count} neurons are salient for several labels"
    if count > len(rows):
        title += f"; the {len(rows)} with most"
    return Table(title, columns, tuple(rows))


def _by_property(sets: Sequence[SalientSet], several: bool) -> str:
    """Labels in words; each property is named once."""
    together: dict[str, list[str]] = {}
    for one in sets:
        together.setdefault(one.property, []).append(one.label)
    return "; ".join(
        f"{name}: {', '.join(labels)}" if several else ", ".join(labels)
        for name, labels in together.items()
    )


def _heatmap(number: int, table: Shared, names: Sequence[str], model: str, pairs: Table) -> Figure:
    return Figure(
        f"{model}: neurons that two labels have in common",
        figure_svg(lambda path: plot_shared(table, names, path), f"shared{number}"),
        "Heatmap of labels by labels; light cells share many neurons.",
        pairs,
        folded=len(names) > _LABELS // 2,
    )


def _pairs(model: str, table: Shared, names: Sequence[str]) -> Table:
    common, sets = table.common, table.sets
    rows = sorted(
        (
            (
                names[one],
                names[two],
                int(common[one, two]),
                len(sets[one].neurons) * len(sets[two].neurons) / table.neurons,
            )
            for one in range(len(sets))
            for two in range(one)
            if common[one, two]
        ),
        key=lambda row: (row[3] - row[2], row[0], row[1]),
    )
    columns = (
        Column("label"),
        Column("other label"),
        Column("in common", "integer"),
        Column("by chance", "number"),
    )
    first = f" (the first {_LABELS} of {len(rows)})" if len(rows) > _LABELS else ""
    caption = f"{model}: pairs of labels, those furthest above chance first{first}"
    return Table(caption, columns, tuple(rows[:_LABELS]))
