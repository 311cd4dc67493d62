"""Every task with ``--ablate`` in every command of fairseq, against stock on edited weights."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data.indexed_dataset import make_builder
from fairseq.tasks import TASK_REGISTRY
from fairseq.tasks.multilingual_language_modeling import MultilingualLanguageModelingTask
from saved_state import saved_state
from tiny_models import USER_DIR, call, run

from fairseq_neuron_plugin import tap
from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.files import sha256_file
from fairseq_neuron_plugin.loading import load_ensemble, open_session
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.tasks.ablation import AblationMixin
from fairseq_neuron_plugin.tasks.flags import AblationConfig, register_neuron_task
from fairseq_neuron_plugin.tasks.lm_batches import CountedBatches

NEURONS = [0, 5, 6, 7, 20, 23, 30, 47]  # in both directions of the LSTM encoder
FFN_WIDTH = 64
SPEC = "0,5-7,20,23,30,47"


def close_gates(weights: dict, name: str, suffixes: tuple[str, ...], values: torch.Tensor) -> None:
    """Let neurons of an LSTM be 0 for good: their output gates are shut. Values must be 0."""
    assert not values.any()
    width = 48 // len(suffixes)
    for neuron in NEURONS:
        suffix, row = suffixes[neuron // width], 3 * width + neuron % width
        for part in ("weight_ih", "weight_hh", "bias_hh"):
            weights[f"{name}.{part}{suffix}"][row] = 0
        weights[f"{name}.bias_ih{suffix}"][row] = -1e4


def edit_encoder_lstm(weights: dict, values: torch.Tensor) -> None:
    close_gates(weights, "encoder.lstm", ("_l1", "_l1_reverse"), values)


def edit_decoder_lstm(weights: dict, values: torch.Tensor) -> None:
    close_gates(weights, "decoder.layers.1", ("",), values)


def edit_ffn(weights: dict, values: torch.Tensor) -> None:
    """Let FFN neurons of the encoder be constant: what they add goes into the bias."""
    for key in [key for key in weights if key.endswith("encoder.layers.1.fc2.weight")]:
        columns = weights[key][:, NEURONS].clone()
        weights[key][:, NEURONS] = 0
        weights[key.replace("weight", "bias")].add_(columns @ values)


# name: checkpoint, data folder, layer, how its weights are edited, flags of the task
_BOTH = ("--lang-pairs", "en-de,de-en")
_DIRECTION = (*_BOTH, "-s", "en", "-t", "de")
_MODELS: dict[str, tuple[str, str, str, Callable, tuple[str, ...]]] = {
    "translation": ("lstm", "pair", "encoder.layers.1", edit_encoder_lstm, ()),
    "language_modeling": (
        *("lstm_lm", "text", "decoder.layers.1", edit_decoder_lstm),
        ("--sample-break-mode", "eos"),
    ),
    "translation_multi_simple_epoch": (
        *("multi_simple_epoch", "joined", "encoder.layers.1.ffn", edit_ffn),
        (*_DIRECTION, "--encoder-langtok", "src", "--decoder-langtok"),
    ),
    "multilingual_translation": (
        *("multilingual", "joined", "encoder.layers.1.ffn", edit_ffn),
        (*_DIRECTION, "--encoder-langtok", "tgt"),
    ),
}
_SEARCH = ("--beam", "2", "--max-len-a", "1", "--max-len-b", "5")
_WHOLE = ("--required-batch-size-multiple", "1")
_NONE = ("--sample-break-mode", "none", "--tokens-per-sample", "64")
_COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "generate": ("fairseq-generate", (*_SEARCH, *_WHOLE, "--gen-subset", "valid")),
    "interactive": (
        "fairseq-interactive",
        (*_SEARCH, "--input", "{text}", "--buffer-size", "40", "--batch-size", "40"),
    ),
    "validate": ("fairseq-validate", ("--batch-size", "16", *_WHOLE)),
    "eval-lm": ("fairseq-eval-lm", ()),
    "eval-lm eos": ("fairseq-eval-lm", ()),
    "eval-lm none": ("fairseq-eval-lm", _NONE),
    "eval-lm context": ("fairseq-eval-lm", (*_NONE, "--context-window", "20", "--add-bos-token")),
}


class Models:
    """The checkpoints of `_MODELS`, and copies of them with edited weights."""

    def __init__(self, zoo, folder: Path) -> None:
        self.zoo, self.folder = zoo, folder

    def path(self, task: str) -> Path:
        name = _MODELS[task][0]
        return self.zoo.tiny.stock if name == "lstm" else self.zoo.checkpoint(name)

    def edited(self, task: str, values: torch.Tensor | None = None) -> Path:
        state = saved_state(self.path(task))
        _MODELS[task][3](state["model"], torch.zeros(len(NEURONS)) if values is None else values)
        path = self.folder / f"{task}.{values is None}.pt"
        torch.save(state, path)
        return path

    def run(self, command: str, task: str, path: Path | str, *flags, neuron: bool = False):
        """Run a command, either the stock task or the ``neuron_`` one."""
        _, data, _, _, task_flags = _MODELS[task]
        program, more = _COMMANDS[command]
        if program == "fairseq-validate":  # takes these from the checkpoint
            task_flags = ()
        text = self.zoo.tiny.corpus / "valid.en"
        return call(
            *(program, self.zoo.data(data), "--user-dir", USER_DIR, "--cpu", "--path", path),
            *("--task", f"neuron_{task}" if neuron else task, *task_flags),
            *(flag.format(text=text) for flag in more),
            *("--num-workers", "0", *flags),  # a worker that is forked out of pytest may hang
        )

    def ablated(self, command: str, task: str, *flags, path: Path | str | None = None):
        """Run the ``neuron_`` task with `NEURONS` clamped."""
        spec = f"{_MODELS[task][2]}:{SPEC}"
        return self.run(
            command, task, path or self.path(task), "--ablate", spec, *flags, neuron=True
        )


@pytest.fixture(scope="module")
def models(zoo, tmp_path_factory) -> Models:
    return Models(zoo, tmp_path_factory.mktemp("edited"))


@dataclass
class Result:
    """What a run came to: losses and perplexities, or hypotheses with their scores."""

    numbers: list[float]
    texts: list[str]

    def same_as(self, other: Result) -> bool:
        """All numbers equal, and all texts but one: a search may break a tie either way."""
        differing = sum(a != b for a, b in zip(self.texts, other.texts, strict=True))
        return differing <= 1 and self.numbers == pytest.approx(other.numbers, abs=2e-4)


def result_of(run: subprocess.CompletedProcess) -> Result:
    assert run.returncode == 0, run.stderr
    printed = run.stdout + run.stderr
    losses = re.findall(r"Loss \(base 2\): (\S+),|\| loss (\S+) \| .*ppl (\S+)", printed)
    found = re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", printed, flags=re.M)
    hypotheses = sorted((int(number), float(score), text) for number, score, text in found)
    assert losses or len(hypotheses) == 40
    numbers = [float(value) for found in losses for value in found if value]
    return Result(numbers + [h[1] for h in hypotheses], [h[2] for h in hypotheses])


TABLE = [
    (task, command)
    for task in _MODELS
    for command in _COMMANDS
    if command != "eval-lm" and (task == "language_modeling" or "eval-lm" not in command)
]


@pytest.mark.parametrize(("task", "command"), TABLE)
def test_ablation_equals_stock_on_edited_weights(models, task: str, command: str) -> None:
    ablated = models.ablated(command, task)
    expected = models.run(command, task, models.edited(task))
    assert result_of(ablated).same_as(result_of(expected))
    layer = _MODELS[task][2]
    assert f"neurons clamped ({layer}: {len(NEURONS)}), value 0" in ablated.stdout + ablated.stderr


@pytest.mark.parametrize(
    ("task", "command"),
    [(task, "validate") for task in _MODELS if task != "language_modeling"]
    + [("language_modeling", "eval-lm eos")],
)
def test_without_ablation_nothing_changes(models, task: str, command: str) -> None:
    stock = models.run(command, task, models.path(task))
    plugin = models.run(command, task, models.path(task), neuron=True)
    assert result_of(plugin).same_as(result_of(stock))
    assert not result_of(plugin).same_as(result_of(models.ablated(command, task)))


@register_neuron_task("neuron_multilingual_language_modeling")
class NeuronMultilingualLanguageModelingTask(AblationMixin, MultilingualLanguageModelingTask):
    """What a user writes for another task."""


def test_three_lines_make_another_task(models, zoo, tmp_path) -> None:
    (tmp_path / "en").mkdir()
    for file in zoo.data("text").iterdir():
        folder = tmp_path if file.name == "dict.txt" else tmp_path / "en"
        (folder / file.name).symlink_to(file)
    spec = f"decoder.layers.1:{SPEC}"

    def generate(path, task, *flags):
        return call(
            *("fairseq-generate", tmp_path, "--user-dir", USER_DIR, "--cpu", "--path", path),
            *("--num-workers", "0", "--task", task, "--langs", "en", "--sample-break-mode", "eos"),
            *(*_SEARCH, *_WHOLE, "--gen-subset", "valid", *flags),
        )

    task = "neuron_multilingual_language_modeling"
    ablated = generate(models.path("language_modeling"), task, "--ablate", spec)
    expected = generate(models.edited("language_modeling"), "multilingual_language_modeling")
    assert result_of(ablated).same_as(result_of(expected))


@pytest.mark.parametrize("name", [f"neuron_{task}" for task in _MODELS])
def test_every_task_has_the_same_flags(name: str) -> None:
    parser = ArgumentParser()
    TASK_REGISTRY[name].add_args(parser)
    args = parser.parse_args(["data", "--ablate", "1", "--ablate-value", "-0.5"])
    assert AblationConfig.read(args) == AblationConfig(ablate="1", ablate_value="-0.5")


def test_flags_that_an_old_checkpoint_lacks_have_defaults() -> None:
    assert AblationConfig.read(Namespace(ablate_value=0.0)) == AblationConfig(ablate_value="0.0")
    assert AblationConfig.read(None) == AblationConfig()


def test_checkpoints_of_before_the_dataclasses(models, tmp_path) -> None:
    """fairseq once kept all settings of a checkpoint in one Namespace, and no cfg."""
    paths = {}
    for path in (models.path("translation"), models.edited("translation")):
        state = saved_state(path)
        state["args"], state["cfg"] = state["cfg"]["model"], None
        assert state["args"].task == "translation"
        paths[path] = tmp_path / path.name
        torch.save(state, paths[path])
    old, edited = paths.values()
    ablated = models.ablated("validate", "translation", path=old)
    assert result_of(ablated).same_as(result_of(models.run("validate", "translation", edited)))


# --- values ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> tuple[Path, np.ndarray]:
    values = np.random.default_rng(3).normal(size=(50, FFN_WIDTH)).astype(np.float32) + 1
    path = tmp_path_factory.mktemp("store") / "acts"
    space = NeuronSpace((Layer("encoder.layers.1.ffn", FFN_WIDTH),))
    write_store(path, values, [["w"] * 50], space, {"model": {"path": "x", "sha256": "0" * 64}})
    return path, values


@pytest.mark.parametrize("value", ["mean", "-0.75"])
def test_values_other_than_0(models, store, value: str) -> None:
    task, (path, rows) = "translation_multi_simple_epoch", store
    means = torch.from_numpy(rows.mean(axis=0))[NEURONS]
    values = means if value == "mean" else torch.full((len(NEURONS),), -0.75)
    flags = ("--ablate-value", value, *(("--ablate-acts", path) if value == "mean" else ()))
    ablated = models.ablated("generate", task, *flags)
    expected = models.run("generate", task, models.edited(task, values))
    assert result_of(ablated).same_as(result_of(expected))
    other = "was made with another checkpoint than"
    assert (other in ablated.stderr) == (value == "mean")


def test_clamped_values_are_exact_in_half_precision(models) -> None:
    args = ["--ablate", f"encoder.layers.0:{SPEC}", "--ablate-value", "0.1", "--fp16"]
    result = models.run("generate", "translation", models.path("translation"), *args, neuron=True)
    assert len(result_of(result).texts) == 40
    cfg = SimpleNamespace(data=str(models.zoo.tiny.data), source_lang="en", target_lang="de")
    parser = ArgumentParser()
    TASK_REGISTRY["neuron_translation"].add_args(parser)
    flags = Namespace(**{**vars(parser.parse_args([cfg.data, *args[:-1]])), **vars(cfg)})
    task = TASK_REGISTRY["neuron_translation"].setup_task(flags)
    (model,), _, _ = load_ensemble([models.path("translation")], {}, task)
    model.half()
    tokens = torch.tensor([[5, 6, 7, 2]])
    with tap(model, "encoder.layers.0") as layers, torch.no_grad():
        model.encoder(tokens, src_lengths=torch.tensor([4]))
        seen = layers["encoder.layers.0"]
    assert seen.dtype == torch.float16
    assert (seen[..., NEURONS] == torch.tensor(0.1, dtype=torch.float16)).all()
    assert not (seen == torch.tensor(0.1, dtype=torch.float16)).all()


# --- ensembles and origins -------------------------------------------------------------------


@pytest.mark.parametrize("each", [False, True])
def test_ensembles(models, each: bool) -> None:
    stock, edited = models.path("translation"), models.edited("translation")
    spec = f"encoder.layers.1:{SPEC}"
    given, other = (f"{spec}|", stock) if each else (spec, edited)
    result = models.run(
        *("generate", "translation", f"{stock}:{stock}", "--ablate", given), neuron=True
    )
    expected = models.run("generate", "translation", f"{edited}:{other}")
    assert result_of(result).same_as(result_of(expected))
    assert "model 2: " in result.stderr


def ranking(path: Path, model: str) -> str:
    space = NeuronSpace((Layer("encoder.layers.0", 48), Layer("encoder.layers.1", 48)))
    Ranking("random", np.arange(96), np.zeros(96), space=space, model=model).save(path)
    return f"{path}:top:5"


@pytest.mark.parametrize("same", [True, False])
def test_a_ranking_of_another_checkpoint_is_noted(models, tmp_path, same: bool) -> None:
    path = models.path("translation")
    spec = ranking(tmp_path / "r.json", sha256_file(path) if same else "0" * 64)
    result = models.run("validate", "translation", path, "--ablate", spec, neuron=True)
    noted = f"{spec} was made with another checkpoint than {path}"
    assert result.returncode == 0
    assert (noted in result.stdout) == (not same)


# --- mistakes --------------------------------------------------------------------------------

_T, _LM = "translation", "language_modeling"


@pytest.mark.parametrize(
    ("command", "task", "flags", "message"),
    [
        ("generate", _T, ("--ablate", "encoder.layers.7:1"), "unknown layer 'encoder.layers.7'"),
        ("interactive", _T, ("--ablate", "96"), "out of range"),
        ("validate", _T, ("--ablate", "x"), "not a neuron"),
        ("eval-lm none", _LM, ("--ablate", "none.json:top:5"), "ranking not found"),
        ("generate", _T, ("--ablate", "none.json:label='':top:5"), "ranking not found: none.json"),
        ("generate", _T, ("--ablate-scope", "full"), "--ablate-scope does nothing without"),
        ("generate", _T, ("--ablate", "1", "--ablate-value", "much"), "finite values"),
        ("generate", _T, ("--ablate", "1", "--ablate-value", "nan"), "finite values"),
        ("generate", _T, ("--ablate", "1", "--ablate-value", "1e6", "--fp16"), "torch.float16"),
        ("eval-lm eos", _LM, ("--ablate", "1", "--ablate-value", "1e6", "--fp16"), "float16"),
        (
            *("eval-lm eos", _LM),
            ("--ablate", "decoder.layers.1:0-47", "--ablate-value", "65000", "--fp16"),
            "the score of a token is not finite",
        ),
        ("generate", _T, ("--ablate", "1", "--ablate-value", "mean"), "needs --ablate-acts"),
        ("generate", _T, ("--ablate", "1", "--ablate-acts", "acts"), "is for --ablate-value mean"),
        (
            *("generate", _T),
            ("--ablate", "1", "--ablate-value", "mean", "--ablate-acts", "none"),
            "activation store not found: none",
        ),
        ("generate", _T, ("--ablate", "1|2"), "--ablate has 2 parts for 1 model:"),
        ("validate", _T, ("--ablate", "1|2"), "--ablate has 2 parts for 1 model:"),
        ("eval-lm eos", _LM, ("--ablate", "1|2"), "--ablate has 2 parts for 1 model:"),
        ("eval-lm", _T, ("--ablate", "1"), "needs the task of a language model"),
        ("eval-lm none", _LM, ("--tokens-per-sample", "65"), "15 of 16 blocks are longer than"),
        ("eval-lm none", _LM, ("--tokens-per-sample", "5000"), "1 of 1 blocks are longer than"),
        (
            *("eval-lm eos", _LM),
            ("--model-overrides", "{'tokens_per_sample': 12}"),
            "positions (the longest has",
        ),
        ("eval-lm none", _LM, ("--max-tokens", "9"), "the longest block has 64 tokens"),
        ("eval-lm none", _LM, ("--num-shards", "2", "--shard-id", "1"), "no token was scored"),
    ],
)
def test_mistakes_end_in_one_line(models, command, task, flags, message) -> None:
    result = models.run(command, task, models.path(task), *flags, neuron=True)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr.splitlines()[-1]
    assert "Loss" not in result.stderr


@pytest.mark.parametrize(
    ("given", "checkpoint"),
    [
        ("neuron_multilingual_translation", "translation"),
        ("neuron_translation", "language_modeling"),
        ("neuron_translation", "multilingual_translation"),
    ],
)
def test_validate_refuses_a_task_that_the_checkpoint_is_not_of(models, given, checkpoint) -> None:
    result = models.run("validate", checkpoint, models.path(checkpoint), "--task", given)
    assert result.returncode == 2
    assert f"does not fit a checkpoint of task {checkpoint}" in result.stderr.splitlines()[-1]


def test_a_checkpoint_that_is_not_where_its_name_says_is_not_hashed(models, tmp_path) -> None:
    """With --checkpoint-suffix, say."""
    (tmp_path / "r.json").touch()
    spec = ranking(tmp_path / "r.json", "0" * 64)
    (tmp_path / "m-x.pt").symlink_to(models.path("translation"))
    result = models.run(
        *("generate", "translation", tmp_path / "m.pt", "--checkpoint-suffix=-x"),
        *("--ablate", spec),
        neuron=True,
    )
    assert result.returncode == 0, result.stderr


def test_more_models_than_specs(models) -> None:
    path = models.path("translation")
    result = models.run(
        *("generate", "translation", f"{path}:{path}:{path}", "--ablate", "1|2"), neuron=True
    )
    assert result.returncode == 2
    assert "--ablate has 2 parts for more models" in result.stderr.splitlines()[-1]


def test_an_empty_split_is_one_line(models, zoo, tmp_path) -> None:
    (tmp_path / "dict.txt").symlink_to(zoo.data("text") / "dict.txt")
    make_builder(str(tmp_path / "test.bin"), "mmap").finalize(str(tmp_path / "test.idx"))
    for mode in ("none", "eos"):
        result = call(
            *("fairseq-eval-lm", tmp_path, "--user-dir", USER_DIR, "--cpu", "--sample-break-mode"),
            *(mode, "--task", "neuron_language_modeling", "--path", models.path(_LM)),
            *("--tokens-per-sample", "64"),
        )
        assert result.returncode == 2
        assert (
            result.stderr.splitlines()[-1] == "error: split 'test' is empty: it holds no sentence"
        )
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("targets", "message"),
    [([[4, 5, 1]], "only 2 of 3 tokens"), ([[1]], "no token"), ([[4, 5], [6, 1]], None)],
)
def test_every_token_is_counted(capsys, targets: list, message: str | None) -> None:
    batches = [{"target": torch.tensor(target)} for target in targets]
    counted = CountedBatches(batches, pad=1, expected=3, check=lambda: None)
    assert len(counted) == len(batches)
    if message is None:
        assert list(counted) == batches
        return
    with pytest.raises(SystemExit, match="2"):
        list(counted)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "data", "flags"),
    [
        ("neuron_translation", "pair", ("--arch", "lstm")),
        (
            *("neuron_multilingual_translation", "joined"),
            ("--arch", "multilingual_transformer", *_BOTH),
        ),
        ("neuron_language_modeling", "text", ("--arch", "lstm_lm")),
    ],
)
def test_training_refuses_to_ablate(zoo, tmp_path, task: str, data: str, flags) -> None:
    result = call(
        *("fairseq-train", zoo.data(data), "--user-dir", USER_DIR, "--cpu", "--task", task, *flags),
        *("--ablate", "1", "--optimizer", "adam", "--batch-size", "4", "--save-dir", tmp_path),
    )
    assert result.returncode == 2
    assert "training clamps no neuron" in result.stderr.splitlines()[-1]


def test_what_never_fires_is_an_error(models) -> None:
    """Stock fairseq-validate scores nothing where one direction is given, and prints loss 0."""
    task = "multilingual_translation"
    result = models.ablated("validate", task, "-s", "en", "-t", "de")
    assert result.returncode == 2
    assert "never reached encoder.layers.1.ffn: nothing was clamped" in result.stderr


def test_samples_that_batching_drops_are_counted(models) -> None:
    dropped = ("--required-batch-size-multiple", "8", "--batch-size", "24", "--gen-subset", "test")
    result = models.ablated("generate", "translation", *dropped)
    translated = int(re.search(r"Translated (\d+) sentences", result.stderr)[1])
    assert f"only {translated} of 101 samples are in a batch" in result.stderr


def test_directions_with_encoders_of_their_own_are_not_mixed_up(models, zoo, tmp_path) -> None:
    result = call(
        *("fairseq-train", zoo.data("joined"), "--cpu", "--task", "multilingual_translation"),
        *("--arch", "multilingual_transformer", *_BOTH, "--share-decoders", "--optimizer", "adam"),
        *("--encoder-embed-dim", "32", "--encoder-ffn-embed-dim", "64", "--encoder-layers", "2"),
        *("--encoder-attention-heads", "4", "--decoder-embed-dim", "32", "--decoder-layers", "1"),
        *("--decoder-ffn-embed-dim", "64", "--decoder-attention-heads", "4", "--max-update", "1"),
        *("--batch-size", "8", "--disable-validation", "--num-workers", "0"),
        *("--save-dir", tmp_path),
    )
    assert result.returncode == 0, result.stderr
    stock, edited = tmp_path / "checkpoint_last.pt", tmp_path / "edited.pt"
    state = saved_state(stock)
    part = {k: v for k, v in state["model"].items() if k.startswith("models.en-de.encoder.")}
    edit_ffn(part, torch.zeros(len(NEURONS)))  # in place
    torch.save(state, edited)
    task, spec = "multilingual_translation", f"models.en-de.encoder.layers.1.ffn:{SPEC}"
    ablated = models.run("validate", task, stock, "--ablate", spec, neuron=True)
    assert result_of(ablated).same_as(result_of(models.run("validate", task, edited)))
    never = models.run(
        "validate", task, stock, "--ablate", spec, "-s", "de", "-t", "en", neuron=True
    )
    assert never.returncode == 2
    assert "models.en-de.encoder.layers.1.ffn" in never.stderr.splitlines()[-1]


# --- registering -----------------------------------------------------------------------------


def test_registering_loads_nothing_but_the_plugin() -> None:
    code = """
import json, sys
import fairseq_cli.generate, fairseq_cli.validate
before = set(sys.modules)
import fairseq_neuron_plugin.register
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
    printed = run(sys.executable, "-c", code).stdout.splitlines()[-1]
    assert json.loads(printed) == ["fairseq_neuron_plugin"]


def test_the_shims_are_applied_once() -> None:
    from fairseq_neuron_plugin.tasks.from_checkpoint import follow_loading

    before = checkpoint_utils.load_checkpoint_to_cpu
    follow_loading()
    assert checkpoint_utils.load_checkpoint_to_cpu is before


def test_eval_lm_leaves_the_model_as_it_was(zoo) -> None:
    """Targets are scored fast while its batches are run through, and not a moment longer."""
    flags = ["--path", str(zoo.checkpoint("lstm_lm")), "--task", "neuron_language_modeling"]
    session = open_session([str(zoo.data("text")), *flags, "--cpu"], language_model=True)
    model, dataset = session.models[0], session.load_split("valid")
    replaced = {"get_normalized_probs"}
    batches = session.task.eval_lm_dataloader(dataset, max_tokens=500, num_workers=0)
    assert not replaced & vars(model).keys()
    for batch in batches:
        assert replaced <= vars(model).keys()
        model(**batch["net_input"])
    assert not replaced & vars(model).keys()
    assert not {"output_layer", "extract_features"} & vars(model.decoder).keys()


@pytest.mark.parametrize(
    ("checkpoint", "task", "flags", "message"),
    [
        (
            *("multi_simple_epoch", "neuron_translation_multi_simple_epoch"),
            ("--lang-pairs", "en-de,de-en", "--encoder-langtok", "src"),
            "--decoder-langtok: the checkpoint was trained with --decoder-langtok; give the same",
        ),
        (
            *("multi_simple_epoch", "neuron_translation", ()),
            "is of task translation_multi_simple_epoch: give --task "
            "neuron_translation_multi_simple_epoch",
        ),
        (
            *("multilingual", "neuron_translation", ()),
            "is of task multilingual_translation: give --task neuron_multilingual_translation",
        ),
    ],
)
def test_flags_of_another_task_or_language(zoo, checkpoint, task, flags, message) -> None:
    result = call(
        *("fairseq-generate", zoo.data("joined"), "--user-dir", USER_DIR, "--cpu", "--task", task),
        *("-s", "en", "-t", "de", "--path", zoo.checkpoint(checkpoint), *flags),
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(message)
