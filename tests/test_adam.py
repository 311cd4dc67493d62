"""The authors' protocol: against Adam's equations, batch by batch, on any kind of matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_neuron_plugin.probing.adam import _evaluate, fit_adam
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.rows import NonFiniteError, View
from fairseq_neuron_plugin.sharded_rows import ShardedRows

L1, L2 = 3e-3, 2e-3


def problem(tokens: int = 230, neurons: int = 7, labels: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(tokens, neurons)).astype(np.float32) + 0.5
    scores = X @ rng.normal(size=(neurons, labels)) + rng.gumbel(size=(tokens, labels))
    return X, scores.argmax(axis=1)


def linear(labels: int, neurons: int, seed: int):
    """First weights and intercept of torch's own layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = torch.nn.Linear(neurons, labels)
    return [value.detach().numpy().astype(np.float64) for value in layer.parameters()]


def gradients(X, codes, weight, intercept):
    """Mean cross-entropy and its gradients, with plain numpy."""
    logits = X.astype(np.float64) @ weight.T + intercept
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    each = np.arange(len(codes))
    value = -np.log(chances[each, codes]).mean()
    chances[each, codes] -= 1
    return value, chances.T @ X / len(codes), chances.mean(axis=0)


def adam_by_hand(X, codes, labels, epochs, batch, rate, seed):
    """Algorithm 1 of Kingma & Ba 2015, written out."""
    weight, intercept = linear(labels, X.shape[1], seed)
    theta = np.column_stack([weight, intercept])
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    t = 0
    for _ in range(epochs):
        for start in range(0, len(X), batch):
            rows = slice(start, start + batch)
            _, g_weight, g_intercept = gradients(X[rows], codes[rows], theta[:, :-1], theta[:, -1])
            g_weight += L1 * np.sign(theta[:, :-1]) + 2 * L2 * theta[:, :-1]
            g = np.column_stack([g_weight, g_intercept])
            t += 1
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            theta = theta - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return theta[:, :-1], theta[:, -1]


@pytest.mark.parametrize(
    ("tokens", "labels", "batch", "epochs", "rate", "seed"),
    [
        (230, 4, 64, 3, 1e-3, 0),  # the last batch is smaller
        (128, 2, 64, 4, 1e-2, 1),
        (50, 3, 512, 10, 1e-3, 2),  # one batch holds everything
        (20, 5, 1, 1, 1e-3, 3),
    ],
)
def test_the_steps_are_those_of_the_paper(tokens, labels, batch, epochs, rate, seed):
    X, codes = problem(tokens, labels=labels, seed=seed)
    found = fit_adam(
        X, codes, labels, L1, L2, epochs=epochs, batch_size=batch, learning_rate=rate, seed=seed
    )
    weight, intercept = adam_by_hand(X, codes, labels, epochs, batch, rate, seed)
    np.testing.assert_allclose(found.weight, weight, atol=2e-5)
    np.testing.assert_allclose(found.intercept, intercept, atol=2e-5)
    assert found.passes == epochs + 1
    assert found.weight.dtype == found.intercept.dtype == np.float64


def test_the_defaults_are_the_authors():
    X, codes = problem(1100)
    weight, intercept = adam_by_hand(X, codes, 4, epochs=10, batch=512, rate=1e-3, seed=0)
    found = fit_adam(X, codes, 4, L1, L2)
    np.testing.assert_allclose(found.weight, weight, atol=2e-5)
    np.testing.assert_allclose(found.intercept, intercept, atol=2e-5)


def test_the_first_weights_are_those_of_a_linear_layer():
    X, codes = problem()
    found = fit_adam(X, codes, 4, L1, L2, epochs=0, seed=11)
    weight, intercept = linear(4, X.shape[1], 11)
    np.testing.assert_allclose(found.weight, weight, rtol=1e-6)
    np.testing.assert_allclose(found.intercept, intercept, rtol=1e-6)
    other = fit_adam(X, codes, 4, L1, L2, epochs=0, seed=12)
    assert not np.allclose(other.weight, weight)


@pytest.mark.parametrize("blocks", [1, 10**9])
def test_objective_and_residual_are_what_they_say(blocks, monkeypatch):
    monkeypatch.setattr("fairseq_neuron_plugin.probing.adam.EVALUATION_VALUES", blocks)
    X, codes = problem(60)
    found = fit_adam(X, codes, 4, L1, L2, epochs=2)
    weight, intercept = found.weight, found.intercept
    entropy, _, free = gradients(X, codes, weight, intercept)
    penalty = L1 * np.abs(weight).sum() + L2 * (weight**2).sum()
    assert found.objective == pytest.approx(entropy + penalty, abs=1e-9)
    centred = X.astype(np.float64) - X.astype(np.float64).mean(axis=0)
    # Centred neurons with the intercept moved to match give the same probabilities.
    moved = intercept + weight @ X.astype(np.float64).mean(axis=0)
    _, slope, _ = gradients(centred, codes, weight, moved)
    total = slope + 2 * L2 * weight + L1 * np.sign(weight)
    assert found.kkt_residual == pytest.approx(max(np.abs(total).max(), np.abs(free).max()))


def test_residual_where_weights_are_zero():
    """At the optimum, with exact zeros, it is 0; another strength is seen."""
    X, codes = problem(200)
    probe = ElasticNetProbe(3e-2, L2).fit(X, codes)
    weight, intercept = torch.from_numpy(probe.coef_.copy()), torch.from_numpy(probe.intercept_)
    assert (weight == 0).any()
    objective, residual = _evaluate(X, codes, weight, intercept, 3e-2, L2)
    assert objective == pytest.approx(probe.objective_, abs=1e-9)
    assert residual < 2e-6
    assert _evaluate(X, codes, weight, intercept, 2e-2, L2)[1] == pytest.approx(1e-2, rel=1e-3)


def test_training_goes_down_and_is_told():
    X, codes = problem(600)
    seen: list[tuple[int, float]] = []
    found = fit_adam(
        X, codes, 4, 0.0, 0.0, batch_size=32, report=lambda epoch, loss: seen.append((epoch, loss))
    )
    assert [epoch for epoch, _ in seen] == list(range(1, 11))
    losses = [loss for _, loss in seen]
    assert losses == sorted(losses, reverse=True)
    assert found.objective < losses[-1]
    assert (X @ found.weight.T + found.intercept).argmax(axis=1).tolist() != [0] * len(X)


def test_same_seed_same_weights_and_torchs_own_generator_is_left_alone():
    X, codes = problem()
    before = torch.get_rng_state()
    first, second = (fit_adam(X, codes, 4, L1, L2, seed=5) for _ in range(2))
    np.testing.assert_array_equal(torch.get_rng_state().numpy(), before.numpy())
    np.testing.assert_array_equal(first.weight, second.weight)
    torch.rand(3)
    third = fit_adam(X, codes, 4, L1, L2, seed=5)
    np.testing.assert_array_equal(first.weight, third.weight)
    assert (first.objective, first.kkt_residual) == (third.objective, third.kkt_residual)


def test_any_kind_of_matrix_gives_the_same(tmp_path):
    X, codes = problem()
    np.save(tmp_path / "whole.npy", X)
    wider = np.column_stack([X[:, ::-1], X])
    several = np.concatenate([X[:3] + 1, X])
    kinds = {
        "memmap": np.load(tmp_path / "whole.npy", mmap_mode="r"),
        "shards": ShardedRows([X[:100], X[100:101], X[101:]]),
        "columns": View(wider, columns=np.arange(7, 14)),
        "rows": View(several, rows=np.arange(3, 233)),
        "fortran": np.asfortranarray(X),
        "float64": X.astype(np.float64),
    }
    wanted = fit_adam(X, codes, 4, L1, L2, epochs=2, batch_size=64)
    for kind, matrix in kinds.items():
        found = fit_adam(matrix, codes, 4, L1, L2, epochs=2, batch_size=64)
        np.testing.assert_array_equal(found.weight, wanted.weight, err_msg=kind)
        assert found.objective == wanted.objective, kind


def test_float16_is_read_as_it_is():
    X, codes = problem()
    half = X.astype(np.float16)
    found = fit_adam(half, codes, 4, L1, L2, epochs=1)
    wanted = fit_adam(half.astype(np.float32), codes, 4, L1, L2, epochs=1)
    np.testing.assert_array_equal(found.weight, wanted.weight)


class Watched:
    """A matrix that gives out slices of rows alone, and notes the longest."""

    def __init__(self, array):
        self.array, self.shape, self.longest = array, array.shape, 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.longest = max(self.longest, rows.stop - rows.start)
        return self.array[rows]


def test_only_batches_are_read(monkeypatch):
    monkeypatch.setattr("fairseq_neuron_plugin.probing.adam.EVALUATION_VALUES", 7 * 32)
    X, codes = problem()
    watched = Watched(X)
    fit_adam(watched, codes, 4, L1, L2, epochs=2, batch_size=32)  # type: ignore[arg-type]
    assert watched.longest == 32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (70, 3), (229, 6)])
def test_what_is_no_number_is_found(value, row, column):
    X, codes = problem()
    X = X.astype(np.float64)
    X[row, column] = value
    X[row:, 6] = value
    with pytest.raises(NonFiniteError) as found:
        fit_adam(X, codes, 4, L1, L2, batch_size=64)
    assert (found.value.row, found.value.column) == (row, column)
