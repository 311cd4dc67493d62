"""The picture of an overlap: a heatmap for each number of neurons."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from ..files import StrPath
from ..pictures import colour_bar, picture
from .heatmap import draw_heatmap
from .overlap import Overlap

_IN_A_ROW = 3


def plot_overlap(points: Sequence[Overlap], path: StrPath) -> None:
    """Draw the share of common neurons in percent, one panel a ``k``, all on one scale.

    Args:
        points: of the same rankings, at least one.
        path: the file; its ending says whether PNG or SVG.

    Raises:
        UserError: matplotlib is not installed, or another ending.
    """
    names = points[0].names
    columns = min(len(points), _IN_A_ROW)
    rows = ceil(len(points) / columns)
    own = np.eye(len(names), dtype=bool)
    # A ranking always shares all with itself; left out, the scale can show the others.
    shares = [np.where(own, np.nan, 100 * point.share) for point in points]
    highest = 10 * max(1, ceil(max(float(np.nanmax(share)) for share in shares) / 10))
    longest = 0.06 * max(map(len, names))
    side = 0.45 * len(names)
    width = columns * max(2.2, side + longest + 0.3) + 0.7
    height = rows * max(2.0, side + longest + 0.5)
    with picture(path, width, height) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes in panels[len(points) :]:
            axes.set_axis_off()
        for axes, point, share in zip(panels, points, shares, strict=False):
            texts = [["" if np.isnan(x) else f"{x:.0f}" for x in line] for line in share]
            cells = draw_heatmap(axes, share, texts, names, highest, unit="%")
            title = f"{point.end} {point.k} of {point.neurons}"
            axes.set_title(f"{title}\n(chance {100 * point.chance:.1f})", fontsize=8)
        colour_bar(cells, list(panels), "neurons in common (%)")
