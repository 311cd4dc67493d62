"""The page as text: escaped, complete, the same each time; cells, histograms, colours."""

from __future__ import annotations

import html
import re

import pytest
from markupsafe import escape
from report_toy import HOSTILE, LABELS, write_everything

from fairseq_neuron_plugin.analysis.examples import Example
from fairseq_neuron_plugin.analysis.histogram import distribution
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.report.build import build_report
from fairseq_neuron_plugin.report.cards import CardChoice
from fairseq_neuron_plugin.report.colours import LEVELS, coloured_words, heat_css, level, visible
from fairseq_neuron_plugin.report.document import Card, Column, Reason, Report, Section, Table
from fairseq_neuron_plugin.report.inputs import find_inputs
from fairseq_neuron_plugin.report.page import format_cell, histogram_bars, near, render, width_of

TITLE = "<title>Neurons & </title>"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    folder = write_everything(tmp_path_factory.mktemp("page") / "run")
    command = ["report", "<script>"]
    return build_report(find_inputs([folder]), TITLE, command, CardChoice(top=3))


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render(report)


def test_all_sections_are_there(report: Report, page: str) -> None:
    names = ["models", "probes", "sweeps", "focus", "shared", "rankings"]
    assert [section.name for section in report.sections] == names
    for name in (*names, "neurons"):
        assert f'id="{name}"' in page
        assert f'href="#{name}"' in page
    assert len(report.cards) == page.count('<article class="card"')


def test_text_is_escaped(page: str) -> None:
    script = re.search(r"<script>.*?</script>", page, re.DOTALL).group()
    body = page.replace(script, "")
    tags = set(re.findall(r"<([a-zA-Z]+)", body))
    assert tags.isdisjoint({"script", "img", "iframe", "object", "link", "base", "embed"})
    for text in (*HOSTILE[:3], LABELS[1], TITLE, "<script>"):
        assert text not in body
        assert str(escape(text)) in body
    assert "bell␇" in body
    assert "\x07" not in page
    assert "49" not in re.findall(r"<bdi>(\d+)</bdi>", body)  # of {{7*7}}


def test_nothing_is_asked_for_from_elsewhere(page: str) -> None:
    assert not re.search(r'(src|href)="(?!#)[^"]', page)
    assert not re.search(r"url\((?!#)", page)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy


def test_equal_reports_give_equal_pages(report: Report, page: str) -> None:
    assert render(report) == page


def test_ids_are_unique(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "percent", "–"),
        (float("nan"), "number", "–"),
        (0.12345, "percent", "12.3"),
        (1234567, "integer", "1,234,567"),
        (3.14159, "number", "3.14"),
        (1.5e9, "number", "1.5e+09"),
        (0.0004, "p", "<0.001"),
        (0.25, "p", "0.250"),
        ("$", "code", "$"),
    ],
)
def test_cells(value, kind, text: str) -> None:
    assert format_cell(value, Column("", kind)) == text


def test_histogram() -> None:
    bars = histogram_bars(distribution([0.0, 0.0, 0.0, 1.0], bins=4))
    assert [(bar["x"], bar["height"]) for bar in bars] == [("0.00", "100.00"), ("75.00", "33.33")]
    assert bars[1]["text"] == "0.75 to 1: 1 words"


def test_long_sentences_are_cut_around_the_extreme_word() -> None:
    example = Example(1, 50, 1.0, ("w",) * 200, (0.0,) * 200)
    assert near(example, 5) == slice(44, 55)
    assert near(Example(1, 2, 1.0, ("w",) * 3, (0.0,) * 3), 5) == slice(0, 7)


def test_pictures_are_not_enlarged() -> None:
    assert width_of('<svg viewBox="0 0 100 50">') == 160


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [(0, 1, 0), (1, 1, 8), (-1, 1, -8), (9, 1, 8), (0.5, 1, 4), (-0.25, 1, -2), (1, 0, 0)],
)
def test_levels(value, limit, expected: int) -> None:
    assert level(value, limit) == expected


def test_colours_can_be_read_without_colour() -> None:
    css = heat_css()
    for step in range(-LEVELS, LEVELS + 1):
        ground, ink = re.search(rf"\.h{step}{{background:rgb\((.*?)\);color:#(\w+)}}", css).groups()
        light, dark = sorted((_luminance(ground), {"000": 0.0, "fff": 1.0}[ink]), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, step
        side = re.search(rf"\.h{step}::after{{(\w+):100%;height:([\d.]+)em", css)
        assert (side is None) == (step == 0)
        if side:
            assert side.group(1) == ("bottom" if step > 0 else "top")
            assert float(side.group(2)) == pytest.approx(0.28 * abs(step) / LEVELS, abs=1e-3)


def _luminance(colour: str) -> float:
    """By the formula of WCAG 2."""
    parts = [int(part) / 255 for part in colour.split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_coloured_words() -> None:
    assert coloured_words(["a<"], [0.5], 1.0) == (
        '<i class="w h4" data-v="+0.500"><bdi>a&lt;</bdi></i>'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a␀b"),
        ("\x7f", "␡"),
        ("\x85", "�"),
        ("ü€\u200f", "ü€\u200f"),
        ("\u202ea", "⟨U+202E⟩a"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_cards_are_filtered_by_what_they_are_shown_or_salient_for(report: Report) -> None:
    card = report.cards[0]
    given = Card(card.store, card.card, (Reason("r", 1, "X"), Reason("r", 2)))
    salient = [w.label for probe in card.card.probes for w in probe.labels if w.salient]
    assert given.labels == tuple(dict.fromkeys(["X", *salient]))


def test_a_report_of_tables_alone() -> None:
    table = Table("t", (Column("name"), Column("value", "number")), (("a", 1.0),))
    page = render(Report("x", ["c"], (Section("s", "S", (), (table,)),)))
    assert "neurons-title" not in page
    assert '<td class="num" data-v="1.0">1.00</td>' in page


def test_unknown_label(tmp_path) -> None:
    folder = write_everything(tmp_path / "run")
    with pytest.raises(UserError, match="no ranking has a label 'ADJ'; there are: "):
        build_report(find_inputs([folder]), "x", [], CardChoice(labels=("ADJ",)))
