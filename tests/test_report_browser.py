"""The page in a real browser: it renders, sorts, filters, is safe, and asks nobody for anything."""

from __future__ import annotations

import base64
import json

import pytest
from browser import browser, logs_of, open_file  # noqa: F401
from report_toy import HOSTILE, LABELS, write_everything

from fairseq_neuron_plugin.report.build import build_report
from fairseq_neuron_plugin.report.cards import CardChoice
from fairseq_neuron_plugin.report.inputs import find_inputs
from fairseq_neuron_plugin.report.page import render

TITLE = "Toy neurons"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = write_everything(tmp_path_factory.mktemp("browser") / "run")
    report = build_report(find_inputs([folder]), TITLE, ["report"], CardChoice(top=4, label_top=2))
    target = folder / "report.html"
    target.write_text(render(report), "utf-8")
    return target


@pytest.fixture
def page(browser, path):  # noqa: F811
    open_file(browser, path)
    return browser


def find(page, selector: str):
    return page.find_elements("css selector", selector)


def shown_cards(page) -> list:
    return [card for card in find(page, ".card") if card.is_displayed()]


def column(page, table: int, number: int) -> list[str]:
    script = """
        const table = document.querySelectorAll('table:not(.words)')[arguments[0]];
        return [...table.tBodies[0].rows].map(row => row.cells[arguments[1]].textContent);
    """
    return page.execute_script(script, table, number)


def table_number(page, caption: str) -> int:
    captions = [each.text for each in find(page, "table:not(.words) caption")]
    return captions.index(caption)


def choose(page, name: str, value: str) -> None:
    script = """
        const chosen = document.getElementById(arguments[0]);
        chosen.value = arguments[1];
        chosen.dispatchEvent(new Event('input', {bubbles: true}));
    """
    page.execute_script(script, name, value)


def test_it_renders_without_a_word_to_anybody(page, path) -> None:
    assert page.title == TITLE  # no word of the corpus has been run
    assert len(find(page, "main h2")) == 7
    assert len(shown_cards(page)) > 5
    assert all(svg.size["height"] > 20 for svg in find(page, "figure:not(details figure) svg"))
    console, requests = logs_of(page)
    assert console == []
    assert requests == [path.resolve().as_uri()]


def test_hostile_words_are_text(page) -> None:
    words = {word.get_attribute("textContent") for word in find(page, ".card bdi")}
    assert {word.replace("\x07", "␇") for word in HOSTILE} <= words
    assert find(page, "main img") == []
    assert find(page, ".card b:not(.chips b)") == []
    assert len(find(page, "body script")) == 1


def test_tables_sort(page) -> None:
    number = table_number(page, "Each label, in %")
    before = column(page, number, 0)
    header = find(page, "table:not(.words)")[number].find_elements("css selector", "thead th")
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", header[0]
    )
    header[0].find_element("css selector", "button").click()
    assert column(page, number, 0) == ["<i>VERB</i>", "$", "NOUN"] != before
    assert header[0].get_attribute("aria-sort") == "ascending"
    header[5].find_element("css selector", "button").send_keys("\ue007")  # Enter
    assert column(page, number, 5) == ["12", "11", "10"]
    assert header[5].get_attribute("aria-sort") == "descending"
    assert header[0].get_attribute("aria-sort") is None
    header[5].find_element("css selector", "button").click()
    assert column(page, number, 5) == ["10", "11", "12"]


def test_cards_are_filtered_by_label_and_found_by_name(page) -> None:
    every = len(shown_cards(page))
    choose(page, "label", LABELS[1])
    of_label = shown_cards(page)
    assert 0 < len(of_label) < every
    assert all(LABELS[1] in json.loads(card.get_attribute("data-labels")) for card in of_label)
    number = table_number(page, "Each label, in %")
    rows = find(page, "table:not(.words)")[number].find_elements("css selector", "tbody tr")
    assert [row.is_displayed() for row in rows] == [False, True, False]
    assert find(page, "#count")[0].text == f"{len(of_label)} of {every} neurons"
    assert "label=%3Ci%3EVERB" in page.current_url

    choose(page, "label", "")
    name = find(page, ".card")[3].get_attribute("data-name")
    choose(page, "search", name)
    assert [card.get_attribute("data-name") for card in shown_cards(page)] == [name]
    choose(page, "search", find(page, ".card")[3].get_attribute("data-id"))
    assert name in [card.get_attribute("data-name") for card in shown_cards(page)]
    choose(page, "search", "no such neuron")
    assert shown_cards(page) == []
    choose(page, "search", "")
    choose(page, "ranking", "two")
    assert all('"two"' in card.get_attribute("data-rankings") for card in shown_cards(page))
    choose(page, "ranking", "")
    choose(page, "sort", "id")
    ids = [int(card.get_attribute("data-id")) for card in shown_cards(page)]
    assert ids == sorted(ids)
    assert len(ids) == every


def test_a_view_can_be_sent_around(page, path) -> None:
    page.get("about:blank")
    page.get(f"{path.resolve().as_uri()}#label=NOUN&sort=id")
    assert find(page, "#label")[0].get_attribute("value") == "NOUN"
    assert page.execute_script("return scrollY") > 500  # it begins with what was meant
    find(page, "nav a[href='#probes']")[0].click()
    assert page.current_url.endswith("#label=NOUN&sort=id")
    assert all('"NOUN"' in card.get_attribute("data-labels") for card in shown_cards(page))


def test_a_view_of_what_is_not_here(page, path) -> None:
    page.get("about:blank")
    page.get(f"{path.resolve().as_uri()}#label=FOO&store=nowhere")
    assert len(shown_cards(page)) == len(find(page, ".card"))
    assert "FOO" not in page.current_url


def test_values_by_keyboard_and_pointer(page) -> None:
    sentence = find(page, ".sentence")[0]
    readout = find(page, ".card > .readout")[0]
    page.execute_script("arguments[0].focus()", sentence)
    words = sentence.find_elements("css selector", ".w")
    for key, place in (("\ue014", 0), ("\ue014", 1), ("\ue010", 4), ("\ue012", 3), ("\ue011", 0)):
        sentence.send_keys(key)  # right, right, end, left, home
        word = words[place]
        assert "on" in word.get_attribute("class").split()
        value = word.get_attribute("data-v")
        assert readout.text.endswith(f": {value}")
    figure = find(page, "#sweeps .drawing")[0]
    page.execute_script("arguments[0].focus()", figure)
    figure.send_keys("\ue014")
    assert "% ablated" in find(page, "#sweeps .readout")[0].text


def test_a_value_stands_at_its_word(page) -> None:
    sentence = find(page, ".sentence")[0]
    page.execute_script("arguments[0].focus()", sentence)
    sentence.send_keys("\ue014")
    script = "return getComputedStyle(document.querySelector('.w.on'), '::before').content"
    value = find(page, ".w.on")[0].get_attribute("data-v")
    assert value in page.execute_script(script)


def test_only_what_scrolls_is_a_stop(page) -> None:
    script = """
        return [...document.querySelectorAll('.scroll')].filter(box => box.checkVisibility()).map(
            box => [box.tabIndex === 0,
                    box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight]);
    """
    found = page.execute_script(script)
    assert found
    assert all(stop == scrolls for stop, scrolls in found)


def test_a_link_keeps_the_choice_and_moves_the_focus(page, path) -> None:
    page.get("about:blank")
    page.get(f"{path.resolve().as_uri()}#label=NOUN")
    find(page, "nav a[href='#sweeps']")[0].send_keys("\ue007")  # Enter
    assert page.current_url.endswith("#label=NOUN")
    assert page.switch_to.active_element.get_attribute("id") == "sweeps"


def test_light_and_dark(page) -> None:
    def ground() -> str:
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    button = find(page, "#theme")[0]
    button.click()
    assert ground() == "rgb(255, 255, 255)"
    button.click()
    assert ground() == "rgb(22, 22, 24)"
    assert button.get_attribute("aria-label") == "Colours: dark"


def test_narrow_screens_do_not_scroll_sideways(page) -> None:
    page.set_window_size(500, 900)
    try:
        script = (
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert page.execute_script(script) <= 0
    finally:
        page.set_window_size(1200, 900)


def test_it_prints_with_everything_unfolded(page) -> None:
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert all(each.get_attribute("open") for each in find(page, "details"))
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert not any(each.get_attribute("open") for each in find(page, "details"))
    assert base64.b64decode(page.print_page()).startswith(b"%PDF")
