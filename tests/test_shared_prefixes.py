"""Sentences scored by their distinct beginnings, against a naive loop and fairseq's own scorer."""

from __future__ import annotations

import re
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import torch
from reference_lstm_decoder import Held, run_decoder
from tiny_models import run
from toy import dictionary, lstm_lm

from fairseq_neuron_plugin import ablate
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation import lean_lstm, shared_prefixes
from fairseq_neuron_plugin.evaluation.evaluator import Intervention
from fairseq_neuron_plugin.evaluation.language_model import LanguageModelEvaluator
from fairseq_neuron_plugin.evaluation.prefix_tree import grow_trees
from fairseq_neuron_plugin.evaluation.shared_prefixes import SharedPrefixes
from fairseq_neuron_plugin.loading import open_session
from fairseq_neuron_plugin.models.neuron_lstm_lm import NeuronLSTMLanguageModel

EOS = dictionary().eos()
FIT = ("--tokens-per-sample", "64")
SCOPES = ("recurrent", "full", "output")


def sentences(number: int = 60, symbols: int = 4, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """What a model reads and what follows: few words, so that many begin alike.

    An empty line, one word, a sentence twice and one that begins another are among them.
    """
    rng = np.random.default_rng(seed)
    lines = [rng.integers(EOS + 2, EOS + 2 + symbols, rng.integers(0, 9)) for _ in range(number)]
    lines += [lines[0], np.array([], dtype=np.int64), lines[1][:1], lines[2][:-1], lines[2]]
    return [(np.r_[EOS, line], np.r_[line, EOS]) for line in lines]


def naive(model, given, held) -> np.ndarray:
    """Log-probabilities, sentence by sentence and step by step."""
    found = []
    with torch.no_grad():
        for read, asked in given:
            logits = run_decoder(model.decoder, torch.from_numpy(read), held).logits
            found.append(logits.log_softmax(1)[range(len(asked)), asked])
    return torch.cat(found).double().numpy()


def batched(model, given) -> np.ndarray:
    """As fairseq computes it: one sentence a batch, the whole vocabulary."""
    with torch.no_grad():
        outputs = [model(torch.from_numpy(read)[None])[0][0] for read, _ in given]
    found = [
        logits.log_softmax(1)[range(len(asked)), asked]
        for logits, (_, asked) in zip(outputs, given, strict=True)
    ]
    return torch.cat(found).double().numpy()


@pytest.mark.parametrize("most_prefixes", [2**15, 40, 1])
def test_trees_hold_every_prefix_once(most_prefixes: int) -> None:
    given = sentences()
    trees = grow_trees(given, most_prefixes)
    assert sorted(n for tree in trees for n in tree.sequences) == list(range(len(given)))
    for tree in trees:
        prefixes: list[tuple[int, ...]] = []
        for depth, first in enumerate(tree.bounds[:-1]):
            for place in range(first, tree.bounds[depth + 1]):
                above = () if depth == 0 else prefixes[tree.bounds[depth - 1] + tree.parents[place]]
                prefixes.append((*above, tree.symbols[place]))
                assert len(prefixes[-1]) == depth + 1
        assert len(set(prefixes)) == len(prefixes) == len(tree.symbols)
        assert tree.bounds[1] == 1  # all begin with the end of a sentence
        pairs = [
            (tuple(given[n][0][: end + 1]), given[n][1][end])
            for n in tree.sequences
            for end in range(len(given[n][0]))
        ]
        assert [(prefixes[tree.asked[n]], tree.answers[n]) for n in tree.pairs] == pairs
        assert len(tree.asked) == len(set(pairs))
        assert tree.widest == np.diff(tree.bounds).max()
        distinct = {given[n][0].tobytes() for n in tree.sequences}
        assert len(tree.symbols) <= most_prefixes or len(distinct) == 1
    if most_prefixes == 2**15:
        assert len(trees) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fused": True},
        {"decoder_layers": 1},
        {"decoder_layers": 3, "residuals": True},
        {"decoder_out_embed_dim": 9},  # as many as units: no layer between
        {"decoder_out_embed_dim": 6, "share_decoder_input_output_embed": True},
    ],
    ids=lambda changes: ",".join(map(str, changes)) or "plain",
)
@pytest.mark.parametrize("scope", SCOPES)
def test_equals_a_naive_loop(changes, scope: str) -> None:
    changes = dict(changes)
    fused = changes.pop("fused", False)
    model = lstm_lm(**changes)
    if fused:
        NeuronLSTMLanguageModel(model.decoder)
    given = sentences(18)
    assert SharedPrefixes.fits(model)
    shared = SharedPrefixes(model, given)
    before = [parameter.clone() for parameter in model.parameters()]
    layers = [f"decoder.layers.{n}" for n in range(len(model.decoder.layers))]
    rng = np.random.default_rng(3)
    means = {name: torch.from_numpy(rng.normal(size=4)) for name in layers}
    units = {name: rng.permutation(9)[:4].tolist() for name in layers}
    everything = {name: list(range(9)) for name in layers}
    for neurons, value in (
        ({}, 0.0),
        (units, 0.0),
        (units, means),
        ({layers[-1]: [8, 0]}, 0.7),
        ({layers[0]: [3]}, -0.7),
        (everything, 0.3),
    ):
        held = {
            name: Held(ids, value[name].float() if isinstance(value, dict) else value, scope)
            for name, ids in neurons.items()
        }
        done: list[int] = []
        with ablate(model, neurons, value, scope) as ablation:
            found = shared.score(done.append)
            ablation.check_fired()
        assert np.abs(found - naive(model, given, held)).max() < 1e-5
        assert sum(done) == len(found)
    assert np.abs(shared.score() - naive(model, given, {})).max() < 1e-5
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("shared_embeddings", [False, True])
def test_clamped_embeddings_and_nested_clamps(shared_embeddings: bool) -> None:
    changes = {"share_decoder_input_output_embed": True} if shared_embeddings else {}
    model = lstm_lm(decoder_out_embed_dim=6, **changes)
    given = sentences()
    shared = SharedPrefixes(model, given)
    neurons = {"decoder.embed_tokens": [0, 5], "decoder.layers.1": [1, 2]}
    inner = {"decoder.layers.1": [2, 3], "decoder.layers.0": [7]}
    for scope in SCOPES:
        with ablate(model, neurons, 0.4) as outer, ablate(model, inner, -0.9, scope):
            found, expected = shared.score(), batched(model, given)
            outer.check_fired()
        assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found - shared.score()).max() > 0.1


def test_several_trees_and_positions_that_are_not_scored(monkeypatch) -> None:
    model, given = lstm_lm(), sentences()
    whole = SharedPrefixes(model, given).score()
    monkeypatch.setattr(lean_lstm, "_ROWS", 7)
    assert np.abs(SharedPrefixes(model, given).score() - whole).max() < 1e-6
    monkeypatch.undo()
    monkeypatch.setattr(shared_prefixes, "grow_trees", partial(grow_trees, most_prefixes=40))
    few = SharedPrefixes(model, given, skipped=1)
    assert len(few.trees) > 3
    done: list[int] = []
    found = few.score(done.append)
    firsts = np.cumsum([0, *(len(read) for read, _ in given[:-1])])
    assert np.abs(found - np.delete(whole, firsts)).max() < 1e-6
    assert sum(done) == len(found)
    assert len(done) == len(few.trees)


def test_each_beginning_is_computed_once() -> None:
    """The output layer is multiplied with as many rows as there are distinct prefixes."""
    given = sentences()
    shared = SharedPrefixes(lstm_lm(), given)
    distinct = {tuple(read[: n + 1]) for read, _ in given for n in range(len(read))}
    assert sum(len(tree.symbols) for tree in shared.trees) == len(distinct)
    assert len(distinct) < sum(len(read) for read, _ in given) / 2


class _OwnForward(NeuronLSTMLanguageModel):
    def forward(self, src_tokens, **kwargs):
        return self.decoder(src_tokens.flip(1), **kwargs)


def test_what_interferes_is_noticed() -> None:
    model = lstm_lm()
    assert SharedPrefixes.fits(model)
    assert not SharedPrefixes.fits(_OwnForward(lstm_lm().decoder))
    assert not SharedPrefixes.fits(lstm_lm().half())
    assert not SharedPrefixes.fits(lstm_lm().train())
    assert not SharedPrefixes.fits(torch.nn.Linear(2, 2))
    handle = model.decoder.layers[0].register_forward_hook(lambda *_: None)
    assert not SharedPrefixes.fits(model)
    handle.remove()
    with ablate(model, {"decoder.layers.0": [1]}):
        assert not SharedPrefixes.fits(model)
    with ablate(model, {"decoder.embed_tokens": [1]}):
        assert not SharedPrefixes.fits(model)
    assert SharedPrefixes.fits(model)


@pytest.fixture(scope="module")
def odd_text(zoo, tmp_path_factory):
    """A binarised split with sentences twice, sentences that begin others, and an empty line."""
    folder = tmp_path_factory.mktemp("odd")
    lines = (zoo.tiny.corpus / "test.en").read_text().splitlines()[:25]
    words = [line.split() for line in lines]
    lines += ["", lines[3], lines[4], *(" ".join(line[:-2]) for line in words[5:9]), words[0][0]]
    (folder / "text").write_text("\n".join(lines) + "\n")
    run(
        *("fairseq-preprocess", "--only-source", "--srcdict", zoo.data("text") / "dict.txt"),
        *("--testpref", folder / "text", "--destdir", folder / "data"),
    )
    return folder / "data"


def evaluator(zoo, data, model: str, *flags: str, resamples: int = 0) -> LanguageModelEvaluator:
    given = [str(data), "--path", str(zoo.checkpoint(model)), "--cpu", *flags]
    session = open_session(given, "language_modeling", language_model=True)
    return LanguageModelEvaluator(session, "test", resamples)


EVERY = tuple(range(0, 48, 3))
INTERVENTIONS = [
    Intervention({}, 0.0, "recurrent"),
    *(Intervention({"decoder.layers.0": EVERY}, 0.5, scope) for scope in SCOPES),
    Intervention({"decoder.layers.0": [1], "decoder.layers.1": EVERY}, 0.0, "recurrent"),
]


@pytest.mark.parametrize("model", ["lstm_lm", "neuron_lstm_lm"])
@pytest.mark.parametrize("flags", [(), ("--add-bos-token",)], ids=["", "bos"])
def test_evaluation_equals_the_general_path(zoo, odd_text, model: str, flags) -> None:
    fast = evaluator(zoo, odd_text, model, "--sample-break-mode", "eos", *FIT, *flags)
    with patch.object(LanguageModelEvaluator, "_share", lambda self: None):
        general = evaluator(zoo, odd_text, model, "--sample-break-mode", "eos", *FIT, *flags)
    for intervention in INTERVENTIONS:
        done: list[int] = []
        with patch.object(
            SharedPrefixes, "score", autospec=True, side_effect=SharedPrefixes.score
        ) as score:
            found = fast.evaluate(intervention, done.append).numbers
            assert score.call_count == 1
            expected = general.evaluate(intervention, lambda tokens: None).numbers
            assert score.call_count == 1
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        assert found["tokens"] == expected["tokens"] == sum(done) == len(fast)
        assert found["sentences"] == expected["sentences"] == 33


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("transformer_lm", ("--sample-break-mode", "eos")),
        ("lstm_lm", ("--sample-break-mode", "none")),
        ("lstm_lm", ("--sample-break-mode", "complete")),
        ("lstm_lm", ("--sample-break-mode", "eos", "--context-window", "10")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_all_else_takes_the_general_path(zoo, odd_text, model: str, flags) -> None:
    general = evaluator(zoo, odd_text, model, *flags, *FIT)
    with patch.object(SharedPrefixes, "score", side_effect=AssertionError):
        found = general.evaluate(INTERVENTIONS[0], lambda tokens: None).numbers
    assert found["tokens"] == len(general)
    blocks = [general._dataset[n]["target"] for n in range(len(general._dataset))]
    assert np.array_equal(general._blocks.tokens, np.concatenate(blocks))


def test_a_hook_from_outside_is_obeyed(zoo, odd_text) -> None:
    made = evaluator(zoo, odd_text, "lstm_lm", "--sample-break-mode", "eos", *FIT)
    plain = made.evaluate(INTERVENTIONS[0], lambda tokens: None).numbers["loss"]
    with ablate(made.session.models[0], {"decoder.layers.1": list(EVERY)}, 0.5):
        inside = made.evaluate(INTERVENTIONS[0], lambda tokens: None).numbers["loss"]
    clamped = Intervention({"decoder.layers.1": EVERY}, 0.5, "recurrent")
    assert inside == pytest.approx(made.evaluate(clamped, lambda tokens: None).numbers["loss"])
    assert abs(inside - plain) > 0.01


def test_scores_that_are_not_finite_are_refused(zoo, odd_text) -> None:
    made = evaluator(zoo, odd_text, "lstm_lm", "--sample-break-mode", "eos", *FIT)
    everything = {f"decoder.layers.{n}": list(range(48)) for n in (0, 1)}
    with pytest.raises(UserError, match="tokens have no finite score, the first of them is"):
        made.evaluate(Intervention(everything, 3e38, "recurrent"), lambda tokens: None)
    with pytest.raises(UserError, match="its perplexity is no finite number"):
        made.evaluate(Intervention(everything, 1e30, "recurrent"), lambda tokens: None)
    with pytest.raises(UserError, match=re.escape("--bootstrap must be 0 or more, not -1")):
        evaluator(zoo, odd_text, "lstm_lm", *FIT, resamples=-1)


@pytest.mark.parametrize("mode", ["eos", "none"])
def test_bands_are_of_resampled_blocks(zoo, odd_text, mode: str) -> None:
    flags = ("--sample-break-mode", mode, "--tokens-per-sample", "21")
    made = evaluator(zoo, odd_text, "lstm_lm", *flags, resamples=200)
    assert made.settings()["bootstrap"] == 200
    found = made.evaluate(INTERVENTIONS[0], lambda tokens: None)
    assert tuple(found.numbers) == made.columns
    blocks = [made._dataset[n] for n in range(len(made._dataset))]
    given = [(block["source"].numpy(), block["target"].numpy()) for block in blocks]
    scores = iter(batched(made.session.models[0], given))
    bits = [-sum(next(scores) for _ in asked) / np.log(2) for _, asked in given]
    lengths = np.array([len(asked) for _, asked in given])
    drawn = np.random.default_rng(12345).choice(len(given), (200, len(given)), replace=True)
    losses = np.array(bits)[drawn].sum(1) / lengths[drawn].sum(1)
    assert np.abs(found.resampled["loss"] - losses).max() < 1e-5
    assert np.abs(found.resampled["perplexity"] - 2**losses).max() < 1e-3
    for metric in made.metrics:
        ordered = np.sort(found.resampled[metric])
        assert found.numbers[f"{metric}_low"] == ordered[5]
        assert found.numbers[f"{metric}_high"] == ordered[194]
    plain = evaluator(zoo, odd_text, "lstm_lm", *flags)
    assert plain.columns == ("loss", "perplexity", "tokens", "sentences")
    assert plain.metrics == ()
    assert plain.settings()["bootstrap"] == 0
    again = plain.evaluate(INTERVENTIONS[0], lambda tokens: None)
    assert again.numbers["loss"] == found.numbers["loss"]
    assert not again.resampled
