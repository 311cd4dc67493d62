"""What all pictures have in common: PNG or SVG, one style, values on marks. matplotlib is optional.

Everything that is told apart by colour is also told apart by lightness, shape or hatching, so that
a picture survives a greyscale print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .files import StrPath, atomic_path
from .svg import DARK, LIGHT, finished_svg, marks_id

FORMATS = ("png", "svg")
_LARGEST = 60.0  # inches: beyond it a PNG gets too many pixels to be opened
# The date and the program's name would make two pictures of the same thing differ.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": ""},
    "svg": {"Date": None, "Creator": ""},
}
_NO_VALUE = "0.85"
_LEVELS = 40  # of a colour scale; from 50 on matplotlib draws the bar as an image


@contextmanager
def picture(path: StrPath, width: float, height: float, font: float = 8) -> Iterator[Any]:
    """An empty matplotlib figure that becomes a file when the block ends; equal ones equal bytes.

    Args:
        path: the file; its ending says whether PNG or SVG.
        width: inches; height: inches.
        font: size of the letters in points.

    Raises:
        UserError: another ending, matplotlib is not installed, or the file cannot be written.

    Usage::

        with picture("focus.svg", 5, 3) as figure:
            bars = figure.add_subplot().bar(names, counts)
            name_values(bars, [f"{name}: {count}" for name, count in zip(names, counts)], counts)
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise UserError(f"cannot draw {path}: the name must end in .png or .svg")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError(
            "no picture without matplotlib; get it with: pip install fairseq_neuron_plugin[plot]"
        ) from error
    size = min(width, _LARGEST), min(height, _LARGEST)
    style = {
        "font.size": font,
        "text.parse_math": False,  # "$" is a part of speech, not the start of a formula
        "svg.hashsalt": "fairseq_neuron_plugin",
        "svg.fonttype": "none",  # text stays text: to be searched, copied and read out
    }
    with rc_context(style):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        yield figure
        with atomic_path(path) as partial:
            figure.savefig(partial, format=kind, metadata=_METADATA[kind])
            if kind == "svg":
                partial.write_text(finished_svg(partial.read_text("utf-8")), "utf-8")


def name_values(artists: Any, texts: Sequence[str], values: Sequence[float]) -> None:
    """Say what marks stand for; an SVG shows it when one points at them.

    Args:
        artists: a line or collection with one mark for each text, or as many bars, texts, patches.
        texts: one for each mark.
        values: the number that each stands for, for programs that read the SVG; NaN: none.
    """
    marks = list(zip(values, texts, strict=True))
    if hasattr(artists, "set_gid"):
        artists.set_gid(marks_id(marks))
        return
    for artist, mark in zip(artists, marks, strict=True):
        artist.set_gid(marks_id([mark]))


def colour_bar(cells: Any, axes: Any, label: str = "", shrink: float = 0.9) -> None:
    """The scale of `draw_cells`.

    Args:
        cells: what that returned.
        axes: beside which it stands, one or several.
        label: what the colours mean.
        shrink: its height, as a share of the axes'.
    """
    bar = cells.figure.colorbar(cells, ax=axes, shrink=shrink, aspect=30, label=label)
    bar.solids.set_edgecolor("face")  # or the ground would shine through between its steps


def draw_cells(
    axes: Any,
    values: npt.NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    titles: Sequence[Sequence[str]],
    limits: tuple[float, float],
    font: float = 7,
) -> Any:
    """The cells of a heatmap; dark is low, light is high, in greyscale print too.

    Args:
        axes: to draw on; cell ``[row, column]`` is centred at x = column, y = row.
        values: ``[rows, columns]``; NaN is grey.
        texts: what stands in the cells, ``[rows][columns]``.
        titles: what is said of them, ``[rows][columns]``; a cell without is not drawn.
        limits: the ends of the scale.
        font: size of the texts in points.

    Returns:
        What `colour_bar` needs.
    """
    from matplotlib import colormaps
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Normalize
    from matplotlib.path import Path as Outline
    from matplotlib.transforms import AffineDeltaTransform

    places = [place for place in np.ndindex(values.shape) if titles[place[0]][place[1]]]
    rows, columns = np.array(places).T
    shown = np.ma.masked_invalid(values[rows, columns])
    # Not an image: in an SVG cells are sharp at any size, and each has its value.
    cells = PathCollection(
        [Outline([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], closed=False)],
        offsets=np.column_stack([columns, rows]),
        offset_transform=axes.transData,
        cmap=colormaps["cividis"].resampled(_LEVELS).with_extremes(bad=_NO_VALUE),
        norm=Normalize(*limits),
        array=shown,
        antialiaseds=False,  # or the ground would shine through between them
        linewidths=0,
        clip_on=False,
    )
    cells.set_transform(AffineDeltaTransform(axes.transData))
    name_values(
        cells, [titles[row][column] for row, column in places], shown.filled(np.nan).tolist()
    )
    axes.add_collection(cells, autolim=False)
    axes.set_xlim(-0.5, values.shape[1] - 0.5)
    axes.set_ylim(-0.5, values.shape[0] - 0.5)
    for row, column in places:
        # cividis rises evenly in lightness: half way up, dark begins to show better.
        value = float(values[row, column])
        light = np.isnan(value) or value > sum(limits) / 2
        if texts[row][column]:
            axes.text(
                column,
                row,
                texts[row][column],
                ha="center",
                va="center_baseline",
                fontsize=font,
                color=DARK if light else LIGHT,
            )
    return cells
