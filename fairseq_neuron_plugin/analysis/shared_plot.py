"""The picture of shared neurons: labels by labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..files import StrPath
from ..pictures import colour_bar, picture
from ..svg import LIGHT
from .heatmap import draw_heatmap
from .shared import Shared

_MANY = 40  # labels, beyond which cells are small


def plot_shared(table: Shared, names: Sequence[str], path: StrPath) -> None:
    """Draw the number of neurons that two labels share; a cell without number has none.

    A label's own number stands on the diagonal, in grey: it is no sharing, and would take most of
    the scale. What is above the diagonal says the same as what is below, so it is left out, and the
    names stand there again: from a cell one looks left or down, or right or up. Lines part the
    properties.

    Args:
        table: as found.
        names: of its labels.
        path: the file; its ending says whether PNG or SVG.

    Raises:
        UserError: matplotlib is not installed, or another ending.
    """
    common = table.common
    values = np.where(np.eye(len(names), dtype=bool), np.nan, common.astype(np.float64))
    many = len(names) > _MANY
    cell, font = (0.155, 5.5) if many else (0.24, 7)  # inches, points
    texts = [[str(cell) if cell else "" for cell in line] for line in common.tolist()]
    longest = 0.06 * max(map(len, names))
    side = cell * len(names) + longest
    highest = max(1.0, float(np.nanmax(values)))
    with picture(path, max(3.2, side + longest + 0.7), max(2.6, side + longest + 0.4)) as figure:
        axes = figure.add_subplot()
        cells = draw_heatmap(
            axes, values, texts, names, highest, lower=True, font=font, unit=" in common"
        )
        axes.spines[:].set_visible(False)
        axes.tick_params(labelsize=7 if many else 8, length=2)
        _name_diagonal(axes, names, 6.5 if many else 7)
        _part(axes, [found.property for found in table.sets])
        colour_bar(cells, axes, "neurons in common", 0.8)


def _name_diagonal(axes: Any, names: Sequence[str], font: float) -> None:
    """Each name again, where its row ends and its column begins."""
    for place, name in enumerate(names):
        place_of_text = {"ha": "left", "va": "bottom", "rotation": 45, "rotation_mode": "anchor"}
        axes.text(place + 0.75, place - 0.55, name, fontsize=font, **place_of_text)


def _part(axes: Any, properties: Sequence[str]) -> None:
    """Lines between the properties, as far as there are cells."""
    for place in range(1, len(properties)):
        if properties[place] != properties[place - 1]:
            style = {"color": LIGHT, "linewidth": 1.5}
            axes.plot([-0.5, place - 0.5], [place - 0.5] * 2, **style)
            axes.plot([place - 0.5] * 2, [place - 0.5, len(properties) - 0.5], **style)
