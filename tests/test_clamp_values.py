"""What clamped neurons are held at, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.clamp_values import mean_values, parse_value
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace

LAYERS = (Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 4))


@pytest.fixture
def values() -> np.ndarray:
    """``[10000, 7]``, more rows than one block, with means far from 0."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(10000, 7)) + 10 * np.arange(7)).astype(np.float32)


def store(path, values, layers=LAYERS):
    sentences = [["w"] * 100] * (len(values) // 100)
    return write_store(path, values, sentences, NeuronSpace(layers), rows_per_shard=3000)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_means_equal_numpy(tmp_path, values, dtype) -> None:
    acts = store(tmp_path / "acts", values.astype(dtype))
    chosen = {"encoder.layers.1": [3, 0], "encoder.layers.0": [2]}
    means = mean_values(acts, chosen, LAYERS)
    expected = values.astype(dtype).astype(np.float64).mean(axis=0)
    assert list(means) == list(chosen)
    np.testing.assert_allclose(means["encoder.layers.1"], expected[[6, 3]], rtol=1e-6)
    np.testing.assert_allclose(means["encoder.layers.0"], expected[[2]], rtol=1e-6)


def test_no_neuron_has_no_mean(tmp_path, values) -> None:
    assert mean_values(store(tmp_path / "acts", values), {}, LAYERS) == {}


@pytest.mark.parametrize(
    ("layers", "spoil", "message"),
    [
        ((Layer("decoder.layers.0", 7),), False, "does not hold encoder.layers.1"),
        ((Layer("encoder.layers.1", 7),), False, "has 7 neurons, this model's has 4"),
        (LAYERS, True, "NaN or infinity: neuron encoder.layers.1:2"),
    ],
)
def test_a_store_that_does_not_fit(tmp_path, values, layers, spoil, message) -> None:
    if spoil:
        values[9000, 5] = np.nan
    acts = store(tmp_path / "acts", values, layers)
    with pytest.raises(UserError, match=message):
        mean_values(acts, {"encoder.layers.1": [0, 2]}, LAYERS)


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("-0.25", -0.25), ("mean", None)])
def test_values(text: str, value: float | None) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["nan", "inf", "median", ""])
def test_no_values(text: str) -> None:
    with pytest.raises(UserError, match="finite values only"):
        parse_value(text)
