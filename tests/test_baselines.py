from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from fairseq_neuron_plugin.coded import Coded
from fairseq_neuron_plugin.probing.baselines import MajorityBaseline, majority_accuracy
from fairseq_neuron_plugin.probing.labelled import LabelledTokens


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


def tagged(tokens: int, seed: int, first: int = 0):
    """Words by Zipf's law, few labels, many ties."""
    rng = np.random.default_rng(seed)
    words = [f"w{first + int(rank)}" for rank in rng.zipf(1.5, tokens).clip(max=60)]
    return words, rng.choice(["V", "N", "ADJ", "P"], tokens).tolist()


def test_against_counting_each_word_on_its_own():
    words, labels = tagged(700, 0)
    asked = [*sorted(set(words)), "unknown"]

    def most_frequent(word):
        found = [own for other, own in zip(words, labels, strict=True) if other == word] or labels
        return sorted(Counter(found).items(), key=lambda item: (-item[1], item[0]))[0][0]

    assert MajorityBaseline().fit(words, labels).predict(asked) == [*map(most_frequent, asked)]


def test_against_a_dummy_classifier_for_each_word():
    words, labels = tagged(700, 1)
    baseline = MajorityBaseline().fit(words, labels)
    for word in set(words):
        own = [[label] for other, label in zip(words, labels, strict=True) if other == word]
        dummy = DummyClassifier(strategy="most_frequent").fit(own, np.ravel(own))
        assert baseline.by_word_[word] == dummy.predict([[""]])[0]
    dummy = DummyClassifier(strategy="most_frequent").fit([[0]] * len(labels), labels)
    assert baseline.default_ == dummy.predict([[0]])[0]


def test_codes_with_names_that_do_not_occur():
    words = Coded(np.array([1, 1, 3, 3], dtype=np.int32), ("a", "b", "c", "d"))
    labels = Coded(np.array([1, 3, 1, 1], dtype=np.int32), ("A", "B", "Q", "Z"))
    baseline = MajorityBaseline().fit(words, labels)
    assert baseline.by_word_ == {"b": "B", "d": "B"}
    assert baseline.default_ == "B"


def tokens(words, labels) -> LabelledTokens:
    nothing, sentence = np.zeros((len(words), 1)), np.zeros(len(words), dtype=np.int64)
    return LabelledTokens(nothing, words, labels, sentence)


def test_labels_that_one_side_lacks_are_wrong():
    train = tokens(["a", "b", "b"], ["only here", "N", "N"])
    test = tokens(["a", "b", "b", "new"], ["A", "A", "N", "only there"])
    assert majority_accuracy(train, test) == 1 / 4


def test_accuracy_on_tokens():
    words, labels = tagged(700, 2)
    asked, gold = tagged(300, 3, first=30)
    gold[:20] = ["later"] * 20
    predicted = MajorityBaseline().fit(words, labels).predict(asked)
    right = sum(a == b for a, b in zip(predicted, gold, strict=True))
    assert not set(asked) <= set(words), "there must be unknown words"
    train, test = tokens(words, labels), tokens(asked, gold)
    assert majority_accuracy(train, test) == right / 300

    part, rest = train.select(np.arange(5, 60)), test.select(np.arange(15, 200))
    predicted = MajorityBaseline().fit(words[5:60], labels[5:60]).predict(asked[15:200])
    right = sum(a == b for a, b in zip(predicted, gold[15:200], strict=True))
    assert majority_accuracy(part, rest) == right / 185


def test_bad_input():
    with pytest.raises(ValueError, match="at least one word"):
        MajorityBaseline().fit([], [])
    with pytest.raises(ValueError, match="2 words, but 1 labels"):
        MajorityBaseline().fit(["a", "b"], ["X"])
