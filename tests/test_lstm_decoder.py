"""Taps and clamps of the LSTM decoder, against a step-by-step reference."""

from __future__ import annotations

import itertools

import pytest
import torch
from fairseq.models.lstm import AttentionLayer, LSTMModel
from fairseq.sequence_generator import SequenceGenerator
from reference_lstm_decoder import Held, run_decoder
from toy import batch, dictionary, lstm_lm, lstm_model

from fairseq_neuron_plugin import ablate, tap
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.interventions import list_layers
from fairseq_neuron_plugin.models.neuron_lstm_lm import NeuronLSTMLanguageModel

LENGTHS = [7, 5, 3, 2]
TARGET_LENGTHS = [4, 6, 1, 5]
SCOPES = ("recurrent", "full", "output")
LAYERS = ("decoder.layers.0", "decoder.layers.1", "decoder.attention")
UNITS = {"decoder.layers.0": [0, 4, 9], "decoder.layers.1": [1, 2], "decoder.attention": [3, 8]}
CASES = [
    (names, scope, value)
    for names in [*((name,) for name in LAYERS), LAYERS]
    for scope, value in itertools.product(SCOPES, (0.0, 0.7))
]
PAD = dictionary().pad()
EOS = dictionary().eos()


def previous_output(lengths: list[int], left_pad: bool = False) -> torch.Tensor:
    """Previous output tokens ``[batch, length]``: the end symbol, then words."""
    tokens, _ = batch(lengths, left_pad, seed=5)
    for row, length in enumerate(lengths):
        first = tokens.size(1) - length if left_pad else 0
        tokens[row, first : first + length] = tokens[row, first : first + length].roll(1)
    return tokens


def encode_one(model: LSTMModel, source: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Encoder states ``[source, width]`` and final states ``[layers, width]`` of one sentence."""
    words = source[source.ne(PAD)].unsqueeze(0)
    states, hidden, memory, _ = model.encoder(words, torch.tensor([words.size(1)]))
    return states[:, 0], hidden[:, 0], memory[:, 0]


def clamps_of(names: tuple[str, ...], scope: str, value: float) -> dict[str, Held]:
    return {name: Held(UNITS[name], value, scope) for name in names}


@torch.no_grad()
@pytest.mark.parametrize(
    ("changes", "names", "scope", "value"),
    [({}, *case) for case in CASES]
    + [({"decoder_attention": "0"}, *case) for case in CASES if "decoder.attention" not in case[0]],
)
def test_teacher_forcing_equals_the_reference(changes, names, scope, value):
    model = lstm_model(**changes)
    source, lengths = batch(LENGTHS)
    previous = previous_output(TARGET_LENGTHS)
    held = clamps_of(names, scope, value)
    where = {name: UNITS[name] for name in names}
    with ablate(model, where, value, scope) as ablation, tap(model, "decoder.*.*,*.*") as seen:
        logits, _ = model(source, lengths, previous)
        layers = {name: rows for name, rows in seen.items() if name in UNITS}
    ablation.check_fired()
    for row, length in enumerate(TARGET_LENGTHS):
        expected = run_decoder(
            model.decoder, previous[row, :length], held, *encode_one(model, source[row])
        )
        torch.testing.assert_close(logits[row, :length], expected.logits, atol=1e-5, rtol=0)
        for name, rows in layers.items():
            torch.testing.assert_close(
                rows[row, :length], expected.layers[name], atol=1e-5, rtol=0, msg=name
            )
            assert not rows[row, length:].any()
            if name in names:
                assert (rows[row, :length][:, UNITS[name]] == value).all()


@torch.no_grad()
@pytest.mark.parametrize(("names", "scope", "value"), CASES)
def test_beam_search_equals_the_reference(names, scope, value):
    """Every hypothesis is scored again, word by word, by the reference."""
    model = lstm_model()
    source, lengths = batch(LENGTHS)
    generator = SequenceGenerator([model], dictionary(), beam_size=3, max_len_b=9)
    sample = {"net_input": {"src_tokens": source, "src_lengths": lengths}}
    with ablate(model, {name: UNITS[name] for name in names}, value, scope) as ablation:
        hypotheses = generator.generate([model], sample)
    ablation.check_fired()
    held = clamps_of(names, scope, value)
    for row, beams in enumerate(hypotheses):
        encoded = encode_one(model, source[row])
        assert len(beams) == 3
        for hypothesis in beams:
            tokens = hypothesis["tokens"]
            previous = torch.cat([torch.tensor([EOS]), tokens[:-1]])
            logits = run_decoder(model.decoder, previous, held, *encoded).logits
            scores = logits.log_softmax(1).gather(1, tokens.unsqueeze(1)).squeeze(1)
            torch.testing.assert_close(hypothesis["positional_scores"], scores, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("fused", [False, True], ids=["lstm_lm", "neuron_lstm_lm"])
@pytest.mark.parametrize("residuals", [False, True])
@pytest.mark.parametrize(("scope", "value"), list(itertools.product(SCOPES, (0.0, 0.7))))
def test_language_model_equals_the_reference(scope, value, residuals, fused):
    model = lstm_lm(residuals=residuals, decoder_hidden_size=10, decoder_embed_dim=10)
    if fused:
        NeuronLSTMLanguageModel(model.decoder)
    previous = previous_output(TARGET_LENGTHS)
    where = {name: UNITS[name] for name in ("decoder.layers.0", "decoder.layers.1")}
    held = clamps_of(tuple(where), scope, value)
    with ablate(model, where, value, scope), tap(model) as layers:
        logits = model(previous)[0]
        steps = []
        state: dict[str, dict[str, torch.Tensor | None]] = {}
        for end in range(1, previous.size(1) + 1):
            steps.append(model.decoder(previous[:, :end], incremental_state=state)[0])
            assert layers["decoder.layers.0"].shape == (4, 1, 10)
        model(previous)
        seen = dict(layers)
    is_word = previous.ne(PAD)
    torch.testing.assert_close(torch.cat(steps, 1)[is_word], logits[is_word], atol=1e-5, rtol=0)
    for row, length in enumerate(TARGET_LENGTHS):
        expected = run_decoder(model.decoder, previous[row, :length], held)
        torch.testing.assert_close(logits[row, :length], expected.logits, atol=1e-5, rtol=0)
        for name, rows in seen.items():
            assert not rows[row, length:].any()
            torch.testing.assert_close(rows[row, :length], expected.layers[name], atol=1e-5, rtol=0)


@torch.no_grad()
def test_tap_alone_changes_nothing_and_left_padding_reads_zero():
    model = lstm_model()
    source, lengths = batch(LENGTHS)
    previous = previous_output(TARGET_LENGTHS, left_pad=True)
    plain, _ = model(source, lengths, previous)
    with tap(model, "decoder.attention") as layers:
        tapped, _ = model(source, lengths, previous)
        rows = layers["decoder.attention"]
    torch.testing.assert_close(tapped, plain, atol=1e-6, rtol=0)
    assert not rows[previous.eq(PAD)].any()
    assert rows[previous.ne(PAD)].any(dim=1).all()


@torch.no_grad()
def test_inner_clamp_wins_and_the_model_is_restored():
    model = lstm_model()
    source, lengths = batch(LENGTHS)
    previous = previous_output(TARGET_LENGTHS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain, _ = model(source, lengths, previous)

    def interrupted() -> None:
        with (
            ablate(model, {"decoder.layers.1": [0, 1]}, 0.3),
            tap(model, "decoder.layers.1") as layers,
            ablate(model, {"decoder.layers.1": [1]}, 0.6),
        ):
            model(source, lengths, previous)
            read = layers["decoder.layers.1"][0, 0, :2]
            assert read.tolist() == pytest.approx([0.3, 0.6])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert "extract_features" not in model.decoder.__dict__
    again, _ = model(source, lengths, previous)
    assert torch.equal(again, plain)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_layers_and_gradients():
    model = lstm_model(decoder_hidden_size=12)
    widths = {layer.name: layer.width for layer in list_layers(model)}
    assert widths["decoder.layers.1"] == 12
    assert widths["decoder.attention"] == 12
    assert "decoder.attention" not in {layer.name for layer in list_layers(lstm_lm())}
    with pytest.raises(UserError, match=r"decoder\.layers\.1"):
        ablate(model, {"decoder.layers.2": [0]})
    source, lengths = batch(LENGTHS)
    with ablate(model, {"decoder.layers.0": [0]}):
        model(source, lengths, previous_output(TARGET_LENGTHS))[0].sum().backward()
    assert not model.decoder.layers[1].weight_ih.grad[:, 0].any()
    assert model.decoder.layers[1].weight_ih.grad[:, 1].any()


def test_fused_language_model_trains_like_the_stock_one():
    """Same loss and same gradients, dropout off."""
    stock, fused = lstm_lm(dropout=0.0), lstm_lm(dropout=0.0)
    NeuronLSTMLanguageModel(fused.decoder)
    previous = previous_output(TARGET_LENGTHS)
    for model in (stock, fused):
        model.train()
        model(previous)[0].log_softmax(2)[..., 5][previous.ne(PAD)].sum().backward()
    for (name, a), (_, b) in zip(stock.named_parameters(), fused.named_parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, atol=1e-5, rtol=1e-4, msg=name)


class ScaledAttention(AttentionLayer):
    def forward(self, input, source_hids, encoder_padding_mask):
        return super().forward(input, 0.5 * source_hids, encoder_padding_mask)


class OtherCell(torch.nn.LSTMCell):
    def forward(self, input, hx=None):
        hidden, cell = super().forward(input, hx)
        return 0.5 * hidden, cell


@pytest.mark.parametrize("part", ["attention", "cell", "encoder"])
def test_look_alikes_of_fairseqs_parts_are_not_taken_for_them(part):
    model = lstm_model()
    if part == "attention":
        model.decoder.attention.__class__ = ScaledAttention
    elif part == "cell":
        model.decoder.layers[1].__class__ = OtherCell
    else:
        model.encoder.lstm.__class__ = type("OtherLSTM", (torch.nn.LSTM,), {})
    side = "encoder" if part == "encoder" else "decoder"
    names = {layer.name for layer in list_layers(model)}
    assert f"{side}.layers.1" not in names
    assert f"{side}.embed_tokens" in names


def test_what_somebody_else_has_replaced_is_refused_and_kept():
    model = lstm_model()
    stock = model.decoder.extract_features
    model.decoder.extract_features = lambda *args, **kwargs: stock(*args, **kwargs)
    patch = model.decoder.extract_features
    with (
        pytest.raises(UserError, match="extract_features of this LSTMDecoder has been replaced"),
        ablate(model, {"encoder.layers.0": [1], "decoder.layers.0": [1]}),
    ):
        pass
    assert model.decoder.extract_features is patch
    assert "forward" not in model.encoder.lstm.__dict__


@torch.no_grad()
def test_hooks_of_others_are_called():
    model = lstm_model()
    source, lengths = batch([5] * 40)
    previous = previous_output([4] * 40)
    calls = []
    for module in (model.decoder.attention, *model.decoder.layers):
        module.register_forward_hook(lambda module, *rest: calls.append(module))
    plain, _ = model(source, lengths, previous)
    with tap(model, "decoder.attention"):
        tapped, _ = model(source, lengths, previous)
    torch.testing.assert_close(tapped, plain, atol=1e-6, rtol=0)
    assert len(calls) == 2 * 4 * 3


@pytest.mark.parametrize(
    ("neurons", "value", "error"),
    [
        ({"decoder.layers.0": [1.5]}, 0.0, TypeError),
        ({"decoder.layers.0": [1]}, "mean", UserError),
        ({"decoder.layers.0": [1, 2]}, {"decoder.layers.0": [0.5]}, UserError),
    ],
)
def test_neurons_and_values_that_are_none(neurons, value, error):
    with pytest.raises(error):
        ablate(lstm_model(), neurons, value)


@torch.no_grad()
def test_values_are_exact_in_double_precision():
    model = lstm_lm().double()
    previous = previous_output(TARGET_LENGTHS)
    with ablate(model, {"decoder.layers.0": [2]}, {"decoder.layers.0": [0.7]}), tap(model) as seen:
        model(previous)
        assert (seen["decoder.layers.0"][previous.ne(PAD)][:, 2] == 0.7).all()
