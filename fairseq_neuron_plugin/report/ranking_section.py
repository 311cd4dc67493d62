"""Which rankings there are, and what their first neurons have in common (paper, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ..analysis.overlap import overlap
from ..analysis.overlap_plot import plot_overlap
from ..neurons import parse_amount
from ..ranking import Ranking
from .document import Column, Figure, Section, Table
from .figures import figure_svg
from .inputs import Inputs, Named
from .model_section import ModelNames

_FIRST = 5
_K = "10%"


def ranking_section(inputs: Inputs, models: ModelNames) -> Section | None:
    """A table of all rankings, and a heatmap for those of the same neurons."""
    if not inputs.rankings:
        return None
    parts: list[Table | Figure] = [_table(inputs.rankings, models)]
    groups: dict[tuple[str | None, str, int], list[Named[Ranking]]] = {}
    for ranking in inputs.rankings:
        found = ranking.content
        layers = found.space.describe() if found.space else ""
        groups.setdefault((found.model, layers, len(found.neurons)), []).append(ranking)
    for number, ((model, _, _), group) in enumerate(groups.items()):
        if len(group) > 1:
            parts.append(_heatmap(number, group, models.of(model)))
    return Section(
        "rankings",
        "Rankings of neurons",
        (
            "A ranking orders all neurons, the most important first: by the weights of a probe "
            "(linguistic), by their best correlation with a neuron of another model "
            "(cross-model), and in other ways. Rankings that find the same neurons share more of "
            "their first ones than chance would (the paper's section 5).",
        ),
        tuple(parts),
    )


def _table(rankings: Sequence[Named[Ranking]], models: ModelNames) -> Table:
    rows = tuple(
        (
            ranking.name,
            ranking.content.method,
            models.of(ranking.content.model),
            len(ranking.content.neurons),
            len(ranking.content.per_label) or None,
            ", ".join(_name(ranking.content, int(n)) for n in ranking.content.neurons[:_FIRST]),
        )
        for ranking in rankings
    )
    columns = (
        Column("ranking"),
        Column("method"),
        Column("model"),
        Column("neurons", "integer"),
        Column("labels", "integer", "labels that have an order of their own"),
        Column("first neurons", "code"),
    )
    return Table("Rankings", columns, rows)


def _name(ranking: Ranking, neuron: int) -> str:
    return ranking.space.name_of(neuron) if ranking.space else str(neuron)


def _heatmap(number: int, group: Sequence[Named[Ranking]], model: str) -> Figure:
    rankings = {ranking.name: ranking.content for ranking in group}
    neurons = len(group[0].content.neurons)
    found = overlap(rankings, max(1, parse_amount(_K, neurons)))
    pairs = combinations(range(len(group)), 2)
    rows = sorted(
        (
            (
                group[one].name,
                group[two].name,
                int(found.common[one, two]),
                float(found.share[one, two]),
                float(found.p[one, two]),
            )
            for one, two in pairs
        ),
        key=lambda row: (-row[2], row[0], row[1]),
    )
    columns = (
        Column("ranking"),
        Column("other ranking"),
        Column("in common", "integer"),
        Column("share", "percent"),
        Column("p", "p", "of as many or more by chance"),
    )
    most = rows[0]
    return Figure(
        f"{model}: what the first {found.k} of {neurons} neurons have in common, in % "
        f"(by chance {100 * found.chance:.1f})",
        figure_svg(lambda path: plot_overlap([found], path), f"overlap{number}"),
        f"Heatmap of rankings by rankings. {most[0]} and {most[1]} share most: {most[2]}.",
        Table("Pairs of rankings", columns, tuple(rows)),
    )
