"""What all pictures have in common: PNG or SVG, one style, values on marks. matplotlib is optional.

Everything that is told apart by colour is also told apart by lightness, shape or hatching, so that
a picture survives a greyscale print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .errors import UserError
from .files import StrPath, atomic_path

FORMATS = ("png", "svg")
_LARGEST = 60.0  # inches: beyond it a PNG gets too many pixels to be opened
# The date and the program's name would make two pictures of the same thing differ.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": ""},
    "svg": {"Date": None, "Creator": ""},
}
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_PROLOG = '<?xml version="1.0" encoding="utf-8"?>\n'
_VALUES = "values\x1f"
_SHAPES = {f"{{{_SVG}}}use", f"{{{_SVG}}}path", f"{{{_SVG}}}text"}


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
            name_values(bars, [f"{name}: {count}" for name, count in zip(names, counts)])
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
                partial.write_text(_with_titles(partial.read_text("utf-8")), "utf-8")


def name_values(artists: Any, texts: Sequence[str]) -> None:
    """Say what marks stand for; an SVG shows it when one points at them.

    Args:
        artists: a line with one marker for each text, or as many bars, texts or patches.
        texts: one for each mark.
    """
    if hasattr(artists, "set_gid"):
        artists.set_gid(_VALUES + "\x1f".join(map(_printable, texts)))
        return
    for artist, text in zip(artists, texts, strict=True):
        artist.set_gid(_VALUES + _printable(text))


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _with_titles(svg: str) -> str:
    """Turn the ids that `name_values` gave into titles of the marks, with class ``mark``."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg.replace("\x1f", "&#x241F;"))
    for group in root.iter(f"{{{_SVG}}}g"):
        name = group.get("id", "")
        if not name.startswith(_VALUES.replace("\x1f", "\u241f")):
            continue
        del group.attrib["id"]
        texts = name.split("\u241f")[1:]
        for mark, text in zip(_marks(group, len(texts)), texts, strict=False):
            mark.set("class", "mark")
            ElementTree.SubElement(mark, f"{{{_SVG}}}title").text = text
    for metadata in root.findall(f"{{{_SVG}}}metadata"):  # empty but for its namespaces
        root.remove(metadata)
    return f"{_PROLOG}{ElementTree.tostring(root, encoding='unicode')}\n"


def _marks(group: ElementTree.Element, count: int) -> list[ElementTree.Element]:
    """The elements of a group that stand for values: the last so many shapes.

    (The shape of a marker, in ``defs``, and the line through the markers come before them.)
    """
    hidden = {shape for defs in group.iter(f"{{{_SVG}}}defs") for shape in defs.iter()}
    shapes = [each for each in group.iter() if each.tag in _SHAPES and each not in hidden]
    uses = [shape for shape in shapes if shape.tag == f"{{{_SVG}}}use"]
    return (uses or shapes)[-count:]
