"""Generation at full speed: the hypotheses of stock fairseq, by its own path where needed."""

from __future__ import annotations

from argparse import Namespace
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import toy
from fairseq import search
from fairseq.models import BaseFairseqModel
from fairseq.models.lstm import LSTMModel
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer.transformer_legacy import base_architecture
from fairseq.sequence_generator import SequenceGenerator, SequenceGeneratorWithAlignment
from torch import Tensor

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.generation import CompactGenerator, accelerate, compact_scores
from fairseq_neuron_plugin.generation.compact_scores import CompactScores
from fairseq_neuron_plugin.projection import Projection

WORDS = toy.dictionary(400)
LENGTHS = [9, 7, 7, 4, 3, 2]
TRANSFORMER = {
    **{f"{side}_embed_dim": 12 for side in ("encoder", "decoder")},
    **{f"{side}_ffn_embed_dim": 20 for side in ("encoder", "decoder")},
    **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
    **{f"{side}_attention_heads": 2 for side in ("encoder", "decoder")},
    "max_source_positions": 64,
    "max_target_positions": 64,
    "dropout": 0.1,
}


def build(kind: str = "lstm", seed: int = 0, **changes: Any) -> BaseFairseqModel:
    """A random model of 404 target words, with weights large enough for confident choices."""
    torch.manual_seed(seed)
    task = SimpleNamespace(source_dictionary=toy.dictionary(), target_dictionary=WORDS)
    if kind == "lstm":
        model = LSTMModel.build_model(toy.lstm_args(**changes), task)
    else:
        args = Namespace(**{**TRANSFORMER, **changes})
        base_architecture(args)
        model = TransformerModel.build_model(args, task)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layer_norm" not in name:
                parameter.uniform_(-0.8, 0.8)
    return model.eval()


def sample(lengths: list[int] = LENGTHS, seed: int = 1) -> dict[str, Any]:
    tokens, sizes = toy.batch(lengths, seed=seed)
    return {
        "id": torch.arange(len(sizes)),
        "net_input": {"src_tokens": tokens, "src_lengths": sizes},
    }


def stock(model: BaseFairseqModel, **settings: Any) -> SequenceGenerator:
    return SequenceGenerator(
        [model], WORDS, **{"beam_size": 4, "max_len_a": 1.0, "max_len_b": 5, **settings}
    )


def generate(generator: Any, batch: dict[str, Any], **kwargs: Any) -> list[list[dict[str, Tensor]]]:
    return generator.generate([], batch, **kwargs)


def assert_same(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    assert [len(hypotheses) for hypotheses in found] == [len(h) for h in expected]
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        assert ours["tokens"].tolist() == theirs["tokens"].tolist()
        for name in ("score", "positional_scores", "attention"):
            assert ours[name].dtype == theirs[name].dtype
            torch.testing.assert_close(ours[name], theirs[name], atol=tolerance, rtol=tolerance)


def words_of(found: Any) -> set[int]:
    return {word for h in chain(*found) for word in h["tokens"].tolist()}


class Spy:
    """Counts how often compact scores are asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        score = CompactScores.__call__

        def counted(scores: CompactScores, features: Tensor) -> Any:
            self.calls += 1
            return score(scores, features)

        monkeypatch.setattr(CompactScores, "__call__", counted)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.fixture(autouse=True)
def compact_even_where_it_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_scores, "PAYS_ON_CPU", 0)


MODELS = {
    "lstm": {},
    "lstm, no attention": {"decoder_attention": "0"},
    "lstm, one layer, shared": {
        **{"encoder_bidirectional": False, "encoder_layers": 1, "decoder_layers": 1},
        **{"share_decoder_input_output_embed": True, "decoder_out_embed_dim": 6},
    },
    "transformer": {},
    "transformer, pre-norm, shared": {
        **{"encoder_normalize_before": True, "decoder_normalize_before": True},
        "share_decoder_input_output_embed": True,
    },
}
SETTINGS = {
    "plain": {},
    "beam 1": {"beam_size": 1},
    "beam 5": {"beam_size": 5},
    "beam 11": {"beam_size": 11},
    "short": {"max_len_a": 0, "max_len_b": 2},
    "one word": {"max_len_a": 0, "max_len_b": 1},
    "long": {"max_len_a": 0, "max_len_b": 30},
    "at least 5": {"min_len": 5},
    "length penalty": {"len_penalty": 0.3},
    "unnormalised": {"normalize_scores": False},
    "unknown words wanted": {"unk_penalty": -6.0},
    "unknown words unwanted": {"unk_penalty": 6.0},
    "flat": {"temperature": 3.0},
    "sharp": {"temperature": 0.4},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("model", MODELS)
def test_hypotheses_are_those_of_stock_fairseq(
    model: str, settings: dict[str, Any], spy: Spy
) -> None:
    network = build(model.split(",")[0], **MODELS[model])
    generator = accelerate(stock(network, **settings))
    found = generate(generator, sample())
    assert spy.calls
    assert_same(found, generate(stock(network, **settings), sample()))


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("lengths", [[5], [8, 8, 8], [12, 11, 9, 9, 6, 5, 5, 3, 2, 2, 2]])
def test_batches_of_any_composition_one_after_the_other(kind: str, lengths: list[int]) -> None:
    network = build(kind, seed=3)
    generator = accelerate(stock(network))
    for seed in range(3):
        batch = sample(lengths, seed)
        assert_same(generate(generator, batch), generate(stock(network), batch))


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_blocks_and_chunks_of_rows_change_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build(kind, seed=4)
    monkeypatch.setattr(compact_scores, "_BLOCK", 0)
    monkeypatch.setattr(
        compact_scores, "_COLUMNS", 160
    )  # 404 words: the third block is partly empty
    monkeypatch.setattr(compact_scores, "_MOST_ROWS", 7)
    generator = accelerate(stock(network))
    assert_same(generate(generator, sample()), generate(stock(network), sample()))


def log_softmax(features: Tensor, projection: Projection, temperature: float) -> Tensor:
    logits = features.double() @ projection.weight.double().t()
    if projection.bias is not None:
        logits = logits + projection.bias.double()
    return torch.log_softmax(logits / temperature, dim=1)


@pytest.mark.parametrize("vocabulary", [64, 100, 1024, 1030, 2500])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_scores_are_the_best_of_a_log_softmax(
    vocabulary: int, bias: bool, temperature: float
) -> None:
    torch.manual_seed(vocabulary)
    weight = torch.randn(vocabulary, 6)
    projection = Projection(weight, torch.randn(vocabulary) if bias else None)
    features = torch.randn(9, 6) * 3
    scores, words = CompactScores(projection, 3, temperature, rows=5)(features)
    expected = log_softmax(features, projection, temperature).float()
    torch.testing.assert_close(scores[:, :4], expected[:, :4], atol=1e-5, rtol=1e-5)
    best = expected[:, 4:].topk(3, dim=1)
    torch.testing.assert_close(scores[:, 4:], best.values, atol=1e-5, rtol=1e-5)
    assert words[:, :4].tolist() == [[0, 1, 2, 3]] * 9
    assert words[:, 4:].tolist() == (best.indices + 4).tolist()


def test_scores_where_a_few_neighbours_hold_all_the_mass() -> None:
    weight = torch.zeros(200, 2)
    weight[[4, 5, 198, 199], 0] = torch.tensor([50.0, 300.0, 200.0, 400.0])
    scores, words = CompactScores(Projection(weight, None), 4, 1.0, rows=1)(torch.ones(1, 2))
    assert words[0, 4:].tolist() == [199, 5, 198, 4]
    assert scores[0, 4:].tolist() == [0.0, -100.0, -200.0, -350.0]
    assert scores[0, :4].tolist() == [-400.0] * 4


def poison(model: BaseFairseqModel, bias: dict[int, float]) -> BaseFairseqModel:
    for word, value in bias.items():
        model.decoder.fc_out.bias.data[word] = value
    return model


@pytest.mark.parametrize("word", [3, 4, 250])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_end_as_in_stock(word: int, value: float) -> None:
    model = poison(build(), {word: value})
    for generator in (stock(model), accelerate(stock(model))):
        with pytest.raises(AssertionError):  # fairseq finds no hypothesis at all
            generate(generator, sample())


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_beam_of_nan_drops_out_as_in_stock(kind: str, spy: Spy) -> None:
    model = build(kind)
    used = sorted(words_of(generate(stock(model), sample())) - {2})[:6]
    extract = model.decoder.extract_features
    survived = 0
    for word in used:

        def broken(tokens: Tensor, *args: Any, word: int = word, **kwargs: Any) -> Any:
            x, extra = extract(tokens, *args, **kwargs)
            return torch.where(tokens[:, -1].eq(word)[:, None, None], torch.nan, x), extra

        model.decoder.extract_features = broken
        try:
            expected = generate(stock(model), sample())
        except AssertionError:  # a sentence whose beams have all dropped out
            with pytest.raises(AssertionError):
                generate(accelerate(stock(model)), sample())
            continue
        assert_same(generate(accelerate(stock(model)), sample()), expected)
        assert model.decoder.extract_features is broken
        survived += 1
    assert spy.calls
    assert survived


def test_words_that_cannot_be_are_never_chosen() -> None:
    banned = {word: float("-inf") for word in range(20, 404)}
    model = poison(build(), banned)
    found = generate(accelerate(stock(model)), sample())
    assert_same(found, generate(stock(model), sample()))
    assert max(words_of(found)) < 20


def generator_of(kind: str, model: BaseFairseqModel) -> Any:
    if kind == "ensemble":
        return SequenceGenerator([model, build(seed=9)], WORDS, beam_size=3)
    if kind == "alignment":
        return SequenceGeneratorWithAlignment([model], WORDS, beam_size=3)
    strategies = {
        "sampling": lambda: search.Sampling(WORDS),
        "diverse": lambda: search.DiverseBeamSearch(WORDS, 2, 0.5),
        "siblings": lambda: search.DiverseSiblingsSearch(WORDS, 0.5),
        "prefix function": lambda: search.PrefixConstrainedBeamSearch(WORDS, lambda *_: [5, 2]),
    }
    if kind in strategies:
        return stock(model, search_strategy=strategies[kind]())
    return stock(
        model,
        **{
            "n-grams": {"no_repeat_ngram_size": 2},
            "suppressed": {"tokens_to_suppress": ("w7",)},
            "language model": {"lm_model": toy.lstm_lm()},
            "other eos": {"eos": 9},
        }[kind],
    )


@pytest.mark.parametrize(
    "kind",
    [
        *("ensemble", "alignment", "sampling", "diverse", "siblings", "prefix function"),
        *("n-grams", "suppressed", "language model", "other eos"),
    ],
)
def test_generators_that_need_every_word_are_left_as_they_are(kind: str) -> None:
    generator = generator_of(kind, build())
    assert accelerate(generator) is generator


def with_adaptive_softmax() -> BaseFairseqModel:
    return build(criterion="adaptive_loss", adaptive_softmax_cutoff="50,100")


def with_hook() -> BaseFairseqModel:
    model = build()
    model.decoder.fc_out.register_forward_hook(lambda *_: None)
    return model


def with_other_output() -> BaseFairseqModel:
    model = build()
    layer = model.decoder.output_layer
    model.decoder.output_layer = lambda x: -layer(x)
    return model


def with_lasting_dropout() -> BaseFairseqModel:
    model = build("transformer")
    model.decoder.dropout_module.apply_during_inference = True
    return model


@pytest.mark.parametrize(
    "make", [with_adaptive_softmax, with_hook, with_other_output, with_lasting_dropout]
)
def test_models_that_need_every_word_take_the_ordinary_path(make: Any, spy: Spy) -> None:
    model = make()
    generator = accelerate(stock(model))
    assert isinstance(generator, CompactGenerator)
    torch.manual_seed(0)
    found = generate(generator, sample())
    torch.manual_seed(0)
    assert_same(found, generate(stock(model), sample()), 0.0)
    assert not spy.calls


def test_prefixes_take_the_ordinary_path_and_the_next_call_the_fast_one(spy: Spy) -> None:
    model = build()
    generator = accelerate(stock(model))
    prefix = torch.tensor([[11, 12]] * len(LENGTHS))
    found = generate(generator, sample(), prefix_tokens=prefix)
    assert_same(found, generate(stock(model), sample(), prefix_tokens=prefix), 0.0)
    assert not spy.calls
    assert_same(generate(generator, sample()), generate(stock(model), sample()))
    assert spy.calls


def test_constraints_are_refused_as_in_stock() -> None:
    with pytest.raises(NotImplementedError):
        generate(accelerate(stock(build())), sample(), constraints=torch.zeros(6, 1).long())


def test_small_vocabularies_take_the_ordinary_path(spy: Spy) -> None:
    model = build()
    generator = accelerate(stock(model, beam_size=40))
    found = generate(generator, sample())
    assert_same(found, generate(stock(model, beam_size=40), sample()), 0.0)
    assert not spy.calls


def test_small_batches_take_the_ordinary_path(monkeypatch: pytest.MonkeyPatch, spy: Spy) -> None:
    monkeypatch.setattr(compact_scores, "PAYS_ON_CPU", 5 * 4 * len(WORDS))
    model = build()
    generator = accelerate(stock(model))
    found = generate(generator, sample([5, 5, 3, 2]))
    assert not spy.calls
    assert_same(found, generate(stock(model), sample([5, 5, 3, 2])), 0.0)
    generate(generator, sample([5, 5, 3, 2, 2]))
    assert spy.calls


def test_other_first_word() -> None:
    model = build()
    found = generate(accelerate(stock(model)), sample(), bos_token=33)
    assert_same(found, generate(stock(model), sample(), bos_token=33))
    assert (
        found[0][0]["tokens"].tolist() != generate(stock(model), sample())[0][0]["tokens"].tolist()
    )


CLAMPS = [
    {"encoder.layers.0": [0, 5, 11], "encoder.layers.1": [2]},
    {"decoder.layers.0": [1, 2], "decoder.layers.1": [9]},
    {"decoder.attention": [0, 3]},
]


@pytest.mark.parametrize("neurons", CLAMPS)
@pytest.mark.parametrize("scope", ["recurrent", "full", "output"])
def test_same_as_stock_under_an_ablation(
    neurons: dict[str, list[int]], scope: str, spy: Spy
) -> None:
    model = build()
    generator = accelerate(stock(model))
    free = generate(generator, sample())
    with fnp.ablate(model, neurons, value=0.9, scope=scope):
        assert_same(generate(generator, sample()), generate(stock(model), sample()))
    after = generate(generator, sample())
    assert_same(after, free, 0.0)
    assert "extract_features" not in vars(model.decoder)


@pytest.mark.parametrize("layer", ["decoder.layers.1", "decoder.embed_tokens"])
def test_a_tap_sees_one_row_a_beam_at_every_step(layer: str) -> None:
    model = build()
    sizes = []
    with fnp.tap(model, layer) as layers:
        project = model.decoder.additional_fc.register_forward_hook(
            lambda *_: sizes.append(tuple(layers[layer].shape[:2])) if layers else None
        )
        found = generate(accelerate(stock(model)), sample())
        project.remove()
    assert all(rows % 4 == 0 and length == 1 for rows, length in sizes)
    assert sizes[0] == (4 * len(LENGTHS), 1)
    assert_same(found, generate(stock(model), sample()))


def test_weights_are_read_anew_for_each_call() -> None:
    model = build()
    generator = accelerate(stock(model))
    before = generate(generator, sample())
    model.load_state_dict(build(seed=5).state_dict())
    found = generate(generator, sample())
    assert_same(found, generate(stock(model), sample()))
    assert found[0][0]["tokens"].tolist() != before[0][0]["tokens"].tolist()


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_an_exception_leaves_model_and_generator_as_they_were(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(kind)
    generator = accelerate(stock(model))
    before = set(vars(model.decoder))
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> None:
            raise RuntimeError("in the middle")

        patch.setattr(CompactScores, "__call__", fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            generate(generator, sample())
    assert set(vars(model.decoder)) == before
    assert generator.vocab_size == len(WORDS)
    assert type(generator.search) is search.BeamSearch
    assert_same(generate(generator, sample()), generate(stock(model), sample()))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_half_precision_scores_are_stock_fairseqs(
    precision: torch.dtype, temperature: float
) -> None:
    torch.manual_seed(1)
    features = torch.randn(5, 8).to(precision)
    weight, bias = torch.randn(300, 8).to(precision), torch.randn(300).to(precision)
    scores, words = CompactScores(Projection(weight, bias), 6, temperature, rows=5)(features)
    logits = torch.nn.functional.linear(features, weight, bias).div_(temperature)
    expected = torch.log_softmax(logits, dim=1, dtype=torch.float32)
    torch.testing.assert_close(scores, expected.gather(1, words), atol=1e-5, rtol=1e-5)
    # Rounded logits have ties, and it does not matter which of the equal words is taken.
    torch.testing.assert_close(scores[:, 4:], expected[:, 4:].topk(6).values, atol=1e-5, rtol=1e-5)
    assert all(len(set(row)) == len(row) for row in words.tolist())
