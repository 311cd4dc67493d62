"""scripts/reproduce_paper.py: its page, and what of the run's files stands on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import reproduction_toy as toy
from report_toy import write_store
from reproduction.chosen_neurons import arguments
from reproduction.config import ConfigError
from reproduction.evidence import count_numbers, differences, digest
from reproduction.evidence_neurons import explained, position_places
from reproduction.findings import all_findings
from reproduction.label_words import label_words
from reproduction.markdown import code, table
from reproduction.page import write_page
from reproduction.reading import read_reading
from reproduction_data import small, written

from fairseq_neuron_plugin import ElasticNetProbe, Ranking
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.probe_folder import save_probe


def test_differences_ignore_how_long_it_took() -> None:
    one, other = toy.evidence(), toy.evidence()
    other["account"]["probe"]["seconds"] = 99.0
    assert list(differences(one, other)) == []
    other["models"]["en-de"]["probes"]["pos"]["accuracy"] += 1e-9
    (found,) = differences(one, other)
    assert found.startswith("/models/en-de/probes/pos/accuracy")
    assert count_numbers(one) > 300


def test_the_page_says_what_was_found_and_shows_text_as_text(tmp_path: Path) -> None:
    evidence = toy.evidence()
    page = tmp_path / "paper.md"
    write_page(evidence, ["Toys are small."], tmp_path, page, "the command")
    text = page.read_text(encoding="utf-8")
    for finding in all_findings(evidence):
        assert f"| {finding.claim} | **{finding.verdict}** |" in text
        assert f"*Here:* {finding.claim}: **yes**" in text
    assert "Toys are small." in text
    assert "`<script>alert(1)</script>`" in text  # as code it is text
    assert "<script>" not in text.replace("`<script>alert(1)</script>`", "")
    assert "`sweep:toy|points:2|value:0`" in text
    for line in text.splitlines():  # a picture that is named is there
        if line.startswith("!["):
            assert (tmp_path / line.split("](")[1].rstrip(")")).is_file()
    assert "/somewhere/" not in text
    assert "paper-reading.md" not in text


def test_what_is_not_at_the_optimum_is_said(tmp_path: Path) -> None:
    evidence = toy.evidence()
    page = tmp_path / "paper.md"
    write_page(evidence, [], tmp_path, page, "the command")
    assert "Not at the optimum to the last digit: " not in page.read_text(encoding="utf-8")
    evidence["models"]["en-de"]["probes"]["sem"]["converged"] = False
    evidence["models"]["en-de"]["grid"]["cells"][0]["converged"] = True
    write_page(evidence, [], tmp_path, page, "the command")
    text = page.read_text(encoding="utf-8")
    assert "Not at the optimum to the last digit: en-de sem." in text
    assert "| 0, 0 | 80.0 | 30.0 | 20.0 | 10.0 |" in text
    assert "| 1e-05, 1e-05 * | 80.0 | 60.0 | 20.0 | 40.0 |" in text
    assert "| 1e-05, 1e-05 | 40.0 | 50.0 |" in text  # translation and language models


def test_analyses_of_neurons_that_a_ranking_tells() -> None:
    orders = {"X": np.array([2, 0, 1]), "Y": np.array([1, 0, 2]), "Z": np.array([2, 1, 0])}
    ranking = Ranking("linguistic", np.array([1, 2, 0]), np.zeros(3), orders)
    assert arguments("first", ranking, "acts") == ["neuron", "1", "--acts", "acts"]
    asked = arguments("labels", ranking, "acts")
    assert asked[:4] == ["top-words", "acts", "--neurons", "1,2"]
    assert asked[4:] == ["--words", "8", "--min-count", "5"]


def test_places_of_the_neurons_of_the_position(tmp_path: Path) -> None:
    layout = small(tmp_path)
    model = layout.models[0]
    orders = {
        "position-F": [3, 1, 0, 2, 5, 4],
        "cross-model": [0, 1, 2, 3, 4, 5],
        "variance": [3, 5, 4, 2, 1, 0],
        "mean-distance": [5, 3, 1, 4, 2, 0],
    }
    for name, order in orders.items():
        path = layout.folder / model.ranking("A", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Ranking(name, np.array(order), np.array([9.0, 3, 2, 1, 0, 0])).save(path)
    words = len(write_store(layout.folder / model.acts("A", "auto.train")).array)
    first, second, *rest = position_places(layout, model)
    assert first == {
        "neuron": 3,
        "explained": pytest.approx(9 * 2 / (9 * 2 + words - 3)),
        "cross-model": 4,
        "variance": 1,
        "mean-distance": 2,
    }
    assert (second["neuron"], second["variance"]) == (1, 5)
    assert len(rest) == 3


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a|b", r"`a\|b`"),
        ("<b>", "`<b>`"),
        ("''", "`''`"),
        ("``", "``` `` ```"),
        ("a`b", "``a`b``"),
    ],
)
def test_code_in_a_table(text: str, cell: str) -> None:
    assert table(["x"], [[f"{code(text)} < {code('c')}"]]).endswith(f"| {cell} &lt; `c` |")


READING_MISTAKES = {
    "unknown section: method": "<!-- why: method -->\nNo.\n",
    "two reasons: methods": "<!-- why: methods -->\nOne.\n\n<!-- why: methods -->\nTwo.\n",
}


@pytest.mark.parametrize("named", READING_MISTAKES)
def test_a_mistaken_reason_is_named(named: str, tmp_path: Path) -> None:
    written(tmp_path / "paper-reading.md", READING_MISTAKES[named])
    with pytest.raises(ConfigError, match=named):
        read_reading(tmp_path / "paper.md", ["methods", "grid"])


def test_code_in_a_reading_is_no_heading(tmp_path: Path) -> None:
    text = "## Why\n```\n# no heading\n```\n<!-- why: grid -->\nSo.\n"
    written(tmp_path / "paper-reading.md", text)
    reading = read_reading(tmp_path / "paper.md", ["grid"])
    assert reading is not None
    assert reading.reasons == {"grid": ("So.", "Why")}


def test_words_of_a_label(tmp_path: Path) -> None:
    layout = small(tmp_path)
    model = layout.models[0]
    space = NeuronSpace((Layer("encoder.layers.0", 3),))
    for path, text in (
        (layout.words(model.language, "auto", "train"), "a b a\nc d e\n" * 5 + "f\n"),
        (layout.tags(model.language, "auto", "pos", "train"), "X Y Y\nY Z X\n" * 5 + "X\n"),
        (
            f"analyses/label-words.{model.name}.pos/analysis.json",
            json.dumps(
                {
                    "neurons": [
                        {
                            "name": f"encoder.layers.0:{neuron}",
                            "highest": [{"word": word} for word in "ab"],
                            "lowest": [{"word": word} for word in "cd"],
                        }
                        for neuron in range(3)
                    ]
                }
            ),
        ),
    ):
        written(layout.folder / path, text)
    orders = {"X": [1, 0, 2], "Y": [2, 0, 1], "Z": [0, 1, 2]}
    ranking = Ranking(
        "linguistic",
        np.arange(3),
        np.zeros(3),
        {label: np.array(order) for label, order in orders.items()},
        space=space,
    )
    ranking_file = layout.folder / model.ranking("A", "pos")
    ranking_file.parent.mkdir(parents=True)
    ranking.save(ranking_file)
    probe = ElasticNetProbe()
    probe.coef_ = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    probe.intercept_, probe.classes_ = np.zeros(3), np.array(["X", "Y", "Z"])
    (layout.folder / "probes").mkdir()
    save_probe(layout.folder / model.probe("pos"), probe, {}, space)
    found = label_words(layout, model, "pos", ["Y", "X", "Z", "W"])
    # a is X as often as Y, X first; f is too rare; Z has no weight, W no neurons.
    assert found == [
        {
            "label": "Y",
            "neuron": "encoder.layers.0:2",
            "side": "lowest",
            "words": ["c", "d"],
            "of_label": 1,
            "of_all": 2,
            "candidates": 5,
            "probability": pytest.approx(0.7),  # all draws of 2 but 3 of 10
        },
        {
            "label": "X",
            "neuron": "encoder.layers.0:1",
            "side": "highest",
            "words": ["a", "b"],
            "of_label": 1,
            "of_all": 2,
            "candidates": 5,
            "probability": pytest.approx(0.7),
        },
    ]


def test_variance_that_a_grouping_explains() -> None:
    from sklearn.feature_selection import f_classif

    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3, 200)
    values = groups + rng.normal(size=200)
    f = float(f_classif(values[:, None], groups)[0][0])
    means = np.array([values[groups == group].mean() for group in range(3)])
    assert explained(f, 3, 200) == pytest.approx(means[groups].var() / values.var())


READING = """# What was tried

<!-- evidence: {evidence} -->
## Cross-model against variance: by BLEU

<!-- why: methods -->
Short sentences,
it seems.

And more.
"""


@pytest.mark.parametrize("same_run", [True, False])
def test_reasons_written_by_hand_are_shown_with_their_run(same_run: bool, tmp_path: Path) -> None:
    evidence = toy.evidence()
    about = digest(evidence) if same_run else "0123456789ab"
    written(tmp_path / "paper-reading.md", READING.format(evidence=about))
    write_page(evidence, [], tmp_path, tmp_path / "paper.md", "the command")
    text = (tmp_path / "paper.md").read_text(encoding="utf-8")
    assert "(paper-reading.md)" in text
    heading = "cross-model-against-variance-by-bleu"
    why = f"*Why:* Short sentences, it seems. ([more](paper-reading.md#{heading}))"
    section = text.split("## Cross-model correlation against variance")[1].split("\n## ")[0]
    assert (why in section) is same_run
    assert ("run of other figures, 0123456789ab" in text) is not same_run
