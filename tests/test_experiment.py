"""The Python face of ``fairseq-neuron-probe``, and how it tells its progress."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.adam import EPOCHS as ADAM_EPOCHS
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.experiment import (
    ProbeSettings,
    read_data,
    run_experiment,
    signature,
)
from fairseq_neuron_plugin.probing.labelled import join_labels, split_by_sentence
from fairseq_neuron_plugin.probing.probe_folder import load_probe
from fairseq_neuron_plugin.probing.work import Work

SPACE = NeuronSpace((Layer("encoder.layers.0", 8),))


@pytest.fixture
def given(tmp_path):
    """Settings over a store of 40 sentences, and the labels."""
    rng = np.random.default_rng(0)
    tags = [rng.integers(0, 3, 5) for _ in range(40)]
    words = [[f"{'xyz'[tag]}{rng.integers(4)}" for tag in line] for line in tags]
    array = rng.normal(size=(200, 8)) + 2 * np.eye(3, 8)[np.concatenate(tags)]
    write_store(tmp_path / "acts", array.astype(np.float32), words, SPACE)
    labels = [["ABC"[tag] for tag in line] for line in tags]
    (tmp_path / "tags").write_text("".join(" ".join(line) + "\n" for line in labels))

    def settings(**more):
        return ProbeSettings(str(tmp_path / "acts"), labels=str(tmp_path / "tags"), **more)

    return settings, labels


def test_figures_are_those_of_the_parts_put_together_by_hand(given, tmp_path):
    settings, labels = given
    chosen = settings(l1=1e-3, l2=1e-3, control_tasks=1, ablate="25", seed=2)
    data = read_data(chosen)
    experiment = run_experiment(chosen, data)
    train, test = split_by_sentence(join_labels(data.store, labels), 0.2, 2)
    probe = ElasticNetProbe(1e-3, 1e-3, random_state=2).fit(train.activations, train.labels)
    np.testing.assert_array_equal(experiment.probe.coef_, probe.coef_)
    accuracy = np.mean(probe.predict(test.activations) == test.labels)
    assert experiment.result["test"]["accuracy"] == experiment.ablation[0].mask == accuracy
    assert experiment.result["train"]["accuracy"] == probe.score(train.activations, train.labels)
    assert experiment.result["solver"]["nonzero"] == np.count_nonzero(probe.coef_)
    assert [row.kept for row in experiment.ablation] == [8, 2, 2, 2]
    experiment.save(tmp_path / "probe")
    folder = load_probe(tmp_path / "probe")
    assert folder.signature == signature(chosen, data) == experiment.result["signature"]
    assert (
        folder.classifier().predict(test.activations[:]) == probe.predict(test.activations)
    ).all()


def test_progress_covers_the_whole_work(given):
    settings, _ = given
    chosen = settings(grid="1e-2,1e-4", control_tasks=2, ablate="25,50")
    said: list[tuple[float, str]] = []
    run_experiment(chosen, read_data(chosen), lambda done, what: said.append((done, what)))
    shares = [done for done, _ in said]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.9 < shares[-1] <= 1
    titles = list(dict.fromkeys(what.split(":")[0].split(",")[0] for _, what in said))
    assert titles == [
        *(f"grid {cell}/4" for cell in range(1, 5)),
        *("probe", "control task 0", "control task 1"),
        *(f"retrain {order} {share}" for share in ("25%", "50%") for order in ORDERS),
    ]


ORDERS = ("top", "bottom", "random")


def test_a_fit_moves_on_as_its_residual_falls():
    said: list[float] = []
    work = Work(4.0, 1e-6, lambda done, _: said.append(done))
    work.begin("one", 2.0)
    for residual in (1.0, 1e-3, 1e-2, 0.0, 1e-6, 1e-9):
        work.step(1, 0.5, residual)
    work.begin("two", 2.0)
    assert said == pytest.approx([0, 0, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5])


def test_epochs_of_adam_are_counted():
    said: list[tuple[float, str]] = []
    work = Work(1.0, 1e-6, lambda done, what: said.append((done, what)))
    work.begin("probe")
    work.step(ADAM_EPOCHS // 2, 0.5, math.nan)
    assert said == [(0, "probe"), (0.5, f"probe: epoch {ADAM_EPOCHS // 2}, loss 0.500000")]


def test_a_fit_without_tolerance_ends_all_at_once():
    said: list[float] = []
    work = Work(1.0, 0.0, lambda done, _: said.append(done))
    work.begin("one")
    work.step(1, 0.5, 1.0)
    work.step(2, 0.5, 1e-9)
    assert said == [0, 0, 0]


def test_signature_changes_with_every_setting_and_with_nothing_else(given, tmp_path):
    settings, _ = given
    plain = settings()
    changes = [
        *({"l1": 1e-4}, {"l2": 1e-4}, {"tol": 1e-3}, {"max_iter": 5}, {"solver": "adam"}),
        *({"min_count": 2}, {"balance": 9}, {"balance": "rarest"}, {"train_sentences": 9}),
        *({"test_sentences": 3}, {"seed": 1}, {"grid": "0,1"}, {"grid": "auto:0,1"}),
        *({"grid": "auto:0,1", "grid_margin": 0.5}, {"control_tasks": 1}, {"ablate": "5"}),
    ]
    found = [signature(s, read_data(s)) for s in (plain, *(settings(**c) for c in changes))]
    assert len(set(found)) == len(found)
    (tmp_path / "acts").rename(tmp_path / "moved")
    moved = ProbeSettings(str(tmp_path / "moved"), labels=str(tmp_path / "tags"))
    assert signature(moved, read_data(moved)) == found[0]


def test_labels_of_a_grid_that_all_fall_among_the_held_out(given, tmp_path):
    settings, _ = given
    (tmp_path / "tags").write_text("A A A A A\n" * 39 + "A A B A A\n")
    # The only B is in training, but in the sentences held out for the grid.
    for seed in range(200):
        chosen = settings(seed=seed, grid="0.1")
        try:
            data = read_data(chosen)
        except UserError:
            continue
        if 39 not in split_by_sentence(data.train, 0.2, seed)[0].sentence:
            break
    with pytest.raises(UserError, match="the grid is fitted to holds only 'A'"):
        run_experiment(chosen, data)
