"""Taps and clamps of the LSTM encoder against a step-by-step loop."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from reference_lstm import run_encoder
from torch import Tensor
from toy import batch, lstm_model

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.errors import UserError

LENGTHS = list(range(12, 0, -1))
UNITS = {"forward": [0, 3, 7], "backward": [8, 12], "both": [1, 6, 9, 15], "all": list(range(16))}
TOLERANCE = 1e-5
H = 8


def run_model(model, tokens: Tensor, lengths: Tensor) -> tuple[dict[str, Tensor], tuple]:
    with torch.no_grad(), fnp.tap(model, "encoder.layers.*") as layers:
        out = model.encoder(tokens, src_lengths=lengths)
        return dict(layers), out


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("side", list(UNITS))
def test_clamp_equals_step_by_step_loop(layer: int, side: str, record_property) -> None:
    model = lstm_model()
    tokens, lengths = batch(LENGTHS)
    worst = 0.0
    for scope, value in itertools.product(("recurrent", "full", "output"), (0.0, 0.7)):
        with fnp.ablate(model, {f"encoder.layers.{layer}": UNITS[side]}, value, scope):
            layers, (out, hidden, cell, _) = run_model(model, tokens, lengths)
        for row, length in enumerate(LENGTHS):
            words = tokens[row, -length:]
            with torch.no_grad():
                want, want_h, want_c = run_encoder(
                    model.encoder.lstm,
                    model.encoder.embed_tokens(words),
                    {layer: UNITS[side]},
                    value,
                    scope,
                )
            pairs = [
                (layers["encoder.layers.0"][row, -length:], want[0]),
                (layers["encoder.layers.1"][row, -length:], want[1]),
                (out[:length, row], want[1]),
                (hidden[:, row].view(2, 2, H), want_h),
                (cell[:, row].view(2, 2, H), want_c),
            ]
            worst = max(worst, *((got - ref).abs().max().item() for got, ref in pairs))
    record_property("maximum difference", worst)
    print(f"layer {layer}, {side}: maximum difference {worst:.2e}")
    assert worst < TOLERANCE


def test_reference_loop_is_sensitive_to_the_scope() -> None:
    """The three scopes differ by far more than the tolerance, so equality above means something."""
    model = lstm_model()
    tokens, lengths = batch([6])
    results = {}
    for scope in ("recurrent", "full", "output"):
        with fnp.ablate(model, {"encoder.layers.0": [0, 9]}, 0.7, scope):
            _, (out, hidden, cell, _) = run_model(model, tokens, lengths)
        results[scope] = torch.cat([out.flatten(), hidden.flatten(), cell.flatten()])
    for one, other in itertools.combinations(results.values(), 2):
        assert (one - other).abs().max() > 0.01


@pytest.mark.parametrize("value", [0.0, 0.7, -3.25])
@pytest.mark.parametrize("scope", ["recurrent", "full", "output"])
def test_clamped_neuron_reads_back_as_exactly_its_value(value: float, scope: str) -> None:
    model = lstm_model()
    tokens, lengths = batch(LENGTHS)
    with fnp.ablate(model, {"encoder.layers.1": [2, 11]}, value, scope):
        layers, _ = run_model(model, tokens, lengths)
    is_word = tokens.ne(1)
    assert (layers["encoder.layers.1"][is_word][:, [2, 11]] == value).all()
    assert (layers["encoder.layers.1"][is_word][:, [3, 10]] != value).all()


def test_stock_forward_and_layerwise_forward_agree() -> None:
    model = lstm_model()
    tokens, lengths = batch([9, 9, 4, 2, 1])
    with torch.no_grad():
        stock = model.encoder(tokens, src_lengths=lengths)
    _, tapped = run_model(model, tokens, lengths)
    for a, b in zip(stock, tapped, strict=True):
        torch.testing.assert_close(b, a, atol=1e-6, rtol=0)


@pytest.mark.parametrize("left_pad", [True, False])
def test_tap_keeps_the_padding_of_the_input(left_pad: bool) -> None:
    model = lstm_model()
    tokens, lengths = batch([5, 3, 1], left_pad)
    layers, (out, *_) = run_model(model, tokens, lengths)
    top = layers["encoder.layers.1"]
    assert top.shape == (3, 5, 16)
    assert (top[tokens.eq(1)] == 0).all()
    for row, length in enumerate([5, 3, 1]):
        words = top[row, -length:] if left_pad else top[row, :length]
        assert torch.equal(words, out[:length, row])


def test_tap_reads_unsorted_batches() -> None:
    model = lstm_model()
    tokens, lengths = batch([3, 5, 1])
    with torch.no_grad(), fnp.tap(model) as layers:
        out = model.encoder(tokens, src_lengths=lengths, enforce_sorted=False)[0]
    for row, length in enumerate([3, 5, 1]):
        assert torch.equal(layers["encoder.layers.1"][row, -length:], out[:length, row])


def test_unidirectional_encoder() -> None:
    model = lstm_model(encoder_bidirectional=False)
    tokens, lengths = batch([4, 2])
    with fnp.ablate(model, {"encoder.layers.0": [5]}, 0.7):
        layers, (_, hidden, *_) = run_model(model, tokens, lengths)
    embedded = model.encoder.embed_tokens(tokens[1, -2:])
    with torch.no_grad():
        want, want_h, _ = run_encoder(model.encoder.lstm, embedded, {0: [5]}, 0.7, "recurrent")
    assert torch.allclose(layers["encoder.layers.1"][1, -2:], want[1], atol=TOLERANCE)
    assert torch.allclose(hidden[:, 1], want_h[:, 0], atol=TOLERANCE)


def test_model_is_restored_bit_for_bit_after_an_exception() -> None:
    model = lstm_model()
    tokens, lengths = batch([4, 2])
    before, attributes = copy.deepcopy(model.state_dict()), set(vars(model.encoder.lstm))
    plain = model.encoder(tokens, src_lengths=lengths)

    def fail_inside() -> None:
        with fnp.tap(model), fnp.ablate(model, {"encoder.layers.0": [1]}):
            model.encoder(tokens, src_lengths=lengths)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert set(vars(model.encoder.lstm)) == attributes
    assert "forward" not in vars(model.encoder)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    again = model.encoder(tokens, src_lengths=lengths)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_nested_ablations_add_up_and_end_in_any_order() -> None:
    model = lstm_model()
    tokens, lengths = batch([4, 2])
    with fnp.ablate(model, {"encoder.layers.0": [1, 2], "encoder.layers.1": [9]}):
        together, _ = run_model(model, tokens, lengths)
    outer = fnp.ablate(model, {"encoder.layers.0": [1]})
    inner = fnp.ablate(model, {"encoder.layers.0": [2], "encoder.layers.1": [9]})
    with outer, inner:
        nested, _ = run_model(model, tokens, lengths)
    assert torch.equal(together["encoder.layers.1"], nested["encoder.layers.1"])
    outer.__enter__()
    inner.__enter__()
    outer.__exit__()
    alone, _ = run_model(model, tokens, lengths)
    inner.__exit__()
    assert (alone["encoder.layers.0"][0, :, 1] != 0).all()
    assert (alone["encoder.layers.0"][0, :, 2] == 0).all()
    assert "forward" not in vars(model.encoder.lstm)


def test_innermost_clamp_of_a_neuron_wins() -> None:
    model = lstm_model()
    tokens, lengths = batch([6, 3])
    with fnp.ablate(model, {"encoder.layers.0": [2, 9]}, 0.7):
        alone, _ = run_model(model, tokens, lengths)
    with (
        fnp.ablate(model, {"encoder.layers.0": [2, 9]}, 0.0),
        fnp.ablate(model, {"encoder.layers.0": [2, 9]}, 0.7),
    ):
        nested, _ = run_model(model, tokens, lengths)
    assert torch.allclose(alone["encoder.layers.1"], nested["encoder.layers.1"], atol=1e-6)


def test_a_value_for_each_neuron() -> None:
    model = lstm_model()
    tokens, lengths = batch([3])
    values = {"encoder.layers.1": torch.tensor([0.25, -0.5])}
    with fnp.ablate(model, {"encoder.layers.1": torch.tensor([1, 4])}, values):
        layers, _ = run_model(model, tokens, lengths)
    assert layers["encoder.layers.1"][0, :, [1, 4]].tolist() == [[0.25, -0.5]] * 3
    with pytest.raises(UserError, match="one value for each of 3"):
        fnp.ablate(model, {"encoder.layers.1": [1, 4, 5]}, values)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_only_finite_values(value: float) -> None:
    with pytest.raises(UserError, match="finite"):
        fnp.ablate(lstm_model(), {"encoder.layers.1": [1]}, value)


def test_gradients_flow_through_a_clamp() -> None:
    model = lstm_model().train()
    tokens, lengths = batch([4, 2])
    with fnp.ablate(model, {"encoder.layers.0": [3]}):
        model.encoder(tokens, src_lengths=lengths)[0].sum().backward()
    gradient = model.encoder.lstm.weight_hh_l0.grad
    assert (gradient[:, 3] == 0).all()
    assert (gradient[:, 4] != 0).any()


def test_teacher_forcing_sees_the_clamp() -> None:
    model = lstm_model()
    tokens, lengths = batch([4, 2])
    previous = torch.tensor([[2, 5, 6], [2, 7, 8]])
    with torch.no_grad():
        plain, _ = model(tokens, lengths, previous)
        ablation = fnp.ablate(model, {"encoder.layers.1": list(range(16))}, scope="full")
        with ablation:
            clamped, _ = model(tokens, lengths, previous[:1].repeat(2, 1))
    ablation.check_fired()
    assert not torch.allclose(plain[0], clamped[0])


@pytest.mark.parametrize(
    ("neurons", "scope", "message"),
    [
        ({"encoder.layers.2": [0]}, "recurrent", "unknown layer 'encoder.layers.2'"),
        ({"encoder.layers.0": [16]}, "recurrent", "has 0 to 15"),
        ({"encoder.layers.0": [-1]}, "recurrent", "out of range"),
        ({"encoder.layers.0": [1, 1]}, "recurrent", "clamped twice"),
        ({"encoder.layers.0": [1]}, "everywhere", "unknown scope"),
    ],
)
def test_bad_ablations(neurons, scope, message) -> None:
    with pytest.raises(UserError, match=message):
        fnp.ablate(lstm_model(), neurons, scope=scope)


def test_silent_ablation_is_an_error() -> None:
    ablation = fnp.ablate(lstm_model(), {"encoder.layers.0": [1]})
    with ablation, pytest.raises(UserError, match=r"never reached encoder\.layers\.0"):
        ablation.check_fired()


def test_model_without_layers() -> None:
    with pytest.raises(UserError, match="no layer of Linear"):
        fnp.list_layers(torch.nn.Linear(2, 2))


def test_tap_before_a_forward_pass() -> None:
    with fnp.tap(lstm_model()) as layers, pytest.raises(KeyError, match="no forward pass"):
        layers["encoder.layers.0"]


def test_layers_may_be_a_list_and_neurons_must_be_one() -> None:
    model = lstm_model()
    tokens, lengths = batch([4, 2])
    with torch.no_grad(), fnp.tap(model, ["encoder.layers.1", "encoder.embed_tokens"]) as layers:
        model.encoder(tokens, src_lengths=lengths)
    assert list(layers) == ["encoder.embed_tokens", "encoder.layers.1"]
    with pytest.raises(UserError, match="needs a list of neurons, not 3"):
        fnp.ablate(model, {"encoder.layers.0": 3})
