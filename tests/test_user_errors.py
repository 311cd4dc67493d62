"""Bad input: one clear line, exit status 2, nothing run and nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data.indexed_dataset import make_builder
from saved_state import saved_state
from tiny_models import USER_DIR, WIDTH, TinyModels, call, run, run_script

from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking


class RunsCode:
    """Unpickling it touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def refused(*command) -> str:
    """The one line on stderr of a command that ends with status 2."""
    result = call(*command)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    return lines[0]


def extract_command(tiny: TinyModels, tmp_path: Path, **changes) -> list:
    given = {
        "data": tiny.data,
        "--path": tiny.stock,
        "--input": tiny.corpus / "test.en",
        "--output-dir": tmp_path / "acts",
        **changes,
    }
    data = given.pop("data")
    flags = [part for name, value in given.items() if value is not None for part in (name, value)]
    return ["fairseq-neuron-extract", data, "--cpu", *flags]


def test_malicious_checkpoint_runs_no_code(tiny, tmp_path) -> None:
    for legacy in (False, True):
        torch.save(
            {"model": {}, "args": RunsCode(tmp_path / "pwned")},
            tmp_path / "evil.pt",
            _use_new_zipfile_serialization=not legacy,
        )
        line = refused(*extract_command(tiny, tmp_path, **{"--path": tmp_path / "evil.pt"}))
        assert "evil.pt is refused: it holds more than data (posix.system as args)" in line
        stock = run(
            *("fairseq-generate", tiny.data, "--path", tmp_path / "evil.pt", "--cpu"),
            *("--user-dir", USER_DIR, "--task", "neuron_translation"),
            check=False,
        )
        assert stock.returncode
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "acts").exists()


def test_corrupt_and_missing_checkpoints(tiny, tmp_path) -> None:
    content = tiny.stock.read_bytes()
    damaged = {
        "cut.pt": content[: len(content) // 2],
        "text.pt": b"hello",
        "words.pt": b"the cat saw a dog .\nit ran\n",
        "empty.pt": b"",
        "overwritten.pt": content[:100] + b"x" * 3900 + content[4000:],
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        line = refused(*extract_command(tiny, tmp_path, **{"--path": tmp_path / name}))
        assert f"{name} is damaged or no checkpoint" in line
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    line = refused(*extract_command(tiny, tmp_path, **{"--path": tmp_path / "other.pt"}))
    assert "is no fairseq checkpoint" in line
    line = refused(*extract_command(tiny, tmp_path, **{"--path": tmp_path / "none.pt"}))
    assert line.endswith("error: checkpoint not found: " + str(tmp_path / "none.pt"))


def empty_splits(tiny: TinyModels, folder: Path) -> Path:
    """A data folder with a split of blank lines, and one of no line."""
    data = folder / "splits"
    data.mkdir()
    for side in ("en", "de"):
        (data / f"dict.{side}.txt").symlink_to(tiny.data / f"dict.{side}.txt")
        for name, sentences in (("blank", 2), ("zero", 0)):
            prefix = data / f"{name}.en-de.{side}"
            builder = make_builder(f"{prefix}.bin", "mmap", vocab_size=100)
            for _ in range(sentences):
                builder.add_item(torch.tensor([2]))
            builder.finalize(f"{prefix}.idx")
    return data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "nowhere"}, "data folder not found: nowhere"),
        ({"--input": "nowhere.en"}, "input not found: nowhere.en"),
        ({"--input": "{tmp}/empty"}, "the input {tmp}/empty is empty"),
        ({"--input": "{tmp}/latin1"}, "latin1, line 1, is not UTF-8"),
        (
            {"--layers": "encoder.layers.7"},
            "no layer matches 'encoder.layers.7'; the model has: enc",
        ),
        ({"--input": None, "--gen-subset": "dev"}, "not found: dev"),
        ({"--input": None}, "give a corpus"),
        ({"--output-dir": "{tmp}"}, "exists and is no activation store"),
        ({"--bpe": "gpt2x"}, "--bpe"),
        ({"--pool": "max"}, "--pool"),
        ({"--beem": "3"}, "unrecognized arguments: --beem 3"),
        ({"--tokenizer": "moses"}, "--tokenizer does nothing here: words are read as they stand"),
        ({"--num-shards": "2"}, "--num-shards does nothing here"),
        ({"--shard-id": "1"}, "--shard-id does nothing here"),
        ({"--distributed-world-size": "2"}, "--distributed-world-size does nothing here"),
        ({"--batch-size": "2"}, "--batch-size does nothing here: give the size"),
        ({"--max-sentences": "2"}, "--max-sentences does nothing here"),
        ({"--input": None, "--gen-subset": "blank"}, "the corpus is empty"),
        ({"--input": None, "--gen-subset": "blank", "--layers": "decoder.*"}, "corpus is empty"),
        ({"--input": None, "--gen-subset": "zero"}, "the split is empty: it holds no sentence"),
        ({"--model-overrides": "{'encoder_layers': 'two'}"}, "checkpoint_best.pt cannot be used: "),
        ({"--path": "{tmp}/unknown.pt"}, "is of architecture nowhere, which is not known here"),
        (
            {"--task": "translation_multi_simple_epoch", "--lang-pairs": "en-de", "-s": "en"},
            "language pair en-None",
        ),
    ],
)
def test_extract_refuses(tiny, tmp_path, changes, message) -> None:
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "latin1").write_bytes("für".encode("latin-1"))
    if "--gen-subset" in changes:
        changes = {"data": str(empty_splits(tiny, tmp_path)), **changes}
    if changes.get("--path"):
        state = saved_state(tiny.stock)
        vars(state["cfg"]["model"]).update(_name="nowhere", arch="nowhere")
        torch.save(state, tmp_path / "unknown.pt")
    filled = {
        name: value.replace("{tmp}", str(tmp_path)) if value else value
        for name, value in changes.items()
    }
    assert message.format(tmp=tmp_path) in refused(*extract_command(tiny, tmp_path, **filled))
    assert not (tmp_path / "acts").exists()


def test_the_commands_themselves_end_with_status_2(tiny, tmp_path) -> None:
    """As a user sees it, in a process of its own: warnings and logs included."""
    result = run_script(*extract_command(tiny, tmp_path, **{"--layers": "nope"}))
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "fairseq-neuron-extract: error: no layer matches 'nope'; the model has: "
        "encoder.embed_tokens, encoder.layers.0, encoder.layers.1, decoder.embed_tokens, "
        "decoder.layers.0, decoder.layers.1, decoder.attention"
    ]


def test_ablation_in_training_is_an_error(tiny, tmp_path) -> None:
    result = run(
        *("fairseq-train", tiny.data, "--user-dir", USER_DIR, "--task", "neuron_translation"),
        *("--arch", "neuron_lstm", "--ablate", "3", "--optimizer", "adam", "--batch-size", "8"),
        *("--save-dir", tmp_path / "model", "--cpu"),
        check=False,
    )
    assert result.returncode == 2
    assert "--ablate is for checkpoints" in result.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("model/*.pt"))


def test_output_folder_with_another_run(tiny, tmp_path) -> None:
    assert call(*extract_command(tiny, tmp_path)).returncode == 0
    line = refused(*extract_command(tiny, tmp_path, **{"--path": tiny.neuron}))
    assert "acts holds another run: its model is" in line


def test_checkpoint_of_other_dictionaries(tiny, tmp_path) -> None:
    run(
        *("fairseq-preprocess", "-s", "en", "-t", "de", "--trainpref", tiny.corpus / "valid"),
        *("--destdir", tmp_path / "bin"),
    )
    line = refused(*extract_command(tiny, tmp_path, data=tmp_path / "bin"))
    assert "does not fit the architecture or the dictionaries" in line


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("encoder.layers.9:1", "unknown layer 'encoder.layers.9'"),
        ("encoder.layers.0:48", "layer encoder.layers.0 has 0 to 47"),
        ("96", "the chosen layers have 0 to 95"),
        ("{tmp}/wide.json:top:3", "made for another model"),
        ("{tmp}/none.json:top:3", "ranking not found"),
        ("three", "not a neuron"),
    ],
)
def test_bad_specs_in_stock_fairseq_generate(tiny, tmp_path, spec, message) -> None:
    space = NeuronSpace((Layer("encoder.layers.0", 256),))
    Ranking("random", np.arange(256), np.zeros(256), space=space).save(tmp_path / "wide.json")
    result = call(
        *("fairseq-generate", tiny.data, "--path", tiny.stock, "--user-dir", USER_DIR, "--cpu"),
        *("--task", "neuron_translation", "--ablate", spec.format(tmp=tmp_path)),
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert message in result.stderr.splitlines()[-1]


def test_sweep_with_a_ranking_of_another_shape(tiny, tmp_path) -> None:
    space = NeuronSpace((Layer("encoder.layers.0", 256),))
    Ranking("random", np.arange(256), np.zeros(256), space=space).save(tmp_path / "wide.json")
    command = (
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, "--cpu", "--ablate", "0,5"),
        *("--ranking", tmp_path / "wide.json", "--output-dir", tmp_path / "sweep"),
    )
    assert "made for another model" in refused(*command)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "notes").write_text("mine")
    order = np.arange(96)
    fits = NeuronSpace((Layer("encoder.layers.0", WIDTH), Layer("encoder.layers.1", WIDTH)))
    Ranking("random", order, np.zeros(96), space=fits).save(tmp_path / "wide.json")
    assert "exists and holds no sweep" in refused(*command)
