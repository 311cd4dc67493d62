"""Scores of targets alone, against the log-softmax of the whole vocabulary."""

from __future__ import annotations

import pytest
import torch
from fairseq.models.lstm_lm import LSTMLanguageModel
from fairseq.sequence_scorer import SequenceScorer
from tiny_models import TinyModels
from tiny_zoo import Zoo
from toy import batch, dictionary

from fairseq_neuron_plugin import load_model
from fairseq_neuron_plugin.projection import Projection
from fairseq_neuron_plugin.scoring.fast_scoring import fast_target_scoring
from fairseq_neuron_plugin.scoring.target_scores import target_scores


def make(positions: int, vocabulary: int, scale: float, dtype=torch.float32) -> tuple:
    generator = torch.Generator().manual_seed(positions + vocabulary)
    features = torch.randn(positions, 16, generator=generator) * scale
    weight = torch.randn(vocabulary, 16, generator=generator)
    bias = torch.randn(vocabulary, generator=generator)
    targets = torch.randint(0, vocabulary, (positions,), generator=generator)
    return features.to(dtype), weight.to(dtype), bias.to(dtype), targets


def exact(features, weight, bias, targets) -> torch.Tensor:
    logits = features.double() @ weight.double().t() + (0 if bias is None else bias.double())
    return torch.log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).squeeze(1)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("vocabulary", [1, 7, 1024, 1025, 3000])
@pytest.mark.parametrize("positions", [0, 1, 512, 1300])
def test_equal_to_log_softmax(positions: int, vocabulary: int, has_bias: bool) -> None:
    features, weight, bias, targets = make(positions, vocabulary, 0.3)
    given = (features, weight, bias if has_bias else None, targets)
    found = target_scores(*given)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact(*given), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [
        (torch.float64, 1.0, 1e-13),
        (torch.float32, 30.0, 1e-6),  # logits of some hundreds: no overflow
        (torch.float16, 0.3, 1e-2),
        (torch.bfloat16, 0.3, 5e-2),
    ],
)
def test_precisions(dtype, scale: float, tolerance: float) -> None:
    given = make(100, 2500, scale, dtype)
    found = target_scores(*given)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), exact(*given), rtol=tolerance, atol=tolerance)


def test_words_that_are_ruled_out() -> None:
    features, weight, bias, targets = make(50, 2100, 0.3)
    bias[:1500] = -torch.inf
    found = target_scores(features, weight, bias, targets)
    torch.testing.assert_close(found.double(), exact(features, weight, bias, targets))
    assert found.isinf().any()
    assert found.isfinite().any()


def language_model(seed: int = 0, **changes: object) -> LSTMLanguageModel:
    from types import SimpleNamespace

    words = dictionary()
    settings = {
        "decoder_embed_dim": 6,
        "decoder_hidden_size": 8,
        "decoder_out_embed_dim": 6,
        "decoder_layers": 2,
        "criterion": "cross_entropy",
        **changes,
    }
    task = SimpleNamespace(dictionary=words, source_dictionary=words, target_dictionary=words)
    torch.manual_seed(seed)
    model = LSTMLanguageModel.build_model(SimpleNamespace(**settings), task)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.6, 0.6)
    return model.eval()


def sample() -> dict:
    target, lengths = batch([9, 7, 4, 2], left_pad=False)
    source = torch.cat([torch.full((4, 1), dictionary().eos()), target[:, :-1]], 1)
    net_input = {"src_tokens": source, "src_lengths": lengths}
    return {"net_input": net_input, "target": target}


def score(models: list, softmax_batch: int | None = None) -> list[torch.Tensor]:
    scorer = SequenceScorer(dictionary(), softmax_batch)
    return [found[0]["positional_scores"] for found in scorer.generate(models, sample())]


@pytest.mark.parametrize("models", [1, 2])
@pytest.mark.parametrize("softmax_batch", [None, 5])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"share_decoder_input_output_embed": True},
        {"criterion": "adaptive_loss", "adaptive_softmax_cutoff": "10,20"},
    ],
)
def test_scorer_finds_the_same(models: int, softmax_batch, changes) -> None:
    """Also for an ensemble, which averages probabilities, and for pieces of the batch."""
    made = [language_model(seed, **changes) for seed in range(models)]
    before = [dict(vars(model.decoder)) for model in made]
    expected = score(made, softmax_batch)
    ends = [fast_target_scoring(model) for model in made]
    found = score(made, softmax_batch)
    for end in ends:
        end()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert [list(map(len, (found, expected)))] == [[4, 4]]
    assert [dict(vars(model.decoder)) for model in made] == before
    assert all("get_normalized_probs" not in vars(model) for model in made)


def test_whole_vocabulary_is_there_without_a_target() -> None:
    model = language_model()
    net_input = sample()["net_input"]
    expected = model.get_normalized_probs(model(**net_input), True)
    end = fast_target_scoring(model)
    features = model(**net_input)
    assert features[0].shape[-1] == 6
    found = model.get_normalized_probs(features, True)
    end()
    is_word = net_input["src_tokens"].ne(model.decoder.dictionary.pad())
    torch.testing.assert_close(found[is_word], expected[is_word], rtol=1e-5, atol=1e-6)


def test_layers_that_compute_something_else_are_left_alone(tiny: TinyModels) -> None:
    model = language_model()
    assert Projection.of(model) is not None
    model.decoder.fc_out.register_forward_hook(lambda module, given, output: output * 2)
    assert Projection.of(model) is None

    class Own(type(model.decoder)):
        def output_layer(self, x):
            return super().output_layer(x) * 2

    model = language_model()
    model.decoder.__class__ = Own
    assert Projection.of(model) is None

    translation, _ = load_model(tiny.stock, tiny.data)
    before = dict(vars(translation.decoder))
    fast_target_scoring(translation)
    assert dict(vars(translation.decoder)) == before


def test_transformer(zoo: Zoo) -> None:
    model, task = load_model(zoo.checkpoint("transformer_lm"), zoo.data("text"))
    words = torch.randint(4, len(task.dictionary), (3, 11))
    given = {"net_input": {"src_tokens": words}, "target": words.flip(0)}
    scorer = SequenceScorer(task.dictionary)
    expected = [found[0]["positional_scores"] for found in scorer.generate([model], given)]
    end = fast_target_scoring(model)
    assert model(words)[0].shape == (3, 11, model.decoder.output_embed_dim)
    found = [found[0]["positional_scores"] for found in scorer.generate([model], given)]
    end()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
