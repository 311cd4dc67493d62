"""fairseq-neuron-eval-lm and fairseq-eval-lm with --ablate, against stock fairseq-eval-lm."""

from __future__ import annotations

import csv
import json
import math
import shutil

import numpy as np
import pytest
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq_cli import eval_lm as stock_command
from tiny_models import USER_DIR, call, run
from tiny_zoo import Zoo

from fairseq_neuron_plugin import Activations
from fairseq_neuron_plugin.activations import StoreWriter
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

PROG = "fairseq-neuron-eval-lm"
WIDTHS = {"lstm_lm": 48, "neuron_lstm_lm": 48, "transformer_lm": 32}
STOCK_CLASS = ("--model-overrides", "{'_name': 'lstm_lm'}")
FIT = ("--tokens-per-sample", "64")


def space(model: str) -> NeuronSpace:
    return NeuronSpace(tuple(Layer(f"decoder.layers.{n}", WIDTHS[model]) for n in (0, 1)))


@pytest.fixture(scope="module")
def rankings(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rankings")
    for model, width in WIDTHS.items():
        order = np.random.default_rng(width).permutation(2 * width)
        scores = np.arange(2.0 * width)[::-1]
        Ranking("random", order, scores, space=space(model)).save(folder / f"{model}.json")
    return {model: str(folder / f"{model}.json") for model in WIDTHS}


def stock(zoo: Zoo, model: str, *flags: str) -> dict[str, float]:
    """Loss and perplexity of fairseq's own command, stock in all but what the flags say."""
    parser = options.get_eval_lm_parser()
    given = [str(zoo.data("text")), "--path", str(zoo.checkpoint(model)), "--cpu", *flags]
    given += ["--num-workers", "0", "--user-dir", USER_DIR]
    args = options.parse_args_and_arch(parser, given)
    found = stock_command.main(convert_namespace_to_omegaconf(args))
    return {name: float(value) for name, value in found.items()}


def sweep(zoo: Zoo, model: str, ranking: str, folder, *flags):
    return call(
        *(PROG, zoo.data("text"), "--path", zoo.checkpoint(model), "--ranking", ranking),
        *("--output-dir", folder, "--cpu", *flags),
    )


def table(folder) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sweep.csv").open()))


BREAK_MODES = [(*FIT, "--sample-break-mode", mode) for mode in ("none", "complete", "eos")]
FURTHER = [
    (*FIT, "--sample-break-mode", "eos", "--add-bos-token", "--batch-size", "7"),
    (*FIT, "--context-window", "20", "--batch-size", "1"),
    (*FIT, "--context-window", "20", "--max-tokens", "200"),
    (*FIT, "--softmax-batch", "100", "--max-tokens", "500"),
    ("--tokens-per-sample", "17"),
]
CASES = [(model, flags) for model in WIDTHS for flags in BREAK_MODES]
CASES += [("lstm_lm", flags) for flags in FURTHER]


@pytest.mark.parametrize(("model", "flags"), CASES)
def test_equals_stock_eval_lm(zoo, rankings, tmp_path, model: str, flags) -> None:
    overrides = STOCK_CLASS if model == "neuron_lstm_lm" else ()
    expected = stock(zoo, model, *flags, *overrides)
    result = sweep(
        zoo, model, rankings[model], tmp_path / "s", "--ablate", "0", "--order", "top", *flags
    )
    assert result.returncode == 0, result.stderr
    row = table(tmp_path / "s")[0]
    text = (zoo.tiny.corpus / "test.en").read_text()
    assert int(row["tokens"]) == len(text.split()) + 101  # each sentence has an end
    assert int(row["sentences"]) == 101
    assert float(row["loss"]) == pytest.approx(expected["loss"], abs=1e-5)
    assert f"{float(row['perplexity']):.2f}" == f"{expected['perplexity']:.2f}"
    assert float(row["perplexity"]) == pytest.approx(2 ** float(row["loss"]), rel=1e-9)
    # Stock fairseq's command with the plugin's task, which scores the targets alone.
    plugin = stock(zoo, model, *flags, "--task", "neuron_language_modeling")
    assert plugin["loss"] == pytest.approx(expected["loss"], abs=1e-5)


@pytest.mark.parametrize("model", list(WIDTHS))
def test_points_equal_single_runs(zoo, rankings, tmp_path, model: str) -> None:
    flags = (*FIT, "--sample-break-mode", "eos")
    amounts = ("--ablate", "0,10%,100%")
    result = sweep(zoo, model, rankings[model], tmp_path / "s", *amounts, *flags)
    assert result.returncode == 0, result.stderr
    rows = table(tmp_path / "s")
    total = 2 * WIDTHS[model]
    counts = [0, round(total / 10), total]
    assert [int(row["ablated"]) for row in rows] == counts * 2
    for order, row in (("top", rows[1]), ("bottom", rows[4])):
        spec = f"{rankings[model]}:{order}:10%"
        task = ("--task", "neuron_language_modeling", "--ablate", spec)
        single = stock(zoo, model, *flags, *task)
        assert float(row["loss"]) == pytest.approx(single["loss"], abs=1e-5)
    assert len({row["loss"] for row in rows}) == 4  # none and all do not depend on the order
    assert (tmp_path / "s" / "sweep.png").stat().st_size > 5000


def test_folder_and_continuation(zoo, rankings, tmp_path) -> None:
    folder = tmp_path / "s"
    command = (zoo, "lstm_lm", rankings["lstm_lm"], folder, "--ablate", "0,5,48", *FIT)
    first = sweep(*command)
    assert first.returncode == 0, first.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "bootstrap",
        "sweep.csv",
        "sweep.json",
        "sweep.png",
    ]
    header = (folder / "sweep.csv").read_text().splitlines()[0]
    metrics = [f"{m}{end}" for m in ("loss", "perplexity") for end in ("", "_low", "_high", "_p")]
    others = ("ranking,order,ablated,share", "tokens,sentences,seconds")
    assert header == ",".join((others[0], *metrics, others[1]))
    whole = json.loads((folder / "sweep.json").read_text())
    assert "|sample_break_mode:none|tokens_per_sample:64|" in whole["signature"]
    assert "|task:language_modeling|" in whole["signature"]
    assert "|batch:tokens36000|device:cpu|" in whole["signature"]
    assert f"{whole['rows'][0]['perplexity']:.2f}" in first.stdout

    for name in ("sweep.json", "sweep.csv", "sweep.png"):
        (folder / name).unlink()
    marked = [{**row, "sentences": 7} for row in whole["rows"][:2]]  # not computed again
    partial = {"format": whole["format"], "settings": whole["settings"], "rows": marked}
    (folder / "partial.json").write_text(json.dumps(partial))
    assert sweep(*command).returncode == 0
    again = json.loads((folder / "sweep.json").read_text())
    for row, old in zip(again["rows"], [*marked, *whole["rows"][2:]], strict=True):
        if row["ablated"] == 0:
            old["sentences"] = 7  # the other order's copy of the same point
        assert {**row, "seconds": 0} == {**old, "seconds": 0}
    assert not (folder / "partial.json").exists()

    refused = sweep(*command, "--sample-break-mode", "eos")
    assert refused.returncode == 2
    assert "its sample_break_mode is 'none', this one's is 'eos'" in refused.stderr
    shutil.rmtree(folder)


def test_mean_over_a_store(zoo, rankings, tmp_path) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 96)).astype(np.float32)
    writer = StoreWriter(
        tmp_path / "acts", [["a", "b", "c"], ["d", "e", "f"]], space("lstm_lm"), "float32", {}
    )
    writer.write(0, rows)
    writer.finish()
    assert len(Activations(tmp_path / "acts")) == 6
    mean = ("--ablate-value", "mean", "--ablate-acts", str(tmp_path / "acts"))
    ranking = rankings["lstm_lm"]
    result = sweep(
        *(zoo, "lstm_lm", ranking, tmp_path / "s", "--ablate", "30", "--order", "top"), *FIT, *mean
    )
    assert result.returncode == 0, result.stderr
    task = ("--task", "neuron_language_modeling", "--ablate", f"{ranking}:top:30")
    found = float(table(tmp_path / "s")[0]["loss"])
    assert found == pytest.approx(stock(zoo, "lstm_lm", *FIT, *task, *mean)["loss"], abs=1e-5)
    assert abs(found - stock(zoo, "lstm_lm", *FIT, *task)["loss"]) > 1e-3
    settings = json.loads((tmp_path / "s" / "sweep.json").read_text())["settings"]
    assert settings["value"] == "mean"


def test_words_of_subwords(zoo, rankings, tmp_path) -> None:
    """With --post-process the loss is a word's: here one symbol in each line is a continuation."""
    lines = [f"{line} the@@ the" for line in (zoo.tiny.corpus / "test.en").read_text().splitlines()]
    (tmp_path / "text").write_text("\n".join(lines) + "\n")
    words = (zoo.data("text") / "dict.txt").read_text().splitlines()
    (tmp_path / "dict.txt").write_text("\n".join([*words[:-1], "the@@ 1"]) + "\n")
    run(
        *("fairseq-preprocess", "--only-source", "--srcdict", tmp_path / "dict.txt"),
        *("--testpref", tmp_path / "text", "--destdir", tmp_path / "data"),
    )
    flags = (*FIT, "--sample-break-mode", "eos", "--post-process", "subword_nmt")
    command = (PROG, tmp_path / "data", "--path", zoo.checkpoint("lstm_lm"), "--cpu", *flags)
    command = (*command, "--ranking", rankings["lstm_lm"], "--ablate", "0")
    result = call(*command, "--output-dir", tmp_path / "s")
    assert result.returncode == 0, result.stderr
    row = table(tmp_path / "s")[0]
    assert int(row["tokens"]) == 900 + 101 + 101


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sample-break-mode", "none"), "are longer than the model's 64 positions"),
        (("--max-tokens", "30", *FIT), "--max-tokens 30: the longest block has 64 tokens"),
        (("--gen-subset", "nowhere"), "nowhere"),
        (("--output-word-probs", *FIT), "--output-word-probs does nothing here"),
        (("--num-shards", "2", *FIT), "--num-shards does nothing here"),
        (("--shard-id", "1", *FIT), "--shard-id does nothing here"),
        (("--distributed-world-size", "99", *FIT), "--distributed-world-size does nothing here"),
        (("--results-path", "nowhere", *FIT), "--results-path does nothing here"),
        (("--self-target", *FIT), "--self-target does nothing here"),
        (("--post-process", "sentencepiece", *FIT), "no words with --post-process sentencepiece"),
        (("--ablate-value", "nan", *FIT), "not 'nan'"),
        (("--ablate-value", "mean", *FIT), "needs --ablate-acts"),
        (("--ablate-acts", "acts", *FIT), "--ablate-acts is for --ablate-value mean"),
        (("--ablate-value", "1e38", *FIT), "its perplexity is no finite number"),
        (("--ablate", "96", "--ablate-value", "3e38", *FIT), "have no finite score"),
        (("--beam", "5", *FIT), "unrecognized arguments: --beam 5"),
        (("--order", "middle", *FIT), "unknown order"),
        (("--context-window", "64", *FIT), "--context-window"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refusals(zoo, rankings, tmp_path, flags, message: str) -> None:
    result = sweep(zoo, "lstm_lm", rankings["lstm_lm"], tmp_path / "s", "--ablate", "20", *flags)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "s" / "sweep.csv").exists()


def test_other_models_and_checkpoints(zoo, rankings, tmp_path) -> None:
    other = sweep(zoo, "lstm_lm", rankings["transformer_lm"], tmp_path / "s", "--ablate", "5", *FIT)
    assert other.returncode == 2
    assert "was made for another model" in other.stderr

    translation = call(
        *(PROG, zoo.tiny.data, "--path", zoo.tiny.stock, "--task", "translation", "--cpu"),
        *("--ranking", rankings["lstm_lm"], "--ablate", "5", "--output-dir", tmp_path / "s"),
    )
    assert translation.returncode == 2
    assert "--task translation is no task of language models" in translation.stderr
    both = f"{zoo.checkpoint('lstm_lm')}:{zoo.checkpoint('lstm_lm')}"
    ensemble = call(
        *(PROG, zoo.data("text"), "--path", both, "--ranking", rankings["lstm_lm"], "--cpu"),
        *("--ablate", "5", "--output-dir", tmp_path / "s"),
    )
    assert ensemble.returncode == 2
    assert "one checkpoint, not an ensemble" in ensemble.stderr


def test_perplexity_is_two_to_the_loss_of_a_uniform_model(zoo, rankings, tmp_path) -> None:
    """All neurons of the last layer at 0 leave the output layer's biases alone: a unigram model."""
    last = np.r_[np.arange(48, 96), np.arange(48)]
    Ranking("last", last, np.zeros(96), space=space("lstm_lm")).save(tmp_path / "last.json")
    command = ("--ablate", "48", "--order", "top", *FIT, "--sample-break-mode")
    losses = []
    for mode in ("eos", "none"):
        result = sweep(zoo, "lstm_lm", tmp_path / "last.json", tmp_path / mode, *command, mode)
        assert result.returncode == 0, result.stderr
        losses.append(float(table(tmp_path / mode)[0]["loss"]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)  # no context is left
    assert 0 < losses[0] < math.log2(1000)
