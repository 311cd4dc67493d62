from __future__ import annotations

import pytest

from fairseq_neuron_plugin.probing.baselines import MajorityBaseline


def test_most_frequent_label_of_the_word():
    words = ["run", "run", "run", "dog", "dog"]
    baseline = MajorityBaseline().fit(words, ["V", "N", "V", "N", "N"])
    assert baseline.predict(["run", "dog"]) == ["V", "N"]


def test_unknown_word_gets_the_most_frequent_label_of_all():
    baseline = MajorityBaseline().fit(["a", "b", "c", "d"], ["X", "Y", "Y", "Z"])
    assert baseline.predict(["?", "a"]) == ["Y", "X"]


def test_ties_go_to_the_first_label_in_sorted_order():
    baseline = MajorityBaseline().fit(["a", "a", "b", "b"], ["Z", "B", "B", "Z"])
    assert baseline.predict(["a", "b", "?"]) == ["B", "B", "B"]


def test_words_are_cased():
    baseline = MajorityBaseline().fit(["May", "may", "may"], ["MOY", "POS", "POS"])
    assert baseline.predict(["May", "MAY"]) == ["MOY", "POS"]


def test_bad_input():
    with pytest.raises(ValueError, match="at least one word"):
        MajorityBaseline().fit([], [])
    with pytest.raises(ValueError, match="shorter"):
        MajorityBaseline().fit(["a", "b"], ["X"])
