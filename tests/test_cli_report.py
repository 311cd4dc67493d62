"""fairseq-neuron-report as a command: what it writes, prints and refuses."""

from __future__ import annotations

import pytest
from commands import end, refusal
from report_toy import write_everything, write_ranking

from fairseq_neuron_plugin.cli.report import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_everything(tmp_path_factory.mktemp("cli") / "run")


def test_a_page_of_everything(run, tmp_path, capsys) -> None:
    first, second = tmp_path / "new" / "a.html", tmp_path / "b.html"
    for path in (first, second):
        flags = ("--title", "Mine", "--top", 2, "--label", "NOUN,$")
        assert end(main, run, "--output", path, *flags) == 0
    printed = capsys.readouterr().out
    assert f"{first}: 1 store, 1 probe, 2 rankings, 1 sweep, " in printed
    text = first.read_text("utf-8")
    assert "<title>Mine</title>" in text
    # Nothing but the name of the file differs: no dates, no random ids.
    assert text.replace(str(first), "") == second.read_text("utf-8").replace(str(second), "")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "b.html"}


def test_an_output_that_is_there(run, tmp_path, capsys) -> None:
    path = tmp_path / "r.html"
    path.write_text("mine")
    assert "--force replaces it" in refusal(main, capsys, run, "--output", path)
    assert path.read_text() == "mine"
    assert end(main, run, "--output", path, "--force") == 0
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_notes_of_what_is_left_out(run, tmp_path, capsys) -> None:
    write_ranking(tmp_path / "other.json", model="cd" * 32)
    flags = ("--output", tmp_path / "r.html", "--cards", 1)
    assert end(main, run, tmp_path / "other.json", *flags) == 0
    notes = capsys.readouterr().err
    assert "no cards for these rankings, no store has their neurons: other" in notes
    assert "more neurons would have had a card (--cards)" in notes
    text = (tmp_path / "r.html").read_text("utf-8")
    assert text.count('<article class="card"') == 1
    assert "no store has their neurons: other" in text


@pytest.mark.parametrize("kind", ["acts", "probe", "two.json", "sweep"])
def test_each_kind_alone(run, tmp_path, kind: str) -> None:
    assert end(main, run / kind, "--output", tmp_path / "r.html") == 0
    assert "<h2" in (tmp_path / "r.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--output", "r.txt"), "--output must end in .html"),
        (("--output", "r.html", "--top", "-1"), "--top must be 0 or more"),
        (("--output", "r.html", "--words", "0"), "--words must be 1 or more"),
        (("--output", "r.html", "--mass", "2"), "--mass must be above 0"),
        (("--output", "r.html", "--label", "ADJ"), "no ranking has a label 'ADJ'"),
        (("--output", "r.html", "--min-count", "9999"), "cards of store acts"),
        ((), "--output"),
    ],
)
def test_refusals(run, tmp_path, monkeypatch, capsys, flags, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal(main, capsys, run, *flags)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_report(tmp_path, capsys) -> None:
    line = refusal(main, capsys, tmp_path, "--output", tmp_path / "r.html")
    assert "holds no activation store, probe, ranking or sweep" in line
