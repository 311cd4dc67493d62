"""Losses and gradients of a corpus: whole sentences, whatever the batch."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fairseq.models.lstm_lm import LSTMLanguageModel
from test_loss_gradients import traces

from fairseq_neuron_plugin.cli.corpus_common import open_reader
from fairseq_neuron_plugin.corpora import read_split, read_text
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.gradient_blocks import GradientBlocks
from fairseq_neuron_plugin.rankings import gradient_activation
from fairseq_neuron_plugin.teacher_forcing import forced_batch, sentence_losses

BOTH = "*coder.layers.*"


def opened(data, path, *flags):
    return open_reader(str(data), str(path), ["--cpu", *flags])


@pytest.fixture
def lstm(tiny):
    return opened(tiny.data, tiny.stock)


def lines(corpus, folder, count=12):
    """The first lines of the test text, in files: source and target."""
    paths = []
    for language in ("en", "de"):
        path = folder / f"some.{language}"
        text = (corpus / f"test.{language}").read_text().splitlines()[:count]
        path.write_text("\n".join(text) + "\n")
        paths.append(path)
    return paths


def by_sentence(blocks):
    """For each sentence: the sum of activation times gradient, loss, targets and steps."""
    found = {}
    for block in blocks:
        for number, loss, targets in zip(block.numbers, block.losses, block.targets, strict=True):
            here = block.sentence == number
            sums = (block.values[here] * block.gradients[here]).sum(0)
            assert number not in found
            found[number] = sums, loss, targets, int(here.sum())
        assert set(block.sentence) <= set(block.numbers)
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("name", ["stock", "lstm_lm", "neuron_lstm_lm", "transformer"])
def test_batches_do_not_matter_and_nothing_is_left_behind(tiny, zoo, tmp_path, name):
    source, target = lines(tiny.corpus, tmp_path)
    is_lm = name.endswith("lm")
    path = tiny.stock if name == "stock" else zoo.checkpoint(name)
    session = opened(zoo.data("text" if is_lm else "pair"), path)
    model = session.models[0]
    corpus = read_text(session, source, None if is_lm else target)
    before = traces(model)
    alone, together = (
        by_sentence(GradientBlocks(session, corpus, None if is_lm else BOTH, size))
        for size in (1, 10_000)
    )
    assert traces(model) == before
    assert len(alone) == len(together) == 12
    for (sums, loss, *counts), (other, other_loss, *other_counts) in zip(
        alone, together, strict=True
    ):
        np.testing.assert_allclose(sums, other, atol=2e-5)
        assert loss == pytest.approx(other_loss, rel=1e-5)
        assert counts == other_counts
    assert max(np.abs(sums).max() for sums, *_ in alone) > 1e-2


def test_loss_is_the_cross_entropy_that_fairseq_reports(lstm, tiny):
    from fairseq.criterions.cross_entropy import CrossEntropyCriterion

    corpus = read_split(lstm, "test", "target")
    dataset = lstm.task.dataset("test")
    sample = dataset.collater([dataset[number] for number in range(len(dataset))])
    criterion = CrossEntropyCriterion(lstm.task, sentence_avg=False)
    with torch.no_grad():
        want, count, _ = criterion(lstm.models[0], sample)
    found = by_sentence(GradientBlocks(lstm, corpus, "encoder.layers.1", 300))
    assert sum(loss for _, loss, *_ in found) == pytest.approx(want.item(), rel=1e-5)
    assert sum(targets for _, _, targets, _ in found) == count
    lengths = [len(dataset.src[number]) for number in range(len(dataset))]
    assert [steps for *_, steps in found] == lengths


def test_loss_with_an_adaptive_softmax(tiny, zoo, tmp_path):
    session = opened(zoo.data("text"), zoo.checkpoint("lstm_lm"))
    settings = {"criterion": "adaptive_loss", "adaptive_softmax_cutoff": "10,20"}
    args = SimpleNamespace(decoder_hidden_size=32, tokens_per_sample=64, **settings)
    model = LSTMLanguageModel.build_model(args, session.task).eval()
    session, words = replace(session, models=[model]), session.task.source_dictionary
    corpus = read_text(session, lines(tiny.corpus, tmp_path)[0])
    losses = sentence_losses(session, forced_batch(corpus, list(range(12))))
    losses.sum().backward()  # fairseq's own cannot be differentiated
    with torch.no_grad():
        for number in range(12):
            ids = torch.tensor([words.eos(), *corpus.symbols[number].tolist(), words.eos()])
            output = model(ids[None, :-1])
            log_probs = model.get_normalized_probs(output, log_probs=True)[0]
            want = -log_probs.gather(1, ids[1:, None]).sum()
            assert losses[number].item() == pytest.approx(want.item(), rel=1e-5)


def test_rows_of_both_sides_and_of_the_start(lstm, tiny, tmp_path):
    corpus = read_text(lstm, *lines(tiny.corpus, tmp_path, 5))
    blocks = GradientBlocks(lstm, corpus, BOTH, 10_000)
    (block,) = blocks
    assert len(blocks) == 1
    batch = forced_batch(corpus, list(range(5)))
    read = int(batch.encoder_input["src_lengths"].sum())
    predicted = int(batch.targets.ne(1).sum())
    assert len(block.sentence) == read + predicted + 5
    encoder = blocks.space.offsets["decoder.layers.0"]
    assert (block.values[:read, encoder:] == 0).all()
    assert (block.values[read:, :encoder] == 0).all()
    assert (np.abs(block.values[:read, :encoder]).max(axis=1) > 0).all()
    assert (np.abs(block.gradients[read:, encoder:]).max(axis=1) > 0).all()
    # A decoder starts from what the encoder hands over.
    with torch.no_grad():
        out = lstm.models[0].encoder(**batch.encoder_input)
    np.testing.assert_allclose(
        block.values[-5:, encoder:], torch.cat(list(out[1]), dim=1).numpy(), atol=1e-5
    )
    assert block.sentence[-5:].tolist() == batch.numbers.tolist()


def test_planted_neurons_of_a_model(lstm, tiny, tmp_path):
    """Two dead neurons come last, one that the rest of the model listens to comes first."""
    corpus = read_text(lstm, *lines(tiny.corpus, tmp_path, 40))
    model = lstm.models[0]
    encoder, (lower, upper) = model.encoder.lstm, model.decoder.layers
    with torch.no_grad():
        encoder.bias_ih_l0[3 * encoder.hidden_size + 5] = -1e4  # the output gate stays shut: h = 0
        lower.weight_hh[:, 7] = upper.weight_ih[:, 7] = 0.0  # nobody reads h, itself included
        upper.weight_ih[:, 11] *= 30.0
    blocks = GradientBlocks(lstm, corpus, "encoder.layers.0,decoder.layers.0")
    ranking = gradient_activation(blocks)
    start = blocks.space.offsets["decoder.layers.0"]
    assert ranking.neurons[0] == start + 11
    assert ranking.neurons[-2:].tolist() == [5, start + 7]
    assert ranking.scores[-2:].tolist() == [0.0, 0.0]
    assert ranking.scores[-3] > 0


def test_what_cannot_be_read(lstm, tiny, zoo, tmp_path):
    source, target = lines(tiny.corpus, tmp_path)
    with pytest.raises(UserError, match="a corpus of the source"):
        GradientBlocks(lstm, read_text(lstm, source))
    corpus = read_text(lstm, source, target)
    with pytest.raises(UserError, match="no layer"):
        GradientBlocks(lstm, corpus, "encoder.layers.9")
    half = opened(tiny.data, tiny.stock, "--fp16")
    with pytest.raises(UserError, match="leave out --fp16"):
        GradientBlocks(half, corpus)
    two = replace(lstm, models=lstm.models * 2)
    with pytest.raises(UserError, match="ensemble"):
        GradientBlocks(two, corpus)
