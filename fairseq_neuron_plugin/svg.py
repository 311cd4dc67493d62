"""What is done to an SVG of matplotlib: values on its marks, and less of it.

matplotlib writes an artist's id and nothing else that is the caller's. So what its marks stand for
travels in the id, and is taken out of it here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")

# Nearly black and nearly white: letters on coloured cells, which stay whatever the page's colours.
DARK, LIGHT = "#010101", "#fefefe"

_PROLOG = '<?xml version="1.0" encoding="utf-8"?>\n'
_MARKS, _NEXT, _TEXT = "marks", "\u241f", "\u241e"
_SHAPES = {f"{SVG}use", f"{SVG}path", f"{SVG}text"}
_GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points")
_LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")  # a hundredth of a point is seen by nobody
_AROUND_LETTERS = re.compile(r"\s*([MLHVCQZz])\s*")
_FAMILIES = re.compile(r"('[^']*'), ('[^']*', )+")


def marks_id(marks: Sequence[tuple[float, str]]) -> str:
    """An id that says what the marks of an artist stand for: value and text of each."""
    said = [f"{value:.6g}{_TEXT}{_xml(text)}" for value, text in marks]
    return _NEXT.join([_MARKS, *said])


def finished_svg(svg: str) -> str:
    """A whole SVG file, from matplotlib's.

    Marks get class ``mark``, their number as ``data-value`` and their text as ``<title>``; what
    nobody sees (ids without use, groups of one, digits, white space) goes.
    """
    ElementTree.register_namespace("", SVG[1:-1])
    ElementTree.register_namespace("xlink", HREF[1:].partition("}")[0])
    root = ElementTree.fromstring(svg)
    for group in list(root.iter(f"{SVG}g")):
        kind, *marks = group.get("id", "").split(_NEXT)
        if kind == _MARKS and marks:
            shapes = _marks(group, len(marks))
            for shape, mark in zip(shapes, marks, strict=False):
                _name(shape, *mark.split(_TEXT))
            if len(shapes) > 1 and shapes[0].tag == f"{SVG}path":
                group.set("shape-rendering", "crispEdges")  # no seams between cells
    for metadata in root.findall(f"{SVG}metadata"):  # empty but for its namespaces
        root.remove(metadata)
    used = used_ids(root)
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        _shorten(element)
    _unwrap(root)
    return f"{_PROLOG}{ElementTree.tostring(root, encoding='unicode')}\n"


def used_ids(root: Element) -> set[str]:
    """Ids that something refers to."""
    found = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            found |= set(REFERENCE.findall(value))
            if key == HREF and value.startswith("#"):
                found.add(value[1:])
    return found


def _xml(text: str) -> str:
    """Without what XML cannot hold, and what parts one text from the next."""
    return "".join(
        letter
        if letter.isprintable() and letter not in (_NEXT, _TEXT)
        else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def _marks(group: Element, count: int) -> list[Element]:
    """The elements of a group that stand for values: the last so many shapes.

    (The shape of a marker, in ``defs``, and the line through the markers come before them.)
    """
    hidden = {shape for defs in group.iter(f"{SVG}defs") for shape in defs.iter()}
    shapes = [each for each in group.iter() if each.tag in _SHAPES and each not in hidden]
    uses = [shape for shape in shapes if shape.tag == f"{SVG}use"]
    return (uses or shapes)[-count:]


def _name(shape: Element, value: str, text: str) -> None:
    shape.set("class", "mark")
    if not math.isnan(float(value)):
        shape.set("data-value", value)
    ElementTree.SubElement(shape, f"{SVG}title").text = text


def _shorten(element: Element) -> None:
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for key in _GEOMETRY:
        if key in element.attrib:
            element.set(key, _LONG_NUMBER.sub(r"\1", element.attrib[key]))
    if "d" in element.attrib:
        element.set("d", _AROUND_LETTERS.sub(r"\1", element.attrib["d"]).strip())
    style = element.get("style")
    if style is not None:
        element.set("style", _FAMILIES.sub(r"\1, ", style))
        if element.tag == f"{SVG}text" and (DARK in style or LIGHT in style):
            element.set("pointer-events", "none")  # one points at the cell below


def _unwrap(parent: Element) -> None:
    """Put the content of groups that say nothing in their place, each element on its line."""
    children: list[Element] = []
    for child in parent:
        _unwrap(child)
        plain = child.tag == f"{SVG}g" and not child.attrib
        children += list(child) if plain else [child]
    if parent.tag == f"{SVG}text" or f"{SVG}tspan" in (child.tag for child in children):
        return  # white space is text there
    parent[:] = [child for child in children if len(child) or child.tag != f"{SVG}defs"]
    if len(parent) and not any(child.tag == f"{SVG}title" for child in parent):
        parent.text = "\n"
        for child in parent:
            child.tail = "\n"
