"""Top words against dictionaries, planted neurons and NeuroX."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.analysis import chosen_columns
from fairseq_neuron_plugin.analysis.selection import select_neurons
from fairseq_neuron_plugin.analysis.top_words import top_words, words_of
from fairseq_neuron_plugin.analysis.word_means import word_means
from fairseq_neuron_plugin.coded import Coded
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rankings import moments
from fairseq_neuron_plugin.sharded_rows import ShardedRows

VOCABULARY = [f"w{number:02d}" for number in range(40)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(moments, "BLOCK_ROWS", 64)


@pytest.fixture
def corpus():
    """Words by Zipf's law, and activations that depend on them a little; one mean is far off."""
    rng = np.random.default_rng(0)
    words = rng.choice(VOCABULARY, 1500, p=1 / np.arange(1, 41) / (1 / np.arange(1, 41)).sum())
    effect = dict(zip(VOCABULARY, rng.normal(size=(40, 6)), strict=True))
    X = np.stack([effect[word] for word in words]) + rng.normal(size=(1500, 6))
    X[:, 3] += 1000
    X[:, 5] *= 1e-6
    return words.tolist(), X


def by_dictionary(words, column):
    """Count, mean and z of each word, and epsilon squared, from the definitions."""
    values = defaultdict(list)
    for word, value in zip(words, column, strict=True):
        values[word].append(value)
    found = {
        word: (len(v), np.mean(v), (np.mean(v) - column.mean()) / column.std())
        for word, v in values.items()
    }
    within = sum(((np.array(v) - np.mean(v)) ** 2).sum() for v in values.values())
    total = ((column - column.mean()) ** 2).sum()
    tokens = len(words)
    explained = 1 - (within / (tokens - len(values))) / (total / (tokens - 1))
    return found, explained


def flat(scores):
    return [(score.word, score.count, score.mean, score.z) for score in scores]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_is_a_dictionary_of_means(corpus, dtype):
    words, X = corpus
    X = X.astype(dtype)
    found = top_words(X, Coded.of(words), [4, 3, 0], min_count=20, amount=5)
    assert [top.neuron for top in found] == [4, 3, 0]
    for top in found:
        column = X[:, top.neuron].astype(np.float64)
        scores, explained = by_dictionary(words, column)
        order = sorted((s[2], word) for word, s in scores.items() if s[0] >= 20)
        assert [score.word for score in top.lowest] == [word for _, word in order[:5]]
        assert [score.word for score in top.highest] == [word for _, word in order[::-1][:5]]
        for score in (*top.highest, *top.lowest):
            expected = scores[score.word]
            assert (score.count, score.mean, score.z) == pytest.approx(expected, rel=1e-6)
        assert (top.mean, top.deviation) == pytest.approx((column.mean(), column.std()))
        assert top.explained == pytest.approx(explained)


def test_tiny_variance_and_groups_of_neurons(corpus, monkeypatch):
    words, X = corpus
    shards = ShardedRows([X[:100], X[100:101], X[101:]])
    whole = top_words(X, Coded.of(words))
    monkeypatch.setattr(chosen_columns, "GATHER_BYTES", 8 * len(VOCABULARY) * 2)
    steps = []
    grouped = top_words(shards, Coded.of(words), progress=lambda *step: steps.append(step))
    for one, other in zip(grouped, whole, strict=True):
        assert one.neuron == other.neuron
        assert one.explained == pytest.approx(other.explained)
        for side in ("highest", "lowest"):
            words_of_one, words_of_other = getattr(one, side), getattr(other, side)
            assert [s.word for s in words_of_one] == [s.word for s in words_of_other]
            assert [s.z for s in words_of_one] == pytest.approx([s.z for s in words_of_other])
    assert steps[-1] == (3 * 1500, 3 * 1500)
    scores, explained = by_dictionary(words, X[:, 5])
    assert whole[5].explained == pytest.approx(explained)
    for score in whole[5].highest:
        assert score.z == pytest.approx(scores[score.word][2])


WORDS = ["a", "b", "c", "d"] * 25
FIRES = np.array([word == "c" for word in WORDS], dtype=np.float32)


def test_planted_neurons():
    X = np.stack([FIRES, -3 * FIRES, np.full(100, 0.1), 5 + FIRES], axis=1).astype(np.float32)
    fires, flipped, dead, shifted = top_words(X, Coded.of(WORDS))
    z = 0.75 / FIRES.std()
    assert flat(fires.highest) == [("c", 25, pytest.approx(1), pytest.approx(z))]
    assert flat(flipped.lowest) == [("c", 25, pytest.approx(-3), pytest.approx(-z))]
    assert [score.z for score in shifted.highest] == [pytest.approx(z)]
    # Ties go by the word.
    for others in (fires.lowest, flipped.highest, shifted.lowest):
        assert [score.word for score in others] == ["a", "b", "d"]
    assert [fires.explained, flipped.explained] == [pytest.approx(1), pytest.approx(1)]
    assert (dead.highest, dead.lowest, dead.deviation, dead.explained) == ((), (), 0.0, 0.0)
    assert dead.mean == pytest.approx(0.1)


def test_dead_neuron_has_z_zero():
    X = np.stack([np.full(100, 1000.1), FIRES], axis=1)
    means = word_means(X, Coded.of(WORDS))
    assert (means.z[:, 0] == 0).all()
    assert means.mean_of(2, 0) == pytest.approx(1000.1)
    assert means.mean_of(2, 1) == pytest.approx(1)


def test_words_that_occur_once_explain_nothing_by_themselves():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(600, 2))
    # Half of the tokens are words of their own: eta squared would be above a half.
    words = [f"w{number}" if number % 2 else "the" for number in range(600)]
    assert all(top.explained < 0.15 for top in top_words(X, Coded.of(words)))
    (only_once,) = top_words(X[:, :1], Coded.of(map(str, range(600))), min_count=1)
    assert only_once.explained is None


def test_min_count_and_lowercase(tmp_path):
    sentences = [["The", "the", "rare"], ["THE", "dog", "dog"], ["dog", "The"]]
    X = np.arange(8, dtype=np.float32)[:, None]
    space = NeuronSpace((Layer("encoder.layers.0", 1),))
    store = write_store(tmp_path / "acts", X, sentences, space)
    (top,) = top_words(store.array, words_of(store, lowercase=True), min_count=3)
    assert flat(top.highest)[0][:3] == ("dog", 3, pytest.approx(5))
    assert flat(top.lowest)[0][:3] == ("the", 4, pytest.approx(11 / 4))
    (top,) = top_words(store.array, words_of(store), min_count=1)
    assert [score.word for score in top.highest] == ["dog"]  # "The" has the neuron's mean
    assert [score.word for score in top.lowest] == ["the", "rare", "THE"]
    with pytest.raises(UserError, match="no word occurs 5 times; the most frequent, 'the', has 4"):
        top_words(store.array, words_of(store, lowercase=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_count": 0}, "minimum count must be 1 or more, not 0"),
        ({"amount": 0}, "at least 1 word"),
        ({"neurons": [0, 9]}, "neuron 9 is out of range: there are 0 to 2"),
        ({"neurons": [-1]}, "neuron -1 is out of range"),
        ({"words": Coded.of(WORDS[:-1])}, "99 words for 100 rows"),
        ({"neurons": [2, 1]}, "NaN or infinity at row 70, neuron 1"),
    ],
)
def test_refusals(changes, message):
    X = np.zeros((100, 3), dtype=np.float32)
    X[70, 1] = np.nan
    settings = {"words": Coded.of(WORDS), "neurons": [0, 2], **changes}
    with pytest.raises(UserError, match=message):
        top_words(X, settings.pop("words"), settings.pop("neurons"), **settings)


def test_neurox_agrees_where_words_occur_once():
    corpus = pytest.importorskip("neurox.analysis.corpus")
    rng = np.random.default_rng(2)
    X = rng.normal(size=(30, 2))
    words = [f"w{number}" for number in range(30)]
    theirs = dict(corpus.get_top_words({"source": [words[:10], words[10:]]}, [X[:10], X[10:]], 1))
    (ours,) = top_words(X, Coded.of(words), [1], min_count=1, amount=30)
    scores = {score.word: abs(score.z) for score in (*ours.highest, *ours.lowest)}
    largest = max(scores.values())
    for word, score in theirs.items():
        assert scores[word] / largest == pytest.approx(score)
    assert all(scores[word] / largest <= 0.1 for word in set(scores) - set(theirs))


class TestSelection:
    SPACE = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 2)))

    @pytest.fixture
    def store(self, tmp_path):
        settings = {"model": {"sha256": "sha"}, "signature": "source:x"}
        X = np.zeros((2, 5), dtype=np.float32)
        return write_store(tmp_path / "acts", X, [["a", "b"]], self.SPACE, settings)

    def ranking(self, path, neurons=(4, 0, 3, 1, 2), space=SPACE, model="sha"):
        neurons = np.array(neurons)
        ranking = Ranking(
            method="m",
            neurons=neurons,
            scores=np.arange(len(neurons), 0.0, -1),
            per_label={"A/B": neurons[::-1]},
            space=space,
            model=model,
        )
        ranking.save(path)
        return str(path)

    def test_order_and_sources(self, store, tmp_path):
        path = self.ranking(tmp_path / "r.json")
        specs = [f"{path}:top:2", f"{path}:label=A/B:top:2", "0,3"]
        assert select_neurons(specs, store) == {
            4: ["r.json:top:2"],
            0: ["r.json:top:2", "0,3"],
            2: ["r.json:label=A/B:top:2"],
            1: ["r.json:label=A/B:top:2"],
            3: ["0,3"],
        }
        assert list(select_neurons(specs, store)) == [4, 0, 2, 1, 3]
        assert list(select_neurons(["encoder.layers.1:0-1", "0"], store)) == [3, 4, 0]
        assert Ranking.load(path).select("top:2") == [0, 4]

    def test_without_layers_or_checkpoint(self, store, tmp_path):
        path = self.ranking(tmp_path / "r.json", space=None, model=None)
        assert list(select_neurons([f"{path}:bottom:1"], store)) == [2]

    @pytest.mark.parametrize(
        ("made", "selector", "message"),
        [
            ({"model": "other"}, ":top:1", "is of another checkpoint"),
            ({"space": NeuronSpace((Layer("e", 5),))}, ":top:1", r"over other layers.*e \(5\)"),
            ({"neurons": [0, 1], "space": None}, ":top:1", "over other layers.* 2 neurons"),
            ({}, "", "which neurons of"),
            ({}, ":label=C:top:1", "no label 'C'"),
            ({}, ":top:9", "more than the 5"),
            ({}, ":top:0", "names no neuron"),
        ],
    )
    def test_refusals(self, store, tmp_path, made, selector, message):
        path = self.ranking(tmp_path / "r.json", **made)
        with pytest.raises(UserError, match=message):
            select_neurons([path + selector], store)
