"""Our pictures as part of a page: one inline SVG that follows the page's light and dark."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from ..svg import HREF, REFERENCE, SVG

# What matplotlib draws with, and what the page puts in its place. Letters on coloured cells are
# drawn in nearly black and nearly white, and so stay as they are.
_COLOURS = {
    "#000000": "var(--ink, #000)",
    "#ffffff": "var(--paper, #fff)",
    "#b0b0b0": "var(--grid, #b0b0b0)",
}
_FAMILY = re.compile(r"font-family: [^;]*;? ?")
_SHORT_FONT = re.compile(r"font: ([^;]*?)(\S+px) [^;]*")


def figure_svg(draw: Callable[[Path], None], name: str) -> str:
    """Draw a picture and make it fit for a page.

    Args:
        draw: one of our plot functions; it writes to a path that ends in ``.svg``.
        name: unique on the page; its ids begin with it.

    Returns:
        One ``<svg>`` element: text is text, ink and paper are the page's, marks keep their titles
        and values, and nothing is asked for from elsewhere. It is hidden from screen readers,
        which would read its ticks one by one; a `Figure` has a sentence and a table for them.

    Raises:
        UserError: matplotlib is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.svg"
        draw(path)
        root = ElementTree.fromstring(path.read_text("utf-8"))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{SVG}style":  # a page has one style for all
                parent.remove(child)
    for element in root.iter():
        _fit(element, name)
    root.attrib |= {
        "class": "figure",
        "fill": "currentColor",
        "stroke-linejoin": "round",  # as the style says that was taken out
        "aria-hidden": "true",
    }
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    ElementTree.register_namespace("", SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode")


def _fit(element: ElementTree.Element, name: str) -> None:
    """Make ids, colours and letters the page's."""
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == HREF:
            del element.attrib[key]
            element.set("href", f"#{name}-{value[1:]}" if value.startswith("#") else value)
        else:
            value = REFERENCE.sub(lambda found: f"url(#{name}-{found.group(1)})", value)
            for drawn, shown in _COLOURS.items():
                value = value.replace(drawn, shown)
            if key == "style":
                value = _FAMILY.sub("", _SHORT_FONT.sub(r"font-size: \2", value))
            element.set(key, value)
