"""The file that is checked, hashed and loaded is the one that fairseq reads for the name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import end, refusal
from fairseq.checkpoint_utils import get_maybe_sharded_checkpoint_filename
from saved_state import saved_state
from tiny_models import USER_DIR, WIDTH, call

from fairseq_neuron_plugin.activations import Activations
from fairseq_neuron_plugin.backends.fairseq.checkpoints.names import (
    checkpoint_file,
    checkpoint_files,
    flagged_file,
)
from fairseq_neuron_plugin.checkpoint_task import task_flags
from fairseq_neuron_plugin.cli import bake, eval_lm, extract, generate, rank
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.files import sha256_file
from fairseq_neuron_plugin.loading import load_model, open_session
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

SUFFIX = "--checkpoint-suffix=-new"


@pytest.fixture
def named(tiny, tmp_path) -> Path:
    """``x.pt``, and another model as ``x-new.pt``."""
    shutil.copy(tiny.stock, tmp_path / "x.pt")
    state = saved_state(tiny.neuron)
    state["model"]["encoder.lstm.weight_hh_l0"] *= -1
    torch.save(state, tmp_path / "x-new.pt")
    return tmp_path / "x.pt"


@pytest.mark.parametrize(
    ("there", "suffix"),
    [(("x.pt",), ""), (("x.pt", "x-new.pt"), "-new"), (("x-new.pt", "x-new-shard1.pt"), "-new")],
)
def test_one_file_is_the_one_of_fairseq(tmp_path, there, suffix) -> None:
    for name in there:
        (tmp_path / name).touch()
    name = str(tmp_path / "x.pt")
    found = checkpoint_file(name, suffix)
    assert str(found) == get_maybe_sharded_checkpoint_filename(name, suffix, 0, 1)
    assert str(found) == get_maybe_sharded_checkpoint_filename(str(found), "", 0, 1)
    assert found == flagged_file(name, ["--beam", "5", f"--checkpoint-suffix={suffix}", "-x"])


def test_a_suffix_stands_before_the_ending_alone(tmp_path) -> None:
    folder = tmp_path / "lm.ptb"
    folder.mkdir()
    (folder / "x-new.pt").touch()
    assert checkpoint_file(folder / "x.pt", "-new") == folder / "x-new.pt"


def test_files_of_an_ensemble(tmp_path) -> None:
    paths = [tmp_path / name for name in ("a-s.pt", "b-s.pt")]
    for path in paths:
        path.touch()
    names = os.pathsep.join(str(path).replace("-s", "") for path in paths)
    assert checkpoint_files(names, "-s") == paths


@pytest.mark.parametrize(
    ("there", "given", "message"),
    [
        ((), ("x.pt",), "checkpoint not found: {x}.pt"),
        (("x.pt",), ("x.pt", "-new"), "checkpoint not found: {x}-new.pt"),
        (("x.pt",), ("x.pt", "", 2), "--checkpoint-shard-count 2 is not supported: merge the"),
        (("x.pt",), ("x.pt", "", 0), "--checkpoint-shard-count 0 is not supported"),
        (("x",), ("x", "-new"), "--checkpoint-suffix -new: {x} does not end in .pt"),
        (("x-shard0.pt",), ("x.pt",), "checkpoint {x}.pt is in parts, x-shard0.pt and others: mer"),
        (
            ("x.pt", "x-shard0.pt"),
            ("x.pt",),
            "fairseq reads {x}-shard0.pt, a part of a model, in place of {x}.pt: move it away",
        ),
        (("x.pt", "x-s.pt", "x-s-shard0.pt"), ("x.pt", "-s"), "in place of {x}-s.pt: move it"),
    ],
)
def test_names_without_one_file(tmp_path, there, given, message) -> None:
    for name in there:
        (tmp_path / name).touch()
    name, *flags = given
    with pytest.raises(UserError) as error:
        checkpoint_file(tmp_path / name, *flags)
    assert message.format(x=tmp_path / "x") in str(error.value)


def test_wrong_flags_of_names_are_one_line() -> None:
    with pytest.raises(UserError, match="invalid int value: 'two'"):
        flagged_file("x.pt", ["--checkpoint-shard-count", "two"])


def test_extraction_reads_and_names_the_file_with_the_suffix(tiny, named, tmp_path) -> None:
    text = ("--cpu", "--gen-subset", "valid")
    for path, flags, output in (
        (named, (SUFFIX,), "suffix"),
        (tmp_path / "x-new.pt", (), "itself"),
        (named, (), "other"),
    ):
        command = (tiny.data, "--path", path, *text, *flags, "--output-dir", tmp_path / output)
        assert end(extract.main, *command) == 0
    stores = {name: Activations(tmp_path / name) for name in ("suffix", "itself", "other")}
    assert stores["suffix"].manifest["model"] == {
        "path": str(tmp_path / "x-new.pt"),
        "sha256": sha256_file(tmp_path / "x-new.pt"),
    }
    arrays = {name: np.array(store.array) for name, store in stores.items()}
    np.testing.assert_array_equal(arrays["suffix"], arrays["itself"])
    assert np.abs(arrays["suffix"] - arrays["other"]).max() > 0.1


def test_rankings_and_translations_are_of_the_file_with_the_suffix(
    tiny, named, tmp_path, capsys
) -> None:
    sha256 = sha256_file(tmp_path / "x-new.pt")
    named.unlink()
    shutil.copy(tiny.stock, tmp_path / "y-new.pt")
    read = ("--gen-subset", "valid", "--cpu", SUFFIX)
    for name, command in {
        "gradient-activation": (tiny.data, "--path", named),
        "cross-model": ("--checkpoints", named, tmp_path / "y.pt", "--data", tiny.data),
    }.items():
        output = tmp_path / f"{name}.json"
        assert end(rank.main, name, *command, *read, "--output", output) == 0
        assert Ranking.load(output).model == sha256
    control = ("--set", "encoder.layers.0:1=0", "--show", "0", "--bootstrap", "0")
    command = (tiny.data, "--path", named, "--output-dir", tmp_path / "c", "--gen-subset", "valid")
    assert end(generate.main, *command, *control, "--cpu", SUFFIX, "--max-len-b", "3") == 0
    changes = json.loads((tmp_path / "c" / "changes.json").read_text())
    assert changes["settings"]["model"] == sha256[:12]


def test_no_command_reads_a_part_in_place_of_the_whole(tiny, named, tmp_path, capsys) -> None:
    shutil.copy(tiny.neuron, tmp_path / "x-shard0.pt")
    message = f"fairseq reads {tmp_path / 'x-shard0.pt'}, a part of a model, in place of {named}"
    Ranking("random", np.arange(WIDTH), np.zeros(WIDTH)).save(tmp_path / "r.json")
    sweep = ("--ranking", tmp_path / "r.json", "--ablate", "1", "--output-dir", tmp_path / "s")
    model = (tiny.data, "--path", named)
    for main, command in (
        (extract.main, (*model, "--list-layers")),
        (bake.main, (*model, "--ablate", "1", "--output", tmp_path / "baked.pt")),
        (generate.main, (*model, *sweep)),
        (eval_lm.main, (*model, *sweep)),
    ):
        assert message in refusal(main, capsys, *command), main
    with pytest.raises(UserError, match="a part of a model"):
        load_model(named, tiny.data)
    assert end(extract.main, tiny.data, "--path", tmp_path / "x-shard0.pt", "--list-layers") == 0


def test_stock_commands_know_which_file_was_read(tiny, named, tmp_path) -> None:
    """The note that a ranking is of another checkpoint is about the file with the suffix."""
    space = NeuronSpace((Layer("encoder.layers.0", WIDTH),))
    made_with = sha256_file(tmp_path / "x-new.pt")
    order = np.arange(WIDTH)
    Ranking("r", order, np.zeros(WIDTH), space=space, model=made_with).save(tmp_path / "r.json")
    for flags, noted in (((SUFFIX,), False), ((), True)):
        result = call(
            *("fairseq-generate", tiny.data, "--user-dir", USER_DIR, "--path", named, *flags),
            *("--task", "neuron_translation", "--ablate", f"{tmp_path / 'r.json'}:top:1"),
            *("--gen-subset", "valid", "--beam", "1", "--max-len-b", "1", "--num-workers", "0"),
            "--cpu",
        )
        assert result.returncode == 0, result.stderr
        assert ("was made with another checkpoint" in result.stderr) == noted


def multilingual(zoo, folder: Path, **settings) -> Path:
    """A multilingual checkpoint with other settings of its task."""
    state = saved_state(zoo.checkpoint("multi_simple_epoch"))
    vars(state["cfg"]["task"]).update(settings)
    torch.save(state, folder / "m.pt")
    return folder / "m.pt"


def test_a_list_of_languages_has_to_be_given(zoo, tmp_path, capsys) -> None:
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits
    named = str(tmp_path / "pipe")
    path = multilingual(zoo, tmp_path, lang_dict=named, fixed_dictionary=named, langs=None)
    model = (zoo.data("joined"), "--path", path)
    read = (*model, "-s", "en", "-t", "de", "--cpu", "--list-layers")
    fold = (*model, "--ablate", "encoder.layers.0.ffn:1", "--output", tmp_path / "baked.pt")
    message = f"--lang-dict {named!r}, which is not opened by itself: give --lang-dict FILE"
    assert message in refusal(extract.main, capsys, *read)
    assert message in refusal(bake.main, capsys, *fold)
    (tmp_path / "langs").write_text("de\nen\n")
    assert end(extract.main, *read, "--lang-dict", tmp_path / "langs") == 0
    assert end(extract.main, *read, "--langs", "de,en") == 0
    assert end(bake.main, *fold, "--lang-dict", tmp_path / "langs") == 0
    assert "--langs=de,en" in task_flags(tmp_path / "baked.pt", [])


def test_dictionaries_are_those_of_the_data_folder(zoo, tmp_path, capsys) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = multilingual(zoo, tmp_path, fixed_dictionary=str(tmp_path / "pipe"))
    flags = ("--path", path, "-s", "en", "-t", "de", "--cpu", "--list-layers")
    assert end(extract.main, zoo.data("joined"), *flags) == 0
    (tmp_path / "empty").mkdir()
    line = refusal(extract.main, capsys, tmp_path / "empty", *flags)
    assert "empty has no dictionary" in line
    assert line.endswith("which is not opened by itself: give --fixed-dictionary FILE")
    dictionary = ("--fixed-dictionary", zoo.data("joined") / "dict.en.txt")
    assert end(extract.main, tmp_path / "empty", *flags, *dictionary) == 0


def test_settings_of_a_checkpoint_are_no_flags_and_no_files(zoo, tmp_path, capsys) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "pairs").write_text("en-de")
    for pairs in (f"--user-dir={tmp_path / 'evil'}", str(tmp_path / "pairs")):
        path = multilingual(zoo, tmp_path, lang_pairs=pairs)
        command = (zoo.data("joined"), "--path", path, "-s", "en", "-t", "de", "--list-layers")
        line = refusal(extract.main, capsys, *command)
        assert "lang" in line
    assert "is also a file here: give --lang-pairs" in line
    assert not (tmp_path / "ran").exists()


def test_overrides_are_read_as_literals(tiny) -> None:
    for text in ("__import__('os').getcwd()", "[1]"):
        command = [str(tiny.data), "--path", str(tiny.stock), "--model-overrides", text]
        with pytest.raises(UserError, match="--model-overrides is no Python dictionary"):
            open_session(command)
