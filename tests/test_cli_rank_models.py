"""The cross-model ranking straight from checkpoints: the same as from stores."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli import extract
from fairseq_neuron_plugin.cli.rank import main
from fairseq_neuron_plugin.files import sha256_file
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rankings import centred

run = partial(end, main)
fails = partial(refusal, main)
SPACE = NeuronSpace((Layer("encoder.layers.0", 3),))


@pytest.fixture
def models(tiny, zoo):
    """An LSTM, a Transformer, and a language model with a dictionary of its own."""
    checkpoints = (tiny.stock, zoo.checkpoint("transformer"), zoo.checkpoint("transformer_lm"))
    return checkpoints, (tiny.data, tiny.data, zoo.data("text"))


@pytest.mark.parametrize(
    ("corpus", "settings"),
    [
        (("--input", "probe-test.en"), ()),
        (("--gen-subset", "test"), ("--sentence-end", "--max-tokens", "200")),
    ],
)
def test_is_the_ranking_from_stores(models, tiny, tmp_path, capsys, monkeypatch, corpus, settings):
    monkeypatch.setattr(centred, "BLOCK_ROWS", 200)
    checkpoints, folders = models
    where, name = corpus
    text = (where, tiny.corpus / name if where == "--input" else name)
    flags = (*text, *settings, "--cpu", "--source-lang", "en")
    for number, (checkpoint, folder) in enumerate(zip(checkpoints, folders, strict=True)):
        output = ("--output-dir", tmp_path / str(number))
        own = flags if number < 2 else flags[:-2]  # a language model has one language
        assert end(extract.main, folder, "--path", checkpoint, *own, *output) == 0
    stores = [tmp_path / str(number) for number in range(3)]
    assert run("cross-model", *stores, "--output", tmp_path / "stores.json") == 0
    given = ("--checkpoints", *checkpoints, "--data", *folders, *flags[:-2])
    capsys.readouterr()
    assert run("cross-model", *given, "--output", tmp_path / "direct.json") == 0
    shown = capsys.readouterr()
    assert "encoder.layers." in shown.out
    assert "cross-model: 100%" in shown.err
    expected, found = (Ranking.load(tmp_path / f"{n}.json") for n in ("stores", "direct"))
    assert found.neurons.tolist() == expected.neurons.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert (found.space, found.model) == (expected.space, sha256_file(checkpoints[0]))
    assert found.signature == expected.signature
    for one, other in zip(found.details["best_match"], expected.details["best_match"], strict=True):
        assert (one["model"], one["neuron"]) == (other["model"], other["neuron"])
        assert one["rho"] == pytest.approx(other["rho"], abs=1e-6)
    content = json.loads((tmp_path / "direct.json").read_text())
    in_stores = json.loads((tmp_path / "stores.json").read_text())["models"]
    for model, store, checkpoint in zip(content["models"], in_stores, checkpoints[1:], strict=True):
        assert (model["model"], model["layers"]) == (store["model"], store["layers"])
        assert model["path"] == str(checkpoint)
        assert model["symbols"] > model["unknown_symbols"] >= 0
    assert content["ranked_model"]["model"] == found.model


def test_flags_of_fairseq_may_stand_anywhere(tiny, tmp_path):
    text = tmp_path / "pieces"
    text.write_text("the d@@ og sees\nit ra@@ in@@ s\n" * 5)
    flags = {"--source-lang": "en", "--post-process": "subword_nmt", "--target-lang": "de"}
    (a, x), (b, y), (c, z) = flags.items()
    arguments = (
        *(a, x, "--checkpoints", tiny.stock, tiny.neuron, b, y, "--data", tiny.data, "--cpu"),
        *("--pool", "mean", "--layers", "encoder.layers.1", "encoder.layers.0", c, z),
        *("--signed", "--input", text, "--output", tmp_path / "r.json"),
    )
    assert run("cross-model", *arguments) == 0
    ranking = Ranking.load(tmp_path / "r.json")
    assert ranking.space is not None
    assert [layer.name for layer in ranking.space.layers] == ["encoder.layers.1"]
    layers = ranking.details["models"][0]["layers"]
    assert layers == [{"name": "encoder.layers.0", "width": 48}]
    assert "signed:True" in ranking.signature
    assert "tokens:25" in ranking.signature  # words, not their pieces


def test_decoders_read_a_translation(tiny, tmp_path):
    text = ("--input", tiny.corpus / "test.en", "--target-input", tiny.corpus / "test.de")
    models = ("--checkpoints", tiny.neuron, tiny.stock, "--data", tiny.data, "--cpu")
    output = ("--layers", "decoder.layers.*", "--output", tmp_path / "r.json")
    assert run("cross-model", *models, *text, *output) == 0
    words = (tiny.corpus / "test.de").read_text().split()
    ranking = Ranking.load(tmp_path / "r.json")
    assert f"tokens:{len(words)}|" in ranking.signature
    assert ranking.model == sha256_file(tiny.neuron)


def test_other_words_are_refused(tiny, tmp_path, capsys):
    other = tmp_path / "bin"
    shutil.copytree(tiny.data, other)
    for file in other.glob("valid.*"):
        shutil.copy(file, other / file.name.replace("valid", "test"))
    line = fails(
        capsys,
        *("cross-model", "--checkpoints", tiny.stock, tiny.neuron, "--data", tiny.data, other),
        *("--gen-subset", "test", "--cpu", "--output", tmp_path / "r.json"),
    )
    start = f"{tiny.neuron} and {tiny.stock} do not read the same words: sentence 1, word 1 is"
    (valid, *_), (test, *_) = (
        (tiny.corpus / f"{name}.en").read_text().split() for name in ("valid", "test")
    )
    known = {line.split()[0] for line in (tiny.data / "dict.en.txt").read_text().splitlines()}
    words = [word if word in known else "<unk>" for word in (valid, test)]
    assert f"{start} {words[0]!r} and {words[1]!r}" in line
    assert ("lost its unknown words" in line) == ("<unk>" in words)
    assert not (tmp_path / "r.json").exists()


@pytest.fixture
def stores(tmp_path):
    """Two stores of models a and b, and one of a again."""
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    for name, model in {"a": "a", "b": "b", "again": "a"}.items():
        settings = {"model": {"sha256": model}, "signature": f"source:{name}"}
        write_store(tmp_path / name, X[:, ::-1], [["w"] * 4] * 10, SPACE, settings)
    return tmp_path


def test_stores_may_stand_on_both_sides_of_an_option(stores):
    output = ("--output", stores / "r.json")
    assert run("cross-model", stores / "a", "--signed", stores / "b", *output) == 0
    ranking = Ranking.load(stores / "r.json")
    assert ranking.model == "a"
    assert [model["model"] for model in ranking.details["models"]] == ["b"]


def test_a_model_is_not_compared_with_itself(stores, tiny, tmp_path, capsys):
    output = ("--output", tmp_path / "r.json")
    line = fails(capsys, "cross-model", *(stores / name for name in ("a", "b", "again")), *output)
    assert f"{stores / 'again'} is the ranked model itself" in line
    copy = tmp_path / "copy.pt"
    shutil.copy(tiny.stock, copy)
    models = ("--checkpoints", tiny.stock, tiny.neuron, copy, "--data", tiny.data)
    text = ("--input", tiny.corpus / "test.en", "--cpu")
    line = fails(capsys, "cross-model", *models, *text, *output)
    assert f"{copy} is the ranked model itself" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give two activation stores or more, ACTS OTHER..., or --checkpoints"),
        ("{a}", "give two activation stores or more"),
        ("{a} {none}", "activation store not found: {none}"),
        ("{a} {b} --beam 5", "unrecognized arguments: --beam 5 (fairseq's flags go with"),
        ("{a} {b} --input {text}", "--input goes with --checkpoints, not with stores"),
        ("{a} {b} --pool mean", "--pool goes with --checkpoints"),
        ("{a} --checkpoints m.pt n.pt", "stores or --checkpoints, not both: '{a}' is one too many"),
        ("--checkpoints m.pt", "--checkpoints names one model"),
        ("--checkpoints m.pt n.pt", "--data is missing"),
        ("--checkpoints m.pt n.pt --data {bin}", "give a corpus"),
        ("--checkpoints m.pt n.pt --data {bin} --input {text}", "checkpoint not found: m.pt"),
        ("{two} --data {bin} {bin} {bin} --input {text}", "--data names 3 for 2 checkpoints"),
        ("{two} --data {none} --input {text}", "data folder not found: {none}"),
        ("{two} --data {bin} --input {none}", "input not found: {none}"),
        ("{two} --data {bin} --input {text} --gen-subset test", "not allowed with"),
        ("{two} --data {bin} --gen-subset train1", "train1"),
        ("{two} --data {bin} --input {text} --layers x", "x"),
        ("{two} --data {bin} --input {text} --batch-size 3", "--batch-size does nothing here"),
        ("{two} --data {bin} --input {text} --bem 3", "unrecognized arguments: --bem 3"),
    ],
)
def test_mistakes(stores, tiny, capsys, arguments, message):
    names = {
        **{name: stores / name for name in ("a", "b", "none")},
        **{"bin": tiny.data, "text": tiny.corpus / "test.en"},
        "two": f"--checkpoints {tiny.stock} {tiny.neuron} --cpu",
    }
    output = ("--output", stores / "r.json")
    given = arguments.format(**names).split()
    assert message.format(**names) in fails(capsys, "cross-model", *given, *output)
    assert not (stores / "r.json").exists()


def test_help_shows_both_ways(capsys):
    assert run("cross-model", "--help") == 0
    shown = capsys.readouterr().out
    assert "[ACTS ...]" in shown
    assert "--checkpoints CKPT [CKPT ...]" in shown
