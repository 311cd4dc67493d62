"""The picture of top words: bars to the right for the highest, to the left for the lowest."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..files import StrPath
from ..pictures import name_values, picture
from .top_words import TopWords

PANELS = 12
_COLUMNS = 4
_LETTERS = 22


def plot_top_words(found: Sequence[TopWords], names: Sequence[str], path: StrPath) -> None:
    """Draw one panel a neuron; the first twelve neurons.

    Args:
        found: at least one neuron.
        names: titles of the panels.
        path: the file; its ending says whether PNG or SVG.

    Raises:
        UserError: matplotlib is not installed, or another ending.
    """
    shown = list(zip(found, names, strict=True))[:PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    words = max(len(top.highest) + len(top.lowest) for top, _ in shown)
    with letters_may_lack(), picture(path, 2.6 * columns, rows * (0.9 + 0.14 * words)) as figure:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, (top, name) in zip(panels, shown, strict=False):
            draw_words(axes, top)
            axes.set_title(name, fontsize=8)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        note = f"; the first {len(shown)} of {len(found)} neurons" if len(found) > PANELS else ""
        figure.supxlabel(f"mean activation, in standard deviations from the neuron's mean{note}")


def draw_words(axes: Any, top: TopWords) -> None:
    """Bars of the highest words, then of the lowest; the tick of a word holds its count."""
    words = [*top.highest, *reversed(top.lowest)]
    bars = axes.barh(
        range(len(words)),
        [word.z for word in words],
        height=0.75,
        color=["0.25" if word.z > 0 else "0.75" for word in words],
        edgecolor="black",
        linewidth=0.4,
    )
    texts = [f"{word.word}: {word.z:.2f} ({word.count} times)" for word in words]
    name_values(bars, texts, [word.z for word in words])
    ticks = [f"{_shortened(word.word)} ({word.count})" for word in words]
    axes.set_yticks(range(len(words)), ticks)
    axes.set_ylim(len(words) - 0.4, -0.6)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if not words:
        axes.text(0.5, 0.5, "no variance", ha="center", transform=axes.transAxes)


@contextmanager
def letters_may_lack() -> Iterator[None]:
    """A script that matplotlib's font lacks is drawn as boxes, without a warning a letter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _shortened(word: str) -> str:
    return word if len(word) <= _LETTERS else f"{word[: _LETTERS - 1]}…"
