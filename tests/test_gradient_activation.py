"""The ranking by gradient x activation, from arrays and through the command."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.cli.rank import main
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.gradient_blocks import GradientBlock
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rankings import gradient_activation

run = partial(end, main)
fails = partial(refusal, main)


def block(values, gradients, sentence):
    numbers, lengths = np.unique(sentence, return_counts=True)
    return GradientBlock(
        np.asarray(values, np.float32),
        np.asarray(gradients, np.float32),
        np.asarray(sentence),
        numbers,
        2.0 * lengths,
        lengths,
    )


@pytest.fixture
def blocks():
    """Seven sentences of 1 to 9 rows in two blocks, rows in no order, five neurons."""
    rng = np.random.default_rng(0)
    made = []
    for numbers in ([4, 0, 6], [1, 2, 3, 5]):
        sentence = rng.permutation(np.repeat(numbers, rng.integers(1, 10, len(numbers))))
        made.append(block(*rng.normal(size=(2, len(sentence), 5)), sentence))
    return made


def by_the_loop(blocks, per, signed):
    """The definition, sentence by sentence and row by row."""
    scores, count = np.zeros(5), 0
    for part in blocks:
        for number in part.numbers:
            products = [
                part.values[row].astype(float) * part.gradients[row]
                for row in range(len(part.sentence))
                if part.sentence[row] == number
            ]
            if per == "sentence":
                scores += -sum(products) if signed else abs(sum(products))
                count += 1
            else:
                scores += sum(-p if signed else abs(p) for p in products)
                count += len(products)
    return scores / count


@pytest.mark.parametrize("per", ["sentence", "token"])
@pytest.mark.parametrize("signed", [False, True])
def test_scores_are_those_of_the_definition(blocks, per, signed):
    seen = []
    ranking = gradient_activation(
        iter(blocks), per=per, signed=signed, progress=lambda *at: seen.append(at)
    )
    want = by_the_loop(blocks, per, signed)
    np.testing.assert_allclose(ranking.scores, want[ranking.neurons], rtol=1e-5)
    assert ranking.neurons.tolist() == np.argsort(-want).tolist()
    rows = sum(len(part.sentence) for part in blocks)
    assert ranking.details["steps"] == ranking.details["target_symbols"] == rows
    assert ranking.details["sentences"] == 7
    assert ranking.details["loss_per_symbol"] == pytest.approx(2.0)
    np.testing.assert_allclose(
        ranking.details["effect"], by_the_loop(blocks, "sentence", True), rtol=1e-4
    )
    assert f"per:{per}|signed:{signed}|sentences:7|steps:{rows}" in ranking.signature
    assert seen[-1][0] == 2


def test_planted_neurons():
    """What cancels within a sentence counts by token alone; a dead neuron is last; ties by id."""
    a = [[3, 1, 0, 1, 0.5], [3, -1, 0, 1, 0.5], [3, 1, 0, -1, 0.5], [3, -1, 0, -1, 0.5]]
    g = [[1, 2, 9, 1, -1]] * 4
    planted = [block(a, g, [0, 0, 1, 1])]
    by_sentence = gradient_activation(planted)
    assert by_sentence.neurons.tolist() == [0, 3, 4, 1, 2]
    assert by_sentence.scores.tolist() == [6, 2, 1, 0, 0]
    assert gradient_activation(planted, per="token").neurons.tolist() == [0, 1, 3, 4, 2]
    signed = gradient_activation(planted, signed=True)
    assert signed.neurons.tolist() == [4, 1, 2, 3, 0]
    assert signed.scores.tolist() == [1, 0, 0, 0, -6]


def test_mistakes():
    with pytest.raises(UserError, match="no sentence"):
        gradient_activation([])
    values = np.ones((3, 2))
    values[2, 1] = np.inf
    with pytest.raises(
        UserError, match=r"sentence 9, row 2 of its block, neuron 1: activation inf"
    ):
        gradient_activation([block(values, np.ones((3, 2)), [7, 7, 8])])
    with pytest.raises(UserError, match=r"sentence 8, row 1 .*, neuron 0: .*gradient nan"):
        gradient_activation([block(np.ones((2, 1)), [[1], [np.nan]], [7, 7])])
    lost = block(np.ones((2, 1)), np.ones((2, 1)), [3, 4])
    lost.losses[1] = np.nan
    with pytest.raises(UserError, match="loss of sentence 5"):
        gradient_activation([lost])


def command(tiny, *more):
    data = ("gradient-activation", tiny.data, "--path", tiny.stock, "--cpu")
    return (*data, *more)


def test_command(tiny, tmp_path, capsys):
    output = tmp_path / "r.json"
    layers = ("--layers", "encoder.layers.1,decoder.layers.0")
    split = command(tiny, "--gen-subset", "valid", *layers)
    assert run(*split, "--max-tokens", 200, "--output", output) == 0
    assert "decoder.layers.0:" in capsys.readouterr().out
    ranking = Ranking.load(output)
    assert [layer.name for layer in ranking.space.layers] == [
        "encoder.layers.1",
        "decoder.layers.0",
    ]
    assert ranking.scores.min() > 0
    assert len(ranking.details["effect"]) == len(ranking.neurons) == 96
    for part in (
        *("per:sentence", "signed:False", "sentences:40", f"model:{ranking.model[:12]}"),
        *("corpus:split=valid,data=", "layers:encoder.layers.1,decoder.layers.0", "batch:200"),
        *("precision:fp32", "device:cpu"),
    ):
        assert part in ranking.signature.replace("|", " |")
    signed, first = tmp_path / "signed.json", ranking.neurons
    assert run(*split, "--signed", "--per", "token", "--output", signed) == 0
    again = Ranking.load(signed)
    assert "per:token|signed:True" in again.signature
    order = np.argsort(-np.asarray(ranking.details["effect"]), kind="stable")
    assert np.mean(again.neurons == order) > 0.9  # up to rounding
    assert not np.array_equal(again.neurons, first)


def test_command_on_a_text_and_with_fairseq_flags(tiny, tmp_path):
    """Neurons that are held already cannot change the loss."""
    for language in ("en", "de"):
        lines = (tiny.corpus / f"valid.{language}").read_text().splitlines()[:10]
        (tmp_path / f"text.{language}").write_text("\n".join(lines) + "\n")
    output = tmp_path / "r.json"
    text = ("--input", tmp_path / "text.en", "--target-input", tmp_path / "text.de")
    flags = ("--task", "neuron_translation", "--ablate", "encoder.layers.0:3,7")
    assert run(*command(tiny, *text, *flags, "--ablate-value", "0.1", "--output", output)) == 0
    ranking = Ranking.load(output)
    assert ranking.neurons[-2:].tolist() == [3, 7]
    assert ranking.scores[-3] > ranking.scores[-2] == 0
    assert "ablate:encoder.layers.0:3,7" in ranking.signature
    assert ranking.details["sentences"] == 10


def test_command_on_a_language_model(zoo, tmp_path):
    output = tmp_path / "r.json"
    model = ("--path", zoo.checkpoint("lstm_lm"), "--gen-subset", "valid", "--cpu")
    assert run("gradient-activation", zoo.data("text"), *model, "--output", output) == 0
    ranking = Ranking.load(output)
    assert [layer.name for layer in ranking.space.layers] == [
        "decoder.layers.0",
        "decoder.layers.1",
    ]
    assert 0 < ranking.details["loss_per_symbol"] < np.log(600)


def test_command_errors(tiny, tmp_path, capsys):
    output = ("--output", tmp_path / "r.json")
    split = ("--gen-subset", "valid")
    assert "give a corpus" in fails(capsys, *command(tiny, *output))
    text = ("--input", tiny.corpus / "valid.en")
    assert "--target-input" in fails(capsys, *command(tiny, *text, *output))
    assert "leave out --fp16" in fails(capsys, *command(tiny, *split, "--fp16", *output))
    assert "no layer" in fails(capsys, *command(tiny, *split, "--layers", "x.*", *output))
    assert "not found" in fails(capsys, *command(tiny, "--gen-subset", "none", *output))
    assert "does nothing" in fails(capsys, *command(tiny, *split, "--batch-size", "3", *output))
    assert not (tmp_path / "r.json").exists()
