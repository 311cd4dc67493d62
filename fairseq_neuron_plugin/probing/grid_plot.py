"""The picture of a λ grid: two heatmaps (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..files import StrPath
from ..pictures import colour_bar, draw_cells, picture
from ..svg import DARK, LIGHT
from .grid import Cell, Grid


def plot_grid(grid: Grid, path: StrPath, margin: float | None = 0.01) -> None:
    """Draw accuracy, and accuracy with the top neurons less that with the bottom ones.

    Every cell holds its value in percent, starred where the solver had not converged; the cell
    that `Grid.pick` takes has a frame. Dark is low and light is high, also in greyscale print.

    Args:
        grid: as measured.
        path: the file; its ending says whether PNG or SVG.
        margin: of `Grid.pick`; None leaves the frame out.

    Raises:
        UserError: matplotlib is not installed, another ending, or a margin below 0.
    """
    picked = None if margin is None else grid.pick(margin)
    l1 = sorted({cell.l1 for cell in grid.cells})
    l2 = sorted({cell.l2 for cell in grid.cells})
    size = max(3.4, 0.5 * len(l1) + 1.4), max(2.6, 0.42 * len(l2) + 1.6)
    with picture(path, 2 * size[0], size[1]) as figure:
        panels = figure.subplots(1, 2)
        _draw(panels[0], grid, l1, l2, [cell.accuracy for cell in grid.cells], picked)
        panels[0].set_title("accuracy (%)")
        _draw(panels[1], grid, l1, l2, [cell.contrast for cell in grid.cells], picked)
        panels[1].set_title(f"top {grid.share} less bottom {grid.share} (points)")
        notes = [f"{grid.tokens} held-out tokens"]
        if picked is not None:
            notes.append(
                f"framed: picked, λ1 = {_strength(picked.l1)}, λ2 = {_strength(picked.l2)}"
            )
        if not all(cell.converged for cell in grid.cells):
            notes.append("* not converged")
        figure.supxlabel("; ".join(notes), fontsize=7)


def _draw(
    axes: Any,
    grid: Grid,
    l1: Sequence[float],
    l2: Sequence[float],
    values: Sequence[float],
    picked: Cell | None,
) -> None:
    """One heatmap: λ1 from left to right, λ2 from bottom to top, values as percent."""
    table: npt.NDArray[np.float64] = np.full((len(l2), len(l1)), np.nan)
    texts = [[""] * len(l1) for _ in l2]
    titles = [[""] * len(l1) for _ in l2]
    for cell, value in zip(grid.cells, values, strict=True):
        row, column = l2.index(cell.l2), l1.index(cell.l1)
        table[row, column] = 100 * value
        texts[row][column] = f"{100 * value:.1f}{'' if cell.converged else '*'}"
        titles[row][column] = (
            f"λ1 = {_strength(cell.l1)}, λ2 = {_strength(cell.l2)}: {100 * value:.2f}"
        )
    limits = float(np.nanmin(table)), float(np.nanmax(table))
    cells = draw_cells(axes, table, texts, titles, limits)
    if picked is not None:
        _frame(axes, l1.index(picked.l1), l2.index(picked.l2))
    axes.set_xticks(range(len(l1)), [_strength(value) for value in l1])
    axes.set_yticks(range(len(l2)), [_strength(value) for value in l2])
    axes.set_xlabel("λ1")
    axes.set_ylabel("λ2")
    colour_bar(cells, axes)


def _strength(value: float) -> str:
    """``0``, ``0.02``, ``1e-4``."""
    if value == 0 or value >= 0.01:
        return f"{value:g}"
    return np.format_float_scientific(value, trim="-", exp_digits=1)


def _frame(axes: Any, column: int, row: int) -> None:
    """Dark within light, to be seen on any ground."""
    from matplotlib.patches import Rectangle

    for inset, colour, width in ((0.04, LIGHT, 4.0), (0.04, DARK, 1.8)):
        side = 1 - 2 * inset
        corner = (column - 0.5 + inset, row - 0.5 + inset)
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=width))
