"""The picture of a λ grid: two heatmaps (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..files import StrPath
from ..pictures import name_values, picture
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
    table: npt.NDArray[np.float64] = np.zeros((len(l2), len(l1)))
    places = [(l2.index(cell.l2), l1.index(cell.l1)) for cell in grid.cells]
    for place, value in zip(places, values, strict=True):
        table[place] = 100 * value
    image = axes.imshow(table, cmap="cividis", origin="lower", aspect="auto")
    for (row, column), cell in zip(places, grid.cells, strict=True):
        # cividis rises evenly in lightness: half way up, black begins to show better than white.
        light = image.norm(table[row, column]) > 0.5
        drawn = axes.text(
            column,
            row,
            f"{table[row, column]:.1f}{'' if cell.converged else '*'}",
            ha="center",
            va="center",
            fontsize=7,
            color="#010101" if light else "#fefefe",  # the ground's, whatever the page's
        )
        name = f"λ1 = {_strength(cell.l1)}, λ2 = {_strength(cell.l2)}"
        name_values([drawn], [f"{name}: {table[row, column]:.2f}"])
    if picked is not None:
        _frame(axes, l1.index(picked.l1), l2.index(picked.l2))
    axes.set_xticks(range(len(l1)), [_strength(value) for value in l1])
    axes.set_yticks(range(len(l2)), [_strength(value) for value in l2])
    axes.set_xlabel("λ1")
    axes.set_ylabel("λ2")
    axes.figure.colorbar(image, ax=axes, shrink=0.9)


def _strength(value: float) -> str:
    """``0``, ``0.02``, ``1e-4``."""
    if value == 0 or value >= 0.01:
        return f"{value:g}"
    return np.format_float_scientific(value, trim="-", exp_digits=1)


def _frame(axes: Any, column: int, row: int) -> None:
    """Black within white, to be seen on any ground."""
    from matplotlib.patches import Rectangle

    for inset, colour, width in ((0.04, "white", 4.0), (0.04, "black", 1.8)):
        side = 1 - 2 * inset
        corner = (column - 0.5 + inset, row - 0.5 + inset)
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=width))
