"""Moments within labels against numpy, label by label."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from class_toy import DEAD, PERFECT, named, planted

from fairseq_neuron_plugin import rows
from fairseq_neuron_plugin.coded import Coded
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.rankings import blocks
from fairseq_neuron_plugin.rankings.class_moments import class_moments
from fairseq_neuron_plugin.sharded_rows import ShardedRows


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 0)  # 256 rows


def expected(X, codes):
    of = [X[codes == code].astype(np.float64) for code in range(codes.max() + 1)]
    means = np.stack([part.mean(axis=0) for part in of])
    return means, np.stack([((p - m) ** 2).sum(axis=0) for p, m in zip(of, means, strict=True)])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_is_numpy_label_by_label(dtype):
    X, codes = planted(1000)
    X = X.astype(dtype)
    found = class_moments(X, codes)
    means, deviations = expected(X, codes)
    assert found.names == ("0", "1", "2")
    assert found.counts.tolist() == np.bincount(codes).tolist()
    np.testing.assert_allclose(found.means, means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.deviations, deviations, rtol=1e-10, atol=1e-12)
    whole = means[codes] - X.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(found.between, (whole**2).sum(axis=0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.within, deviations.sum(axis=0), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_constants_have_exactly_no_spread():
    X, codes = planted(1000)
    found = class_moments(X, codes)
    assert (found.deviations[:, [PERFECT, DEAD]] == 0).all()
    assert found.between[DEAD] == 0
    assert found.between[PERFECT] > 0


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("first", [None, 1e6])
def test_means_far_from_zero_and_an_outlier_in_front(first):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 2000)
    X = 1e6 + 1e-3 * (codes[:, None] + rng.normal(size=(2000, 3)))
    if first is not None:
        X[0] += first
    found = class_moments(X, codes)
    means, deviations = expected(X - 1e6, codes)
    np.testing.assert_allclose(found.offsets + (found.origin - 1e6), means, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.deviations, deviations, rtol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_forms_of_labels_and_rows():
    X, codes = planted()
    array = class_moments(X, named(codes))
    assert array.names == ("adj", "noun", "verb")
    for source in (ShardedRows([X[:100], X[100:101], X[101:]]), X.astype(np.float64)):
        for labels in (Coded.of(named(codes)), np.array(named(codes)), iter(named(codes))):
            np.testing.assert_array_equal(class_moments(source, labels).means, array.means)
    unused = Coded(codes.astype(np.int32), ("a", "b", "c", "none"))
    assert class_moments(X, unused).names == ("a", "b", "c")


def test_memory_does_not_grow_with_the_tokens(tmp_path):
    peaks = []
    for tokens in (20_000, 80_000):
        np.save(tmp_path / "x.npy", np.ones((tokens, 64), dtype=np.float16))
        X = np.load(tmp_path / "x.npy", mmap_mode="r")
        labels = Coded(np.arange(tokens, dtype=np.int32) % 5, tuple("abcde"))
        tracemalloc.start()
        class_moments(X, labels)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_bad_input():
    X, codes = planted(50)
    with pytest.raises(UserError, match="49 labels for 50 tokens"):
        class_moments(X, codes[:-1])
    with pytest.raises(UserError, match="needs two of them; there is only 'x'"):
        class_moments(X, ["x"] * 50)
    with pytest.raises(UserError, match="must be a matrix"):
        class_moments(X[:, :0], codes)
    for value in (np.nan, np.inf):
        broken = X.copy()
        broken[31, 4] = value
        with pytest.raises(UserError, match="NaN or infinity at row 31, neuron 4"):
            class_moments(broken, codes)


@pytest.mark.parametrize("most", [5, 40, 3000])
def test_blocks_of_columns_are_the_sampled_rows(monkeypatch, most):
    X = np.random.default_rng(0).normal(size=(3000, 7)).astype(np.float32)
    sample = blocks.sample_of_rows(3000, most, 0)
    assert len(set(sample.tolist())) == most
    assert (np.diff(sample) > 0).all()
    monkeypatch.setattr(blocks, "COLUMN_BYTES", 2 * 4 * most)  # two neurons at a time
    for source in (X, ShardedRows([X[:1000], X[1000:]])):
        found = list(blocks.blocks_of_columns(source, sample))
        assert [first for first, _ in found] == [0, 2, 4, 6]
        np.testing.assert_array_equal(np.concatenate([b for _, b in found]), X[sample].T)
    X[sample[3], 5] = np.nan
    with pytest.raises(UserError, match=f"at row {sample[3]}, neuron 5"):
        list(blocks.blocks_of_columns(X, sample))
