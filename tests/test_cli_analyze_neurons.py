"""``fairseq-neuron-analyze top-words`` and ``neuron`` from the command line."""

from __future__ import annotations

import csv
import json
import shlex
from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli import analyze, rank
from fairseq_neuron_plugin.cli.analyze_neurons import TOP_WORDS
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.probe_folder import save_probe
from fairseq_neuron_plugin.rankings import linguistic

SPACE = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 2)))
SENTENCES = [["The", "dog", "$5"], ["no", "dog"], ["the", "cat", "is", "no", "dog"]] * 10
WORDS = [word for words in SENTENCES for word in words]

run = partial(end, analyze.main)
fails = partial(refusal, analyze.main)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stores of models a and b, a probe and rankings; neuron 4 of a fires on "no"."""
    folder = tmp_path_factory.mktemp("analyze")
    rng = np.random.default_rng(0)
    X, B = (rng.normal(size=(len(WORDS), 5)).astype(np.float32) for _ in range(2))
    X[:, 4] = [word == "no" for word in WORDS]
    X[:, 2] = 0.5
    B[:, 1] = -X[:, 4]
    for name, array in {"a": X, "b": B}.items():
        settings = {"model": {"sha256": f"sha-{name}"}, "signature": f"source:{name}"}
        write_store(folder / f"acts.{name}", array, SENTENCES, SPACE, settings)
    fitted = ElasticNetProbe(1e-3, 1e-3).fit(X, np.where(X[:, 4] > 0, "NEG", "$"))
    save_probe(folder / "probe", fitted, {"signature": "probe:x"}, SPACE, "sha-a")
    ranked = ["linguistic", "--probe", folder / "probe", "--output", folder / "ling.json"]
    assert end(rank.main, *ranked) == 0
    models = [folder / "acts.a", folder / "acts.b"]
    assert end(rank.main, "cross-model", *models, "--output", folder / "cross.json") == 0
    linguistic(fitted.coef_, ["$", "NEG"][: len(fitted.coef_)]).save(folder / "bare.json")
    return folder


def rows(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_top_words(folder, tmp_path, capsys):
    output = tmp_path / "out"
    specs = [f"{folder}/ling.json:label=NEG:top:1", f"{folder}/ling.json:top:5"]
    assert run("top-words", folder / "acts.a", "--ranking", *specs, "--output-dir", output) == 0
    printed = capsys.readouterr().out
    first = printed.splitlines()[0]
    assert first.startswith("encoder.layers.1:1 (4), ling.json:label=NEG:top:1; ling.json:top:5: ")
    assert first.endswith("explains 100% of the variance")
    assert printed.splitlines()[1].split() == ["highest", "no", "+2.00"]
    assert "no variance, always 0.5" in printed
    table = rows(output / "top-words.csv")
    assert list(table[0]) == ["neuron", "id", "side", "place", "word", "count", "mean", "z"]
    assert table[0]["word"] == "no"
    assert float(table[0]["mean"]) == pytest.approx(1)
    assert [row["word"] for row in table if row["id"] == "4" and row["side"] == "lowest"] == [
        *("$5", "The", "cat", "dog", "is", "the")
    ]
    assert rows(output / "neurons.csv")[0]["id"] == "4"
    document = json.loads((output / "analysis.json").read_text())
    assert document["analysis"] == "top-words"
    assert document["signature"] in printed
    assert document["neurons"][0]["highest"][0]["word"] == "no"
    assert document["neurons"][0]["selections"] == [spec.rpartition("/")[2] for spec in specs]
    assert (output / "top-words.png").read_bytes().startswith(b"\x89PNG")


def test_lowercase_and_lists(folder, capsys):
    lists = ("--neurons", "encoder.layers.1:0-1", "0")
    flags = ("--lowercase", "--min-count", "11", "--words", "1")
    assert run("top-words", folder / "acts.a", *lists, *flags) == 0
    printed = capsys.readouterr().out
    assert [line.split(" ")[1] for line in printed.splitlines() if "):" in line] == [
        *("(3):", "(4):", "(0):")
    ]
    shown = {line.split()[1] for line in printed.splitlines() if line.startswith("  ")}
    assert shown <= {"the", "no", "dog", "-"}
    assert "The" not in printed.split()


def test_signature_tells_settings_apart(folder):
    found = set()
    for flags in ([], ["--lowercase"], ["--words", "3"], ["--min-count", "2"], ["--neurons", "3"]):
        command = ["top-words", f"{folder}/acts.a", "--neurons", "3,4", *flags]
        args = analyze.build_parser().parse_args(command)
        found.add(TOP_WORDS.run(args).document["signature"])
    assert len(found) == 5


def test_more_neurons_than_the_picture_has_room_for(tmp_path):
    space = NeuronSpace((Layer("encoder.layers.0", 20),))
    X = np.random.default_rng(0).normal(size=(len(WORDS), 20)).astype(np.float32)
    write_store(tmp_path / "acts", X, SENTENCES, space)
    command = ("top-words", tmp_path / "acts", "--neurons", "0-19", "--words", "2")
    assert run(*command, "--output-dir", tmp_path / "out") == 0
    assert len(rows(tmp_path / "out" / "neurons.csv")) == 20


def test_neuron(folder, tmp_path, capsys):
    output = tmp_path / "out"
    given = ("--ranking", folder / "ling.json", folder / "cross.json", "--probe", folder / "probe")
    command = ("neuron", "encoder.layers.1:1", "--acts", folder / "acts.a", *given)
    assert run(*command, "--context", "1", "--output-dir", output) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("encoder.layers.1:1 (4), 100 tokens: mean 0.2, ")
    for text in (
        "highest  no +2.00",
        f"best match (cross): encoder.layers.0:1 of {folder}/acts.b, ρ = -1.000",
        "probe probe: salient for 2 of 2 labels",
        "  +1.0000  [no] dog",
        "  +1.0000  … is [no] dog",
    ):
        assert text in printed
    lines = [line.split() for line in printed.splitlines()]
    assert ["ling", "1", "of", "5"] in [line[:4] for line in lines]
    assert ["cross", "1", "of", "5", "1", "-"] in lines
    document = json.loads((output / "analysis.json").read_text())
    assert document["analysis"] == "neuron"
    card = document["card"]
    assert (card["neuron"], card["name"]) == (4, "encoder.layers.1:1")
    assert card["highest"][0]["words"] == ["no", "dog"]
    assert [place["place"] for place in card["rankings"]] == [1, 1]
    assert sum(card["distribution"]["counts"]) == 100
    assert document["rankings"] == {name: f"{folder}/{name}.json" for name in ("ling", "cross")}
    assert rows(output / "examples.csv")[0]["text"] == "[no] dog"
    assert {row["label"] for row in rows(output / "weights.csv")} == {"$", "NEG"}
    assert rows(output / "rankings.csv")[1]["ranking"] == "cross"
    assert rows(output / "top-words.csv")[0]["word"] == "no"
    assert (output / "neuron.png").read_bytes().startswith(b"\x89PNG")


def test_dead_neuron_alone(folder, tmp_path, capsys):
    command = ("neuron", "2", "--acts", folder / "acts.a", "--probe", folder / "probe")
    assert run(*command, "--output-dir", tmp_path / "out", "--examples", "0") == 0
    printed = capsys.readouterr().out
    assert "no variance, always 0.5" in printed
    assert "salient for 0 of 2 labels; it has no weight" in printed
    assert "activations" not in printed
    assert not rows(tmp_path / "out" / "rankings.csv")


def test_two_rankings_of_one_name(folder, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / "ling.json"
    copy.write_bytes((folder / "ling.json").read_bytes())
    assert (
        run("neuron", 4, "--acts", folder / "acts.a", "--ranking", folder / "ling.json", copy) == 0
    )
    assert "other/ling" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("top-words {d}/acts.a", "one of the arguments --neurons --ranking is required"),
        ("top-words {d}/acts.a --neurons 1 --ranking r.json:top:1", "not allowed with"),
        ("top-words {d}/acts.a --ranking 3,4", "--ranking 3,4 is no selection"),
        ("top-words {d}/acts.a --ranking {d}/ling.json", "which neurons of"),
        ("top-words {d}/acts.a --ranking {d}/ling.json:label=X:top:1", "no label 'X'"),
        ("top-words {d}/acts.a --ranking {d}/none.json:top:1", "ranking not found"),
        ("top-words {d}/acts.b --ranking {d}/ling.json:top:1", "of another checkpoint"),
        ("top-words {d}/acts.a --neurons 7", "out of range"),
        ("top-words {d}/acts.a --neurons 1 --min-count 99", "no word occurs 99 times"),
        ("top-words {d}/acts.a --neurons 1 --words 0", "at least 1 word"),
        ("top-words {d}/none --neurons 1", "activation store not found"),
        ("neuron 4", "--acts"),
        ("neuron 3-4 --acts {d}/acts.a", "'3-4' names 2 neurons"),
        ("neuron '' --acts {d}/acts.a", "'' names 0 neurons"),
        ("neuron encoder.layers.7:1 --acts {d}/acts.a", "unknown layer 'encoder.layers.7'"),
        ("neuron 4 --acts {d}/acts.a --context -1", "--context must be 0 or more"),
        ("neuron 4 --acts {d}/acts.a --examples -1", "examples must be 0 or more"),
        ("neuron 4 --acts {d}/acts.b --probe {d}/probe", "probe probe is of another checkpoint"),
        ("neuron 4 --acts {d}/acts.b --ranking {d}/ling.json", "ranking ling is of another"),
        ("neuron 4 --acts {d}/acts.a --ranking {d}/ling.json {d}/ling.json", "given twice"),
        ("neuron 4 --acts {d}/acts.a --probe {d}/acts.a", "probe"),
    ],
)
def test_refusals(folder, tmp_path, capsys, command, message):
    output = tmp_path / "out"
    arguments = shlex.split(command.format(d=folder))
    assert message in fails(capsys, *arguments, "--output-dir", output)
    assert not output.exists()


def test_a_ranking_without_layers_fits(folder, capsys):
    assert run("top-words", folder / "acts.a", "--neurons", f"{folder}/bare.json:top:1") == 0
    assert capsys.readouterr().out.startswith("encoder.layers.1:1 (4), bare.json:top:1: ")
