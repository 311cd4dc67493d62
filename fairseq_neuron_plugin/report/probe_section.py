"""How well properties can be read off the neurons, and off few of them (paper, tables 1, 2, 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..probing.grid import Grid
from ..probing.grid_plot import plot_grid
from ..probing.probe_folder import ProbeFolder
from .document import Cell, Column, Figure, Section, Table
from .figures import figure_svg
from .inputs import Inputs, Named
from .model_section import ModelNames

Probe = Named[ProbeFolder]


def probe_section(inputs: Inputs, models: ModelNames) -> Section | None:
    """Accuracies beside their baselines, classifier ablation, λ grids, each label."""
    if not inputs.probes:
        return None
    parts: list[Table | Figure] = [_accuracies(inputs.probes, models)]
    parts += [table for table in (_ablation(inputs.probes),) if table is not None]
    parts += [
        _grid(number, probe)
        for number, probe in enumerate(inputs.probes)
        if probe.content.result.get("grid")
    ]
    parts.append(_labels(inputs.probes))
    return Section(
        "probes",
        "What neurons know",
        (
            "A probe predicts a property of a word from the activations of all neurons. Its "
            "accuracy means something only beside two others: always answering a word's most "
            "frequent label (MAJ), and learning labels that were dealt out to words at random "
            "(control task). Selectivity is accuracy less that of the control task.",
            "The classifier ablation says how much is left with few neurons of the probe's own "
            "ranking: mask sets the others to 0 in the trained probe, retrain fits a probe to the "
            "kept ones alone. The top of a good ranking keeps more than its bottom (the paper's "
            "tables 1, 2 and 4).",
            *_below_majority(inputs.probes),
        ),
        tuple(parts),
    )


def _below_majority(probes: Sequence[Probe]) -> Iterator[str]:
    """A warning, for such a probe is no evidence that the neurons know the property."""
    names = []
    for probe in probes:
        result = probe.content.result
        accuracy = (result.get("test") or {}).get("accuracy")
        majority = result.get("majority_baseline")
        if accuracy is not None and majority is not None and accuracy < majority:
            names.append(probe.name)
    if names:
        yield (
            f"Below MAJ: {', '.join(names)}. There the word alone says more of the property than "
            "the neurons do; read their rankings with care."
        )


def _accuracies(probes: Sequence[Probe], models: ModelNames) -> Table:
    rows = []
    for probe in probes:
        result = probe.content.result
        control = result.get("control") or {}
        solver = result.get("solver") or {}
        rows.append(
            (
                probe.name,
                models.of(probe.content.model),
                len(probe.content.labels),
                (result.get("test") or {}).get("tokens"),
                (result.get("test") or {}).get("accuracy"),
                result.get("majority_baseline"),
                control.get("accuracy"),
                control.get("selectivity"),
                (result.get("train") or {}).get("accuracy"),
                _share(solver.get("nonzero"), solver.get("weights")),
            )
        )
    columns = (
        Column("probe"),
        Column("model"),
        Column("labels", "integer"),
        Column("test words", "integer"),
        Column("accuracy", "percent", "on words of the test text"),
        Column("MAJ", "percent", "a word's most frequent training label"),
        Column("control", "percent", "a probe for labels dealt out at random"),
        Column("selectivity", "percent", "accuracy less the control task's"),
        Column("on training", "percent", "accuracy on the training text"),
        Column("weights not 0", "percent", "what the L1 penalty has left"),
    )
    return Table("Probes, in %", columns, tuple(rows))


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _ablation(probes: Sequence[Probe]) -> Table | None:
    """Shares side by side, as in the paper; mask and retrain, from every end."""
    found = [(probe, _cells(probe.content.result.get("ablation") or [])) for probe in probes]
    found = [(probe, cells) for probe, cells in found if cells]
    if not found:
        return None
    shares = list(
        dict.fromkeys(share for _, cells in found for share, _ in cells if share != "all")
    )
    rows = []
    for probe, cells in found:
        orders = dict.fromkeys(order for _, order in cells if order != "all")
        whole = cells.get(("all", "all"), {})
        for way in ("mask", "retrain"):
            for order in orders:
                kept: list[Cell] = [(cells.get((share, order)) or {}).get(way) for share in shares]
                rows.append((probe.name, way, order, *kept, whole.get(way)))
    columns = (
        Column("probe"),
        Column("others are", help="mask: set to 0; retrain: left out of training too"),
        Column("kept", help="end of the ranking, or neurons at random"),
        *(Column(share, "percent", "share of the neurons that is kept") for share in shares),
        Column("all", "percent"),
    )
    return Table("Accuracy with few neurons, in %", columns, tuple(rows))


def _cells(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(str(row["share"]), str(row["order"])): row for row in rows}


def _labels(probes: Sequence[Probe]) -> Table:
    rows = tuple(
        (
            str(row["label"]),
            probe.name,
            row["f1"],
            row["precision"],
            row["recall"],
            row["support"],
        )
        for probe in probes
        for row in (probe.content.result.get("test") or {}).get("labels", [])
    )
    columns = (
        Column("label"),
        Column("probe"),
        Column("F1", "percent"),
        Column("precision", "percent"),
        Column("recall", "percent"),
        Column("test words", "integer"),
    )
    return Table("Each label, in %", columns, rows, label_column=0)


def _grid(number: int, probe: Probe) -> Figure:
    given = probe.content.result["grid"]
    grid = Grid.from_json(given)
    columns = (
        Column("λ1", "code"),
        Column("λ2", "code"),
        Column("accuracy", "percent"),
        Column(f"top {grid.share}", "percent"),
        Column(f"bottom {grid.share}", "percent"),
    )
    rows = tuple((f"{c.l1:g}", f"{c.l2:g}", c.accuracy, c.top, c.bottom) for c in grid.cells)
    return Figure(
        f"{probe.name}: accuracy over the strengths of the penalty (figure 2)",
        figure_svg(lambda path: plot_grid(grid, path, given["margin"]), f"grid{number}"),
        "Two heatmaps over λ1 and λ2: accuracy, and accuracy with the top neurons less that with "
        "the bottom ones.",
        Table("Held-out accuracies", columns, rows),
    )
