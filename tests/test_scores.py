from __future__ import annotations

import json

import pytest

from fairseq_neuron_plugin.probing.scores import LabelScore, score_labels


def test_figures_worked_out_by_hand():
    gold = ["N", "N", "N", "N", "V", "V", "D"]
    guess = ["N", "N", "V", "D", "V", "N", "D"]
    scores = score_labels(gold, guess, {"N", "V", "D"})
    assert scores.accuracy == pytest.approx(4 / 7)
    assert scores.tokens == 7
    assert [score.label for score in scores.labels] == ["D", "N", "V"]
    d, n, v = scores.labels
    assert d == LabelScore("D", 0.5, 1.0, pytest.approx(2 / 3), 1)
    assert n == LabelScore("N", pytest.approx(2 / 3), 0.5, pytest.approx(4 / 7), 4)
    assert v == LabelScore("V", 0.5, 0.5, 0.5, 2)
    assert scores.unseen == {}


def test_unseen_label_counts_as_wrong_and_is_reported():
    scores = score_labels(["N", "MOY", "MOY", "X"], ["N", "N", "N", "N"], {"N", "V"})
    assert scores.accuracy == 0.25
    assert scores.unseen == {"MOY": 2, "X": 1}
    by_label = {score.label: score for score in scores.labels}
    assert by_label["MOY"] == LabelScore("MOY", 0.0, 0.0, 0.0, 2)
    assert by_label["N"].precision == 0.25


def test_predicted_label_that_the_test_data_lacks():
    by_label = {s.label: s for s in score_labels(["A", "A"], ["A", "B"], {"A", "B"}).labels}
    assert by_label["B"] == LabelScore("B", 0.0, 0.0, 0.0, 0)
    assert by_label["A"].recall == 0.5


def test_ready_for_json():
    content = score_labels(["A", "B"], ["A", "A"], {"A"}).to_json()
    assert json.loads(json.dumps(content))["unseen"] == {"B": 1}
    assert json.loads(json.dumps(content))["labels"][0]["label"] == "A"


def test_nothing_to_score():
    with pytest.raises(ValueError, match="0 labels"):
        score_labels([], [], {"A"})
    with pytest.raises(ValueError, match="1 predictions of 2"):
        score_labels(["A", "B"], ["A"], {"A"})
