"""The parts of the exact solver against their definitions, on toy data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from probe_toy import problem

from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.solver import curvature as curvature_module
from fairseq_neuron_plugin.probing.solver.block_lasso import BlockLasso
from fairseq_neuron_plugin.probing.solver.curvature import RIDGE, SHARED, Curvature, _threshold
from fairseq_neuron_plugin.probing.solver.design import Design
from fairseq_neuron_plugin.probing.solver.minimise import Solver
from fairseq_neuron_plugin.probing.solver.objective import SoftmaxObjective
from fairseq_neuron_plugin.probing.solver.penalty import Penalty, line_minimum
from fairseq_neuron_plugin.probing.solver.warm_start import stochastic_gradients
from fairseq_neuron_plugin.probing.solver.workers import Workers

LABELS, NEURONS = 4, 6


@pytest.fixture
def solver():
    X, y = problem(300, NEURONS, LABELS)
    with Workers() as workers:
        yield Solver(SoftmaxObjective(Design(X + 2, workers), y, LABELS))


def random_parameters(seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(LABELS, NEURONS + 1)))


def dense(solver, parameters: torch.Tensor):
    """Rows with a 1 for the intercept, and probabilities, from the definitions."""
    design = solver.design
    rows = (np.asarray(design.X) - design.mean) / design.scale
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    logits = rows @ parameters.numpy().T
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return rows, chances / chances.sum(axis=1, keepdims=True)


def test_standardised_rows_and_back(solver):
    rows = torch.cat([solver.design.block(n) for n in range(len(solver.design.slices))])
    np.testing.assert_allclose(rows.mean(dim=0), 0, atol=1e-12)
    np.testing.assert_allclose(rows.var(dim=0, correction=0), 1, rtol=1e-9)
    parameters = random_parameters()
    again = solver.design.from_raw(*solver.design.to_raw(parameters))
    np.testing.assert_allclose(again, parameters, rtol=1e-12, atol=1e-12)


def test_gradient_and_curvature_products(solver):
    parameters = random_parameters()
    rows, chances = dense(solver, parameters)
    value, gradient, kept = solver.objective.evaluate(parameters)
    codes = solver.objective.codes.numpy()
    assert value == pytest.approx(-np.log(chances[np.arange(len(rows)), codes]).mean())
    wanted = (chances - np.eye(LABELS)[codes]).T @ rows / len(rows)
    np.testing.assert_allclose(gradient, wanted, atol=1e-12)
    np.testing.assert_allclose(torch.cat([kept[n] for n in sorted(kept)]), chances, atol=1e-12)

    direction = random_parameters(2)
    hessian = sum(
        np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
        for p, x in zip(chances, rows, strict=True)
    ) / len(rows)
    point = solver._at(Penalty(0, 0, solver.design.scale), parameters)
    product = Curvature(solver.objective, point).product(direction)
    np.testing.assert_allclose(
        product.reshape(-1), hessian @ direction.numpy().reshape(-1), atol=1e-12
    )


@pytest.mark.parametrize("room", [2**30, 2 * 8 * 7 * 7, 0])
def test_label_blocks(solver, monkeypatch, room):
    """As many labels as there is room for have a block of their own; all are the definition's."""
    monkeypatch.setattr(curvature_module, "BLOCK_MEMORY", room)
    monkeypatch.setattr(curvature_module, "ROWS_PER_NEURON", 1000)  # so that all rows are taken
    parameters = random_parameters() / 3
    rows, chances = dense(solver, parameters)
    point = solver._at(Penalty(0, 0, solver.design.scale), parameters)
    blocks = Curvature(solver.objective, point).label_blocks(solver.gram, seed=0)
    assert len(blocks.labels) == {2**30: 4, 2 * 8 * 49: 1, 0: 0}[room]
    assert sorted([*blocks.labels.tolist(), *blocks.others.tolist()]) == [0, 1, 2, 3]
    weight = (chances * (1 - chances)).mean(axis=0)
    for label in range(LABELS):
        shared = [label] if label in blocks.labels else blocks.others.tolist()
        each = (chances * (1 - chances))[:, shared].sum(axis=1)
        wanted = (rows * each[:, None]).T @ rows / len(rows)
        total = weight[shared].sum()
        wanted[:-1, :-1] += SHARED * total * solver.gram.numpy()
        wanted[-1, -1] += SHARED * total
        wanted[np.diag_indices(7)] += RIDGE * np.diag(wanted).mean()
        matrix, size = blocks.block(label)
        np.testing.assert_allclose(
            matrix * size, wanted * weight[label] / total, rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("room", [0, 40_000])
def test_shared_label_blocks_find_the_same_optimum(monkeypatch, room):
    X, y = problem(400, 12, 5)
    exact = ElasticNetProbe(1e-3, 1e-3, tol=1e-8).fit(X, y)
    monkeypatch.setattr(curvature_module, "BLOCK_MEMORY", room)
    probe = ElasticNetProbe(1e-3, 1e-3, tol=1e-8).fit(X, y)
    assert probe.kkt_residual_ <= 1e-8
    np.testing.assert_allclose(probe.coef_, exact.coef_, atol=1e-6)


@pytest.mark.parametrize(("l1", "l2"), [(0.05, 0.0), (0.0, 0.02), (0.03, 0.01)])
def test_lasso_of_each_label(solver, l1, l2):
    """Solved again and again from where it ended, it reaches its own KKT conditions."""
    penalty = Penalty(l1, l2, solver.design.scale)
    point = solver._at(penalty, random_parameters() / 3)
    blocks = Curvature(solver.objective, point).label_blocks(solver.gram, seed=0)
    lasso = BlockLasso(blocks, penalty, solver.design.workers)
    z = point.parameters
    for _ in range(20):
        slope = point.gradient + 1.5 * lasso.product(z - point.parameters)
        z = lasso.solve(z, slope, 1.5)
    slope = point.gradient + 1.5 * lasso.product(z - point.parameters)
    assert float(penalty.subgradient(z, slope).abs().max()) < 1e-9
    assert bool((z == 0).any()) == (l1 > 0)


def test_stochastic_gradients_come_near(solver):
    penalty = Penalty(1e-3, 1e-3, solver.design.scale)
    zero = solver.objective.start
    X, y = np.tile(np.asarray(solver.design.X), (3, 1)), np.tile(solver.objective.codes, 3)
    with Workers() as workers:
        more = Solver(SoftmaxObjective(Design(X, workers), y, LABELS))
        found = stochastic_gradients(more.objective, penalty, more.gram, zero, (200, 1.0), seed=3)
        same = stochastic_gradients(more.objective, penalty, more.gram, zero, (200, 1.0), seed=3)
        assert torch.equal(found, same)
        best = more.minimise(1e-3, 1e-3, 1e-8, 100).objective
        start, reached = more._at(penalty, zero).objective, more._at(penalty, found).objective
    assert reached - best < 0.02 * (start - best)


def test_line_minimum_against_a_fine_grid():
    generator = np.random.default_rng(0)
    steps = np.linspace(0, 5, 500_001)
    for _ in range(20):
        slope, bend = -generator.random() * 4, generator.random() + 0.5
        kinks, jumps = generator.random(4) * 3, generator.random(4)
        cost = slope * steps + bend * steps**2 / 2
        cost += sum(j * np.maximum(steps - k, 0) for k, j in zip(kinks, jumps, strict=True))
        length, hit = line_minimum(slope, bend, torch.from_numpy(kinks), torch.from_numpy(jumps))
        assert length == pytest.approx(steps[cost.argmin()], abs=2e-5)
        assert hit < 0 or length == kinks[hit]


@pytest.mark.parametrize("wanted", [1, 7, 60, 200])
def test_threshold_takes_so_many_rows(wanted):
    weight = torch.from_numpy(np.random.default_rng(4).exponential(size=100) ** 3)
    least = _threshold(weight, wanted)
    expected = (weight / least).clamp(max=1).sum()
    assert float(expected) == pytest.approx(min(wanted, 100), rel=1e-9)
