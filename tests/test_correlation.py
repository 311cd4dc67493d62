"""Streamed correlations against numpy.corrcoef in float64, and planted copies."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import (
    centred,
    cross_model,
    mean_distance,
    moments,
    products,
    random,
    variance,
)
from fairseq_neuron_plugin.rankings.correlation import correlations
from fairseq_neuron_plugin.rows import View
from fairseq_neuron_plugin.sharded_rows import ShardedRows


def expected(X, Y):
    width = X.shape[1]
    joint = np.corrcoef(np.hstack([X, Y]).astype(np.float64), rowvar=False)
    return joint[:width, width:]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(moments, "BLOCK_ROWS", 64)
    monkeypatch.setattr(centred, "BLOCK_ROWS", 64)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_is_corrcoef(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 7)).astype(dtype)
    Y = (X[:, :4] @ rng.normal(size=(4, 9)) + rng.normal(size=(5000, 9))).astype(dtype)
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_mean_far_from_zero_and_tiny_variance():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(4000, 1))
    X = (1000 + 0.01 * (shared + rng.normal(size=(4000, 5)))).astype(np.float32)
    Y = (-1000 + 0.01 * (shared + rng.normal(size=(4000, 6)))).astype(np.float32)
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)
    X64 = 1e-12 * (shared + rng.normal(size=(4000, 5))) + 1e-6
    np.testing.assert_allclose(correlations(X64, [Y])[0], expected(X64, Y), atol=1e-6)
    X64 = 1e30 * (shared + rng.normal(size=(4000, 5)))
    np.testing.assert_allclose(correlations(X64, [Y])[0], expected(X64 / 1e30, Y), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_mean_that_drifts_along_the_corpus():
    rng = np.random.default_rng(2)
    drift = np.linspace(0, 500, 3000)[:, None]
    X = drift + rng.normal(size=(3000, 3))
    Y = np.hstack([drift, -drift]) + rng.normal(size=(3000, 2))
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("constant", [0.0, 0.1, 1000.1, -3e-7])
def test_constant_neuron_scores_zero(constant):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(1000, 4))
    X[:, 2] = constant
    Y = X[:, ::-1] + 0.1 * rng.normal(size=X.shape)
    Y[:, 0] = constant
    ranking = cross_model(X, [Y])
    assert ranking.neurons[-1] == 2
    assert ranking.scores[-1] == 0.0
    assert ranking.details["best_match"][2] is None
    assert np.isfinite(ranking.scores).all()


ROWS = np.arange(1500)
FAR = 2.0**20
# Columns that a choice made on the first block (of 64 rows), or on a sample of a block, could fail.
HARD = {
    "constant, then not": lambda n: np.where(ROWS < 128, 3.0, n),
    "0, then tiny": lambda n: np.where(ROWS < 128, 0.0, 1e-4 * n),
    "grows": lambda n: np.where(ROWS < 64, 1e-3, 1e3) * n,
    "shrinks": lambda n: np.where(ROWS < 64, 1e3, 1e-3) * n,
    "jumps within a block": lambda n: np.where(ROWS < 100, 0, 900) + n,
    "jumps back": lambda n: np.where(ROWS < 100, 900, 0) + n,
    "one spike": lambda n: np.where(ROWS == 777, 2.0, 0.0),
    "one value apart": lambda n: np.where(ROWS == 777, 0.5, 0.25),
    "spikes where samples are": lambda n: np.where(ROWS % 8 == 0, 1.0, 0.0) + 1e-3 * n,
    "spikes elsewhere": lambda n: np.where(ROWS % 8 == 5, 1.0, 0.0) + 1e-3 * n,
    "heavy tail": lambda n: np.exp(2 * n),
}
# More of them than float16 can hold.
HARDER = {
    "0, then 1e-25": lambda n: np.where(ROWS < 128, 0.0, 1e-25 * n),
    "one tiny spike": lambda n: np.where(ROWS == 777, 1e-30, 0.0),
    "1e-20, then 1": lambda n: np.where(ROWS < 128, 1e-20, 1) * n,
    "1e-20, then 1e12": lambda n: np.where(ROWS < 640, 1e-20, 1e12) * n,
    "1, then 1e20": lambda n: np.where(ROWS < 128, 1, 1e20) * n,
    "1e20, then 1": lambda n: np.where(ROWS < 128, 1e20, 1) * n,
    "1e30": lambda n: 1e30 * n,
    "1e-30": lambda n: 1e-30 * n,
    "far from 0": lambda n: FAR + n,
    "far from 0, then farther": lambda n: np.where(ROWS < 700, FAR, 5 * FAR) + n,
}


@pytest.mark.parametrize(
    ("block_rows", "large", "atol"),
    # Large tables are summed up over whole blocks: fewer digits where a block holds a jump.
    [(64, 2**16, 1e-6), (300, 2**16, 1e-6), (8192, 2**16, 1e-6), (8192, 0, 1e-5)],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_columns_that_change(monkeypatch, block_rows, large, atol, dtype):
    monkeypatch.setattr(centred, "BLOCK_ROWS", block_rows)
    monkeypatch.setattr(products, "LARGE", large)
    monkeypatch.setattr(centred, "SAMPLE_ROWS", max(1, min(block_rows, 1500) // 8))
    rng = np.random.default_rng(6)
    makers = list({**HARD, **(HARDER if dtype != np.float16 else {})}.values())
    X = np.stack([make(rng.normal(size=1500)) for make in makers], axis=1).astype(dtype)
    Y = np.stack([make(rng.normal(size=1500)) for make in makers[::-1]], axis=1)
    X64 = X.astype(np.float64)
    copies = -X64 + X64.std(axis=0) * rng.normal(size=X.shape) / 2
    Y64 = np.hstack([Y, copies, X64[:, :1]]).astype(dtype).astype(np.float64)
    scales = [1 / np.abs(Z - Z.mean(axis=0)).max(axis=0) for Z in (X64, Y64)]  # or corrcoef fails
    with np.errstate(over="raise"):
        found = correlations(X, [Y64.astype(dtype)])[0]
    assert np.abs(found).max() > 0.999
    np.testing.assert_allclose(found, expected(X64 * scales[0], Y64 * scales[1]), atol=atol)


@pytest.mark.parametrize(("tokens", "width"), [(8192, 5), (9000, 300)])
def test_sums_of_many_rows_keep_their_digits(tokens, width):
    """Every neuron has a copy, whose correlation is 1 to six digits, in blocks of full size."""
    rng = np.random.default_rng(7)
    X = (rng.normal(size=(tokens, width)) + 0.7).astype(np.float32)
    Y = np.hstack([-3 * X[:, ::-1], X + 0.1 * rng.normal(size=X.shape)]).astype(np.float32)
    np.testing.assert_allclose(correlations(X, [Y])[0], expected(X, Y), atol=1e-6)


def planted():
    """Neurons 1 and 2 are in both models, 2 with its sign turned in B; 3 in C, turned; 5 is dead.

    Neuron 4 is in B, with noise: rho = 0.71.
    """
    rng = np.random.default_rng(4)
    X, B, C = (rng.normal(size=(2000, 6)) for _ in range(3))
    X[:, 5] = 0.25
    B[:, 5], C[:, 0] = 3 * X[:, 1] + 2, 0.1 * X[:, 1]
    B[:, 0], C[:, 1] = -X[:, 2] + 1, 5 * X[:, 2]
    C[:, 3] = -0.5 * X[:, 3]
    B[:, 2] = X[:, 4] + rng.normal(size=2000)
    C[:, 5] = 0.25  # is dead, too
    return X, B, C


@pytest.mark.parametrize(
    ("signed", "combine", "order"),
    [
        (False, "max", [{1, 2, 3}, {4}, {0}, {5}]),
        (False, "min", [{1, 2}, {0, 3, 4}, {5}]),
        (False, "mean", [{1, 2}, {3}, {4}, {0}, {5}]),
        (True, "max", [{1, 2}, {4}, {0, 3}, {5}]),
        (True, "min", [{1}, {0, 2, 3, 4}, {5}]),
        (True, "mean", [{1}, {2}, {4}, {0, 3}, {5}]),
    ],
)
def test_planted_copies(signed, combine, order):
    X, B, C = planted()
    ranking = cross_model(X, [B, C], signed=signed, combine=combine)
    groups = np.split(ranking.neurons, np.cumsum([len(group) for group in order])[:-1])
    assert [set(group.tolist()) for group in groups] == order
    assert ranking.scores[0] == pytest.approx(1, abs=1e-6)
    assert ranking.scores[-1] == 0
    assert f"signed:{signed}|combine:{combine}|others:2|tokens:2000|" in ranking.signature


@pytest.mark.parametrize(
    ("signed", "neuron", "model", "other", "rho"),
    [
        (False, 1, None, None, 1.0),
        (False, 2, None, None, None),
        (False, 3, 1, 3, -1.0),
        (False, 4, 0, 2, 0.5**0.5),
        (True, 2, 1, 1, 1.0),
        (True, 4, 0, 2, 0.5**0.5),
    ],
)
def test_best_match(signed, neuron, model, other, rho):
    X, B, C = planted()
    match = cross_model(X, [B, C], signed=signed).details["best_match"][neuron]
    place = (match["model"], match["neuron"])
    if model is None:  # a copy in both models
        assert place in {1: [(0, 5), (1, 0)], 2: [(0, 0), (1, 1)]}[neuron]
    else:
        assert place == (model, other)
    if rho is not None:
        assert match["rho"] == pytest.approx(rho, abs=1e-6 if abs(rho) == 1 else 0.03)
    found = np.corrcoef(X[:, neuron], (B, C)[place[0]][:, place[1]])[0, 1]
    assert match["rho"] == pytest.approx(found, abs=1e-6)


def test_dead_neurons_have_no_match():
    X, B, C = planted()
    details = cross_model(X, [B, C]).details
    assert [match is None for match in details["best_match"]] == [False] * 5 + [True]
    assert [row[5] for row in details["by_model"]] == [0.0, 0.0]
    dead = np.full_like(B, 7.5)
    ranking = cross_model(X, [dead])  # nothing to match
    assert ranking.details["best_match"] == [None] * 6
    assert ranking.neurons.tolist() == list(range(6))
    assert not ranking.scores.any()


def test_min_and_mean_over_models():
    X, B, C = planted()
    scores = {}
    for combine in ("max", "min", "mean"):
        ranking = cross_model(X, [B, C], combine=combine)
        scores[combine] = ranking.scores[np.argsort(ranking.neurons)]
    with np.errstate(invalid="ignore"):
        one, two = (
            np.nan_to_num(np.abs(expected(X, other)), nan=0.0).max(axis=1) for other in (B, C)
        )
    np.testing.assert_allclose(scores["max"], np.maximum(one, two), atol=1e-6)
    np.testing.assert_allclose(scores["min"], np.minimum(one, two), atol=1e-6)
    np.testing.assert_allclose(scores["mean"], (one + two) / 2, atol=1e-6)
    by_model = ranking.details["by_model"]
    np.testing.assert_allclose(by_model, [one, two], atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_models_of_different_width_from_files_and_views(tmp_path):
    X, B, C = (array.astype(np.float16) for array in planted())
    for number, rows in enumerate((slice(0, 700), slice(700, 2000))):
        np.save(tmp_path / f"{number}.npy", X[rows])
    sharded = ShardedRows([np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in (0, 1)])
    columns = np.array([5, 2])
    found = correlations(sharded, [View(B, columns=columns), C])
    np.testing.assert_allclose(found[0][:5], expected(X, B[:, columns])[:5], atol=1e-6)
    np.testing.assert_allclose(found[1][:5, :5], expected(X, C)[:5, :5], atol=1e-6)


def test_memory_does_not_grow_with_the_tokens():
    peaks = []
    for tokens in (20_000, 80_000):
        X = np.random.default_rng(0).normal(size=(tokens, 8)).astype(np.float32)
        tracemalloc.start()
        cross_model(X, [X, X])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_memory_of_the_result():
    """Little more than one table of correlations for each other model."""
    X = np.random.default_rng(0).normal(size=(100, 1000)).astype(np.float16)
    tracemalloc.start()
    cross_model(X, [X, X, X])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    table, products, blocks = 8e6, 4e6, 2 * 4e5
    assert peak < 3 * table + products + blocks + 3e6


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="resident pages: Linux alone")
@pytest.mark.usefixtures("small_blocks")
def test_mapped_pages_are_let_go(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((40_000, 64), np.float16))  # 5 MB
    X = np.load(tmp_path / "x.npy", mmap_mode="r")

    def resident() -> int:
        _, _, after = Path("/proc/self/smaps").read_text().partition(str(tmp_path / "x.npy"))
        return int(re.search(r"^Rss: +(\d+) kB", after, re.MULTILINE)[1])

    assert X.sum(dtype=np.float64) == X.size  # this reads all of it
    assert resident() > 4000
    cross_model(X, [np.ones((40_000, 1))])
    assert resident() < 500


@pytest.mark.usefixtures("small_blocks")
def test_progress():
    X = np.random.default_rng(0).normal(size=(200, 3))
    seen = []
    cross_model(X, [X, X], progress=lambda done, steps: seen.append((done, steps)))
    assert seen == [(done, 8) for done in range(1, 9)]


def test_bad_input():
    X = np.zeros((10, 3))
    with pytest.raises(UserError, match="at least one other"):
        cross_model(X, [])
    with pytest.raises(UserError, match="model 2 has 9 tokens, the ranked model 10"):
        cross_model(X, [X, X[:9]])
    with pytest.raises(UserError, match="unknown way to combine"):
        cross_model(X, [X], combine="sum")
    broken = np.ones((10, 3))
    broken[7, 1] = np.nan
    with pytest.raises(UserError, match="model 1: NaN or infinity at row 7, neuron 1"):
        cross_model(X, [broken])
    broken = np.full((10, 3), 1.7e308)
    broken[5] = -1.7e308
    with pytest.raises(UserError, match="activations: the values of neuron 0 are too far apart"):
        cross_model(broken, [X])
    with pytest.raises(UserError, match="must be a matrix"):
        cross_model(np.zeros((0, 3)), [np.zeros((0, 3))])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_not_finite_is_named(value, dtype):
    X = np.random.default_rng(0).normal(size=(300, 4)).astype(dtype)
    broken = X.copy()
    broken[171, 2] = broken[172, 0] = value
    with pytest.raises(UserError, match=r"^activations: NaN or infinity at row 171, neuron 2$"):
        cross_model(broken, [X])
    with pytest.raises(UserError, match=r"of model 2: NaN or infinity at row 171, neuron 2$"):
        cross_model(X, [X, broken])


@pytest.mark.usefixtures("small_blocks")
def test_variance_and_mean_distance():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(1000, 4)) * [1, 5, 0, 2] + [100, 0, 7, -3]
    ranking = variance(X)
    assert ranking.neurons.tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(ranking.scores, X.var(axis=0)[[1, 3, 0, 2]], rtol=1e-9)
    assert variance(X, reverse=True).neurons.tolist() == [2, 0, 3, 1]
    means = X.mean(axis=0)
    distance = np.abs(means - means.mean())
    ranking = mean_distance(X)
    assert ranking.neurons.tolist() == np.argsort(-distance).tolist()
    np.testing.assert_allclose(np.sort(ranking.scores), np.sort(distance), rtol=1e-9)
    assert mean_distance(X, reverse=True).neurons.tolist() == np.argsort(distance).tolist()


def test_random_order_is_the_same_for_the_same_seed():
    assert random(50, seed=3).neurons.tolist() == random(50, seed=3).neurons.tolist()
    assert random(50, seed=3).neurons.tolist() != random(50, seed=4).neurons.tolist()
    assert sorted(random(50, seed=3).neurons.tolist()) == list(range(50))
