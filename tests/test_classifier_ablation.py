"""Three planted neurons carry three labels; all others are noise."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_neuron_plugin import rankings
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.probing.classifier_ablation import ablate_classifier
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.ranking import Ranking

NEURONS, PLANTED = 20, [4, 9, 17]


def data(tokens: int, seed: int):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, tokens)
    X = rng.normal(size=(tokens, NEURONS)) + 2.0
    X[:, PLANTED] += 5 * np.eye(3)[y]
    return X, np.array(["a", "b", "c"])[y]


def new_probe() -> ElasticNetProbe:
    return ElasticNetProbe(1e-3, 1e-3, tol=1e-4)


@pytest.fixture(scope="module")
def planted():
    train, test = data(600, 0), data(300, 1)
    probe = new_probe().fit(*train)
    order = np.array(PLANTED + [n for n in range(NEURONS) if n not in PLANTED])
    return probe, Ranking("planted", order, np.linspace(1, 0, NEURONS)), train, test


def test_top_neurons_keep_the_accuracy_and_bottom_neurons_lose_it(planted):
    probe, ranking, train, test = planted
    rows = ablate_classifier(probe, ranking, train, test, ("15%", "100%"))
    table = {(row.share, row.order): row for row in rows}
    assert [(row.share, row.order, row.kept) for row in rows] == [
        ("all", "all", 20),
        ("15%", "top", 3),
        ("15%", "bottom", 3),
        ("15%", "random", 3),
        ("100%", "top", 20),
        ("100%", "bottom", 20),
        ("100%", "random", 20),
    ]
    full = table["all", "all"]
    assert full.mask == full.retrain == probe.score(*test) > 0.95
    assert table["15%", "top"].retrain > 0.95
    assert table["15%", "bottom"].retrain < 0.5
    assert table["15%", "top"].mask > table["15%", "bottom"].mask + 0.2
    assert table["100%", "bottom"].mask == table["100%", "top"].retrain == full.mask


def test_figures_are_those_of_zeroed_and_of_cut_data(planted):
    probe, ranking, train, test = planted
    row = ablate_classifier(probe, ranking, train, test, ["30%"])[2]
    kept = np.sort(ranking.neurons[-6:])
    assert (row.order, row.kept) == ("bottom", 6)
    zeroed = np.zeros_like(test[0])
    zeroed[:, kept] = test[0][:, kept]
    assert row.mask == probe.score(zeroed, test[1])
    again = new_probe().fit(train[0][:, kept], train[1])
    assert row.retrain == again.score(test[0][:, kept], test[1])


def test_random_neurons_are_the_same_for_mask_and_retrain_and_for_every_ranking(planted):
    probe, ranking, train, test = planted
    kept = np.sort(rankings.random(NEURONS, seed=5).neurons[:6])
    zeroed = np.zeros_like(test[0])
    zeroed[:, kept] = test[0][:, kept]
    again = new_probe().fit(train[0][:, kept], train[1])
    other = Ranking("reversed", ranking.neurons[::-1].copy(), ranking.scores)
    for any_ranking in (ranking, other):
        rows = ablate_classifier(
            probe, any_ranking, train, test, ["30%"], orders=["random"], seed=5
        )
        assert [row.order for row in rows] == ["all", "random"]
        assert rows[1].mask == probe.score(zeroed, test[1])
        assert rows[1].retrain == again.score(test[0][:, kept], test[1])


def test_seed_moves_the_random_order_alone(planted):
    probe, ranking, train, test = planted

    def table(seed):
        return ablate_classifier(probe, ranking, train, test, ["20%"], seed=seed)

    first, same, other = table(0), table(0), table(1)
    assert first == same
    changed = {a.order for a, b in zip(first, other, strict=True) if a != b}
    assert changed == {"random"}


def test_report_names_each_training(planted):
    probe, ranking, train, test = planted
    said: list[str] = []
    ablate_classifier(probe, ranking, train, test, ["3", "10%"], said.append, ("bottom", "top"))
    assert said == ["bottom 3", "top 3", "bottom 10%", "top 10%"]


def test_test_labels_that_training_did_not_have_are_wrong(planted):
    probe, ranking, train, (X, y) = planted
    renamed = y.astype("U8")
    renamed[:30] = "later"
    row = ablate_classifier(probe, ranking, train, (X, renamed), ["15%"], orders=["top"])[1]
    zeroed = np.zeros_like(X)
    zeroed[:, PLANTED] = X[:, PLANTED]
    assert row.mask == (probe.predict(zeroed) == y)[30:].sum() / len(y)
    again = new_probe().fit(train[0][:, PLANTED], train[1])
    assert row.retrain == (again.predict(X[:, PLANTED]) == y)[30:].sum() / len(y)


def test_probe_is_left_as_it_was(planted):
    probe, ranking, train, test = planted
    before = probe.coef_.copy(), probe.intercept_.copy(), probe.classes_.copy()
    ablate_classifier(probe, ranking, train, test, ["10%"])
    for was, now in zip(before, (probe.coef_, probe.intercept_, probe.classes_), strict=True):
        np.testing.assert_array_equal(now, was)


def test_errors(planted):
    probe, ranking, train, test = planted
    with pytest.raises(UserError, match="at least one"):
        ablate_classifier(probe, ranking, train, test, ["0%"])
    with pytest.raises(UserError, match="more than the 20"):
        ablate_classifier(probe, ranking, train, test, ["21"])
    short = Ranking("other", np.arange(5), np.zeros(5))
    with pytest.raises(UserError, match="over 5 neurons, the probe over 20"):
        ablate_classifier(probe, short, train, test)
    with pytest.raises(UserError, match="unknown order 'middle'; there are: top, bottom, random"):
        ablate_classifier(probe, ranking, train, test, orders=("top", "middle"))
    with pytest.raises(UserError, match="at random with seed -1"):
        ablate_classifier(probe, ranking, train, test, seed=-1)
    with pytest.raises(UserError, match="labels that the probe does not know"):
        ablate_classifier(probe, ranking, (train[0], np.full(600, "d")), test)
