"""fairseq-generate with --ablate, and the sweep, against stock fairseq and sacrebleu's command."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys

import numpy as np
import pytest
from tiny_models import USER_DIR, WIDTH, TinyModels, call, run
from tiny_zoo import Zoo

from fairseq_neuron_plugin.cli.generate import looks_tokenised
from fairseq_neuron_plugin.evaluation.decoding import Translator
from fairseq_neuron_plugin.evaluation.scoring import Scorer
from fairseq_neuron_plugin.evaluation.translation import TranslationEvaluator
from fairseq_neuron_plugin.generation import CompactGenerator
from fairseq_neuron_plugin.loading import open_session
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

SPACE = NeuronSpace((Layer("encoder.layers.0", WIDTH), Layer("encoder.layers.1", WIDTH)))
FLAGS = ("--cpu", "--required-batch-size-multiple", "1", "--max-len-a", "2", "--max-len-b", "5")


def generate(tiny: TinyModels, *flags, path=None, beam: int = 3) -> str:
    result = call(
        *("fairseq-generate", tiny.data, "--path", path or tiny.stock, "--user-dir", USER_DIR),
        *("--beam", str(beam), *FLAGS, *flags),
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def hypotheses(output: str, kind: str = "H") -> list[str]:
    found = re.findall(rf"^{kind}-(\d+)\t[^\t]*\t(.*)$", output, flags=re.M)
    return [text for _, text in sorted(found, key=lambda pair: int(pair[0]))]


@pytest.fixture(scope="module")
def rankings(tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp("rankings")
    paths = []
    for name, seed in (("one", 0), ("two", 1)):
        order = np.random.default_rng(seed).permutation(96)
        scores = np.arange(96.0)[::-1]
        Ranking("random", order, scores, space=SPACE).save(folder / f"{name}.json")
        paths.append(folder / f"{name}.json")
    return tuple(paths)


@pytest.fixture(scope="module")
def stock_output(tiny: TinyModels) -> str:
    return generate(tiny, "--task", "translation")


def test_neuron_lstm_gives_the_hypotheses_of_stock_lstm(tiny, stock_output) -> None:
    overrides = ("--model-overrides", "{'_name': 'neuron_lstm'}")
    plugin = generate(tiny, "--task", "neuron_translation", *overrides)
    assert len(hypotheses(stock_output)) == 101
    assert len(set(hypotheses(stock_output))) > 30
    assert hypotheses(plugin) == hypotheses(stock_output)
    assert hypotheses(plugin, "P") == hypotheses(stock_output, "P")


def test_ablating_nothing_changes_nothing(tiny, stock_output) -> None:
    plugin = generate(tiny, "--task", "neuron_translation", "--ablate", "")
    assert hypotheses(plugin) == hypotheses(stock_output)


@pytest.mark.parametrize("model", ["stock", "neuron"])
def test_all_neurons_in_scope_full_give_one_hypothesis(tiny, model: str) -> None:
    flags = ("--task", "neuron_translation", "--ablate", "0-95", "--ablate-scope", "full")
    result = generate(
        tiny, *flags, "--max-len-a", "0", "--max-len-b", "30", path=getattr(tiny, model)
    )
    assert len(hypotheses(result)) == 101
    assert len(set(hypotheses(result))) == 1


def test_recurrent_scope_leaves_the_cell_state(tiny) -> None:
    flags = ("--task", "neuron_translation", "--ablate", "0-95", "--ablate-scope", "recurrent")
    assert len(set(hypotheses(generate(tiny, *flags)))) > 1


def test_sweep_equals_single_runs_and_sacrebleu(tiny, rankings, stock_output, tmp_path) -> None:
    reference = tiny.corpus / "test.de"
    sweep = tmp_path / "sweep"
    command = (
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--beam", "3", *FLAGS),
        *("--ranking", *rankings, "--ablate", "0,6,25%,96", "--order", "top,bottom"),
        *("--reference", reference, "--output-dir", sweep),
    )
    printed = run(*command).stdout
    rows = list(csv.DictReader((sweep / "sweep.csv").open()))
    assert [int(row["ablated"]) for row in rows] == [0, 6, 24, 96] * 4
    assert all(row["sentences"] == "101" for row in rows)
    assert (sweep / "sweep.png").stat().st_size > 5000
    assert "sweep.png" in printed

    def lines(name: str) -> list[str]:
        return (sweep / "hypotheses" / f"{name}.txt").read_text().split("\n")[:-1]

    assert lines("one.top.00000") == hypotheses(stock_output, "D")
    for order in ("top", "bottom"):
        spec = f"{rankings[1]}:{order}:25%"
        single = generate(tiny, "--task", "neuron_translation", "--ablate", spec)
        assert lines(f"two.{order}.00024") == hypotheses(single, "D")
    assert lines("one.top.00024") != lines("one.bottom.00024")

    for name in ("one.top.00000", "two.bottom.00006"):
        path = sweep / "hypotheses" / f"{name}.txt"
        judged = json.loads(
            run(
                *("sacrebleu", reference, "-i", path, "-m", "bleu", "chrf", "ter", "-w", "10"),
                "--confidence",
            ).stdout
        )
        row = next(
            r for r in rows if f"{r['ranking']}.{r['order']}.{int(r['ablated']):05d}" == name
        )
        for metric, score in zip(("bleu", "chrf", "ter"), judged, strict=True):
            assert float(row[metric]) == pytest.approx(score["score"], abs=1e-8)
            half = (float(row[f"{metric}_high"]) - float(row[f"{metric}_low"])) / 2
            assert half == pytest.approx(score["confidence_var"], abs=1e-5)
        assert float(row["length_ratio"]) == pytest.approx(length_ratio(judged[0]), abs=6e-4)
    result = json.loads((sweep / "sweep.json").read_text())
    for metric, score in zip(("bleu", "chrf", "ter"), judged, strict=True):
        assert score["signature"] == result[metric]
        assert score["signature"].replace("|", "_") in result["signature"]
    continue_after_a_kill(command, sweep, tmp_path)


def length_ratio(judged: dict) -> float:
    """As sacrebleu prints it beside BLEU."""
    return float(re.search(r"ratio = ([\d.]+)", judged["verbose_score"])[1])


def continue_after_a_kill(command, sweep, tmp_path) -> None:
    """What a run killed between two points leaves behind is continued to the same result."""
    whole = {p.name: p.read_bytes() for p in (sweep / "hypotheses").iterdir()}
    table = json.loads((sweep / "sweep.json").read_text())
    rows = table["rows"][:5]
    for name in ("sweep.json", "sweep.csv", "sweep.png"):
        (sweep / name).unlink()
    for row in table["rows"][5:]:
        (sweep / "hypotheses" / f"{row['name']}.txt").unlink()
        (sweep / "bootstrap" / f"{row['name']}.npy").unlink()
    partial = {"format": table["format"], "settings": table["settings"], "rows": rows}
    (sweep / "partial.json").write_text(json.dumps(partial))
    assert call(*command).returncode == 0
    assert {p.name: p.read_bytes() for p in (sweep / "hypotheses").iterdir()} == whole
    again = json.loads((sweep / "sweep.json").read_text())
    for row in [*table["rows"], *again["rows"]]:
        row.pop("seconds")
    assert again == table

    changed = [part if part != "3" else "4" for part in command]
    refused = call(*changed)
    assert refused.returncode == 2
    assert "holds another run: its beam is 3, this one's is 4" in refused.stderr
    shutil.rmtree(sweep)


def test_reference_of_another_length(tiny, rankings, tmp_path) -> None:
    (tmp_path / "short.de").write_text("ein Satz\n")
    refused = call(
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--ranking", rankings[0]),
        *("--ablate", "0", "--reference", tmp_path / "short.de", "--output-dir", tmp_path / "s"),
    )
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("short.de has 1 lines, the split 101 sentences")
    assert not (tmp_path / "s").exists()


def test_validate_and_interactive_ablate(tiny) -> None:
    """fairseq-validate builds its task from the checkpoint, fairseq-interactive from its flags."""
    flags = ("--path", tiny.stock, "--user-dir", USER_DIR, "--cpu", "--task", "neuron_translation")
    all_neurons = ("--ablate", "0-95", "--ablate-scope", "full")
    losses = []
    for ablation in ((), all_neurons):
        command = ("fairseq-validate", tiny.data, *flags, "--valid-subset", "test", *ablation)
        result = run(*command, "--batch-size", "8", "--no-progress-bar")
        losses.append(float(re.findall(r"\bloss ([\d.]+)", result.stdout + result.stderr)[-1]))
    assert losses[1] > losses[0] + 0.5
    wrong = ("--ablate", "encoder.layers.9:1", "--batch-size", "8")
    refused = run(*command, *wrong, check=False)
    assert refused.returncode == 2
    assert "unknown layer 'encoder.layers.9'" in refused.stderr.splitlines()[-1]

    lines = "\n".join((tiny.corpus / "test.en").read_text().splitlines()[:5]) + "\n"
    output = run(
        *("fairseq-interactive", tiny.data, *flags, *all_neurons, "--buffer-size", "5"), text=lines
    ).stdout
    assert len(hypotheses(output)) == 5
    assert len(set(hypotheses(output))) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--batch-size", "101", "--required-batch-size-multiple", "8"), "96 of 101 sentences"),
        (("--prefix-size", "2"), "--prefix-size does nothing here"),
        (("--score-reference",), "--score-reference does nothing here"),
        (("--beam", "0"), "--beam must be at least 1"),
        (("--max-tokens", "5"), "too long for model or batch"),
        (("--ablate-value", "nan"), "finite values only"),
        (("--tokenizer", "nonsense"), "--tokenizer"),
        (("--bpe", "subword_nmt", "--bpe-codes", "nowhere"), "--bpe subword_nmt cannot be used"),
        (("--user-dir", "nowhere"), "not found"),
        (("--num-shards", "2"), "--num-shards does nothing here"),
        (("--shard-id", "1"), "--shard-id does nothing here"),
        (("--distributed-world-size", "99"), "--distributed-world-size does nothing here"),
        (("--distributed-rank", "1"), "--distributed-rank does nothing here"),
        (
            ("--skip-invalid-size-inputs-valid-test",),
            "--skip-invalid-size-inputs-valid-test does nothing here",
        ),
        (("--beam", "3", "--nbest", "2"), "--nbest does nothing here"),
        (("--print-alignment",), "--print-alignment does nothing here"),
        (("--results-path", "nowhere"), "--results-path does nothing here"),
        (("--scoring", "chrf"), "--scoring does nothing here"),
        (("--retain-dropout",), "--retain-dropout does nothing here"),
        (("--min-len", "30", "--max-len-b", "5"), "--min-len is larger than the longest"),
        (("--ablate-value", "1e39"), "finite values only"),
        (("--gen-subset", "tset"), "split tset of the data folder"),
        (("--output-dir", "x" * 300), "cannot open"),
    ],
)
def test_flags_that_a_sweep_refuses(tiny, rankings, tmp_path, flags, message) -> None:
    refused = call(
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--ranking", rankings[0]),
        *("--ablate", "5", "--output-dir", tmp_path / "s", *flags),
    )
    assert refused.returncode == 2
    assert message in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "s" / "hypotheses").exists()


def test_moses_finds_the_languages_in_the_data_folder(tiny, rankings, tmp_path) -> None:
    command = ("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--tokenizer", "moses")
    result = call(
        *(*command, "--ranking", rankings[0], "--ablate", "0", "--order", "top", "--cpu"),
        *("--output-dir", tmp_path / "s"),
    )
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "s" / "hypotheses" / "one.top.00000.txt").read_text()
    assert "." in text
    assert " ." not in text


def test_same_ids_over_other_layers_are_another_run(tiny, rankings, tmp_path) -> None:
    order, scores = np.arange(WIDTH), np.zeros(WIDTH)
    for layer in (0, 1):
        space = NeuronSpace((Layer(f"encoder.layers.{layer}", WIDTH),))
        Ranking("random", order, scores, space=space).save(tmp_path / "r.json")
        result = call(
            *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--cpu", "--ablate", "5"),
            *("--order", "top", "--ranking", tmp_path / "r.json", "--output-dir", tmp_path / "s"),
        )
    assert result.returncode == 2
    assert "holds another run: its neurons" in result.stderr


def test_moses_is_not_installed(tiny, rankings, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    refused = call(
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--ranking", rankings[0]),
        *("--ablate", "0", "--tokenizer", "moses", "--output-dir", tmp_path / "s"),
    )
    assert refused.returncode == 2
    assert "--tokenizer moses cannot be used: " in refused.stderr.splitlines()[-1]


def evaluator(data, path, *flags: str) -> TranslationEvaluator:
    session = open_session([str(data), "--path", str(path), *FLAGS, *flags])
    translator = Translator(session, "test")
    return TranslationEvaluator(translator, Scorer(translator.references(), "data"))


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        (("--batch-size", "7"), {"batch": "sentences7"}),
        (("--batch-size", "7", "--max-tokens", "300"), {"batch": "sentences7,tokens300"}),
        (("--task", "neuron_translation"), {}),
        (("--left-pad-source",), {"left_pad_source": False}),
    ],
)
def test_settings(tiny, flags, changed) -> None:
    plain = evaluator(tiny.data, tiny.stock)
    assert isinstance(plain.translator.generator, CompactGenerator)
    usual = {"task": "translation", "source_lang": "en", "target_lang": "de", "device": "cpu"}
    assert plain.settings().items() >= {**usual, "batch": "tokens12000"}.items()
    other = evaluator(tiny.data, tiny.stock, *flags)
    assert other.settings() == {**plain.settings(), **changed}


def test_settings_know_the_language_tokens(zoo: Zoo) -> None:
    given = (zoo.data("joined"), zoo.checkpoint("multi_simple_epoch"), "-s", "en", "-t", "de")
    given = (*given, "--task", "translation_multi_simple_epoch", "--lang-pairs", "en-de,de-en")
    given = (*given, "--encoder-langtok", "src", "--decoder-langtok")
    both, one = evaluator(*given), evaluator(*given[:-1])
    assert both.data_hash() == one.data_hash()  # the decoder's first symbol is no part of it
    found = both.settings()
    assert found.pop("decoder_langtok") is True
    assert {**one.settings(), "langtoks": found["langtoks"]} == found


MULTILINGUAL = {
    "multi_simple_epoch": ("--encoder-langtok", "src", "--decoder-langtok"),
    "multilingual": ("--encoder-langtok", "tgt"),
}


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("multi_simple_epoch", ()),
        ("multi_simple_epoch", ("--lang-tok-replacing-bos-eos",)),
        ("multilingual", ()),
    ],
)
def test_multilingual_equals_stock_generate(zoo: Zoo, tmp_path, model: str, flags) -> None:
    """The sweep takes task and language tokens from the checkpoint; stock fairseq is told them."""
    space = NeuronSpace((Layer("encoder.layers.0", 32),))
    Ranking("random", np.arange(32), np.zeros(32), space=space).save(tmp_path / "r.json")
    given = (zoo.data("joined"), "--path", zoo.checkpoint(model), "-s", "en", "-t", "de")
    given = (*given, "--beam", "3", *FLAGS, *flags)
    result = call(
        *("fairseq-neuron-generate", *given, "--ranking", tmp_path / "r.json", "--ablate", "0"),
        *("--order", "top", "--output-dir", tmp_path / "s"),
    )
    assert result.returncode == 0, result.stderr
    task = "multilingual_translation"
    if model == "multi_simple_epoch":
        task = "translation_multi_simple_epoch"
    stock = call(
        *("fairseq-generate", *given, "--task", task, "--lang-pairs", "en-de,de-en"),
        *MULTILINGUAL[model],
    )
    assert stock.returncode == 0, stock.stderr
    found = (tmp_path / "s" / "hypotheses" / "r.top.00000.txt").read_text().split("\n")[:-1]
    assert found == hypotheses(stock.stdout, "D")
    assert len(set(found)) > 10
    references = re.findall(r"^T-(\d+)\t(.*)$", stock.stdout, flags=re.M)
    expected = [text for _, text in sorted(references, key=lambda pair: int(pair[0]))]
    assert (tmp_path / "s" / "reference.txt").read_text().split("\n")[:-1] == expected


def test_a_language_model_does_not_translate(zoo: Zoo, rankings, tmp_path) -> None:
    refused = call(
        *("fairseq-neuron-generate", zoo.data("text"), "--path", zoo.checkpoint("lstm_lm")),
        *("--ranking", rankings[0], "--ablate", "0", "--output-dir", tmp_path / "s"),
    )
    assert refused.returncode == 2
    assert "a language model does not translate" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("data", "raw", "found"),
    [
        (["Ich weiß .", "Ja ."], ["Ich weiß.", "Ja."], True),
        (["Ich weiß .", "Ja ."], ["Ich weiß .", "Ja ."], False),
        (["Ich weiß.", "Ja."], ["Ich weiß.", "Ja."], False),
        (["ich weiß", "ja"], ["Ich weiß.", "Ja."], False),
    ],
)
def test_tokenised_data_beside_a_raw_reference(data, raw, found) -> None:
    assert looks_tokenised(data, raw) is found
