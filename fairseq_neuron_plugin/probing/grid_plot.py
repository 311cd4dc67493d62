"""The picture of a λ grid: two heatmaps (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import StrPath, atomic_path
from .grid import Cell, Grid

# The date and the program's name would make two pictures of the same grid differ.
_METADATA = {"png": {"Software": ""}, "svg": {"Date": None, "Creator": ""}}


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
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in _METADATA:
        raise UserError(f"cannot draw {path}: the name must end in .png or .svg")
    picked = None if margin is None else grid.pick(margin)
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError(
            "no picture without matplotlib; get it with: pip install fairseq_neuron_plugin[plot]"
        ) from error

    l1 = sorted({cell.l1 for cell in grid.cells})
    l2 = sorted({cell.l2 for cell in grid.cells})
    size = max(3.4, 0.5 * len(l1) + 1.4), max(2.6, 0.42 * len(l2) + 1.6)
    with rc_context({"svg.hashsalt": "grid", "font.size": 8}):
        figure = Figure(figsize=(2 * size[0], size[1]), dpi=150, layout="constrained")
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
        with atomic_path(path) as partial:
            figure.savefig(partial, format=kind, metadata=_METADATA[kind])


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
        axes.text(
            column,
            row,
            f"{table[row, column]:.1f}{'' if cell.converged else '*'}",
            ha="center",
            va="center",
            fontsize=7,
            color="black" if light else "white",
        )
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
