from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.dummy import DummyClassifier

from fairseq_neuron_plugin.probing.control_task import (
    ControlResult,
    ControlRun,
    ControlTask,
    control_accuracy,
    run_control_tasks,
)
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.labelled import LabelledTokens

COUNTS = {"N": 50, "V": 30, "ADJ": 15, "X": 5}
WORDS = [f"word{number}" for number in range(300)]


def drawn_from_the_definition(word: str, counts: dict[str, int], seed: int) -> str:
    """A point of [0, 1) by the hash of seed and word; the label whose stretch it falls into."""
    number = hashlib.blake2b(f"{seed}:{word}".encode(), digest_size=8).hexdigest()
    point, end = Fraction(int(number, 16), 2**64), Fraction(0)
    for label in sorted(counts):
        end += Fraction(counts[label], sum(counts.values()))
        if point < end:
            return label
    raise AssertionError("the stretches cover [0, 1)")


@pytest.mark.parametrize("seed", [0, 7])
def test_draws_follow_the_definition(seed):
    expected = [drawn_from_the_definition(word, COUNTS, seed) for word in WORDS]
    task = ControlTask(COUNTS, seed)
    assert task.labels(WORDS).tolist() == expected
    assert [task.names[code] for code in task.codes(WORDS)] == expected
    assert set(expected) == set(COUNTS)


def test_a_draw_depends_on_nothing_but_word_seed_and_shares():
    expected = dict(zip(WORDS, ControlTask(COUNTS, 3).labels(WORDS).tolist(), strict=True))
    shuffled = np.random.default_rng(0).permutation(WORDS)[:40]
    backwards = {label: np.int64(7 * COUNTS[label]) for label in reversed(COUNTS)}
    task = ControlTask({**backwards, "never": 0}, 3)
    assert task.names == sorted(COUNTS)
    for word, label in zip(shuffled, task.labels(shuffled), strict=True):
        assert label == expected[word]
    assert task.labels(["word3", "other", "word3"])[[0, 2]].tolist() == [expected["word3"]] * 2


def test_draws_stay_as_they_are():
    """Published figures name a seed: what it draws must never change."""
    found = {seed: " ".join(ControlTask(COUNTS, seed).labels(WORDS[:12])) for seed in (0, 1)}
    assert found == {0: "N N ADJ V N X N ADJ N ADJ ADJ N", 1: "N N N V X V N ADJ V N N V"}


def test_labels_are_drawn_with_their_shares():
    words = [f"type {number}" for number in range(20_000)]
    found = Counter(ControlTask(COUNTS, 1).labels(words).tolist())
    shares = np.array(list(COUNTS.values())) / 100
    counts = [found[label] for label in COUNTS]
    assert chisquare(counts, len(words) * shares).pvalue > 0.01


def test_tasks_of_different_seeds_are_independent():
    words = [f"type {number}" for number in range(20_000)]
    first, second = (ControlTask(COUNTS, seed).labels(words) for seed in (1, 2))
    by_chance = sum((count / 100) ** 2 for count in COUNTS.values())
    assert np.mean(first == second) == pytest.approx(by_chance, abs=0.02)


def test_words_of_any_script():
    words = ["Straße", "日本", "a:b", "1:a", "", " "]
    expected = [drawn_from_the_definition(word, COUNTS, 12) for word in words]
    assert ControlTask(COUNTS, 12).labels(words).tolist() == expected


def test_no_label_to_draw():
    with pytest.raises(ValueError, match="at least one labelled token"):
        ControlTask({"N": 0})


def corpus(tokens: int, seed: int, types: int = 30, spread: float = 0.1) -> LabelledTokens:
    """Activations that say which word it is: a direction for each word, and noise."""
    word = np.random.default_rng(seed).integers(0, types, tokens)
    X = np.random.default_rng(99).normal(size=(types, 40))[word]
    X += spread * np.random.default_rng(seed + 1).normal(size=X.shape)
    label = np.random.default_rng(seed + 2).choice(4, tokens, p=[0.4, 0.3, 0.2, 0.1])
    return labelled(X, np.array(WORDS)[word], np.array(list(COUNTS))[label])


def labelled(X, words, labels) -> LabelledTokens:
    return LabelledTokens(X, np.asarray(words), np.asarray(labels), np.arange(len(X)) // 10)


PROBE = ElasticNetProbe(1e-3, 1e-3, tol=1e-4)


def test_control_accuracy_is_that_of_a_probe_of_the_control_labels():
    train, test = corpus(300, 0, spread=2.0), corpus(200, 10, spread=2.0)
    counts = Counter(train.labels.tolist())
    learned, gold = (
        [drawn_from_the_definition(word, counts, 4) for word in part.words.tolist()]
        for part in (train, test)
    )
    expected = ElasticNetProbe(1e-3, 1e-3, tol=1e-4).fit(train.activations, learned)
    found = control_accuracy(PROBE, train, test, 4)
    assert found == expected.score(test.activations, gold)
    assert 0.3 < found < 0.95


def test_words_are_learned_by_heart_where_activations_hold_them():
    train, test = corpus(300, 0), corpus(200, 10)
    assert control_accuracy(PROBE, train, test, 0) == 1.0
    noise = labelled(np.random.default_rng(5).normal(size=(200, 40)), test.words, test.labels)
    assert control_accuracy(PROBE, train, noise, 0) < 0.6


def test_unseen_words_are_there_and_cannot_be_learned():
    train, test = corpus(400, 0), corpus(400, 10)
    renamed = [f"new{number}" for number in range(len(test))]
    unseen = labelled(test.activations, renamed, test.labels)
    by_chance = max(Counter(train.labels.tolist()).values()) / len(train)
    assert control_accuracy(PROBE, train, unseen, 0) < by_chance + 0.1


def test_tokens_of_a_selection_draw_by_their_own_labels():
    """Names that the whole corpus has and the selection lacks change nothing."""
    whole = corpus(400, 0)
    rows = np.flatnonzero(whole.labels != "N")
    part, test = whole.select(rows), corpus(200, 10)
    alone = labelled(np.asarray(part.activations[:]), part.words, part.labels)
    assert control_accuracy(PROBE, part, test, 2) == control_accuracy(PROBE, alone, test, 2)


def test_one_control_label_is_always_predicted():
    """Few words may all draw the same label: there is nothing to learn, and nothing to fit."""
    counts = Counter({"N": 3, "V": 1})
    seed = next(s for s in range(99) if set(ControlTask(counts, s).labels(["a", "b"])) == {"N"})
    other = next(w for w in WORDS if ControlTask(counts, seed).labels([w])[0] == "V")
    X = np.random.default_rng(0).normal(size=(4, 3))
    train = labelled(X, ["a", "b", "a", "b"], ["N", "N", "N", "V"])
    test = labelled(X, ["a", "b", other, "a"], ["N", "V", "N", "N"])
    found = run_control_tasks(PROBE, train, test, [seed])
    assert found.runs == (ControlRun(seed, 0.75, 1),)
    dummy = DummyClassifier(strategy="most_frequent").fit(X, ["N"] * 4)
    assert found.accuracy == dummy.score(X, ControlTask(counts, seed).labels(test.words))


def test_several_tasks_and_selectivity():
    train, test = corpus(300, 0, spread=2.0), corpus(200, 10, spread=2.0)
    said: list[str] = []
    found = run_control_tasks(PROBE, train, test, [2, 5], said.append)
    alone = [control_accuracy(PROBE, train, test, seed) for seed in (2, 5)]
    assert [(run.seed, run.accuracy) for run in found.runs] == list(zip((2, 5), alone, strict=True))
    assert found.accuracy == pytest.approx(np.mean(alone))
    assert found.selectivity(0.9) == pytest.approx(0.9 - np.mean(alone))
    assert said == ["control task 2", "control task 5"]
    assert not hasattr(PROBE, "coef_"), "the probe given must stay unfitted"


def test_json():
    result = ControlResult((ControlRun(0, 0.5, 3), ControlRun(1, 0.25, 4)))
    assert result.to_json() == {
        "accuracy": 0.375,
        "runs": [
            {"seed": 0, "accuracy": 0.5, "labels": 3},
            {"seed": 1, "accuracy": 0.25, "labels": 4},
        ],
    }


@pytest.mark.parametrize(("seeds", "tokens"), [([], 20), ([0], 0)])
def test_nothing_to_do(seeds, tokens):
    train = corpus(20, 0)
    with pytest.raises(ValueError, match=f"{len(seeds)} control tasks on 20 training and {tokens}"):
        run_control_tasks(PROBE, train, train.select(np.arange(tokens)), seeds)
