"""Which neurons have a card in a report, and the cards, against loops over plain lists."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.analysis.neuron_card import CardSettings, neuron_card
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.probe_folder import ProbeFolder
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.report.cards import CardChoice, choose_neurons, report_cards
from fairseq_neuron_plugin.report.document import Reason
from fairseq_neuron_plugin.report.inputs import Inputs, Named

WIDTH = 12
SPACE = NeuronSpace((Layer("encoder.layers.0", 8), Layer("encoder.layers.1", 4)))
LABELS = ("N", "V", "D")
SETTINGS = CardSettings(min_count=2, words=2, examples=2)


def ranking(seed, labels=(), space=SPACE, model="a"):
    rng = np.random.default_rng(seed)
    return Ranking(
        method="m",
        neurons=rng.permutation(WIDTH),
        scores=np.arange(WIDTH, dtype=np.float64),
        per_label={label: rng.permutation(WIDTH) for label in labels},
        space=space,
        model=model,
    )


def probe(seed, space=SPACE, model="a"):
    weight = np.random.default_rng(seed).normal(size=(3, WIDTH))
    return ProbeFolder(weight, np.zeros(3), LABELS, {}, space, model)


def named(**contents):
    return tuple(Named(name, Path(name), content) for name, content in contents.items())


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """``a`` twice, the second with more words; ``b`` another checkpoint, ``wide`` other layers."""
    folder = tmp_path_factory.mktemp("stores")

    def store(name, sentences, model, space=SPACE):
        rng = np.random.default_rng(len(name))
        words = rng.choice(["the", "dog", "barks", "no"], size=(sentences, 3)).tolist()
        X = rng.normal(size=(3 * sentences, space.size)).astype(np.float32)
        settings = {"model": model and {"sha256": model, "path": name}, "signature": name}
        return write_store(folder / name, X, words, space, settings, rows_per_shard=20)

    return {
        "small": store("small", 20, "a"),
        "a": store("a", 30, "a"),
        "b": store("b", 40, "b"),
        "wide": store("wide", 50, "a", NeuronSpace((Layer("encoder.layers.0", WIDTH),))),
        "unknown": store("unknown", 60, None),
    }


def inputs_of(stores, names, rankings, probes=None):
    return Inputs(
        stores=named(**{name: stores[name] for name in names}),
        rankings=named(**rankings),
        probes=named(**(probes or {})),
    )


def by_hand(rankings, choice):
    """Every neuron's reasons, from the definition."""
    found = defaultdict(set)
    for name, each in rankings.items():
        for place, neuron in enumerate(each.neurons[: choice.top], start=1):
            found[int(neuron)].add((name, place, None))
        for label, order in each.per_label.items():
            if choice.labels is None or label in choice.labels:
                for place, neuron in enumerate(order[: choice.label_top], start=1):
                    found[int(neuron)].add((name, place, label))
    return found


@pytest.mark.parametrize(
    "choice",
    [
        CardChoice(),
        CardChoice(top=3, label_top=2),
        CardChoice(top=0, label_top=3, labels=("V",)),
        CardChoice(top=2, label_top=0),
    ],
)
def test_every_reason_is_there(stores, choice):
    rankings = {"x": ranking(1, LABELS), "y": ranking(2), "z": ranking(3, LABELS[:2])}
    chosen = choose_neurons(inputs_of(stores, ["a"], rankings), choice)
    found = {
        neuron: {(r.ranking, r.place, r.label) for r in reasons}
        for (_, neuron), reasons in chosen.reasons.items()
    }
    assert found == by_hand(rankings, choice)
    assert chosen.left_out == 0
    for reasons in chosen.reasons.values():
        assert [r.place for r in reasons] == sorted(r.place for r in reasons)


def test_order_of_the_page():
    """Rankings take turns, and in each its own order and its labels'."""
    up, down = np.arange(WIDTH), np.arange(WIDTH)[::-1]
    labels = {"N": np.roll(up, -5), "V": np.roll(up, -7), "D": np.roll(up, -6)}
    first = Ranking("m", up, np.zeros(WIDTH), labels)
    second = Ranking("m", down, np.zeros(WIDTH))
    store = type("Store", (), {"layers": SPACE, "model_sha256": "a", "__len__": lambda _: 9})()
    inputs = Inputs(stores=named(s=store), rankings=named(r=first, q=second))
    chosen = choose_neurons(inputs, CardChoice(top=3, label_top=2))
    neurons = [neuron for _, neuron in chosen.reasons]
    # In turns 0 1 2 of r, 11 10 9 of q, and of r's labels the first 5 7 6, then the second 6 8 7.
    assert neurons == [0, 11, 5, 10, 1, 9, 7, 2, 6, 8]
    assert chosen.reasons[0, 6] == (Reason("r", 1, "D"), Reason("r", 2, "N"))


def test_the_bound_is_fair(stores):
    # Each ranking and the labels have neurons of their own, so that none is shown for two.
    def starting(*first):
        return np.array([*first, *(n for n in range(WIDTH) if n not in first)])

    rankings = {
        "x": Ranking("m", starting(0, 1, 2), np.zeros(WIDTH), {"N": starting(9), "V": starting(8)}),
        "y": Ranking("m", starting(3, 4, 5), np.zeros(WIDTH)),
        "z": Ranking("m", starting(6, 7, 10), np.zeros(WIDTH)),
    }
    whole = choose_neurons(inputs_of(stores, ["a"], rankings), CardChoice(top=3))
    assert len(whole.reasons) == 11
    bounded = choose_neurons(inputs_of(stores, ["a"], rankings), CardChoice(top=3, most=7))
    assert list(bounded.reasons) == list(whole.reasons)[:7]
    assert bounded.left_out == 4
    shown = {neuron for _, neuron in bounded.reasons}
    assert {0, 9, 3, 4, 6, 7} <= shown  # first of all, two of y and z, one label of x
    nothing = choose_neurons(inputs_of(stores, ["a"], rankings), CardChoice(top=3, most=0))
    assert (nothing.reasons, nothing.left_out) == ({}, 11)


@pytest.mark.parametrize(
    ("names", "settings", "expected"),
    [
        (["small", "a", "b"], {}, "a"),  # of one checkpoint the store with most words
        (["a", "small"], {"model": "b"}, None),
        (["b", "a"], {"model": "b"}, "b"),
        (["small", "wide"], {}, "small"),
        (["wide"], {}, None),
        (["a", "unknown"], {}, "a"),  # what is known goes before what may be
        (["unknown"], {"model": "b"}, "unknown"),
        (["small", "a"], {"model": None, "space": None}, "a"),
        (["a", "b"], {"model": None}, "unclear"),
        (["a", "wide"], {"space": None}, "unclear"),
        (["a", "unknown"], {"model": None}, "unclear"),
    ],
)
def test_whose_store(stores, names, settings, expected):
    inputs = inputs_of(stores, names, {"r": ranking(1, **settings)})
    chosen = choose_neurons(inputs, CardChoice(top=2))
    assert {inputs.stores[number].name for number, _ in chosen.reasons} == (
        {expected} if expected in names else set()
    )
    assert chosen.without_store == (() if expected else ("r",))
    assert chosen.unclear == (("r",) if expected == "unclear" else ())


def test_cards_are_those_of_their_store(stores):
    rankings = {"x": ranking(1, LABELS), "of_b": ranking(2, model="b"), "y": ranking(3)}
    rankings["any"] = ranking(4, model=None)
    probes = {"p": probe(5), "of_b": probe(6, model="b"), "any": probe(7, model=None)}
    inputs = inputs_of(stores, ["b", "a"], rankings, probes)
    chosen = choose_neurons(inputs, CardChoice(top=3))
    steps = []
    cards = report_cards(inputs, chosen, SETTINGS, lambda *step: steps.append(step))
    assert steps == [(done, len(cards)) for done in range(1, len(cards) + 1)]
    assert [(card.store, card.card.neuron) for card in cards] == [
        (inputs.stores[number].name, neuron) for number, neuron in chosen.reasons
    ]
    assert [card.reasons for card in cards] == list(chosen.reasons.values())
    ours = {"x": rankings["x"], "y": rankings["y"]}, {"p": probes["p"]}
    theirs = {"of_b": rankings["of_b"]}, {"of_b": probes["of_b"]}
    for card in cards:
        known = ours if card.store == "a" else theirs
        alone = neuron_card(stores[card.store], card.card.neuron, *known, settings=SETTINGS)
        assert card.card.rankings == alone.rankings
        assert card.card.probes == alone.probes
        for reason in card.reasons:
            assert reason.label is not None or reason.place == next(
                place.place for place in alone.rankings if place.ranking == reason.ranking
            )


def test_cards_by_loops(stores):
    inputs = inputs_of(stores, ["a"], {"x": ranking(1)})
    cards = report_cards(inputs, choose_neurons(inputs, CardChoice(top=WIDTH)), SETTINGS)
    assert len(cards) == WIDTH
    store = stores["a"]
    for card in cards:
        column = [float(row[card.card.neuron]) for row in store.array[:]]
        of_words, places = defaultdict(list), []
        for number, sentence in enumerate(store.sentences, start=1):
            for position, word in enumerate(sentence, start=1):
                value = column[len(places)]
                of_words[word].append(value)
                places.append((value, number, position, tuple(sentence)))
        mean = sum(column) / len(column)
        found = card.card
        assert found.distribution.mean == pytest.approx(mean)
        assert (found.distribution.minimum, found.distribution.maximum) == (
            min(column),
            max(column),
        )
        assert sum(found.distribution.counts) == len(column)
        means = sorted((sum(v) / len(v), word) for word, v in of_words.items())
        assert [w.word for w in found.top_words.highest] == [
            word for value, word in means[::-1] if value > mean
        ][:2]
        assert [w.word for w in found.top_words.lowest] == [
            word for value, word in means if value < mean
        ][:2]
        for shown, order in ((found.highest, sorted(places)[::-1]), (found.lowest, sorted(places))):
            sentences = []
            for value, number, position, words in order:
                if words not in [words for _, _, _, words in sentences]:
                    sentences.append((value, number, position, words))
            assert [(e.value, e.sentence, e.position, e.words) for e in shown] == sentences[:2]


def test_an_error_names_the_store(stores):
    inputs = inputs_of(stores, ["a"], {"x": ranking(1)})
    chosen = choose_neurons(inputs, CardChoice(top=1))
    with pytest.raises(UserError, match="store a: no word occurs 999 times"):
        report_cards(inputs, chosen, CardSettings(min_count=999))


def test_labels_of_a_card(stores):
    """Those that it is shown for, then those that it is salient for."""
    inputs = inputs_of(stores, ["a"], {"x": ranking(1, LABELS)}, {"p": probe(5)})
    chosen = choose_neurons(inputs, CardChoice(top=2))
    for card in report_cards(inputs, chosen, SETTINGS):
        shown = [reason.label for reason in card.reasons if reason.label]
        size = np.abs(probe(5).weight)
        salient = set()
        for label, row in zip(LABELS, size, strict=True):
            reached = 0.0
            for neuron in sorted(range(WIDTH), key=lambda n: -row[n]):
                if reached < 0.25 * row.sum() and neuron == card.card.neuron:
                    salient.add(label)
                reached += row[neuron]
        assert list(card.labels[: len(shown)]) == shown
        assert set(card.labels) == set(shown) | salient
