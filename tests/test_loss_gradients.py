"""Gradients at neurons against autograd through step-by-step loops and numerical differences.

All in float64, so that a wrong term cannot hide in rounding.
"""

from __future__ import annotations

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from reference_lstm_decoder import cell, run_decoder
from torch import Tensor, nn
from toy import SOURCE, TARGET, lstm_lm, lstm_model, net_input, stack_model, toy_model

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.errors import UserError

PAD = 1


@pytest.fixture(autouse=True)
def float64(monkeypatch: pytest.MonkeyPatch):
    """Models in double precision; fairseq turns to single precision here and there."""
    from fairseq import utils

    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(utils, "softmax", lambda x, dim, onnx_trace=False: x.softmax(dim))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def read_by(inputs: dict[str, Tensor]) -> Tensor:
    """What the decoder reads."""
    return inputs.get("prev_output_tokens", inputs["src_tokens"])


def targets_of(tokens: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(4, 34, tokens.shape, generator=generator).masked_fill(tokens.eq(PAD), PAD)


def nll(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=PAD, reduction="sum"
    )


def loss_of(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    return nll(model(**inputs)[0], targets_of(read_by(inputs)))


class Moved:
    """In place of a reference clamp: what comes by is moved, first the start, then each step."""

    def __init__(self, move) -> None:
        self.step, self.move = -1, move

    def inside(self, h: Tensor) -> Tensor:
        self.step += 1
        return self.move(h, self.step)

    def outside(self, h: Tensor) -> Tensor:
        return h

    def memory(self, c: Tensor) -> Tensor:
        return c


def encode(lstm: nn.LSTM, embedded: Tensor, move) -> tuple[Tensor, Tensor, Tensor]:
    """One sentence, step by step; ``move(layer, slice of neurons, h, step)`` gives the new h."""
    size, hiddens, cells = lstm.hidden_size, [], []
    for layer in range(lstm.num_layers):
        parts = []
        for direction in range(2 if lstm.bidirectional else 1):
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = SimpleNamespace(**{name: getattr(lstm, name + suffix) for name in names})
            units = slice(direction * size, (direction + 1) * size)
            h, c, outputs = torch.zeros(size), torch.zeros(size), {}
            steps = range(len(embedded))
            for step in reversed(steps) if direction else steps:
                h, c = cell(weights, embedded[step], h, c)
                h = move(layer, units, h, step)
                outputs[step] = h
            parts.append(torch.stack([outputs[step] for step in steps]))
            hiddens.append(h)
            cells.append(c)
        embedded = torch.cat(parts, dim=1)
    final = [torch.cat(x).view(lstm.num_layers, -1) for x in (hiddens, cells)]
    return embedded, final[0], final[1]


def reference_loss(model, inputs: dict[str, Tensor], row: int, move) -> Tensor:
    """The loss of one sentence; ``move(name, h, step, units)`` at every state, step 0 the start."""
    tokens = read_by(inputs)[row]
    targets = targets_of(read_by(inputs))[row]
    length = int(tokens.ne(PAD).sum())
    source = hidden = memory = None
    if hasattr(model, "encoder"):
        words = inputs["src_tokens"][row]
        source, hidden, memory = encode(
            model.encoder.lstm,
            model.encoder.embed_tokens(words[words.ne(PAD)]),
            lambda layer, units, h, step: move(f"encoder.layers.{layer}", h, step, units),
        )
    names = [layer.name for layer in fnp.list_layers(model) if layer.name.startswith("decoder.")]
    held = {name: Moved(partial(move, name, units=slice(None))) for name in names}
    logits = run_decoder(model.decoder, tokens[:length], held, source, hidden, memory).logits
    return nll(logits, targets[:length])


MODELS = {
    "bidirectional": lambda: lstm_model(),
    "states handed over as they are": lambda: lstm_model(decoder_hidden_size=16),
    "one direction": lambda: lstm_model(encoder_bidirectional=False, encoder_hidden_size=10),
    "no attention": lambda: lstm_model(decoder_attention=False),
    "language model": lambda: lstm_lm(),
}


def lstm_layers(model: nn.Module) -> list[str]:
    return [layer.name for layer in fnp.list_layers(model) if "embed" not in layer.name]


@pytest.mark.parametrize("kind", MODELS)
def test_equals_autograd_through_a_step_by_step_loop(kind: str) -> None:
    """Each layer and direction, attention, and the start, of each sentence of a padded batch."""
    model = MODELS[kind]()
    inputs = net_input(model)
    with fnp.gradients(model, lstm_layers(model)) as layers:
        layers.backward(loss_of(model, inputs))
    for row, (source, target) in enumerate(zip(SOURCE, TARGET, strict=True)):
        leaves = {
            name: torch.zeros(
                source if name.startswith("e") else target + 1,
                layers[name].values.size(2),
                requires_grad=True,
            )
            for name in layers
        }

        def add(name: str, h: Tensor, step: int, units: slice, leaves=leaves) -> Tensor:
            return h + leaves[name][step, units]

        reference_loss(model, inputs, row, add).backward()
        for name, leaf in leaves.items():
            got = layers[name].gradients[row]
            if name.startswith("e"):
                want, words = leaf.grad, slice(-source, None)
            else:
                want, words = leaf.grad[1:], slice(0, target)
                start = layers[name].start
                has_start = hasattr(model, "encoder") and name != "decoder.attention"
                assert (start is not None) == has_start
                if start is not None:
                    assert torch.allclose(start.gradients[row], leaf.grad[0], atol=1e-12)
            assert want.abs().max() > 1e-3
            assert torch.allclose(got[words], want, atol=1e-12), (name, row)
            is_padding = torch.ones(len(got), dtype=torch.bool)
            is_padding[words] = False
            assert (got[is_padding] == 0).all()


@pytest.mark.parametrize("kind", MODELS)
def test_value_times_gradient_is_the_slope_of_a_gradual_ablation(kind: str) -> None:
    """d loss / d s with h := (1 - s) h at every step, by differences, one neuron at a time."""
    model = MODELS[kind]()
    inputs = net_input(model)
    with fnp.gradients(model, lstm_layers(model)) as layers:
        layers.backward(loss_of(model, inputs))
    for name in layers:
        got = (layers[name].values * layers[name].gradients)[0].sum(0)
        start = layers[name].start
        if start is not None:
            got += (start.values * start.gradients)[0]
        for unit in (1, len(got) - 1):

            def shrink(at: str, h: Tensor, step: int, units: slice, s: float, name=name, unit=unit):
                here = unit - (units.start or 0)
                if at != name or not 0 <= here < len(h):
                    return h
                return torch.cat([h[:here], (1 - s) * h[here : here + 1], h[here + 1 :]])

            with torch.no_grad():
                up, down = (
                    reference_loss(model, inputs, 0, partial(shrink, s=s)) for s in (1e-4, -1e-4)
                )
            assert (up - down).item() / 2e-4 == pytest.approx(-got[unit].item(), abs=1e-6)


def test_predicts_the_ablation_of_a_neuron_of_little_weight() -> None:
    """All that a neuron does is nearly linear then, so first order is all there is."""
    model = lstm_lm()
    with torch.no_grad():
        model.decoder.layers[1].weight_hh[:, 4] *= 1e-4
        model.decoder.additional_fc.weight[:, 4] *= 1e-4
    inputs = net_input(model)
    with fnp.gradients(model, "decoder.layers.1") as layers:
        layers.backward(loss_of(model, inputs))
    place = layers["decoder.layers.1"]
    predicted = -(place.values * place.gradients).sum((0, 1))[4].item()
    with torch.no_grad():
        before = loss_of(model, inputs).item()
        with fnp.ablate(model, {"decoder.layers.1": [4]}):
            measured = loss_of(model, inputs).item() - before
    assert measured == pytest.approx(predicted, rel=1e-3)


def add_by_hook(model: nn.Module, name: str, added: Tensor):
    """Add ``[batch, length, width]`` to a layer of a Transformer; gives the hook."""
    *path, last = name.split(".")
    if last == "ffn":
        block = model.get_submodule(".".join(path))
        return block.fc2.register_forward_pre_hook(lambda _, x: (x[0] + added.transpose(0, 1),))

    def change(_, __, output):
        if last == "embed_tokens":
            return output + added
        moved = (output[0] if isinstance(output, tuple) else output) + added.transpose(0, 1)
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    return model.get_submodule(name).register_forward_hook(change)


@pytest.mark.parametrize("arch", ["transformer", "transformer_lm", "lightconv", "lightconv_lm"])
def test_equals_numerical_differences(arch: str) -> None:
    model = stack_model(arch)
    inputs = net_input(model)
    names = [layer.name for layer in fnp.list_layers(model)]
    with fnp.gradients(model, names) as layers:
        layers.backward(loss_of(model, inputs))
    assert set(layers) == set(names)
    generator = torch.Generator().manual_seed(0)
    for name in names:
        words = (inputs["src_tokens"] if name.startswith("enc") else read_by(inputs)).ne(PAD)
        assert (layers[name].gradients[~words] == 0).all()
        direction = torch.randn(layers[name].values.shape, generator=generator)
        direction *= words.unsqueeze(2)
        losses = []
        for step in (1e-6, -1e-6):  # so short that no ReLU switches
            hook = add_by_hook(model, name, step * direction)
            with torch.no_grad():
                losses.append(loss_of(model, inputs).item())
            hook.remove()
        want = (layers[name].gradients * direction).sum().item()
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(want, abs=1e-5), name


def test_embeddings_of_an_lstm_that_moves_its_padding() -> None:
    """What the embedding hands out is linear in its rows, so their own gradients are sums of it."""
    model = lstm_model()
    inputs = net_input(model)
    with fnp.gradients(model, "encoder.embed_tokens") as layers:
        loss_of(model, inputs).backward()
    found = layers["encoder.embed_tokens"].gradients
    want = model.encoder.embed_tokens.weight.grad
    sums = torch.zeros_like(want).index_add(0, inputs["src_tokens"].flatten(), found.flatten(0, 1))
    assert torch.allclose(sums, want, atol=1e-12)
    assert want.abs().max() > 1e-3


@pytest.mark.parametrize("arch", ["lstm", "lstm_lm", "transformer"])
def test_values_are_what_a_tap_reads_and_clamped_neurons_do_not_move(arch: str) -> None:
    model = toy_model(arch)
    inputs = net_input(model)
    names = [layer.name for layer in fnp.list_layers(model)]
    with fnp.tap(model, names) as plain, fnp.gradients(model, names) as layers:
        layers.backward(loss_of(model, inputs))
        for name in names:
            assert torch.allclose(layers[name].values, plain[name], atol=1e-12)
            assert not layers[name].values.requires_grad
    for order in (0, 1):
        clamp, probe = (
            fnp.ablate(model, {name: [2] for name in names}, 0.3),
            fnp.gradients(model, names),
        )
        first, second = (clamp, probe) if order else (probe, clamp)
        with first, second:
            probe.backward(loss_of(model, inputs))
        for name in names:
            assert (probe[name].gradients[..., 2] == 0).all()
            assert probe[name].gradients[..., 3].abs().max() > 0
            words = probe[name].values[..., 3] != 0
            assert (probe[name].values[..., 2][words] == 0.3).all()


def traces(model: nn.Module) -> list[object]:
    """What gradients could leave behind anywhere in a model."""
    return [
        (name, sorted(vars(m)), [len(v) for k, v in vars(m).items() if "hooks" in k], m.training)
        for name, m in model.named_modules()
    ] + [(name, p.requires_grad, p.grad) for name, p in model.named_parameters()]


@pytest.mark.parametrize("arch", ["lstm", "lstm_lm", "transformer"])
def test_model_is_as_it_was_also_after_an_exception(arch: str) -> None:
    model = toy_model(arch)
    inputs = net_input(model)
    with torch.no_grad():
        plain = model(**inputs)[0]
    state, before = copy.deepcopy(model.state_dict()), traces(model)

    def fail_inside() -> None:
        with fnp.gradients(model, [layer.name for layer in fnp.list_layers(model)]) as layers:
            layers.backward(loss_of(model, inputs))
            assert traces(model) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert traces(model) == before
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model(**inputs)[0], plain)


def test_each_pass_has_its_own_gradients() -> None:
    model = lstm_model()
    inputs = net_input(model)
    name = "decoder.layers.0"
    probe = fnp.gradients(model, name)
    with probe:
        probe.backward(loss_of(model, inputs))
        first = probe[name].gradients.clone(), probe[name].start.gradients.clone()
        probe.backward(3 * loss_of(model, inputs))
    with probe:
        loss = loss_of(model, inputs)
        with pytest.raises(UserError, match="call backward"):
            _ = probe[name].gradients
        probe.backward(3 * loss)
    assert torch.allclose(probe[name].gradients, 3 * first[0])
    assert torch.allclose(probe[name].start.gradients, 3 * first[1])


def test_mistakes() -> None:
    model = lstm_model()
    inputs = net_input(model)
    with pytest.raises(UserError, match="no layer"):
        fnp.gradients(model, "encoder.layers.7")
    with pytest.raises(UserError, match="GradMultiply"):
        fnp.gradients(toy_model("fconv"), "*.embed_tokens")
    with (
        fnp.gradients(model) as layers,
        torch.no_grad(),
        pytest.raises(UserError, match="no_grad"),
    ):
        model(**inputs)
    with fnp.gradients(model, "*coder.layers.0") as layers:
        out = model.encoder(inputs["src_tokens"], inputs["src_lengths"])
        with pytest.raises(UserError, match=r"has reached decoder\.layers\.0"):
            layers.backward(out[0].sum())
        with pytest.raises(KeyError, match="no forward pass"):
            layers["decoder.layers.0"]


def test_a_pass_that_reaches_less_than_the_one_before() -> None:
    model = lstm_model()
    inputs = net_input(model)
    probe = fnp.gradients(model, "*coder.layers.0")
    with probe:
        probe.backward(loss_of(model, inputs))
        out = model.encoder(inputs["src_tokens"], inputs["src_lengths"])
        with pytest.raises(UserError, match=r"has reached decoder\.layers\.0"):
            probe.backward(out[0].sum())
    with probe, pytest.raises(KeyError):
        _ = probe["decoder.layers.0"].gradients


@pytest.mark.parametrize("reads", [fnp.gradients, fnp.tap])
def test_a_failure_on_entering_leaves_nothing_behind(reads) -> None:
    model = lstm_model()
    model.encoder.lstm.forward = lambda *inputs: None  # somebody else stands in
    before = dict(model.encoder.__dict__)
    with pytest.raises(UserError, match="has been replaced"), reads(model, "encoder.layers.0"):
        pass
    assert dict(model.encoder.__dict__) == before
