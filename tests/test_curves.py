"""Curves of labels: names that are good in file names, orders that are the label's."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.sweeps.curves import of_label, read_curves

SPACE = NeuronSpace((Layer("encoder.layers.0", 4),))
ORDERS = {
    "VERB": [3, 2, 1, 0],
    "NOUN": [1, 0, 3, 2],
    "noun": [0, 1, 3, 2],
    "PRP$": [2, 3, 0, 1],
    "a/b": [0, 3, 1, 2],
    "..": [3, 0, 1, 2],
    "A:B": [3, 1, 0, 2],
    "Case=Nom|Number=Sing": [2, 1, 0, 3],
    "x" * 300: [1, 2, 3, 0],
}


@pytest.fixture
def path(tmp_path):
    labels = {label: np.array(order) for label, order in ORDERS.items()}
    ranking = Ranking(
        "linguistic", np.array([0, 2, 1, 3]), np.arange(4.0)[::-1], labels, "s", SPACE
    )
    ranking.save(tmp_path / "pos.json")
    return tmp_path / "pos.json"


@pytest.mark.parametrize("label", ORDERS)
def test_names_are_good_file_names(path, tmp_path, label) -> None:
    ((name, curve),) = read_curves([f"{path}:label={label}"]).items()
    assert curve.neurons.tolist() == ORDERS[label]
    assert re.fullmatch(r"[\w.~%+,=@-]{5,120}", name)
    (tmp_path / f"{name}.top.00001.txt").write_text("")
    assert (tmp_path / f"{name}.top.00001.txt").parent == tmp_path


def test_the_readable_names(path) -> None:
    names = list(read_curves([path], "VERB,PRP$,a/b"))
    assert names == ["pos.VERB", "pos.PRP%24", "pos.a%2Fb"]


def test_labels_that_differ_only_in_case_have_other_names(path) -> None:
    names = [name.lower() for name in read_curves([path], "NOUN,noun")]
    assert len(set(names)) == 2


def test_files_and_labels_mixed(path, tmp_path) -> None:
    other = tmp_path / "variance.json"
    Ranking("variance", np.arange(4), np.zeros(4), space=SPACE).save(other)
    curves = read_curves([other, path, f"{path}:label=VERB"])
    assert {name: curve.neurons.tolist() for name, curve in curves.items()} == {
        "variance": [0, 1, 2, 3],
        "pos": [0, 2, 1, 3],
        "pos.VERB": [3, 2, 1, 0],
    }
    curves = read_curves([path, f"{path}:label=A:B"], "VERB, NOUN")
    assert [curve.neurons.tolist() for curve in curves.values()] == [
        ORDERS["VERB"],
        ORDERS["NOUN"],
        ORDERS["A:B"],
    ]


def test_scores_stay_with_their_neurons(path) -> None:
    whole = Ranking.load(path)
    curve = of_label(whole, "VERB")
    assert dict(zip(curve.neurons.tolist(), curve.scores.tolist(), strict=True)) == dict(
        zip(whole.neurons.tolist(), whole.scores.tolist(), strict=True)
    )
    assert curve.signature != whole.signature


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        (["P:label=ADJ"], None, "pos.json: the linguistic ranking has no label 'ADJ'"),
        (["P"], "VERB,ADJ", "has no label 'ADJ'"),
        (["P"], " ,", "names no label"),
        (["P:label=VERB"], "NOUN", "--label NOUN does nothing"),
        (["P", "P"], None, "two curves are called pos"),
        (["P:label=VERB", "P"], "VERB", "two curves are called pos.VERB"),
        (["P:top:5"], None, "the file alone is wanted"),
        (["nowhere.json"], None, "ranking not found: nowhere.json"),
    ],
)
def test_refusals(path, given, labels, message) -> None:
    texts = [text.replace("P", str(path), 1) if text[0] == "P" else text for text in given]
    with pytest.raises(UserError, match=re.escape(message)):
        read_curves(texts, labels)
