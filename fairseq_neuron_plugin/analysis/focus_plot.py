"""The picture of a focus table: bars, the labels that need fewest neurons on top (figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..files import StrPath
from ..pictures import name_values, picture
from ..svg import DARK

_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo")
_LINES = ("--", ":", "-.", (0, (1, 1)))


def plot_focus(
    labels: Sequence[str],
    counts: Mapping[str, Sequence[int | None]],
    path: StrPath,
    mass: float = 0.25,
    groups: Mapping[str, tuple[Sequence[str], float | None]] | None = None,
) -> None:
    """Draw one bar a label and probe; probes are told apart by lightness and hatching.

    Args:
        labels: from top to bottom.
        counts: neurons of each label, by probe; None draws nothing.
        path: the file; its ending says whether PNG or SVG.
        mass: the share of the weight mass that they hold, 0 to 1.
        groups: labels and mean of each group; the name stands beside its labels, the mean is a
            line.

    Raises:
        UserError: matplotlib is not installed, or another ending.
    """
    groups = groups or {}
    group_of = {label: name for name, (members, _) in groups.items() for label in members}
    bar = 0.8 / len(counts)
    height = len(labels) * max(0.17, 0.1 * len(counts)) + 1.2
    with picture(path, 5.2, height) as figure:
        axes = figure.add_subplot()
        for number, (probe, values) in enumerate(counts.items()):
            grey = 0.45 + 0.4 * number / max(1, len(counts) - 1)
            shown = [place for place, value in enumerate(values) if value is not None]
            drawn = [value for value in values if value is not None]
            bars = axes.barh(
                [place - 0.4 + (number + 0.5) * bar for place in shown],
                drawn,
                height=bar,
                color=str(grey),
                hatch=_HATCHES[number % len(_HATCHES)],
                edgecolor=DARK,  # of the hatching too, on a dark page as well
                linewidth=0.4,
                label=probe,
            )
            texts = [f"{probe}, {labels[place]}: {values[place]}" for place in shown]
            name_values(bars, texts, drawn)
        for number, (name, (_, mean)) in enumerate(groups.items()):
            if mean is not None:
                axes.axvline(
                    mean,
                    linestyle=_LINES[number % len(_LINES)],
                    color=f"C{number}",
                    label=f"mean of {name}: {mean:.1f}",
                )
        ticks = [f"{label} ({group_of[label]})" if label in group_of else label for label in labels]
        axes.set_yticks(range(len(labels)), ticks)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(f"neurons that hold {100 * mass:g}% of the label's weight mass")
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        if len(counts) > 1 or groups:
            figure.legend(loc="outside upper center", ncols=2, frameon=False)
