"""Our pictures as part of a page: one inline SVG that follows the page's light and dark."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# What matplotlib draws with, and what the page puts in its place. Letters on coloured cells are
# drawn in nearly black and nearly white, and so stay as they are.
_COLOURS = {"#000000": "var(--ink, #000)", "#ffffff": "var(--paper, #fff)"}


def figure_svg(draw: Callable[[Path], None], name: str) -> str:
    """Draw a picture and make it fit for a page.

    Args:
        draw: one of our plot functions; it writes to a path that ends in ``.svg``.
        name: unique on the page; its ids begin with it.

    Returns:
        One ``<svg>`` element: text is text, ink and paper are the page's, marks keep their titles,
        and nothing is asked for from elsewhere.

    Raises:
        UserError: matplotlib is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.svg"
        draw(path)
        root = ElementTree.fromstring(path.read_text("utf-8"))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}style":  # a page has one style for all
                parent.remove(child)
    used = _used(root)
    for element in root.iter():
        _fit(element, name, used)
    root.set("class", "figure")
    root.set("fill", "currentColor")
    root.set("stroke-linejoin", "round")
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _used(root: ElementTree.Element) -> set[str]:
    """Ids that something refers to; the others only take space."""
    found = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            found |= set(_REFERENCE.findall(value))
            if key == _HREF and value.startswith("#"):
                found.add(value[1:])
    return found


def _fit(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Make ids the page's, and colours."""
    for key, value in list(element.attrib.items()):
        if key == "id":
            if value in used:
                element.set(key, f"{name}-{value}")
            else:
                del element.attrib[key]
            continue
        if key == _HREF:
            del element.attrib[key]
            element.set("href", f"#{name}-{value[1:]}" if value.startswith("#") else value)
            continue
        value = _REFERENCE.sub(lambda found: f"url(#{name}-{found.group(1)})", value)
        for drawn, shown in _COLOURS.items():
            value = value.replace(drawn, shown)
        element.set(key, re.sub(r"font-family: [^;]*;? ?|font: (\S+) [^;]*", _font, value))


def _font(found: re.Match[str]) -> str:
    """A size without a family: letters are the page's."""
    size = found.group(1)
    return f"font-size: {size}" if size else ""
