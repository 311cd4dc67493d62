"""Cards of planted neurons, part by part against definitions."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import Activations, write_store
from fairseq_neuron_plugin.analysis import examples as examples_module
from fairseq_neuron_plugin.analysis import neuron_card as neuron_card_module
from fairseq_neuron_plugin.analysis.chosen_columns import in_groups
from fairseq_neuron_plugin.analysis.examples import Example, examples
from fairseq_neuron_plugin.analysis.histogram import as_text, distribution
from fairseq_neuron_plugin.analysis.neuron_card import CardSettings, neuron_card, neuron_cards
from fairseq_neuron_plugin.analysis.neuron_places import best_match, probe_weights, ranking_place
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.probe_folder import ProbeFolder
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rankings import cross_model, linguistic, variance

SPACE = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 2)))
SENTENCES = [["the", "dog", "barks"], ["no", "dog"], [], ["the", "cat", "is", "no", "dog"]] * 12
WORDS = [word for words in SENTENCES for word in words]
SHA = {"model": {"sha256": "sha"}, "signature": "source:x"}


@pytest.fixture
def X():
    X = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)
    X[:, 1] = [word == "no" for word in WORDS]
    X[:, 2] = 0.1
    X[:, 4] = -2 * X[:, 1]
    return X


@pytest.fixture
def store(X, tmp_path):
    return write_store(tmp_path / "acts", X, SENTENCES, SPACE, SHA, rows_per_shard=30)


def probe(weight, labels=("N", "V"), space=SPACE, model="sha"):
    weight = np.asarray(weight, dtype=np.float64)
    return ProbeFolder(weight, np.zeros(len(weight)), tuple(labels), {}, space, model)


def test_distribution_is_numpys():
    values = np.random.default_rng(1).normal(size=1000).astype(np.float16)
    found = distribution(values, bins=7)
    exact = values.astype(np.float64)
    counts, edges = np.histogram(exact, bins=7)
    assert found.counts == tuple(counts)
    assert found.edges == pytest.approx(tuple(edges))
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    assert (found.mean, found.deviation) == pytest.approx((exact.mean(), exact.std()))
    assert found.positive == (exact > 0).mean()


def test_distribution_of_a_constant():
    found = distribution(np.full(9, 0.1))
    assert (found.mean, found.deviation, found.counts, found.positive) == (0.1, 0.0, (9,), 1.0)
    assert found.edges == (0.1, 0.1)


@pytest.mark.parametrize(
    ("counts", "text"), [([5], "█"), ([0, 1, 1000], " ▁█"), ([8, 4, 1, 0], "█▄▁ ")]
)
def test_histogram_as_text(counts, text):
    assert as_text(counts) == text


def by_hand(values, sentences, amount, sign):
    """Extreme words by sorting all of them: ``(sentence, position, value)``."""
    rows, tokens = [], []
    for number, words in enumerate(sentences, start=1):
        rows += [(number, position) for position in range(1, len(words) + 1)]
        tokens += [tuple(words)] * len(words)
    order = sorted(range(len(rows)), key=lambda row: (-sign * values[row], row))
    found, seen = [], set()
    for row in order:
        if tokens[row] not in seen:
            seen.add(tokens[row])
            found.append((*rows[row], float(values[row])))
    return found[:amount]


@pytest.mark.parametrize("lowest", [False, True])
@pytest.mark.parametrize("levels", [2, 1000])
def test_examples_are_the_extremes(levels, lowest):
    rng = np.random.default_rng(levels)
    sentences = [rng.choice(list("abc"), rng.integers(0, 4)).tolist() for _ in range(400)]
    offsets = np.cumsum([0, *map(len, sentences)])
    values = rng.integers(0, levels, offsets[-1]).astype(np.float32)
    found = examples(values, sentences, offsets, 6, lowest)
    expected = by_hand(values, sentences, 6, -1 if lowest else 1)
    assert [(e.sentence, e.position, e.value) for e in found] == expected
    for example in found:
        start = offsets[example.sentence - 1]
        assert example.words == tuple(sentences[example.sentence - 1])
        assert example.values == tuple(values[start : start + len(example.words)])


N = 5000
RNG = np.random.default_rng(7)
HOW_VALUES_LIE = {
    "anyhow": RNG.normal(size=N),
    "half of them": RNG.normal(size=N).astype(np.float16),
    "few values": RNG.integers(0, 3, N).astype(np.float32),
    "rising": np.arange(N) / N,
    "falling": -np.arange(N) / N,
    "the sample has all small ones": np.where(np.arange(N) % 50, 1.0, RNG.normal(size=N) - 9),
    "the sample has none": np.where(np.arange(N) % 50, RNG.normal(size=N), 99.0),
    "one value": np.zeros(N),
}


@pytest.mark.parametrize("amount", [0, 1, 60, 4000, N, N + 1])
@pytest.mark.parametrize("how", HOW_VALUES_LIE)
def test_extreme_rows_are_those_of_sorting(how, amount, monkeypatch):
    monkeypatch.setattr(examples_module, "SAMPLED", 100)  # so one in 50
    values = HOW_VALUES_LIE[how]
    expected = sorted(range(N), key=lambda row: (values[row], row))[:amount]
    assert examples_module._extreme_rows(values, amount) == expected


def test_few_rows_are_looked_at(monkeypatch):
    monkeypatch.setattr(examples_module, "SAMPLED", 100)
    rows = examples_module._small_rows(HOW_VALUES_LIE["anyhow"], 60)
    assert 60 <= len(rows) < N / 2
    misled = HOW_VALUES_LIE["the sample has all small ones"]
    assert len(examples_module._small_rows(misled, 900)) == N


@pytest.mark.parametrize(
    ("neurons", "each", "sizes"),
    [(7, 1, [7]), (7, 25, [4, 3]), (7, 40, [2, 2, 2, 1]), (3, 1000, [1, 1, 1]), (0, 9, [])],
)
def test_groups_are_few_and_alike(neurons, each, sizes):
    groups = list(in_groups(range(neurons), each, 100))
    assert [len(group) for group in groups] == sizes
    assert [neuron for group in groups for neuron in group] == list(range(neurons))


def test_examples_may_be_fewer():
    sentences = [["a", "b"]] * 300
    offsets = np.arange(0, 601, 2)
    values = np.arange(600.0)
    (only,) = examples(values, sentences, offsets, 3)
    assert (only.sentence, only.position, only.value) == (300, 2, 599.0)
    assert examples(values, sentences, offsets, 0) == []
    with pytest.raises(UserError, match="must be 0 or more"):
        examples(values, sentences, offsets, -1)


@pytest.mark.parametrize(
    ("position", "context", "text"),
    [
        (1, 1, "[a] b …"),
        (3, 1, "… b [c] d …"),
        (5, 2, "… c d [e]"),
        (3, 0, "… [c] …"),
        (2, 9, "a [b] c d e"),
        (2, None, "a [b] c d e"),
    ],
)
def test_marked_in_context(position, context, text):
    example = Example(1, position, 0.5, tuple("abcde"), (0.5,) * 5)
    assert example.marked(context) == text


def test_places_in_a_ranking():
    coef = np.array([[3.0, -1.0, 0.0], [0.5, 2.0, 1.0], [0.0, 0.0, 4.0]])
    ranking = linguistic(coef, ["N", "V", "D"])
    place = ranking_place("pos", ranking, 1)
    assert (place.ranking, place.method, place.neurons) == ("pos", "linguistic", 3)
    assert ranking.neurons[place.place - 1] == 1
    assert place.score == ranking.scores[place.place - 1]
    assert [(label.label, label.place) for label in place.labels] == [("V", 1), ("N", 2), ("D", 3)]
    assert len(ranking_place("pos", ranking, 1, best_labels=2).labels) == 2
    assert (
        ranking_place("v", variance(np.random.default_rng(0).normal(size=(9, 3))), 0).labels == ()
    )


def test_weights_of_a_probe():
    found = probe_weights("p", probe([[4, -4, 1, 1, 0], [0, 0, 0, 0, 0]]), 1, share=0.5)
    n, v = found.labels
    assert (n.label, n.weight, n.share, n.place, n.salient) == ("N", -4.0, 0.4, 2, True)
    # No weight anywhere: the label needs no neuron, ties go by id.
    assert (v.label, v.weight, v.share, v.place, v.salient) == ("V", 0.0, 0.0, 2, False)
    (n, _) = probe_weights("p", probe([[4, -4, 1, 1, 0], [0, 0, 0, 0, 0]]), 1, share=0.25).labels
    assert not n.salient
    (v, n) = probe_weights("p", probe([[9, 1], [1, 1]], space=None), 1).labels
    assert [(v.label, v.share), (n.label, n.share)] == [("V", 0.5), ("N", 0.1)]


def test_best_match_of_a_sign_flipped_copy(X):
    other = np.random.default_rng(3).normal(size=X.shape)
    other[:, 3] = -X[:, 1]
    ranking = cross_model(X, [other])
    match = best_match("x", ranking, 1)
    assert (match.model, match.neuron) == ("model 1", "3")
    assert match.rho == pytest.approx(-1)
    assert best_match("x", ranking, 2) is None  # no variance
    assert best_match("v", variance(X), 1) is None
    details = {
        **ranking.details,
        "models": [{"path": "acts.b", "model": "b", "layers": SPACE.to_json()}],
    }
    named = Ranking("cross-model", ranking.neurons, ranking.scores, details=details)
    assert (best_match("x", named, 1).model, best_match("x", named, 1).neuron) == (
        "acts.b",
        "encoder.layers.1:0",
    )


@pytest.mark.parametrize(
    "details",
    [
        {"best_match": [{"model": 0, "neuron": 0, "rho": 1.0}]},
        {"best_match": [None, {"model": 0, "neuron": 0}]},
        {"best_match": [None, {"model": 3, "neuron": 0, "rho": 1.0}], "models": [{}]},
        {"best_match": [None, {"model": 0, "neuron": 9, "rho": 1.0}], "models": [{"layers": 7}]},
    ],
)
def test_damaged_best_matches(details):
    ranking = Ranking("cross-model", np.arange(2), np.zeros(2), details=details)
    with pytest.raises(UserError, match="ranking x is damaged"):
        best_match("x", ranking, 1)


def test_card_of_planted_neurons(store, X):
    rankings = {"var": variance(X), "x": cross_model(X, [X[:, ::-1].copy()])}
    card = neuron_card(store, 1, rankings, {"p": probe(np.eye(2, 5))})
    assert (card.neuron, card.name) == (1, "encoder.layers.0:1")
    assert [word.word for word in card.top_words.highest] == ["no"]
    assert [word.word for word in card.top_words.lowest] == ["barks", "cat", "dog", "is", "the"]
    assert card.top_words.explained == pytest.approx(1)
    assert [(e.sentence, e.position, e.value) for e in card.highest[:2]] == [
        (2, 1, 1.0),
        (4, 4, 1.0),
    ]
    assert card.highest[0].values == (1.0, 0.0)
    assert {e.value for e in card.lowest} == {0.0}
    assert [place.ranking for place in card.rankings] == ["var", "x"]
    assert [match.neuron for match in card.matches] == ["0"]  # 4 is at 0 there, and is -2 times 1
    assert card.probes[0].labels[0].label == "V"
    assert card.probes[0].labels[0].salient
    json.dumps(asdict(card), allow_nan=False)


def test_many_cards_in_groups(store, monkeypatch):
    together = neuron_cards(store, [4, 0, 2])
    monkeypatch.setattr(neuron_card_module, "HELD_BYTES", 1)
    done = []
    apart = neuron_cards(store, [4, 0, 2], progress=lambda *step: done.append(step))
    assert [card.neuron for card in together] == [4, 0, 2]
    assert done == [(1, 3), (2, 3), (3, 3)]
    for one, other in zip(together, apart, strict=True):
        assert one.distribution == other.distribution
        assert (one.highest, one.lowest) == (other.highest, other.lowest)
        assert [w.word for w in one.top_words.highest] == [w.word for w in other.top_words.highest]
    flipped, _, dead = together
    assert [word.word for word in flipped.top_words.lowest] == ["no"]
    assert dead.distribution.deviation == 0.0
    assert dead.top_words.highest == ()
    assert dead.distribution.counts == (len(WORDS),)


def test_settings(store):
    settings = CardSettings(min_count=13, words=1, examples=1, bins=3)
    card = neuron_card(store, 0, settings=settings)
    shown = [*card.top_words.highest, *card.top_words.lowest]
    assert {word.word for word in shown} <= {"the", "dog", "no"}
    assert len(card.top_words.highest) <= 1
    assert (len(card.highest), len(card.lowest), len(card.distribution.counts)) == (1, 1, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"probes": {"p": probe(np.eye(2, 4), space=None)}}, "probe p is over other layers"),
        ({"probes": {"p": probe(np.eye(2, 5), model="b")}}, "probe p is of another checkpoint"),
        (
            {"rankings": {"r": Ranking("m", np.arange(5), np.zeros(5), model="other")}},
            "ranking r is of another checkpoint",
        ),
        (
            {"rankings": {"r": Ranking("m", np.arange(4), np.zeros(4))}},
            "ranking r is over other layers",
        ),
        ({"settings": CardSettings(min_count=99)}, "no word occurs 99 times"),
        ({"settings": CardSettings(bins=0)}, "at least 1 bin"),
        ({"settings": CardSettings(share=2), "probes": {"p": probe(np.eye(2, 5))}}, "share must"),
    ],
)
def test_refusals(store, given, message):
    with pytest.raises(UserError, match=message):
        neuron_card(store, 0, **given)


def test_nan_and_unknown_neurons(X, tmp_path):
    X[40, 3] = np.inf
    store = write_store(tmp_path / "wrong", X, SENTENCES, SPACE, SHA)
    assert isinstance(store, Activations)
    assert neuron_card(store, 0).neuron == 0
    with pytest.raises(UserError, match="NaN or infinity at row 40, neuron 3"):
        neuron_cards(store, [0, 3])
    with pytest.raises(UserError, match="neuron 5 is out of range"):
        neuron_card(store, 5)
