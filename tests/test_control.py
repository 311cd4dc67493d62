"""--set: neurons held at values, against fairseq-generate and fairseq-interactive with --ablate."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch
from commands import refusal
from tiny_models import USER_DIR, WIDTH, TinyModels, call, run

from fairseq_neuron_plugin.cli import generate as command
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.control import Control, mark_changes
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.specs import parse_settings

LAYERS = [Layer("encoder.layers.0", 6), Layer("encoder.layers.1", 4), Layer("decoder.layers.0", 4)]
FLAGS = ("--cpu", "--max-len-a", "2", "--max-len-b", "5", "--beam", "3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("encoder.layers.1:3=0.8", {"encoder.layers.1": {3: 0.8}}),
        (
            " encoder.layers.0:1,3-4=-1 ; encoder.layers.1:0=2e-1;",
            {"encoder.layers.0": {1: -1.0, 3: -1.0, 4: -1.0}, "encoder.layers.1": {0: 0.2}},
        ),
        (
            "encoder.layers.0:5=1;encoder.layers.0:2=3",
            {"encoder.layers.0": {2: 3.0, 5: 1.0}},
        ),
        ("decoder.layers.0:0=.5", {"decoder.layers.0": {0: 0.5}}),
        ("7,2=0.5", {"encoder.layers.0": {2: 0.5}, "encoder.layers.1": {1: 0.5}}),
        ("{r}:top:2=-2", {"encoder.layers.0": {0: -2.0}, "encoder.layers.1": {3: -2.0}}),
        ("{r}:label=A=B:top:1=4", {"encoder.layers.0": {1: 4.0}}),
    ],
)
def test_parse_settings(tmp_path, text: str, expected) -> None:
    order = np.array([9, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    labels = {"A=B": np.array([1, 0, 2, 3, 4, 5, 6, 7, 8, 9])}
    path = tmp_path / "r.json"
    Ranking("m", order, np.zeros(10), labels, space=NeuronSpace(tuple(LAYERS[:2]))).save(path)
    neurons, values = parse_settings(text.format(r=path), LAYERS)
    found = {
        name: dict(zip(ids, values[name].tolist(), strict=True)) for name, ids in neurons.items()
    }
    assert found == expected
    assert all(tensor.dtype == torch.float64 for tensor in values.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no neuron is set"),
        ("encoder.layers.1:3", "'encoder.layers.1:3' is no neuron with a value"),
        ("encoder.layers.0:1;encoder.layers.1:3=1", "'encoder.layers.0:1' is no neuron with"),
        ("=1", "'=1' is no neuron with a value"),
        ("encoder.layers.1:3=", "finite number only, not ''"),
        ("encoder.layers.1:3=high", "finite number only, not 'high'"),
        ("encoder.layers.1:3=nan", "finite number only"),
        ("encoder.layers.1:3=-inf", "finite number only"),
        ("encoder.layers.1:1-3=1;encoder.layers.1:2=1", "encoder.layers.1:2 is set twice"),
        ("2=1;encoder.layers.0:2=1", "encoder.layers.0:2 is set twice"),
        ("encoder.layers.1:4=1", "4"),
        ("encoder.layers.9:0=1", "encoder.layers.9"),
    ],
)
def test_settings_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_settings(text, LAYERS)


@pytest.mark.parametrize(
    ("before", "after", "marked"),
    [
        ("a b c", "a b c", "a b c"),
        ("a b c", "a c", "a [-b-] c"),
        ("a c", "a b c", "a {+b+} c"),
        ("a b c d", "a x y d", "a [-b c-] {+x y+} d"),
        ("", "a", "[--] {+a+}"),
        ("a b", "b a", "{+b+} a [-b-]"),
    ],
)
def test_marks(before: str, after: str, marked: str) -> None:
    assert mark_changes(before, after) == marked


def test_rows() -> None:
    found = Control(["s", "t"], ["a b", "c"], ["a", "c"])
    assert found.changed() == [0]
    rows = list(found.rows())
    assert [row["changed"] for row in rows] == [True, False]
    assert [row["sentence"] for row in rows] == [1, 2]
    assert rows[0]["marked"] == "a [-b-]"


def stock_lines(output: str) -> list[str]:
    found = re.findall(r"^H-(\d+)\t[^\t]*\t(.*)$", output, flags=re.M)
    return [text for _, text in sorted(found, key=lambda pair: int(pair[0]))]


def test_a_split_equals_fairseq_generate(tiny: TinyModels, tmp_path) -> None:
    out = tmp_path / "control"
    held = "encoder.layers.0:0-20;encoder.layers.1:3,7,30-40"
    printed = run(
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, *FLAGS, "--output-dir", out),
        *("--set", ";".join(f"{part}=0.7" for part in held.split(";")), "--show", "2"),
        *("--reference", tiny.corpus / "test.de", "--metrics", "bleu", "--bootstrap", "50"),
    ).stdout
    task = ("--user-dir", USER_DIR, "--task", "neuron_translation", "--path", tiny.stock)
    every = ("--required-batch-size-multiple", "1")
    for name, ablation in (("before", ()), ("after", ("--ablate", held, "--ablate-value", "0.7"))):
        output = run("fairseq-generate", tiny.data, *task, *FLAGS, *every, *ablation).stdout
        assert (out / f"{name}.txt").read_text().splitlines() == stock_lines(output)
    rows = list(csv.DictReader((out / "changes.csv").open()))
    content = json.loads((out / "changes.json").read_text())
    changed = sum(row["before"] != row["after"] for row in rows)
    assert len(rows) == content["sentences"] == 101
    assert 5 < changed == content["changed"]
    assert f"{changed} of 101 translations changed" in printed
    assert f"... and {changed - 2} more" in printed
    (score,) = content["scores"]
    assert (score["metric"], score["before"] > score["after"]) == ("bleu", True)
    assert 0 < score["p"] <= 1
    assert "|set:" in content["signature"]
    assert "|sacrebleu.bleu:nrefs:1_" in content["signature"]
    assert "|reference:file=" in content["signature"]


def test_a_text_equals_fairseq_interactive(tiny: TinyModels, tmp_path) -> None:
    lines = (tiny.corpus / "test.en").read_text().splitlines()[:9]
    lines[4] = lines[1]
    text = tmp_path / "text.en"
    text.write_text("".join(f"{line}\n" for line in lines))
    held = f"0-{WIDTH - 1}"
    out = tmp_path / "control"
    given = ("--set", f"{held}=-0.4", "--output-dir", out, "--input")
    run("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, *FLAGS, *given, text)
    flags = ("--user-dir", USER_DIR, "--task", "neuron_translation", "--path", tiny.stock, *FLAGS)
    for name, ablation in (("before", ()), ("after", ("--ablate", held, "--ablate-value", "-0.4"))):
        output = run(
            "fairseq-interactive", tiny.data, *flags, *ablation, text=text.read_text()
        ).stdout
        assert (out / f"{name}.txt").read_text().splitlines() == stock_lines(output)
    assert (out / "before.txt").read_text() != (out / "after.txt").read_text()
    refused = call(
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, *FLAGS, *given, text)
    )
    assert refused.returncode == 2
    assert "control holds another run already" in refused.stderr


def test_standard_input_and_a_foreign_ranking(tiny: TinyModels, tmp_path) -> None:
    order = np.arange(2 * WIDTH)
    space = NeuronSpace((Layer("encoder.layers.0", WIDTH), Layer("encoder.layers.1", WIDTH)))
    path = tmp_path / "r.json"
    Ranking("m", order, np.zeros(2 * WIDTH), space=space, model="0" * 64).save(path)
    lines = (tiny.corpus / "test.en").read_text().splitlines()[:2]
    text = f"  {lines[0]}\u2028\n{lines[1]} \n"  # no end of a line but the two of the file
    command = ("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, *FLAGS, "--input", "-")
    done = run(*command, "--set", f"{path}:top:3=0.5", text=text)
    assert "of 2 translations changed" in done.stdout
    assert f"     1  {lines[0]}\n" in done.stdout
    assert f"note: {path}:top:3 is of another checkpoint" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "the following arguments are required: --ranking, --ablate, --output-dir"),
        (("--ranking", "r.json"), "required: --ablate, --output-dir"),
        (("--set", "1=1", "--ranking", "r.json"), "--ranking is for a sweep"),
        (("--set", "1=1", "--ablate", "5"), "--ablate is for a sweep"),
        (("--set", "1=1", "--shard", "0/2"), "--shard is for a sweep"),
        (("--set", "1=1", "--order", "top"), "--order is for a sweep"),
        (("--set", "1=1", "--ablate-value", "3"), "--ablate-value is for a sweep"),
        (("--set", "1=1", "--points-together", "2"), "--points-together is for a sweep"),
        (("--set", "1=1", "--format", "svg"), "--format is for a sweep"),
        (("--set", "1=1", "--bootstrap", "-1"), "--bootstrap must be 0 or more"),
        (
            ("--input", "t", "--ranking", "r", "--ablate", "1", "--output-dir", "o"),
            "--input goes with --set",
        ),
    ],
)
def test_sweep_or_control(capsys, flags, message: str) -> None:
    line = refusal(command.main, capsys, "data", "--path", "m.pt", *flags)
    assert message in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--set", "encoder.layers.7:1=1"), "unknown layer"),
        (("--set", "1=1", "--input", "nowhere.en"), "text not found: nowhere.en"),
        (("--set", "1=1", "--input", "EMPTY"), "there is no sentence in"),
        (("--set", "1=1", "--input", "LATIN-1"), "latin-1.en is not UTF-8 (byte 3)"),
        (("--set", "1=1", "--metrics", "loss"), "--metrics loss is for a sweep"),
        (("--set", "1=1", "--input", "TEXT", "--metrics", "bleu"), "give --reference FILE"),
        (("--set", "0-47=3e38", "--input", "TEXT"), "at too large a value?"),
        (("--set", "3=1e39", "--input", "TEXT"), "a finite number only"),
    ],
)
def test_refusals(tiny: TinyModels, tmp_path, flags, message: str) -> None:
    files = {"EMPTY": b"", "LATIN-1": b"caf\xe9\n", "TEXT": b"the man\n"}
    for name, content in files.items():
        (tmp_path / f"{name.lower()}.en").write_bytes(content)
    given = [tmp_path / f"{flag.lower()}.en" if flag in files else flag for flag in flags]
    refused = call("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, *FLAGS, *given)
    assert refused.returncode == 2
    assert message in refused.stderr.splitlines()[-1]
