"""Methods of a user's own, and the labels that methods are given by the command."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli.rank import main
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rankings import METHODS

SPACE = NeuronSpace((Layer("encoder.layers.0", 4),))
SENTENCES = [["a", "b", "c"], ["d", "e"]] * 10  # 50 words
PLUGIN = '''
from __future__ import annotations
from dataclasses import dataclass
from typing import Literal
import numpy as np
from fairseq_neuron_plugin.rankings import ranking_method

@dataclass
class Kept:
    rows: int

@ranking_method("own-size", inputs="activations")
def size(X, *, power: float = 1.0, of: Literal["max", "mean"] = "max", negate: bool = False,
         most: int | None = None, shown: bool = True, norm: Literal[1, 2] | None = None):
    """By size, 100% (A. N. Author 2020).

    Args:
        shown: is a % of nothing.
        power: what the size is
            raised to.
        most: rows that are read.
    """
    rows = np.abs(X[:most]) ** power
    found = rows.max(axis=0) if of == "max" else rows.mean(axis=0)
    return -found if negate else found

@ranking_method("own-labels", inputs="labels")
def labels(X, y, *, progress=None):
    """By the label's code (A. N. Author 2020)."""
    progress(1, 2)
    codes = y.codes
    assert len(codes) == X.shape[0]
    return np.abs([np.corrcoef(X[:][:, j], codes)[0, 1] for j in range(X.shape[1])])
'''

run = partial(end, main)
fails = partial(refusal, main)


@pytest.fixture
def folder(tmp_path):
    """Stores in which neuron 1 is the word's place in the sentence, neuron 2 the store's number."""
    rng = np.random.default_rng(0)
    place = np.concatenate([np.arange(len(words)) for words in SENTENCES])
    for number in (0, 1):
        X = rng.normal(size=(50, 4)).astype(np.float32)
        X[:, 1], X[:, 2] = place, number + 0.01 * X[:, 2]
        settings = {"model": {"sha256": "m"}, "signature": f"store:{number}"}
        write_store(tmp_path / f"acts{number}", X, SENTENCES, SPACE, settings, rows_per_shard=20)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    tags = [" ".join(f"t{place}" for place in range(len(words))) for words in SENTENCES]
    (tmp_path / "tags").write_text("".join(f"{line}\n" for line in tags))
    yield tmp_path
    for name in ("own-size", "own-labels"):
        METHODS.pop(name, None)


def rank(folder, method, *arguments):
    output = folder / "r.json"
    assert run("--plugin", folder / "plugin.py", method, *arguments, "--output", output) == 0
    for name in ("own-size", "own-labels"):
        METHODS.pop(name)
    return Ranking.load(output), json.loads(output.read_text())


def test_options_come_from_the_function(folder, capsys):
    X = np.concatenate([np.load(path) for path in sorted(folder.glob("acts0/activations-*.npy"))])
    ranking, _ = rank(folder, "own-size", folder / "acts0")
    assert ranking.scores.tolist() == sorted(np.abs(X).max(axis=0).tolist(), reverse=True)
    assert (ranking.method, ranking.space, ranking.model) == ("own-size", SPACE, "m")
    settings = "power:1|of:max|negate:False|most:None|shown:True|norm:None"
    assert f"method:own-size|{settings}|" in ranking.signature
    (folder / "r.json").unlink()
    flags = ["--power", "2", "--of", "mean", "--negate", "--most", "30", "--no-shown"]
    other, _ = rank(folder, "own-size", folder / "acts0", *flags, "--norm", "2")
    expected = -(np.abs(X[:30]) ** 2).mean(axis=0)
    np.testing.assert_allclose(other.scores, np.sort(expected)[::-1], rtol=1e-6)
    assert "power:2|of:mean|negate:True|most:30|shown:False|norm:2|" in other.signature
    capsys.readouterr()
    assert run("--plugin", folder / "plugin.py", "own-size", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "By size, 100% (A. N. Author 2020)." in shown
    assert "is a % of nothing" in shown
    assert "--power X what the size is raised to (default: 1.0)" in shown
    assert "--of {max,mean}" in shown


@pytest.mark.parametrize(
    ("stores", "flags", "first", "counts"),
    [
        (1, ["--labels", "tags"], 1, {"t0": 20, "t1": 20, "t2": 10}),
        (2, ["--labels", "tags", "tags"], 1, {"t0": 40, "t1": 40, "t2": 20}),
        (1, ["--labels", "tags", "--min-count", "11"], 1, {"t0": 20, "t1": 20}),
        (1, ["--property", "regex:[ad]"], 1, {"_": 30, "match": 20}),
        (1, ["--property", "lexicon:words", "--skip-absent"], 1, {"x": 10, "y": 20}),
        (2, ["--store-labels", "en", "fr"], 2, {"en": 50, "fr": 50}),
        (2, ["--sentence-labels", "ones", "twos"], 2, {"one": 50, "two": 50}),
    ],
)
def test_labels(folder, capsys, stores, flags, first, counts):
    (folder / "words").write_text("a\tx\nb\ty\ne\ty\n")
    flags = [flag.replace("words", f"{folder}/words") for flag in flags]
    for name in ("one", "two"):
        (folder / f"{name}s").write_text(f"{name}\n" * len(SENTENCES))
    flags = [str(folder / flag) if (folder / flag).exists() else flag for flag in flags]
    acts = [folder / f"acts{number}" for number in range(stores)]
    ranking, content = rank(folder, "own-labels", *acts, *flags)
    assert ranking.neurons[0] == first
    assert content["labels"] == counts
    assert content["left_out"] == ({"t2": 10} if "--min-count" in flags else {})
    assert "|acts:" in ranking.signature
    assert "|labels:" in ranking.signature
    assert f"{len(counts)} labels: " in capsys.readouterr().out


def test_bad_labels(folder, capsys):
    def message(*arguments):
        METHODS.pop("own-labels", None)
        METHODS.pop("own-size", None)
        plugin = ("--plugin", folder / "plugin.py", "own-labels", "--output", folder / "r.json")
        return fails(capsys, *plugin, *arguments)

    acts, tags = folder / "acts0", folder / "tags"
    (folder / "short").write_text("one\n")
    (folder / "gap").write_text("one\n" * 19 + "\n")
    assert "required" in message(acts)
    assert "--labels names 1, and there are 2 stores" in message(acts, acts, "--labels", tags)
    given = (acts, "--property", "position")
    assert "--label-format goes with --labels" in message(*given, "--label-format", "tags")
    tagged = (acts, "--labels", tags)
    assert "goes with CoNLL-U" in message(*tagged, "--conllu-column", "feats:Number")
    assert "--conllu-column goes with --labels" in message(*given, "--conllu-column", "upos")
    assert "--min-count must be 1 or more" in message(*given, "--min-count", "0")
    assert "a label is empty" in message(acts, acts, "--store-labels", "en", "")
    assert "labels 1 sentences" in message(acts, "--sentence-labels", folder / "short")
    assert "line 20: there is no label" in message(acts, "--sentence-labels", folder / "gap")
    wide = NeuronSpace((Layer("encoder.layers.0", 5),))
    write_store(folder / "wide", np.zeros((50, 5), np.float32), SENTENCES, wide)
    found = message(acts, folder / "wide", "--store-labels", "en", "fr")
    assert "not of the same model and layers" in found
    assert not (folder / "r.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "plugin not found"),
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        ("import fairseq_neuron_plugin.rankings as r\nr.ranking_method('a', inputs='b')", "'b'"),
        (PLUGIN.replace("own-size", "variance"), "there is a ranking method 'variance' already"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (PLUGIN.replace("power: float", "output: float"), "option output of the ranking method"),
        (PLUGIN.replace("power: float", "power: complex"), "option power of the ranking method"),
        (PLUGIN.replace("power: float", "power: Power"), "name 'Power' is not defined"),
    ],
)
def test_bad_plugin(folder, capsys, content, message):
    plugin = folder / "bad.py"
    if content is not None:
        plugin.write_text(content)
    arguments = ("--plugin", plugin, "variance", folder / "acts0", "--output", folder / "r.json")
    try:
        assert message in fails(capsys, *arguments)
    finally:
        METHODS.pop("own-size", None)
        METHODS.pop("own-labels", None)


def test_one_score_a_token_is_refused(folder, capsys):
    plugin = folder / "wrong.py"
    plugin.write_text(PLUGIN.replace("max(axis=0)", "max(axis=1)"))
    arguments = ("own-size", folder / "acts0", "--output", folder / "r.json", "--plugin", plugin)
    line = fails(capsys, *arguments)  # --plugin may stand anywhere
    assert "the method own-size gives 50 scores; there are 4 neurons" in line


def test_flags_of_fairseq_are_refused_where_nothing_reads_them(folder, capsys):
    output = ("--output", folder / "r.json")
    line = fails(capsys, "variance", folder / "acts0", "--beam", "5", *output)
    assert "unrecognized arguments: --beam 5" in line
