"""Sentences coloured by a neuron's activation, red over white to blue: the paper's figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_neuron_plugin.pictures import picture

_LETTER, _LINE = 0.075, 0.42  # inches
_SHORTEST = 5  # letters: room for the value below a word


def draw_sentences(path: Path, sentences: Sequence[Mapping[str, Any]]) -> None:
    """Draw sentences, a line each; the value stands under each word.

    Args:
        path: the picture; ends in .png or .svg.
        sentences: each with ``words`` and as many ``values``.
    """
    from matplotlib import colormaps
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.patches import Rectangle

    widths = [[max(len(word), _SHORTEST) + 1 for word in one["words"]] for one in sentences]
    longest = max(map(sum, widths))
    limit = max(abs(value) for one in sentences for value in one["values"]) or 1.0
    scale = TwoSlopeNorm(0, -limit, limit)
    colours = colormaps["RdBu_r"]
    with picture(path, longest * _LETTER + 0.2, len(sentences) * _LINE + 0.2) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(0, longest), ylim=(len(sentences), 0))
        axes.axis("off")
        for line, (one, room) in enumerate(zip(sentences, widths, strict=True)):
            place = 0
            for word, value, width in zip(one["words"], one["values"], room, strict=True):
                colour = colours(scale(value))
                dark = sum(colour[:3]) < 1.5
                box = Rectangle((place, line + 0.06), width - 0.2, 0.86, facecolor=colour)
                axes.add_patch(box)
                for text, height, size in ((word, 0.36, 8), (f"{value:.2f}", 0.72, 5)):
                    axes.text(
                        place + (width - 0.2) / 2,
                        line + height,
                        text,
                        size=size,
                        family="DejaVu Sans Mono",
                        color="white" if dark else "black",
                        ha="center",
                        va="center",
                    )
                place += width
