"""The picture of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..files import StrPath, atomic_path

_STYLES = {"top": ("-", "o"), "bottom": ("--", "s"), "random": (":", "^")}


def plot_sweep(rows: Sequence[Mapping[str, Any]], path: StrPath, metric: str = "bleu") -> None:
    """Draw one curve for each ranking and order, as PNG.

    Order is told apart by line and marker, so that the picture survives greyscale print.

    Args:
        rows: the rows of ``sweep.json``.
        path: the PNG file.
        metric: the column on the vertical axis, which is logarithmic for ``perplexity``.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError(
            "no picture without matplotlib; get it with: pip install fairseq_neuron_plugin[plot]"
        ) from error

    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    rankings = list(dict.fromkeys(row["ranking"] for row in rows))
    for number, ranking in enumerate(rankings):
        for order, (line, marker) in _STYLES.items():
            curve = [row for row in rows if row["ranking"] == ranking and row["order"] == order]
            if curve:
                axes.plot(
                    [100 * row["share"] for row in curve],
                    [row[metric] for row in curve],
                    linestyle=line,
                    marker=marker,
                    markersize=4,
                    color=f"C{number}",
                    label=f"{ranking}, {'random' if order == 'random' else f'{order} first'}",
                )
    axes.set_xlabel("neurons ablated (%)")
    axes.set_ylabel({"bleu": "BLEU", "chrf": "chrF"}.get(metric, metric))
    if metric == "perplexity":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": ""})
