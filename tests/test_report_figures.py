"""Pictures as files and as part of a page: what marks say; nothing comes from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import browser, logs_of, open_file  # noqa: F401

from fairseq_neuron_plugin.analysis.focus_plot import plot_focus
from fairseq_neuron_plugin.analysis.overlap import overlap
from fairseq_neuron_plugin.analysis.overlap_plot import plot_overlap
from fairseq_neuron_plugin.analysis.shared import SalientSet, shared
from fairseq_neuron_plugin.analysis.shared_plot import plot_shared
from fairseq_neuron_plugin.analysis.top_words import TopWords, WordScore
from fairseq_neuron_plugin.analysis.top_words_plot import plot_top_words
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.pictures import name_values, picture
from fairseq_neuron_plugin.probing.grid import Cell, Grid
from fairseq_neuron_plugin.probing.grid_plot import plot_grid
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.report.figures import figure_svg
from fairseq_neuron_plugin.sweeps.plot import plot_sweep

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$x$ {{7*7}} &amp;"]
HOSTILE += ["\u202eא\x07\ud800", "a\u241fb\u241ec", "</svg></script>", "marks"]
SVG = "{http://www.w3.org/2000/svg}"
POINTS = {0: (40.0, 38.0, 42.0), 5: (30.0, 28.5, 31.0), 10: (13.2, 12.1, 14.3)}


def sweep(path, names=("cross-model",), orders=("top",), points=POINTS):
    rows = [
        {"ranking": name, "order": order, "ablated": share, "share": share / 100}
        | {"bleu": mean, "bleu_low": low, "bleu_high": high}
        for name in names
        for order in orders
        for share, (mean, low, high) in points.items()
    ]
    plot_sweep(rows, path)


def focus(path, labels=("NOUN", "VERB")):
    counts = {"pos": [3, *[None] * (len(labels) - 1)], "sem": [*range(len(labels))]}
    plot_focus(labels, counts, path)


def shared_labels(path, labels=("N", "V", "X")):
    sets = [SalientSet("pos", label, np.array([n, n + 1])) for n, label in enumerate(labels)]
    plot_shared(shared(sets, len(labels) + 1), labels, path)


def three(path, names=("a", "b", "c")):
    orders = [[0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0]]
    given = {n: Ranking("m", np.array(o), np.zeros(4)) for n, o in zip(names, orders, strict=False)}
    plot_overlap([overlap(given, 2)], path)


def grid(path):
    rest = {"nonzero": 1, "passes": 1, "objective": 1.0, "kkt_residual": 0.0, "seconds": 1.0}
    cells = [
        Cell(l1=l1, l2=l2, accuracy=0.9 - l1, top=0.8, bottom=0.7 - l2, converged=not l1, **rest)
        for l1 in (0.0, 0.1)
        for l2 in (0.0, 0.2)
    ]
    plot_grid(Grid(tuple(cells), "20%", 1, 10, 1.0), path)


def words(path, found=("Haus", "und")):
    top = [WordScore(word, 7, 0.5, 1.5) for word in found]
    plot_top_words([TopWords(3, 0.1, 0.2, 0.5, tuple(top), ())], ["encoder.layers.0:3"], path)


DRAWN = [sweep, focus, shared_labels, three, grid, words]


def marks(svg):
    return {
        mark.find(f"{SVG}title").text: mark.get("data-value")
        for mark in ElementTree.fromstring(svg).iter()
        if mark.get("class") == "mark"
    }


SAID = [
    (sweep, "cross-model, top first: 10% ablated, BLEU 13.2 (12.1 to 14.3)", "13.2", 3),
    (focus, "pos, NOUN: 3", "3", 3),
    (shared_labels, "V, N: 1 in common", "1", 6),
    (shared_labels, "X, N: 0 in common", "0", 6),
    (shared_labels, "X itself: 2", None, 6),
    (three, "a, b: 100%", "100", 9),
    (three, "c, a: 0%", "0", 9),
    (grid, "λ1 = 0.1, λ2 = 0.2: 80.00", "80", 8),
    (words, "Haus: 1.50 (7 times)", "1.5", 2),
]


@pytest.mark.parametrize(("draw", "title", "value", "count"), SAID)
def test_marks_say_what_they_stand_for(draw, title, value, count):
    if draw is sweep:  # one order alone needs no name
        found = marks(figure_svg(lambda path: sweep(path, orders=("top", "bottom")), "s"))
        count *= 2
    else:
        found = marks(figure_svg(draw, "f"))
    assert found[title] == value
    assert len(found) == count


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("draw", DRAWN)
def test_files(tmp_path, draw, kind):
    """Both formats, and the same bytes each time."""
    one, two = tmp_path / f"one.{kind}", tmp_path / f"two.{kind}"
    draw(one)
    draw(two)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes().startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    if kind == "svg":
        assert one.read_text("utf-8").count("<image") == 0
    with pytest.raises(UserError, match=r"must end in \.png or \.svg"):
        draw(tmp_path / "one.pdf")


@pytest.mark.parametrize("draw", DRAWN)
def test_a_part_of_a_page(draw):
    svg = figure_svg(draw, "name")
    root = ElementTree.fromstring(svg)
    assert svg.startswith("<svg ")
    assert root.tag == f"{SVG}svg"
    assert root.get("width") is None
    ids = [element.get("id") for element in root.iter() if element.get("id") is not None]
    assert all(each.startswith("name-") for each in ids)
    assert len(ids) == len(set(ids))
    links = re.findall(r"""(?:href|src)\s*=\s*"([^"]*)"|url\(([^)]*)\)""", svg)
    assert {one or two for one, two in links} <= {f"#{each}" for each in ids}
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "defs", "g", "path", "use", "text", "tspan", "title", "rect"} | {
        *("clipPath", "pattern", "linearGradient", "stop", "image")
    }
    assert "script" not in tags
    drawn = re.sub(r"var\([^)]*\)", "", svg)
    assert "#000000" not in drawn
    assert "#ffffff" not in drawn
    assert "var(--ink, #000)" in svg
    assert "font-family" not in svg
    assert figure_svg(draw, "name") == svg


def test_two_figures_have_no_id_in_common():
    one, two = (set(re.findall(r'id="([^"]+)"', figure_svg(sweep, name))) for name in "ab")
    assert one
    assert not one & two


def test_text_is_text():
    texts = {"".join(t.itertext()) for t in ElementTree.fromstring(figure_svg(three, "x")).iter()}
    assert {"a", "b", "c", "neurons in common (%)"} <= texts


def test_small():
    """Four curves of 21 points are under 60 kB, 17 labels under 70, 80 labels under a million."""
    points = {n: (40.0 - n, 39.0 - n, 41.0 - n) for n in range(21)}
    curves = figure_svg(lambda path: sweep(path, ("a", "b"), ("top", "bottom"), points), "x")
    assert len(marks(curves)) == 84
    assert len(curves) < 60_000
    for count, most in ((17, 70_000), (80, 1_000_000)):
        labels = [f"sem:{number:03}" for number in range(count)]
        svg = figure_svg(lambda path, labels=labels: shared_labels(path, labels), "x")
        assert svg.count('class="mark"') == count * (count + 1) // 2
        assert len(svg) < most


def test_values_that_are_missing():
    svg = figure_svg(lambda path: sweep(path, points={0: (5.0, 4.0, 6.0), 5: (None,) * 3}), "x")
    assert list(marks(svg).values()) == ["5"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names(text):
    """They are text in every picture; what XML cannot hold is replaced."""
    shown = re.sub("[\u241e\u241f\u202e\x07\ud800]", "\N{REPLACEMENT CHARACTER}", text)

    def draw(path):
        with picture(path, 2, 2) as figure:
            name_values(figure.add_subplot().bar(["a"], [1]), [text], [1])

    assert marks(figure_svg(draw, "x")) == {shown: "1"}
    if text.isprintable():
        for drawn in (
            lambda path: sweep(path, (text, "other")),
            lambda path: focus(path, (text, "other")),
            lambda path: shared_labels(path, (text, "other")),
            lambda path: three(path, (text, "other")),
            lambda path: words(path, (text, "other")),
        ):
            svg = figure_svg(drawn, "x")
            assert any(shown in title for title in marks(svg))
            assert not re.search(r"<(script|img)", svg)


def test_greyscale():
    """Rankings differ in marker, orders in line, probes in lightness and hatching."""
    svg = figure_svg(lambda path: sweep(path, ("a", "b"), ("top", "bottom")), "x")
    uses = {
        mark.get("href") for mark in ElementTree.fromstring(svg).iter() if mark.tag == f"{SVG}use"
    }
    assert len({use for use in uses if use}) >= 4  # two markers, filled and hollow
    assert "stroke-dasharray" in svg
    svg = figure_svg(focus, "x")
    assert "<pattern" in svg


def test_in_a_browser(browser, tmp_path):  # noqa: F811
    """Ink and paper are the page's, and nothing is asked for."""
    page = tmp_path / "page.html"
    style = ":root{--ink:rgb(1,2,3);--paper:rgb(4,5,6);--grid:rgb(7,8,9)}"
    svgs = "".join(figure_svg(draw, f"f{number}") for number, draw in enumerate(DRAWN))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    page.write_text(
        "<!doctype html><meta charset=utf-8><title>x</title>"
        f'<meta http-equiv=Content-Security-Policy content="{policy}"><style>{style}</style>{svgs}',
        "utf-8",
    )
    open_file(browser, page)
    colours = browser.execute_script(
        "const found = new Set();"
        "for (const each of document.querySelectorAll('svg *')) {"
        "  const style = getComputedStyle(each); found.add(style.fill).add(style.stroke);"
        "} return [...found]"
    )
    assert {"rgb(1, 2, 3)", "rgb(4, 5, 6)", "rgb(7, 8, 9)"} <= set(colours)
    count = browser.execute_script("return document.querySelectorAll('svg .mark > title').length")
    assert count == 3 + 3 + 6 + 9 + 8 + 2
    console, requests = logs_of(browser)
    assert console == []
    assert requests == [page.resolve().as_uri()]
