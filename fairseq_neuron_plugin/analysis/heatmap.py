"""A heatmap of pairs, as pictures of analyses have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..pictures import draw_cells


def draw_heatmap(
    axes: Any,
    values: npt.NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    names: Sequence[str],
    highest: float,
    lower: bool = False,
    font: float = 7,
    unit: str = "",
) -> Any:
    """A square heatmap from 0 to ``highest``, the first name on top and to the left.

    Args:
        axes: to draw on.
        values: ``[names, names]``; NaN is grey.
        texts: what stands in the cells, ``[names][names]``.
        names: of rows and columns.
        highest: end of the scale.
        lower: whether to leave out the half above the diagonal, which says the same.
        font: size of the texts in points.
        unit: of the values, as it is said of a cell.

    Returns:
        What `colour_bar` needs.
    """
    titles = [
        [
            "" if lower and column > row else _title(name, other, values[row, column], unit, text)
            for column, (other, text) in enumerate(zip(names, texts[row], strict=True))
        ]
        for row, name in enumerate(names)
    ]
    cells = draw_cells(axes, values, texts, titles, (0, highest), font)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 30)
    if len(names) <= 6:
        for tick in axes.get_xticklabels():
            tick.set_ha("right")
            tick.set_rotation_mode("anchor")
    axes.set_yticks(range(len(names)), names)
    return cells


def _title(name: str, other: str, value: float, unit: str, text: str) -> str:
    return (
        f"{name} itself: {text or 'all'}"
        if np.isnan(value)
        else f"{name}, {other}: {value:.4g}{unit}"
    )
