"""fairseq-neuron-bake, and what stock fairseq makes of its checkpoints without this plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from saved_state import saved_state
from tiny_models import USER_DIR, WIDTH, call

from fairseq_neuron_plugin.baking.bake import TOLERANCE
from fairseq_neuron_plugin.baking.edits import Edits
from fairseq_neuron_plugin.files import sha256_file

# Checkpoint, data folder, spec, scope, value, stock command, flags.
GENERATE = (
    *("--gen-subset", "valid", "--beam", "3", "--max-len-a", "1", "--max-len-b", "5"),
    *("--required-batch-size-multiple", "1"),
)
HALF = f"0-{WIDTH // 2}"
COMMANDS: dict[str, tuple[str, str, str, str, str, str]] = {
    "stock lstm": ("lstm", "pair", f"encoder.layers.1:{HALF}", "recurrent", "0", "translation"),
    "neuron_lstm": (
        *("neuron_lstm", "pair"),
        f"encoder.layers.0:3;decoder.layers.1:{HALF};decoder.attention:{HALF}",
        *("full", "0", "translation"),
    ),
    "transformer": (
        *("transformer", "pair", "encoder.layers.1.ffn:0-40;decoder.layers.0:1-9"),
        *("recurrent", "0.25", "translation"),
    ),
    "lstm_lm": ("lstm_lm", "text", f"decoder.layers.0:{HALF}", "recurrent", "0.3", "lm"),
    "neuron_lstm_lm": ("neuron_lstm_lm", "text", f"decoder.layers.1:{HALF}", "full", "0", "lm"),
    "transformer_lm": (
        *("transformer_lm", "text", "decoder.layers.0.self_attn:0-20;decoder.layers.1.ffn:5-50"),
        *("recurrent", "0", "lm"),
    ),
}
STOCK = """
import argparse, contextlib, importlib, io, json, logging, sys, torch
torch.serialization.add_safe_globals([argparse.Namespace])
outputs = []
for name, argv in json.loads(sys.stdin.read()):
    main = importlib.import_module("fairseq_cli." + name).cli_main
    sys.argv, out = [name, *argv], io.StringIO()
    logging.getLogger().handlers = [logging.StreamHandler(out)]
    with contextlib.redirect_stdout(out):
        main()
    outputs.append(out.getvalue())
assert not [name for name in sys.modules if name.split(".")[0] == "fairseq_neuron_plugin"]
print(json.dumps(outputs))
"""


def path_of(zoo, name: str) -> Path:
    known = {"lstm": zoo.tiny.stock, "neuron_lstm": zoo.tiny.neuron}
    return known[name] if name in known else zoo.checkpoint(name)


def command(kind: str, data: Path, path: Path) -> tuple[str, list[str]]:
    if kind == "lm":
        flags = ("--sample-break-mode", "none", "--tokens-per-sample", "64", "--gen-subset", "test")
        return "eval_lm", [str(data), "--path", str(path), *flags]
    return "generate", [str(data), "--path", str(path), *GENERATE]


def result_of(text: str) -> list[tuple[str, float, str]]:
    """Hypotheses with scores, or the loss of a language model."""
    found = [
        (number, float(score), words)
        for number, score, words in re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", text, re.MULTILINE)
    ]
    return found or [("loss", float(re.search(r"Loss \(base 2\): (\S+),", text)[1]), "")]


@pytest.fixture(scope="module")
def stock_results(zoo, tmp_path_factory) -> dict[str, list]:
    """What stock commands make of every baked checkpoint, in a process without this plugin."""
    folder, jobs = tmp_path_factory.mktemp("baked"), []
    for name, (checkpoint, data, spec, scope, value, kind) in COMMANDS.items():
        output = folder / f"{name}.pt"
        path = path_of(zoo, checkpoint)
        flags = ("--ablate", spec, "--ablate-scope", scope, "--ablate-value", value)
        done = call("fairseq-neuron-bake", "--path", path, *flags, "--output", output)
        assert done.returncode == 0, done.stderr
        assert float(re.search(r"live ablation: (\S+)", done.stdout)[1]) < TOLERANCE
        jobs.append(command(kind, zoo.data(data), output))
    stock = subprocess.run(
        [sys.executable, "-c", STOCK],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        check=False,
    )
    assert stock.returncode == 0, stock.stderr
    outputs = json.loads(stock.stdout.splitlines()[-1])
    return {name: result_of(out) for name, out in zip(COMMANDS, outputs, strict=True)}


@pytest.mark.parametrize("name", COMMANDS)
def test_stock_fairseq_runs_it_like_the_live_ablation(name: str, zoo, stock_results) -> None:
    checkpoint, data, spec, scope, value, kind = COMMANDS[name]
    program, flags = command(kind, zoo.data(data), path_of(zoo, checkpoint))
    task = "neuron_language_modeling" if kind == "lm" else "neuron_translation"
    base = (f"fairseq-{program.replace('_', '-')}", *flags, "--user-dir", USER_DIR, "--task", task)
    ablation = ("--ablate", spec, "--ablate-scope", scope, "--ablate-value", value)
    done = call(*base, *ablation)
    live = result_of(done.stdout + done.stderr)
    plain = call(*base)
    baked = stock_results[name]
    assert len(baked) == (1 if kind == "lm" else 40)
    assert [line[::2] for line in baked] == [line[::2] for line in live]
    assert [line[1] for line in baked] == pytest.approx([line[1] for line in live], abs=2e-4)
    assert baked != result_of(plain.stdout + plain.stderr)


def test_baked_checkpoint_asks_for_stock_fairseq(zoo, tmp_path) -> None:
    output = tmp_path / "baked.pt"
    source = zoo.tiny.neuron
    flags = ("--path", source, "--ablate", "encoder.layers.0:1,3-5", "--output", output)
    first = call("fairseq-neuron-bake", zoo.tiny.data, *flags)
    assert first.returncode == 0, first.stderr
    assert "encoder.layers.0: 4 neurons baked" in first.stdout
    assert "without optimiser state" in first.stdout
    state, original = (saved_state(path) for path in (output, source))
    assert original["cfg"]["model"].arch == "neuron_lstm"
    assert (state["cfg"]["model"].arch, state["cfg"]["model"]._name) == ("lstm", "lstm")
    assert state["cfg"]["model"].user_dir is None
    assert state["last_optimizer_state"] is None
    note = state["extra_state"]["neuron_bake"][0]
    assert note["neurons"] == "encoder.layers.0:1,3-5"
    assert note["checkpoint_sha256"] == sha256_file(source)
    assert output.stat().st_size < 0.6 * source.stat().st_size
    changed = {
        name for name in state["model"] if not state["model"][name].equal(original["model"][name])
    }
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    assert changed == {f"encoder.lstm.{part}_l0" for part in parts}

    again = call("fairseq-neuron-bake", *flags)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    more = (*flags[:3], "encoder.layers.1:0", "--path", output, "--output", output, "--force")
    assert call("fairseq-neuron-bake", *more).returncode == 0
    notes = saved_state(output)["extra_state"]["neuron_bake"]
    assert [note["neurons"] for note in notes] == ["encoder.layers.0:1,3-5", "encoder.layers.1:0"]


def test_a_neuron_task_in_the_checkpoint_becomes_the_stock_one(zoo, tmp_path) -> None:
    state = saved_state(zoo.tiny.neuron)
    state["cfg"]["task"] |= {"_name": "neuron_translation", "ablate": None, "ablate_value": "0"}
    state["cfg"]["model"] = Namespace(
        **{**vars(state["cfg"]["model"]), "task": "neuron_translation", "arch": "neuron_lstm_paper"}
    )
    source, output = tmp_path / "source.pt", tmp_path / "baked.pt"
    torch.save(state, source)
    flags = ("--path", source, "--ablate", "3", "--output", output)
    done = call("fairseq-neuron-bake", *flags)
    assert done.returncode == 0, done.stderr
    cfg = saved_state(output)["cfg"]
    assert cfg["task"]["_name"] == cfg["model"].task == "translation"
    assert not [key for key in cfg["task"] if key.startswith("ablate")]
    assert cfg["model"].arch == "lstm"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ablate", "encoder.layers.1:3-5", "--ablate-value", "0.5"), "encoder.layers.1:3-5 at"),
        (("--ablate", "encoder.layers.7:3"), "unknown layer"),
        (("--ablate", ""), "no neuron"),
        (("--ablate", "3", "--ablate-value", "mean"), "--ablate-acts"),
        (("--ablate", "3", "--ablate-value", "much"), "much"),
        (("--ablate", "3", "--ablate-scope", "all"), "--ablate-scope"),
    ],
)
def test_refusals_of_the_command(flags, message: str, zoo, tmp_path) -> None:
    done = call(
        "fairseq-neuron-bake", "--path", zoo.tiny.stock, *flags, "--output", tmp_path / "b.pt"
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_if_the_check_fails(zoo, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Edits, "state_dict", lambda self, stored: dict(stored))
    flags = ("--path", zoo.tiny.stock, "--ablate", "3", "--output", tmp_path / "b.pt")
    done = call("fairseq-neuron-bake", *flags)
    assert done.returncode == 2
    assert "differs from the live ablation" in done.stderr
    assert not list(tmp_path.iterdir())


def test_neurons_are_baked_at_their_means(tiny, zoo, tmp_path) -> None:
    layer, path = "encoder.layers.1.ffn", zoo.checkpoint("transformer")
    extracted = call(
        *("fairseq-neuron-extract", tiny.data, "--path", path, "--gen-subset", "valid", "--cpu"),
        *("--layers", layer, "--output-dir", tmp_path / "acts"),
    )
    assert extracted.returncode == 0, extracted.stderr
    baked = call(
        *("fairseq-neuron-bake", tiny.data, "--path", path, "--ablate", f"{layer}:3,17"),
        *("--ablate-value", "mean", "--ablate-acts", tmp_path / "acts"),
        *("--output", tmp_path / "baked.pt"),
    )
    assert baked.returncode == 0, baked.stderr
    means = np.load(tmp_path / "acts" / "activations-00000.npy").mean(axis=0)[[3, 17]]
    before, after = (saved_state(file)["model"] for file in (path, tmp_path / "baked.pt"))
    fc2 = "encoder.layers.1.fc2"
    moved = before[f"{fc2}.weight"][:, [3, 17]] @ torch.from_numpy(means)
    assert moved.abs().max() > 1e-3
    torch.testing.assert_close(after[f"{fc2}.bias"] - before[f"{fc2}.bias"], moved)
    assert not after[f"{fc2}.weight"][:, [3, 17]].any()
