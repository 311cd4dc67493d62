"""What the pictures of analyses have in common. matplotlib is optional."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import StrPath, atomic_path

_LARGEST = 60.0  # inches: beyond it a PNG gets too many pixels to be opened
_GROUND = "0.85"


@contextmanager
def picture(path: StrPath, width: float, height: float) -> Iterator[Any]:
    """An empty matplotlib figure that becomes a PNG when the block ends.

    Args:
        path: the PNG file.
        width: inches; height: inches.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError(
            "no picture without matplotlib; get it with: pip install fairseq_neuron_plugin[plot]"
        ) from error
    size = min(width, _LARGEST), min(height, _LARGEST)
    # Labels are text: "$" is a part of speech in the Penn Treebank, not the start of a formula.
    with rc_context({"font.size": 8, "text.parse_math": False}):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        yield figure
        with atomic_path(path) as partial:
            figure.savefig(partial, format="png", metadata={"Software": ""})


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
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=7,
                color="black" if light else "white",
            )
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 30)
    if len(names) <= 6:
        for tick in axes.get_xticklabels():
            tick.set_ha("right")
            tick.set_rotation_mode("anchor")
    axes.set_yticks(range(len(names)), names)
    return image
