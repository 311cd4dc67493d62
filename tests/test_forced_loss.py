"""Loss of the references, against fairseq-validate and against one sentence at a time."""

from __future__ import annotations

import json
import math
import re
import shutil
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from fairseq.models.lstm import LSTMModel, base_architecture
from tiny_models import USER_DIR, call

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.bootstrap import interval
from fairseq_neuron_plugin.evaluation.decoding import Translator
from fairseq_neuron_plugin.evaluation.evaluator import Intervention
from fairseq_neuron_plugin.evaluation.forced_loss import ForcedLoss
from fairseq_neuron_plugin.evaluation.scoring import Scores
from fairseq_neuron_plugin.evaluation.translation import (
    METRICS,
    choose_metrics,
    translation_evaluator,
)
from fairseq_neuron_plugin.loading import open_session
from fairseq_neuron_plugin.projection import Projection

NOTHING = Intervention({}, 0.0, "recurrent")
BOTH = {"encoder.layers.0": [0, 3, 7, 20], "decoder.layers.1": [1, 2, 30]}
SPEC = "encoder.layers.0:0,3,7,20;decoder.layers.1:1,2,30"


def opened(data, path, *flags):
    session = open_session([str(data), "--path", str(path), "--cpu", *flags])
    return session, session.load_split("test")


@pytest.fixture(scope="module")
def lstm(tiny):
    return opened(tiny.data, tiny.stock)


def one_by_one(model, dataset, pad: int) -> np.ndarray:
    """Bits and symbols of each sentence, by the model's own forward pass, alone in its batch."""
    found = []
    for number in range(len(dataset)):
        sample = dataset.collater([dataset[number]])
        target = sample["target"]
        with torch.no_grad():
            output = model(**sample["net_input"])
            scores = model.get_normalized_probs(output, log_probs=True, sample=sample)
        picked = scores.gather(2, target.unsqueeze(2)).double().sum()
        assert target.ne(pad).all()
        found.append((-float(picked) / math.log(2), target.numel()))
    return np.array(found)


@pytest.mark.parametrize("spec", [None, SPEC])
@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_equal_to_fairseq_validate(tiny, zoo, name: str, spec: str | None) -> None:
    path = tiny.stock if name == "lstm" else zoo.checkpoint(name)
    ablation = () if spec is None else ("--ablate", spec, "--ablate-value", "0.5")
    result = call(
        *("fairseq-validate", tiny.data, "--path", path, "--user-dir", USER_DIR, "--cpu"),
        *("--task", "neuron_translation", "--valid-subset", "test", "--batch-size", "60"),
        *("--required-batch-size-multiple", "1", "--no-progress-bar", *ablation),
    )
    assert result.returncode == 0, result.stderr
    (expected,) = re.findall(r"\| loss ([\d.]+)", result.stdout + result.stderr)
    forced = ForcedLoss(*opened(tiny.data, path))
    found = forced.score(NOTHING if spec is None else Intervention(BOTH, 0.5, "recurrent"))
    assert found.numbers["loss"] == pytest.approx(float(expected), abs=6e-4)
    assert 0.5 < found.numbers["loss"] < 20


def check_sentences(session, dataset, compact: bool) -> None:
    """Every sentence's loss, and that the model is as it was."""
    model = session.models[0]
    assert (Projection.of(model) is not None) is compact
    before = dict(vars(model.decoder))
    expected = one_by_one(model, dataset, session.task.target_dictionary.pad())
    steps: list[int] = []
    forced = ForcedLoss(session, dataset)
    found = forced.statistics(NOTHING, steps.append)
    assert sum(steps) == len(forced) == len(expected)
    assert len(steps) > 1  # so that batches are put in order again
    np.testing.assert_array_equal(found[:, 1], expected[:, 1])
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=2e-5)
    assert vars(model.decoder).keys() == before.keys()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch) -> None:
    for name in ("_MAX_TOKENS", "_MAX_TOKENS_OF_WHOLE"):
        monkeypatch.setattr(f"fairseq_neuron_plugin.evaluation.forced_loss.{name}", 300)


def test_sentences(lstm) -> None:
    check_sentences(*lstm, compact=True)


@pytest.mark.parametrize("name", ["transformer_prenorm", "lstm_shared"])
def test_sentences_of_other_models(tiny, zoo, name: str) -> None:
    data = zoo.data("joined") if name == "lstm_shared" else tiny.data
    check_sentences(*opened(data, zoo.checkpoint(name), "-s", "en", "-t", "de"), compact=True)


@pytest.mark.parametrize("kind", ["adaptive", "hooked"])
def test_sentences_without_one_product(lstm, kind: str) -> None:
    session, dataset = lstm
    settings = Namespace(encoder_layers=1, encoder_bidirectional=True, decoder_layers=1)
    for name in ("encoder_embed_dim", "decoder_embed_dim", "decoder_out_embed_dim"):
        setattr(settings, name, 12)
    settings.encoder_hidden_size, settings.decoder_hidden_size = 8, 10
    settings.criterion = "cross_entropy"
    if kind == "adaptive":
        settings.criterion, settings.adaptive_softmax_cutoff = "adaptive_loss", "10,30"
    base_architecture(settings)
    torch.manual_seed(1)
    model = LSTMModel.build_model(settings, session.task).eval()
    if kind == "hooked":
        model.decoder.fc_out.register_forward_hook(lambda layer, given, output: output * 3)
    check_sentences(replace(session, models=[model]), dataset, compact=False)


def test_interval_is_that_of_resampled_sentences(lstm) -> None:
    forced = ForcedLoss(*lstm, 200)
    found = forced.score(NOTHING)
    bits, symbols = forced.statistics(NOTHING).T
    drawn = np.random.default_rng(12345).choice(len(bits), size=(200, len(bits)), replace=True)
    expected = bits[drawn].sum(1) / symbols[drawn].sum(1)
    np.testing.assert_allclose(found.resampled["loss"], expected, rtol=1e-11)
    ends = interval(found.resampled["loss"])
    assert (found.numbers["loss_low"], found.numbers["loss_high"]) == ends
    loss = found.numbers["loss"]
    assert ends[0] < loss < ends[1]
    assert loss == pytest.approx(bits.sum() / symbols.sum(), rel=1e-12)
    assert ForcedLoss(*lstm, 0).score(NOTHING) == Scores({"loss": loss}, {})


@pytest.mark.parametrize(
    ("neurons", "value", "message"),
    [
        ({"decoder.attention": range(48)}, 3e38, "finite number, the first of them is sentence 1"),
        ({"encoder.layers.7": [1]}, 0.0, "unknown layer 'encoder.layers.7'"),
    ],
)
def test_what_has_no_loss(lstm, neurons, value: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ForcedLoss(*lstm).score(Intervention(neurons, value, "recurrent"))


@pytest.fixture(scope="module")
def source_alone(tiny, tmp_path_factory):
    """The data folder without the target side of the split."""
    folder = tmp_path_factory.mktemp("source")
    for path in [*tiny.data.glob("dict.*"), *tiny.data.glob("test.en-de.en.*")]:
        shutil.copy(path, folder / path.name)
    return folder


def test_no_target_side(tiny, source_alone) -> None:
    translator = Translator(opened(source_alone, tiny.stock)[0], "test")
    given = translation_evaluator(translator, None, 0, tiny.corpus / "test.de")
    assert given.columns == ("bleu", "chrf", "ter", "length_ratio", "empty", "runaway", "sentences")
    with pytest.raises(UserError, match="no target side, of which the loss is"):
        translation_evaluator(translator, ("loss",), 0)
    with pytest.raises(UserError, match="give --reference FILE"):
        translation_evaluator(translator, None, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [("loss,bleu", ("bleu", "loss")), (" ter ,ter", ("ter",)), ("chrf", ("chrf",))],
)
def test_choose_metrics(text: str, found: tuple[str, ...]) -> None:
    assert choose_metrics(text) == found


@pytest.mark.parametrize(
    ("text", "message"), [("", "no metric"), ("bleu,x", "metric 'x'; choose from")]
)
def test_unknown_metrics(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_metrics(text)


@pytest.mark.parametrize("resamples", [0, 50])
def test_evaluator_of_the_loss_alone(tiny, lstm, monkeypatch, resamples: int) -> None:
    """Nothing is translated, and the settings of the search are no part of the run."""
    translator = Translator(lstm[0], "test")
    monkeypatch.setattr(translator, "translate_together", None)
    evaluator = translation_evaluator(translator, ("loss",), resamples)
    steps: list[int] = []
    interventions = [NOTHING, Intervention(BOTH, 0.5, "recurrent")]
    found = evaluator.evaluate_together(interventions, steps.append)
    assert sum(steps) == 2 * len(evaluator)
    band = ("loss_low", "loss_high") if resamples else ()
    assert evaluator.columns == ("loss", *band, "sentences")
    assert evaluator.metrics == (("loss",) if resamples else ())
    assert evaluator.references is None
    assert not evaluator.signatures()
    for each in found:
        assert tuple(each.numbers) == evaluator.columns
        assert tuple(each.resampled) == evaluator.metrics
        assert each.lines is None
        json.dumps(each.numbers, allow_nan=False)
    assert found[1].numbers["loss"] > found[0].numbers["loss"]
    settings = evaluator.settings()
    assert (settings["metrics"], settings["bootstrap"]) == ("loss", resamples)
    assert not {"beam", "reference", "bpe"} & settings.keys()
    assert "target" in settings


def test_evaluator_of_everything(tiny) -> None:
    session, _ = opened(tiny.data, tiny.stock, "--max-len-a", "0", "--max-len-b", "6")
    translator = Translator(session, "test")
    plain = translation_evaluator(translator, None, 20, tiny.corpus / "test.de")
    assert plain.metrics == ("bleu", "chrf", "ter")
    evaluator = translation_evaluator(translator, METRICS, 20, tiny.corpus / "test.de")
    steps: list[int] = []
    (found,) = evaluator.evaluate_together([NOTHING], steps.append)
    assert sum(steps) == len(evaluator) == 101
    bands = [f"{m}{end}" for m in ("bleu", "chrf", "ter", "loss") for end in ("", "_low", "_high")]
    assert evaluator.columns == (*bands, "length_ratio", "empty", "runaway", "sentences")
    assert tuple(found.numbers) == evaluator.columns
    assert tuple(found.resampled) == evaluator.metrics == ("bleu", "chrf", "ter", "loss")
    translations = translator.translate(NOTHING)
    assert found.lines == [each.text for each in translations]
    numbers = found.numbers
    assert numbers["runaway"] == sum(each.cut for each in translations) / 101 > 0.5
    assert numbers["empty"] == 0
    assert numbers["loss"] == ForcedLoss(session, translator.dataset).score(NOTHING).numbers["loss"]
    assert all(numbers[f"{m}_low"] < numbers[m] < numbers[f"{m}_high"] for m in evaluator.metrics)
    assert len({len(scores) for scores in found.resampled.values()} | {20}) == 1


def test_wrong_numbers_and_flags(tiny, lstm) -> None:
    translator = Translator(lstm[0], "test")
    with pytest.raises(UserError, match="--bootstrap must be 0 or more, not -1"):
        translation_evaluator(translator, None, -1)
    with pytest.raises(UserError, match="--reference is of no use"):
        translation_evaluator(translator, ("loss",), 0, tiny.corpus / "test.de")
