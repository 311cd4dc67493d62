from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli.rank import main
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.probe_folder import save_probe
from fairseq_neuron_plugin.ranking import Ranking

SPACE = NeuronSpace((Layer("encoder.layers.0", 4), Layer("encoder.layers.1", 2)))
SENTENCES = [["a", "b", "c"], ["d", "e"]] * 20


run = partial(end, main)
fails = partial(refusal, main)


@pytest.fixture
def stores(tmp_path):
    rng = np.random.default_rng(0)
    X, B, C = (rng.normal(size=(100, 6)).astype(np.float32) for _ in range(3))
    B[:, 0] = -2 * X[:, 5]
    X[:, 2] *= 10
    for name, array in {"a": X, "b": B, "c": C}.items():
        settings = {"model": {"sha256": f"sha-{name}"}, "signature": f"source:{name}"}
        write_store(tmp_path / name, array, SENTENCES, SPACE, settings, rows_per_shard=33)
    return tmp_path


def test_cross_model(stores, capsys):
    output = stores / "ranking.json"
    assert run("cross-model", stores / "a", stores / "b", stores / "c", "--output", output) == 0
    assert "encoder.layers.1:1" in capsys.readouterr().out
    ranking = Ranking.load(output)
    assert (ranking.method, ranking.space, ranking.model) == ("cross-model", SPACE, "sha-a")
    assert ranking.neurons[0] == 5
    content = json.loads(output.read_text())
    best = content["best_match"][5]
    assert (best["model"], best["neuron"]) == (0, 0)
    assert best["rho"] == pytest.approx(-1, abs=1e-6)
    assert [model["model"] for model in content["models"]] == ["sha-b", "sha-c"]
    signed = stores / "signed.json"
    arguments = ("cross-model", "--signed", stores / "a", stores / "b", "--output", signed)
    assert run(*arguments) == 0
    assert Ranking.load(signed).neurons[0] != 5
    assert Ranking.load(signed).signature != ranking.signature


def test_linguistic(tmp_path, capsys):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = rng.normal(size=(200, 6))
    X[:, 4] += 4 * y
    probe = ElasticNetProbe(1e-2, 1e-3).fit(X, np.array(["N", "V"])[y])
    save_probe(tmp_path / "probe", probe, {"signature": "probe:x"}, SPACE, "sha")
    output = tmp_path / "ranking.json"
    assert run("linguistic", "--probe", tmp_path / "probe", "--output", output) == 0
    ranking = Ranking.load(output)
    assert ranking.neurons[0] == 4
    assert set(ranking.per_label) == {"N", "V"}
    assert (ranking.space, ranking.model) == (SPACE, "sha")
    assert "encoder.layers.1:0" in capsys.readouterr().out.splitlines()[2]


def test_single_model_methods(stores):
    rankings = {}
    for method in ("variance", "mean-distance", "random"):
        output = stores / f"{method}.json"
        assert run(method, stores / "a", "--output", output) == 0
        rankings[method] = Ranking.load(output)
        assert rankings[method].space == SPACE
    assert rankings["variance"].neurons[0] == 2
    reverse = stores / "reverse.json"
    assert run("variance", stores / "a", "--reverse", "--output", reverse) == 0
    assert Ranking.load(reverse).neurons.tolist() == rankings["variance"].neurons[::-1].tolist()


def test_existing_file_is_kept_without_force(stores, capsys):
    output = stores / "r.json"
    output.write_text("precious")
    assert "exists" in fails(capsys, "variance", stores / "a", "--output", output)
    assert output.read_text() == "precious"
    assert run("variance", stores / "a", "--output", output, "--force") == 0
    assert Ranking.load(output).method == "variance"


def test_stores_over_other_text_are_refused(stores, capsys):
    array = np.zeros((100, 6), dtype=np.float32)
    other = [list(sentence) for sentence in SENTENCES]
    other[6][1] = "x"
    write_store(stores / "word", array, other, SPACE)
    longer = [["a", "b", "c", "d"], ["e"]] * 20
    write_store(stores / "length", array, longer, SPACE)
    write_store(stores / "number", array[:98], SENTENCES[:-1], SPACE)
    for name, message in {
        "word": "sentence 7, word 2 is 'x' and 'b'",
        "length": "sentence 1 has 4 and 3 words",
        "number": "39 and 40 sentences",
    }.items():
        line = fails(
            capsys, "cross-model", stores / "a", stores / name, "--output", stores / "r.json"
        )
        assert message in line
    assert not (stores / "r.json").exists()


def test_bad_input(stores, capsys):
    output = ("--output", stores / "r.json")
    assert "not found" in fails(capsys, "variance", stores / "none", *output)
    assert "not found" in fails(capsys, "linguistic", "--probe", stores / "none", *output)
    assert "METHOD" in fails(capsys)
    assert "invalid choice" in fails(capsys, "magic", stores / "a", *output)
    assert "is a folder" in fails(capsys, "variance", stores / "a", "--output", stores)
    assert "end in .json" in fails(capsys, "variance", stores / "a", "--output", stores / "r")
    assert "seed" in fails(capsys, "random", stores / "a", "--seed", "-1", *output)


@pytest.mark.parametrize("arguments", [["--help"], ["cross-model", "--help"]])
def test_help_has_an_example(capsys, arguments):
    assert run(*arguments) == 0
    assert "fairseq-neuron-rank cross-model acts-a acts-b" in capsys.readouterr().out


def test_table_says_which_label_and_which_end(stores, capsys):
    words = ("--property", "regex:[a]", "--output", stores / "ap.json")
    assert run("average-precision", stores / "a", *words) == 0
    header, first = capsys.readouterr().out.splitlines()[3:5]
    assert header.split() == ["neuron", "id", "score", "label"]
    assert first.split()[-1] == "match"
    assert run("variance", stores / "a", "--reverse", "--output", stores / "v.json") == 0
    assert "score, small first" in capsys.readouterr().out


def test_a_selection_is_no_ranking(stores):
    assert run("random", stores / "a", "--output", stores / "v.json") == 0
    with pytest.raises(UserError, match=r"the file alone is wanted: .*v\.json$"):
        Ranking.load(f"{stores}/v.json:top:10")
