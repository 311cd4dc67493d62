"""fairseq-neuron-import fairseq, and what stock fairseq makes of its checkpoints."""

from __future__ import annotations

import copy
import json
import re
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from commands import end, refusal
from emulated_checkpoints import (
    as_args,
    as_args_dict,
    as_cfg_and_model,
    as_wrapped,
    differences,
    flat_args,
    fsdp_parts,
    model_parallel_parts,
    save,
    save_parts,
)
from safetensors.torch import save_file, save_model
from saved_state import saved_state
from stock_process import hypotheses, run_stock
from tiny_models import call

from fairseq_neuron_plugin.cli.import_checkpoint import main

NAMES = ("lstm", "transformer", "transformer_lm")
GENERATE = (
    *("--gen-subset", "valid", "--beam", "3", "--max-len-a", "1", "--max-len-b", "5"),
    *("--required-batch-size-multiple", "1"),
)
TRAIN = (
    *("--optimizer", "adam", "--max-update", "1", "--max-epoch", "99", "--batch-size", "8"),
    *("--arch", "transformer", "--encoder-embed-dim", "32", "--encoder-ffn-embed-dim", "64"),
    *("--encoder-layers", "2", "--encoder-attention-heads", "4", "--decoder-embed-dim", "32"),
    *("--decoder-layers", "2", "--decoder-ffn-embed-dim", "64", "--decoder-attention-heads", "4"),
    *("--no-save", "--disable-validation", "--num-workers", "0", "--no-progress-bar", "--cpu"),
)


def path_of(zoo, name: str) -> Path:
    return zoo.tiny.stock if name == "lstm" else zoo.checkpoint(name)


def data_of(zoo, name: str) -> Path:
    return zoo.data("text" if name.endswith("lm") else "pair")


@pytest.fixture(scope="module")
def clean(zoo, tmp_path_factory) -> dict[str, Path]:
    """Each checkpoint, imported, without its dictionaries."""
    folder = tmp_path_factory.mktemp("clean")
    outputs = {name: folder / f"{name}.pt" for name in NAMES}
    for name, output in outputs.items():
        assert end(main, "fairseq", path_of(zoo, name), "--output", output) == 0
    return outputs


def test_stock_fairseq_makes_the_same_of_it(zoo, clean, tmp_path) -> None:
    words = [line.split() for line in (zoo.tiny.corpus / "valid.en").read_text().splitlines()[:5]]
    (tmp_path / "five").write_text("\n".join(map(" ".join, words)) + "\n")
    jobs = []
    pair = zoo.data("pair")
    for path in (path_of(zoo, "lstm"), clean["lstm"]):
        jobs.append(("generate", (pair, "--path", path, *GENERATE)))
    for path in (path_of(zoo, "transformer"), clean["transformer"]):
        jobs.append(("generate", (pair, "--path", path, *GENERATE)))
        jobs.append(("interactive", (pair, "--path", path, "--input", tmp_path / "five")))
        validate = ("--task", "translation", "--valid-subset", "valid", "--batch-size", "8")
        jobs.append(("validate", (pair, "--path", path, *validate)))
    for path in (path_of(zoo, "transformer_lm"), clean["transformer_lm"]):
        flags = ("--sample-break-mode", "none", "--tokens-per-sample", "64")
        jobs.append(("eval_lm", (zoo.data("text"), "--path", path, "--gen-subset", "test", *flags)))
    restore = ("--restore-file", clean["transformer"], "--reset-optimizer")
    jobs.append(("train", (pair, *TRAIN, "--save-dir", tmp_path / "a", *restore)))
    finetune = ("--finetune-from-model", clean["transformer"])
    jobs.append(("train", (pair, *TRAIN, "--save-dir", tmp_path / "b", *finetune)))
    lstm, lstm_clean, *transformer, lm, lm_clean, restored, tuned = run_stock(jobs, tmp_path)
    assert len(hypotheses(lstm)) == 40
    assert hypotheses(lstm_clean) == hypotheses(lstm)
    for before, after in zip(transformer[:2], transformer[3:5], strict=True):
        assert len(hypotheses(before)) in (40, 5)
        assert hypotheses(after) == hypotheses(before)
    losses = [re.search(r"subset \| loss (\S+)", transformer[i])[1] for i in (2, 5)]
    assert losses[0] == losses[1]
    losses = [re.search(r"Loss \(base 2\): (\S+),", text)[1] for text in (lm, lm_clean)]
    assert losses[0] == losses[1]
    epoch = saved_state(clean["transformer"])["extra_state"]["train_iterator"]["epoch"]
    assert f"(epoch {epoch} @ 0 updates)" in restored
    assert f"loading pretrained model from {clean['transformer']}" in tuned
    assert all("done training" in text for text in (restored, tuned))


def shards(state: dict, folder: Path) -> Path:
    return save_parts(fsdp_parts(state, 3, ("decoder.layers.0",)), folder)[1]


def tensors(state: dict, folder: Path) -> Path:
    weights = {name: weight.clone() for name, weight in state["model"].items()}
    save_file(weights, folder / "model.safetensors")
    settings = {
        name: {**vars(section), "_name": section._name}
        if isinstance(section, Namespace)
        else section
        for name, section in state["cfg"].items()
    }
    (folder / "config.json").write_text(json.dumps({"cfg": settings}))
    return folder / "model.safetensors"


def tensors_with_args(state: dict, folder: Path) -> Path:
    names = list(state["model"])
    for number, part in enumerate((names[:3], names[3:]), start=1):
        weights = {name: state["model"][name].clone() for name in part}
        save_file(weights, folder / f"w-{number:05}-of-00002.safetensors")
    (folder / "args.json").write_text(json.dumps(vars(flat_args(state["cfg"]))))
    return folder / "w-00002-of-00002.safetensors"


FORMS = {
    "args": lambda state, folder: save(as_args(state), folder / "old.pt"),
    "args as a dict": lambda state, folder: save(as_args_dict(state), folder / "old.pt"),
    "module.": lambda state, folder: save(as_wrapped(state), folder / "old.pt"),
    "cfg and model": lambda state, folder: save(as_cfg_and_model(state), folder / "old.pt"),
    "FSDP": shards,
    "safetensors": tensors,
    "safetensors in parts, args": tensors_with_args,
    "clean": lambda state, folder: save(state, folder / "old.pt"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_form_becomes_the_same_checkpoint(name: str, form: str, zoo, clean, tmp_path) -> None:
    expected = saved_state(clean[name])
    state = expected if form == "clean" else saved_state(path_of(zoo, name))
    source, output = FORMS[form](state, tmp_path), tmp_path / "new.pt"
    assert end(main, "fairseq", source, "--output", output) == 0
    found = saved_state(output)
    if form in ("cfg and model", "safetensors", "safetensors in parts, args"):
        for key in ("extra_state", "optimizer_history", "criterion"):
            expected[key] = found[key]
    if form.startswith("safetensors"):
        found["cfg"] = json.loads(json.dumps(found["cfg"], default=vars))
        expected["cfg"] = json.loads(json.dumps(expected["cfg"], default=vars))
        for cfg in (found["cfg"], expected["cfg"]):
            cfg["model"] = dict(sorted(cfg["model"].items()))
    for state in (found, expected):
        state["model"] = dict(sorted(state["model"].items()))
    assert differences(found, expected) == []


def test_what_was_read_is_printed(zoo, tmp_path, capsys) -> None:
    state = as_args(saved_state(path_of(zoo, "lstm")))
    state["args"].encoder_embed_path = "/etc/passwd"
    state["extra_state"]["mine"] = 3
    old, output = save(state, tmp_path / "old.pt"), tmp_path / "new.pt"
    assert end(main, "fairseq", old, "--output", output, "--data", zoo.tiny.data) == 0
    printed = capsys.readouterr().out
    *table, empty, command = printed.splitlines()
    weights = sum(weight.numel() for weight in state["model"].values())
    assert dict(re.split(r"  +", line, maxsplit=1) for line in table) == {
        "read": f"{old}: fairseq 0.10",
        "task": "translation",
        "architecture": "lstm",
        "parameters": f"{weights:,}",
        "left out": "optimizer state, metrics, mine",
        "emptied": "encoder_embed_path",
        "written": f"{output}: {output.stat().st_size / 1e6:.1f} MB, loads strictly",
    }
    assert empty == ""
    assert saved_state(output)["cfg"]["model"].encoder_embed_path is None
    program, *arguments = command.split()
    arguments[arguments.index("acts")] = str(tmp_path / "acts")
    done = call(program, *arguments, "--layers", "encoder.layers.0")
    assert done.returncode == 0, done.stderr
    again = ("--data", zoo.tiny.data, "--no-verify", "--force")
    assert end(main, "fairseq", old, "--output", output, *again) == 0
    assert re.search(r"MB, not verified$", capsys.readouterr().out, re.MULTILINE)
    assert end(main, "fairseq", old, "--output", output, "--force") == 0
    assert "not verified (give --data)" in capsys.readouterr().out


def test_the_moving_average_is_taken_if_asked_for(zoo, tmp_path, capsys) -> None:
    state = saved_state(path_of(zoo, "lstm"))
    average = {name: weight * 0.5 for name, weight in state["model"].items()}
    state["extra_state"]["ema"] = average
    old = save(state, tmp_path / "old.pt")
    for flags, weights, line in (
        ((), state["model"], "optimizer state, moving average, metrics"),
        (("--ema",), average, "optimizer state, metrics"),
    ):
        assert end(main, "fairseq", old, "--output", tmp_path / "new.pt", "--force", *flags) == 0
        found = saved_state(tmp_path / "new.pt")
        assert differences(dict(found["model"]), dict(weights)) == []
        assert "ema" not in found["extra_state"]
        assert re.search(rf"^left out +{line}$", capsys.readouterr().out, re.MULTILINE)


def test_weights_that_share_memory_come_back(zoo, tmp_path) -> None:
    state = saved_state(zoo.checkpoint("multi_simple_epoch"))

    class Tied(torch.nn.Module):
        def state_dict(self, *args, **kwargs):
            return dict(state["model"])

    save_model(Tied(), str(tmp_path / "model.safetensors"))
    (tmp_path / "args.json").write_text(json.dumps(vars(flat_args(state["cfg"]))))
    output = tmp_path / "new.pt"
    done = ("--output", output, "--data", zoo.data("joined"))
    assert end(main, "fairseq", tmp_path / "model.safetensors", *done) == 0
    weights = saved_state(output)["model"]
    shared = weights["encoder.embed_tokens.weight"].data_ptr()
    for name in ("decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        assert weights[name].data_ptr() == shared
    assert output.stat().st_size < 1.1 * sum(w.numel() * 4 for w in state["model"].values())


def test_settings_beside_a_checkpoint_take_the_place_of_its_own(zoo, tmp_path) -> None:
    state = as_args(saved_state(path_of(zoo, "lstm")))
    settings = {**vars(state["args"]), "max_source_positions": 99}
    (tmp_path / "mine.json").write_text(json.dumps({"args": settings}))
    old = save(state, tmp_path / "old.pt")
    flags = ("--config", tmp_path / "mine.json", "--output", tmp_path / "new.pt")
    assert end(main, "fairseq", old, *flags) == 0
    assert saved_state(tmp_path / "new.pt")["cfg"]["task"]["max_source_positions"] == 99


def test_parts_of_model_parallelism_say_what_dictionary_they_need(zoo, tmp_path, capsys) -> None:
    state = copy.deepcopy(saved_state(path_of(zoo, "transformer_lm")))
    parts = model_parallel_parts(state, 2, "transformer_lm_megatron")
    paths = save_parts(parts, tmp_path, "model-model_part-{}.pt")
    output = tmp_path / "new.pt"
    assert end(main, "fairseq", paths[0], "--output", output) == 0
    rows = len(state["model"]["decoder.embed_tokens.weight"])
    printed = capsys.readouterr().out
    assert re.search(rf"^dictionary +needs {rows} entries", printed, re.MULTILINE)
    assert re.search(r"^architecture +transformer_lm$", printed, re.MULTILINE)
    paths[0].unlink()
    line = refusal(main, capsys, "fairseq", paths[1], "--output", tmp_path / "other.pt")
    assert "has 1 parts, but the model was cut into 2" in line


def other_weights(state: dict) -> dict:
    weights = {**state["model"], "encoder.embed_tokens.weight": torch.ones(3, 32)}
    return {**state, "model": weights}


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (None, (), "checkpoint not found: .*old.pt"),
        (lambda state: state, ("--ema",), "no moving average"),
        (lambda state: {"model": state["model"]}, (), "no configuration"),
        (lambda state: state, ("--config", "no.json"), "configuration not found: no.json"),
        (lambda state: state, ("--data", "nowhere"), "not found|cannot be used"),
        (lambda state: state, ("--user-dir", "nowhere"), "--user-dir nowhere"),
        (other_weights, ("--data", "DATA"), r"new.pt (does not fit|cannot be used): .*size"),
        (
            lambda state: {**state, "model": {"encoder.weight": torch.tensor([torch.nan])}},
            (),
            "NaN or infinite",
        ),
    ],
)
def test_refusals(change, flags, message: str, zoo, tmp_path, capsys) -> None:
    if change is not None:
        save(change(saved_state(path_of(zoo, "lstm"))), tmp_path / "old.pt")
    given = [str(zoo.tiny.data) if flag == "DATA" else flag for flag in flags]
    output = tmp_path / "new.pt"
    line = refusal(main, capsys, "fairseq", tmp_path / "old.pt", "--output", output, *given)
    assert re.search(message, line)
    assert {path.name for path in tmp_path.iterdir()} <= {"old.pt"}


def test_an_output_that_is_taken_is_refused(clean, tmp_path, capsys) -> None:
    given = ("fairseq", clean["lstm"], "--output")
    (tmp_path / "new.pt").write_text("mine")
    assert "exists already; choose" in refusal(main, capsys, *given, tmp_path / "new.pt")
    assert "is a folder" in refusal(main, capsys, *given, tmp_path)
    (tmp_path / "x-shard0.pt").touch()
    line = refusal(main, capsys, *given, tmp_path / "x.pt")
    assert f"fairseq would read {tmp_path / 'x-shard0.pt'} in place of" in line
    assert (tmp_path / "new.pt").read_text() == "mine"


def hugging_face(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "marian", "architectures": ["M"]}')


def deeply_nested(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        (lambda folder: None, "no config.json or args.json beside .*; give .* --config"),
        (hugging_face, "is of a Hugging Face model"),
        (deeply_nested, "is not JSON"),
        (lambda folder: (folder / "args.json").write_text("{"), "args.json is not JSON"),
        (lambda folder: (folder / "args.json").write_text("[]"), "is not a JSON object"),
        (lambda folder: (folder / "args.json").write_text("{}"), "neither an 'arch' nor a"),
        (
            lambda folder: (folder / "args.json").write_text('{"arch": "lstm", "task": 3}'),
            "task",
        ),
        (
            lambda folder: (folder / "args.json").write_text('{"arch": "lstm", "__class__": 1}'),
            "the configuration has a setting __class__",
        ),
    ],
)
def test_refused_settings_of_safetensors(beside, message: str, tmp_path, capsys) -> None:
    save_file({"encoder.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    beside(tmp_path)
    given = ("fairseq", tmp_path / "model.safetensors", "--output", tmp_path / "new.pt")
    assert re.search(message, refusal(main, capsys, *given))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.safetensors", b"\xff" * 100, "damaged or not safetensors"),
        ("m.safetensors", b"", "damaged or not safetensors"),
        ("m-00001-of-00003.safetensors", None, "not found: .*m-00002-of-00003.safetensors"),
        ("m-00001-of-99999.safetensors", None, "not one of at most 10000 files"),
    ],
)
def test_refused_safetensors(name: str, content, message: str, tmp_path, capsys) -> None:
    (tmp_path / "args.json").write_text('{"arch": "lstm"}')
    if content is None:
        save_file({"encoder.weight": torch.ones(2)}, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    given = ("fairseq", tmp_path / name, "--output", tmp_path / "new.pt")
    assert re.search(message, refusal(main, capsys, *given))
