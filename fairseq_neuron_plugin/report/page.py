"""From what a report says to one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..analysis.examples import Example
from ..analysis.histogram import Distribution
from ..version import __version__
from .colours import LEVELS, coloured_words, heat_css, visible
from .document import Card, Cell, Column, Figure, Report

_HERE = Path(__file__).parent
CONTEXT = 30  # words on either side of the most extreme one
_NUMERIC = ("integer", "number", "percent", "p")


def render(report: Report) -> str:
    """The page: style, script and pictures are inside, and nothing may be asked for from outside.

    Every text is escaped; of a document only the ``<svg>`` of a figure is taken as it is. Equal
    reports give equal pages.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.tests["figure"] = lambda part: isinstance(part, Figure)
    environment.filters |= {"cell": format_cell, "sort_key": sort_key, "visible": visible}
    environment.globals |= {
        "coloured": coloured_words,
        "bars": histogram_bars,
        "near": near,
        "width_of": width_of,
        "numeric": lambda column: column.kind in _NUMERIC,
        "levels": list(range(-LEVELS, LEVELS + 1)),
    }
    script = (_HERE / "assets" / "report.js").read_text("utf-8")
    style = (_HERE / "assets" / "report.css").read_text("utf-8") + heat_css()
    return environment.get_template("report.html.j2").render(
        report=report,
        version=__version__,
        policy=content_policy(script),
        style=Markup(style),  # ours
        script=Markup(script),  # ours
        filters=_filters(report.cards),
    )


def content_policy(script: str) -> str:
    """What the browser may do with the page: run this script, and load nothing from anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def format_cell(value: Cell, column: Column) -> str:
    """A cell as it is read."""
    if value is None or value != value:
        return "–"
    if isinstance(value, str):
        return value
    if column.kind == "percent":
        return f"{100 * value:.1f}"
    if column.kind == "p":
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    if column.kind == "number":
        return f"{value:.2f}" if abs(value) < 1e5 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def sort_key(value: Cell) -> str:
    """A number in full, by which the page sorts; nothing for what was not measured."""
    return "" if value is None or value != value or isinstance(value, str) else repr(value)


def histogram_bars(found: Distribution) -> list[dict[str, Any]]:
    """Place and height, 0 to 100, of each bar that is not empty, and what it says."""
    most = max(found.counts)
    width = 100 / len(found.counts)
    return [
        {
            "x": f"{number * width:.2f}",
            "width": f"{width * 0.92:.2f}",
            "height": f"{max(1.0, 100 * count / most):.2f}",
            "y": f"{100 - max(1.0, 100 * count / most):.2f}",
            "text": f"{found.edges[number]:.3g} to {found.edges[number + 1]:.3g}: {count:,} words",
        }
        for number, count in enumerate(found.counts)
        if count
    ]


def width_of(svg: str) -> int:
    """Pixels beyond which a picture is not enlarged: its own size and a fifth more."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    return round(1.2 * 4 / 3 * float(found.group(1))) if found else 600


def near(example: Example, context: int = CONTEXT) -> slice:
    """The words of a long sentence that are shown: so many on either side of the extreme one."""
    place = example.position - 1
    return slice(max(0, place - context), place + context + 1)


def _filters(cards: Sequence[Card]) -> Mapping[str, list[str]]:
    """What cards can be filtered by."""
    return {
        "labels": sorted({label for card in cards for label in card.labels}),
        "rankings": list(dict.fromkeys(r.ranking for card in cards for r in card.reasons)),
        "stores": list(dict.fromkeys(card.store for card in cards)),
    }
