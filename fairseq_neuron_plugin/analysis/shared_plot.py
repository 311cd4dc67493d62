"""The picture of shared neurons: labels by labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..files import StrPath
from ..pictures import picture
from .heatmap import draw_heatmap
from .shared import Shared

_WRITTEN = 40  # labels, up to which every cell has its number


def plot_shared(table: Shared, names: Sequence[str], path: StrPath) -> None:
    """Draw the number of neurons that two labels share.

    A label's own number stands on the diagonal, in grey: it is no sharing, and would take most of
    the scale. Lines part the properties.

    Args:
        table: as found.
        names: of its labels.
        path: the file; its ending says whether PNG or SVG.

    Raises:
        UserError: matplotlib is not installed, or another ending.
    """
    common = table.common
    values = np.where(np.eye(len(names), dtype=bool), np.nan, common.astype(np.float64))
    written = len(names) <= _WRITTEN
    texts = [[str(cell) for cell in line] for line in common.tolist()] if written else []
    side = (0.24 if written else 0.14) * len(names) + 0.06 * max(map(len, names))
    with picture(path, max(3.2, side + 1.0), max(2.6, side + 0.4)) as figure:
        axes = figure.add_subplot()
        image = draw_heatmap(axes, values, texts, names, max(1.0, float(np.nanmax(values))))
        properties = [found.property for found in table.sets]
        for place in range(1, len(properties)):
            if properties[place] != properties[place - 1]:
                axes.axhline(place - 0.5, color="white", linewidth=1.5)
                axes.axvline(place - 0.5, color="white", linewidth=1.5)
        figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, label="neurons in common")
