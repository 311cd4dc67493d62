"""A square heatmap, as pictures of analyses have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..pictures import name_values

_GROUND = "0.85"


def draw_heatmap(
    axes: Any,
    values: npt.NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    names: Sequence[str],
    highest: float,
) -> Any:
    """A square heatmap from 0 to ``highest``; dark is low, light is high, in greyscale print too.

    Args:
        axes: to draw on.
        values: ``[names, names]``; NaN stays grey.
        texts: what stands in the cells, ``[names][names]``.
        names: of rows and columns.
        highest: end of the scale.

    Returns:
        The image, for a colour bar.
    """
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=highest, aspect="equal")
    axes.set_facecolor(_GROUND)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            value = values[row, column]
            # cividis rises evenly in lightness: half way up, black begins to show better.
            light = np.isnan(value) or image.norm(value) > 0.5
            drawn = axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=7,
                color="#010101" if light else "#fefefe",  # the ground's, whatever the page's
            )
            name_values([drawn], [f"{names[row]}, {names[column]}: {text}"])
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 30)
    if len(names) <= 6:
        for tick in axes.get_xticklabels():
            tick.set_ha("right")
            tick.set_rotation_mode("anchor")
    axes.set_yticks(range(len(names)), names)
    return image
