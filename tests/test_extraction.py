"""Extraction: the right row for the right word, whatever the batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import TinyModels, run
from toy import multilingual_model

import fairseq_neuron_plugin as fnp
from fairseq_neuron_plugin.corpora import read_split, read_text
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.extraction import ExtractionSettings, extract, side_of
from fairseq_neuron_plugin.loading import open_session
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking


@pytest.fixture(scope="module")
def session(tiny: TinyModels):
    return open_session([str(tiny.data), "--path", str(tiny.stock), "--cpu"])


def expected_rows(session, sentence: str) -> np.ndarray:
    """Both layers by the stock forward pass and by nn.LSTM itself, one sentence alone."""
    encoder = session.models[0].encoder
    ids = session.task.source_dictionary.encode_line(sentence, add_if_not_exist=False).long()
    with torch.no_grad():
        embedded = encoder.embed_tokens(ids).unsqueeze(1)
        first = torch.nn.LSTM(embedded.size(2), encoder.hidden_size, bidirectional=True)
        weights = encoder.lstm.state_dict()
        first.load_state_dict({k: v for k, v in weights.items() if "_l0" in k})
        layer0 = first(embedded)[0].squeeze(1)
        layer1 = encoder(ids.unsqueeze(0), src_lengths=torch.tensor([len(ids)]))[0].squeeze(1)
    return torch.cat([layer0, layer1], dim=1).numpy()


@pytest.mark.parametrize("max_tokens", [1, 60, 4000])
def test_every_word_has_its_own_row(session, tiny, tmp_path, max_tokens: int) -> None:
    corpus = read_text(session, tiny.corpus / "probe-test.en")
    settings = ExtractionSettings(max_tokens=max_tokens, rows_per_shard=300, sentence_end=True)
    acts = extract(session, corpus, tmp_path / "acts", settings)
    lines = (tiny.corpus / "probe-test.en").read_text().splitlines()
    assert [" ".join(words[:-1]) for words in acts.sentences] == lines
    assert len(list((tmp_path / "acts").glob("activations-*.npy"))) > 1
    for number in (0, 1, 17, 50, 99):
        rows = acts.array[acts.offsets[number] : acts.offsets[number + 1]]
        assert rows == pytest.approx(expected_rows(session, lines[number]), abs=1e-5)


def test_split_and_text_agree(session, tiny, tmp_path) -> None:
    split = extract(session, read_split(session, "test"), tmp_path / "a", ExtractionSettings())
    text = extract(
        session, read_text(session, tiny.corpus / "test.en"), tmp_path / "b", ExtractionSettings()
    )
    assert np.array_equal(split.array[:], text.array[:])
    assert [len(s) for s in split.sentences] == [len(s) for s in text.sentences]
    # A binarised split has lost its unknown words; a text keeps them.
    known = [(a, b) for a, b in zip(split.words(), text.words(), strict=True) if a != "<unk>"]
    assert all(a == b for a, b in known)
    assert len(known) > 0


def test_one_layer_in_float16(session, tiny, tmp_path) -> None:
    corpus = read_text(session, tiny.corpus / "test.en")
    both = extract(session, corpus, tmp_path / "both", ExtractionSettings())
    top = extract(
        session,
        corpus,
        tmp_path / "top",
        ExtractionSettings(layers="encoder.layers.1", dtype="float16"),
    )
    assert top.layers.describe() == "encoder.layers.1 (48)"
    assert np.array_equal(top.array[:], both.array[:, 48:].astype(np.float16))


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_subwords_are_pooled(session, tiny, tmp_path, pooling: str) -> None:
    (tmp_path / "pieces").write_text("the d@@ og sees\nit ra@@ in@@ s\n")
    (tmp_path / "apart").write_text("the d@@ og sees\nit ra@@ in@@ s\n")
    flags = [str(tiny.data), "--path", str(tiny.stock), "--cpu"]
    joined = open_session([*flags, "--post-process", "subword_nmt"])
    words = extract(
        joined,
        read_text(joined, tmp_path / "pieces"),
        tmp_path / "words",
        ExtractionSettings(pooling=pooling),
    )
    pieces = extract(
        session, read_text(session, tmp_path / "apart"), tmp_path / "p", ExtractionSettings()
    ).array[:]
    assert words.sentences == [["the", "dog", "sees"], ["it", "rains"]]
    pool = {"first": lambda r: r[0], "last": lambda r: r[-1], "mean": lambda r: r.mean(axis=0)}
    groups = ([0], [1, 2], [3], [4], [5, 6, 7])
    for row, group in zip(words.array[:], groups, strict=True):
        assert row == pytest.approx(pool[pooling](pieces[group]), abs=1e-6)


def test_bpe_segments_the_text(tiny, tmp_path) -> None:
    """--bpe with codes made by subword-nmt: a row a word, the surface form kept."""
    codes, text = tmp_path / "codes", tiny.corpus / "test.en"
    run("subword-nmt", "learn-bpe", "--input", text, "--symbols", "60", "--output", codes)
    flags = [str(tiny.data), "--path", str(tiny.stock), "--cpu"]
    session = open_session([*flags, "--bpe", "subword_nmt", "--bpe-codes", str(codes)])
    acts = extract(session, read_text(session, text), tmp_path / "acts", ExtractionSettings())
    assert [" ".join(words) for words in acts.sentences] == text.read_text().splitlines()


def test_ensemble_is_refused(tiny, tmp_path) -> None:
    two = open_session([str(tiny.data), "--path", f"{tiny.stock}:{tiny.neuron}", "--cpu"])
    with pytest.raises(UserError, match="not from an ensemble"):
        extract(two, read_split(two, "test"), tmp_path / "acts", ExtractionSettings())


def test_an_ablation_is_read_again_when_its_ranking_has_changed(tiny, tmp_path) -> None:
    space = NeuronSpace((Layer("encoder.layers.0", 48), Layer("encoder.layers.1", 48)))
    path, signatures = tmp_path / "r.json", []
    for order in (np.arange(96), np.arange(96), np.arange(96)[::-1]):
        Ranking("random", order, np.zeros(96), space=space).save(path)
        session = open_session(
            [
                *(str(tiny.data), "--path", str(tiny.stock), "--cpu"),
                *("--task", "neuron_translation", "--ablate", f"{path}:top:5"),
            ]
        )
        folder = tmp_path / f"acts{len(signatures)}"
        acts = extract(session, read_split(session, "test"), folder, ExtractionSettings())
        signatures.append(acts.signature)
        assert not acts.array[:, order[:5]].any()
    assert signatures[0] == signatures[1] != signatures[2]
    assert "|device:cpu|" in signatures[0]


@pytest.mark.parametrize("neuron", ["models.en-de.encoder", "encoder", "models.en-de.decoder"])
def test_side_of_a_multilingual_model(neuron: str) -> None:
    model = multilingual_model(distinct_encoders=True)
    space = NeuronSpace((Layer(f"{neuron}.layers.0.encoder_attn", 3),))
    assert side_of(model, space) == ("target" if "decoder" in neuron else "source")


def test_what_does_not_fit_leaves_no_folder(session, tiny, tmp_path, monkeypatch) -> None:
    """What the error recommends works afterwards."""
    corpus = read_text(session, tiny.corpus / "test.en")
    bias = session.models[0].encoder.embed_tokens.weight
    monkeypatch.setattr(bias, "data", bias.data * 1e8)
    settings = ExtractionSettings("encoder.embed_tokens", dtype="float16")
    with pytest.raises(UserError, match="use --dtype float32"):
        extract(session, corpus, tmp_path / "acts", settings)
    assert not (tmp_path / "acts").exists()
    extract(session, corpus, tmp_path / "acts", ExtractionSettings("encoder.embed_tokens"))


def test_half_precision_that_overflows_is_an_error(tiny, tmp_path) -> None:
    half = open_session([str(tiny.data), "--path", str(tiny.stock), "--cpu", "--fp16"])
    half.models[0].encoder.embed_tokens.weight.data *= 1e6
    corpus = read_text(half, tiny.corpus / "test.en")
    with pytest.raises(UserError, match="not finite in half precision"):
        extract(half, corpus, tmp_path / "acts", ExtractionSettings("encoder.embed_tokens"))
    assert not (tmp_path / "acts").exists()


def test_sentence_too_long(tiny, tmp_path) -> None:
    flags = [str(tiny.data), "--path", str(tiny.stock), "--cpu", "--max-source-positions", "10"]
    session = open_session(flags)
    (tmp_path / "text").write_text("a b c\n" + "w " * 10 + "\n")
    with pytest.raises(UserError, match="sentence 2 has 11 symbols, the model reads at most 10"):
        extract(
            session, read_text(session, tmp_path / "text"), tmp_path / "x", ExtractionSettings()
        )
    assert not (tmp_path / "x").exists()


def test_load_model_from_python(tiny) -> None:
    model, task = fnp.load_model(tiny.neuron, data=tiny.data)
    assert not model.training
    widths = {layer.name: layer.width for layer in fnp.list_layers(model)}
    assert widths["encoder.layers.0"] == widths["decoder.layers.1"] == 48
    assert len(task.source_dictionary) > 100


def test_command_survives_a_kill(tiny, tmp_path) -> None:
    """kill -9 in the middle, the same command again: the bytes of an unbroken run."""
    lines = (tiny.corpus / "train.A.en").read_text().splitlines()
    (tmp_path / "text").write_text("\n".join(lines * 6) + "\n")
    command = [
        *("fairseq-neuron-extract", tiny.data, "--path", tiny.stock, "--input", tmp_path / "text"),
        *("--cpu", "--max-tokens", "200", "--output-dir"),
    ]
    run(*command, tmp_path / "whole")
    program = Path(sys.executable).parent / "fairseq-neuron-extract"
    arguments = [str(part) for part in (program, *command[1:], tmp_path / "killed")]
    process = subprocess.Popen(
        [*arguments], stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )
    for _ in range(3000):
        if (tmp_path / "killed" / "partial.json").exists():
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not (tmp_path / "killed" / "manifest.json").exists():
        with pytest.raises(UserError, match="unfinished"):
            fnp.Activations(tmp_path / "killed")
    run(*command, tmp_path / "killed")
    for path in sorted((tmp_path / "whole").iterdir()):
        other = tmp_path / "killed" / path.name
        if path.name != "manifest.json":  # holds the command line with its folder
            assert other.read_bytes() == path.read_bytes()
