"""Tables and sections of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLOURS = 48
# Code, which is shown as it is, or the beginning of what could be HTML.
_CODE_OR_LESS = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|<")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; the first column is left-aligned, the others right-aligned."""
    lines = [
        f"| {' | '.join(header)} |",
        f"|{'|'.join(['---', *['---:'] * (len(header) - 1)])}|",
    ]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    """Words of a corpus may hold anything: no bar ends a cell, nothing becomes HTML."""
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    text = _CODE_OR_LESS.sub(lambda found: found[0] if found[1] else "&lt;", text)
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """Words as they are, in a cell or in a sentence."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def folded(summary: str, text: str) -> str:
    """What few readers want to see: shown at a click, where the page is rendered."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def shrink(picture: Path) -> None:
    """Make a PNG smaller: a repository keeps it for good, and few colours show the same."""
    from PIL import Image

    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(colors=COLOURS)
    few.save(picture, optimize=True)


@dataclass
class Section:
    """A part of the page.

    Attributes:
        key: of published.yaml and of the findings that it bears out or not.
        title: its heading.
        body: paragraphs, tables and pictures, in order.
    """

    key: str
    title: str
    body: list[str] = field(default_factory=list)
