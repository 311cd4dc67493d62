"""How activations are held, and how large they are, changes no probe; nor does chance."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from probe_toy import FLOATS, fitted, kkt_residual, large, problem
from sklearn.exceptions import ConvergenceWarning

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli.probe import main
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.rows import NonFiniteError, View, release
from fairseq_neuron_plugin.sharded_rows import ShardedRows

# Nothing below overflows, divides by zero, or complains of an array it may not write to.
pytestmark = pytest.mark.filterwarnings("error")

SPACE = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 2)))


# Floats


@pytest.mark.parametrize("size", ["small", "large"])
def test_float16_does_not_overflow(size):
    """Values up to the largest finite one; sums and squares are far beyond float16.

    ``W / s`` for neurons times ``s`` is the optimum of strengths ``l1 s`` and ``l2 s²``.
    """
    X, y = large() if size == "large" else problem(300, 4, 3)
    scale = 2.0**15
    X = np.clip(2 * X, -1.999, 1.999).astype(np.float16)
    wide = X * np.float16(scale)
    assert np.abs(wide).max() == np.finfo(np.float16).max
    probe = fitted(wide, y, 2e-3 * scale, 1e-2 * scale**2, tol=1e-2)
    expected = fitted(X, y, 2e-3, 1e-2)
    np.testing.assert_allclose(probe.coef_ * scale, expected.coef_, atol=1e-4)
    assert probe.objective_ == pytest.approx(expected.objective_, abs=1e-6)
    np.testing.assert_allclose(probe.predict_proba(wide), expected.predict_proba(X), atol=1e-4)


def test_float32_whose_squares_overflow():
    X, y = problem(300, 4, 3)
    huge = (X * 1e25).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = fitted(huge, y, 0.0, 0.0)
    expected = fitted(X.astype(np.float32), y, 0.0, 0.0)
    assert probe.objective_ == pytest.approx(expected.objective_, abs=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_errors_that_say_where(dtype, bad):
    X, y = problem(3000, 40, 3)  # several blocks of rows
    X = X.astype(dtype)
    probe = fitted(X[:200], y[:200])
    X[2711, 13] = X[2950, 2] = bad
    for rows in (X, View(X), ShardedRows([X[:1000], X[1000:]])):
        with pytest.raises(NonFiniteError, match="row 2711, column 13") as caught:
            fitted(rows, y)
        assert (caught.value.row, caught.value.column) == (2711, 13)
        with pytest.raises(NonFiniteError, match="row 2711, column 13"):
            probe.predict(rows)
    with pytest.raises(NonFiniteError, match=r"row 0, column 0"):
        probe.predict(np.full((1, 40), bad, dtype))


@pytest.mark.parametrize(("dtype", "bad"), [("float16", np.inf), ("float32", np.nan)])
def test_command_names_the_neuron_and_the_sentence(tmp_path, capsys, dtype, bad):
    array = np.random.default_rng(0).normal(size=(9, 5)).astype(dtype)
    array[7, 4] = bad
    sentences = [["a", "b"], [], ["c", "d", "e"], ["f"], ["g", "h", "i"]]
    write_store(tmp_path / "acts", array, sentences, SPACE, rows_per_shard=3)
    (tmp_path / "tags").write_text("A B\n\nA B A\nB\nA A B\n")
    acts, tags = str(tmp_path / "acts"), str(tmp_path / "tags")
    test = ("--test-acts", acts, "--test-labels", tags)
    with pytest.raises(SystemExit) as end:
        main([acts, "--labels", tags, *test, "--save-dir", str(tmp_path / "probe")])
    lines = capsys.readouterr().err.strip().splitlines()
    assert end.value.code == 2
    assert len(lines) == 1
    assert "encoder.layers.1:1" in lines[0]
    assert "sentence 5" in lines[0]
    assert not (tmp_path / "probe").exists()


# The same data in other clothes


def clothes(X, folder) -> dict:
    """The same values, differently held."""
    np.save(folder / "x.npy", X)
    stored = np.load(folder / "x.npy", mmap_mode="r")
    third = len(X) // 3
    padded = np.zeros((2 * len(X), X.shape[1] + 3), X.dtype)
    padded[::2, 1:-2] = X
    rows, columns = np.arange(0, len(padded), 2), np.arange(1, X.shape[1] + 1)
    return {
        "memory map": stored,
        "shards": ShardedRows([stored[:third], stored[third : third + 1], stored[third + 1 :]]),
        "view": View(stored),
        "view of chosen rows": View(padded, rows, columns),
        "view of a view": View(View(padded, rows), None, columns),
        "Fortran order": np.asfortranarray(X),
        "strided": padded[::2, 1:-2],
        "negative strides": X[::-1, ::-1].copy()[::-1, ::-1],
        "other byte order": X.astype(X.dtype.newbyteorder()),
    }


@pytest.mark.parametrize(
    ("size", "held"),
    [
        ("small", None),
        ("large", ("memory map", "shards", "view of chosen rows", "other byte order")),
    ],
)
def test_how_the_data_is_held_does_not_matter(tmp_path, size, held):
    X, y = large(labels=3) if size == "large" else problem(400, 9, 4)
    X = X.astype(np.float16)
    expected = fitted(X, y, 2e-3, 1e-2, tol=1e-7)
    every = clothes(X, tmp_path)
    for name in held or every:
        probe = fitted(every[name], y, 2e-3, 1e-2, tol=1e-7)
        np.testing.assert_allclose(probe.coef_, expected.coef_, atol=2e-6, err_msg=name)
        probability = probe.predict_proba(every[name])
        np.testing.assert_allclose(probability, expected.predict_proba(X), atol=1e-5, err_msg=name)


def test_precision_of_the_store_does_not_matter():
    X, y = large(labels=3)
    probes = [fitted(X.astype(dtype), y, 2e-3, 1e-2) for dtype in FLOATS]
    for probe in probes:
        assert kkt_residual(probe, X, y) <= 2e-6
        assert probe.objective_ == pytest.approx(probes[-1].objective_, abs=1e-7)
        np.testing.assert_allclose(probe.coef_, probes[-1].coef_, atol=2e-4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", ["small", "large"])
def test_fit_leaves_the_data_as_it_is(dtype, size):
    X, y = large() if size == "large" else problem(200, 5, 3)
    X = X.astype(dtype)
    before, labels = X.copy(), y.copy()
    fitted(X, y, 2e-3, 1e-2, tol=1e-2 if size == "large" else 1e-6).predict(X)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(y, labels)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.bool_])
def test_whole_numbers_are_taken_as_floats(kind):
    X, y = problem(200, 5, 3)
    whole = (2 * np.abs(X)).astype(kind)
    np.testing.assert_array_equal(fitted(whole, y).coef_, fitted(whole.astype(np.float64), y).coef_)


# Chance


def test_same_data_same_bits():
    X, y = large(labels=3)
    first, second = fitted(X, y, 2e-3, 1e-2), fitted(X, y, 2e-3, 1e-2)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    np.testing.assert_array_equal(first.intercept_, second.intercept_)
    assert first.objective_ == second.objective_
    assert first.n_passes_ == second.n_passes_


def test_fit_leaves_the_random_state_of_others_alone():
    X, y = problem(100, 5, 3)
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1).item(), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    threads = torch.get_num_threads()
    fitted(X, y)
    assert (torch.rand(1).item(), np.random.rand()) == expected
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32


THREADS_SCRIPT = """
import sys
import numpy as np
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe

X, y = np.load(sys.argv[1]), np.load(sys.argv[2])
np.save(sys.argv[3], ElasticNetProbe(2e-3, 1e-2, tol=1e-7).fit(X, y).coef_)
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core only")
def test_number_of_threads_does_not_matter(tmp_path):
    X, y = large(labels=3)
    files = [str(tmp_path / f"{name}.npy") for name in ("x", "y", "weight")]
    np.save(files[0], X)
    np.save(files[1], y)
    other = "1" if torch.get_num_threads() > 1 else "2"
    subprocess.run(
        [sys.executable, "-c", THREADS_SCRIPT, *files],
        env={**os.environ, "OMP_NUM_THREADS": other},
        check=True,
    )
    here = fitted(X, y, 2e-3, 1e-2, tol=1e-7)
    np.testing.assert_allclose(np.load(files[2]), here.coef_, atol=1e-6)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="no madvise on this system")
def test_rows_of_a_file_that_were_read_are_let_go(tmp_path):
    """Else a store that is larger than the memory would fill it."""

    def resident() -> int:
        with open("/proc/self/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssFile"))

    np.save(tmp_path / "x.npy", np.ones((40_000, 500), np.float32))  # 76 MiB
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    before = resident()
    assert stored.sum() == stored.size
    assert resident() - before > 60_000
    release(View(np.asarray(stored), np.arange(10)))
    assert resident() - before < 10_000
    assert stored[-1, -1] == 1
