"""``fairseq-neuron-probe`` on a store whose first neurons carry the labels."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli.probe import main
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace

SPACE = NeuronSpace((Layer("encoder.layers.0", 6), Layer("encoder.layers.1", 4)))
TAGS = ("DET", "NOUN", "VERB")


def make(folder, seed, sentences=60, name="acts", space=SPACE, sha="abc", shards=10**6):
    rng = np.random.default_rng(seed)
    words, tags, rows = [], [], []
    for _ in range(sentences):
        codes = rng.integers(0, 3, rng.integers(2, 7))
        # "w" is ambiguous, so that the word alone does not give the label away.
        words.append([f"{'dnv'[c]}{rng.integers(3)}" if rng.random() < 0.5 else "w" for c in codes])
        tags.append([TAGS[c] for c in codes])
        rows.append(rng.normal(size=(len(codes), space.size)))
        rows[-1][:, :3] += 6 * np.eye(3)[codes]
    array = np.concatenate(rows).astype(np.float32)
    settings = {"model": {"sha256": sha}, "signature": f"source:toy|seed:{seed}"}
    store = write_store(folder / name, array, words, space, settings, rows_per_shard=shards)
    path = folder / f"{name}.pos"
    path.write_text("".join(" ".join(line) + "\n" for line in tags))
    return store, path, tags


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def fails(capsys, *arguments):
    """The one line that a refused command prints."""
    assert run(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture
def given(tmp_path):
    train = make(tmp_path, 0, shards=50)
    test = make(tmp_path, 1, 20, "test")
    return tmp_path, train, test


def test_whole_run_with_a_test_store(given, capsys):
    folder, (_, labels, _), (test, test_labels, tags) = given
    tags[0][0] = "X"
    test_labels.write_text("".join(" ".join(line) + "\n" for line in tags))
    code = run(
        *(folder / "acts", "--labels", labels, "--test-acts", folder / "test"),
        *("--test-labels", test_labels, "--ablate", "30,50%", "--save-dir", folder / "probe"),
        *("--l1", "1e-3", "--l2", "1e-3"),
    )
    output = capsys.readouterr()
    assert code == 0
    assert "majority baseline" in output.out
    assert "training did not have, counted as wrong: X (1)" in output.out
    result = json.loads((folder / "probe" / "result.json").read_text())
    assert result["test"]["tokens"] == len(test)
    assert result["test"]["unseen"] == {"X": 1}
    assert 1 - 3 / len(test) < result["test"]["accuracy"] <= 1 - 1 / len(test)
    assert 0.4 < result["majority_baseline"] < 0.9
    assert result["solver"]["converged"] is True
    assert result["model"] == "abc"
    assert result["layers"] == SPACE.to_json()
    assert "l1:0.001" in result["signature"]
    with (folder / "probe" / "ablation.csv").open() as stream:
        table = {(row["share"], row["order"]): row for row in csv.DictReader(stream)}
    assert table["30%", "top"]["kept"] == "3"
    assert float(table["30%", "top"]["retrain"]) > 0.9
    assert float(table["30%", "bottom"]["retrain"]) < 0.6
    with (folder / "probe" / "labels.csv").open() as stream:
        assert [row["label"] for row in csv.DictReader(stream)] == [*TAGS, "X"]
    with np.load(folder / "probe" / "probe.npz", allow_pickle=False) as stored:
        assert stored["weight"].shape == (3, 10)
        assert stored["labels"].tolist() == list(TAGS)


def test_split_by_sentence_is_the_same_each_time(given):
    folder, (store, labels, _), _ = given
    results = []
    for name in ("one", "two"):
        assert run(folder / "acts", "--labels", labels, "--save-dir", folder / name) == 0
        results.append(json.loads((folder / name / "result.json").read_text()))
    assert results[0]["train"]["sentences"] == 48
    assert results[0]["test"]["sentences"] == 12
    assert results[0]["train"]["tokens"] + results[0]["test"]["tokens"] == len(store)
    assert results[0]["signature"] == results[1]["signature"]
    assert results[0]["test"] == results[1]["test"]
    one, two = (folder / name / "probe.npz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_property_position(given):
    folder = given[0]
    arguments = ("--property", "position", "--test-acts", folder / "test")
    assert run(folder / "acts", *arguments, "--save-dir", folder / "probe") == 0
    result = json.loads((folder / "probe" / "result.json").read_text())
    assert {row["label"] for row in result["test"]["labels"]} == {"first", "middle", "last"}


def test_rare_labels_are_left_out_of_training(given):
    folder, (_, labels, tags), _ = given
    tags[3][0] = tags[9][1] = "RARE"
    labels.write_text("".join(" ".join(line) + "\n" for line in tags))
    arguments = ("--test-acts", folder / "test", "--test-labels", folder / "test.pos")
    arguments = ("--labels", labels, *arguments, "--min-count", 3)
    assert run(folder / "acts", *arguments, "--save-dir", folder / "probe") == 0
    result = json.loads((folder / "probe" / "result.json").read_text())
    assert result["left_out"] == {"RARE": 2}
    assert np.load(folder / "probe" / "probe.npz")["labels"].tolist() == list(TAGS)


def test_label_file_with_one_word_too_many(given, capsys):
    folder, (store, labels, tags), _ = given
    tags[7].append("VERB")
    labels.write_text("".join(" ".join(line) + "\n" for line in tags))
    line = fails(capsys, folder / "acts", "--labels", labels, "--save-dir", folder / "probe")
    assert "sentence 8" in line
    assert " ".join(store.sentences[7]) in line
    assert not (folder / "probe").exists()


def test_bad_input(given, capsys):
    folder, (_, labels, _), _ = given
    acts, save = folder / "acts", ("--save-dir", folder / "probe")
    labelled = (acts, "--labels", labels)
    assert "not found" in fails(capsys, folder / "none", "--labels", labels, *save)
    assert "not found" in fails(capsys, acts, "--labels", folder / "none", *save)
    assert "percentages" in fails(capsys, *labelled, "--ablate", "10,x", *save)
    assert "percentages" in fails(capsys, *labelled, "--ablate", "0", *save)
    assert "--l1" in fails(capsys, *labelled, "--l1", "-1", *save)
    assert "--l2" in fails(capsys, *labelled, "--l2", "nan", *save)
    assert "--min-count" in fails(capsys, *labelled, "--min-count", "0", *save)
    assert "test-acts" in fails(capsys, *labelled, "--test-labels", labels, *save)
    assert "test-labels" in fails(capsys, *labelled, "--test-acts", acts, *save)
    assert "unknown property" in fails(capsys, acts, "--property", "height", *save)
    assert "required" in fails(capsys, acts, *save)
    assert "two labels" in fails(capsys, *labelled, "--min-count", "100000", *save)
    (folder / "probe").mkdir()
    (folder / "probe" / "file").touch()
    assert "holds another run" in fails(capsys, *labelled, *save)


def test_stores_that_do_not_belong_together(given, capsys):
    folder, (_, labels, _), _ = given
    other = NeuronSpace((Layer("encoder.layers.0", 10),))
    make(folder, 2, 5, "wide", other)
    make(folder, 3, 5, "foreign", sha="def")
    for name, message in {"wide": "other layers", "foreign": "another checkpoint"}.items():
        line = fails(
            capsys,
            *(folder / "acts", "--labels", labels, "--save-dir", folder / "probe"),
            *("--test-acts", folder / name, "--test-labels", folder / f"{name}.pos"),
        )
        assert message in line


def test_nan_names_neuron_and_sentence(tmp_path, capsys):
    array = np.random.default_rng(0).normal(size=(8, 10)).astype(np.float32)
    array[5, 3] = np.nan
    sentences = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]
    write_store(tmp_path / "acts", array, sentences, SPACE)
    (tmp_path / "tags").write_text("A B\n" * 4)
    arguments = ("--labels", tmp_path / "tags", "--save-dir", tmp_path / "probe")
    test = ("--test-acts", tmp_path / "acts", "--test-labels", tmp_path / "tags")
    line = fails(capsys, tmp_path / "acts", *arguments, *test)
    assert line.endswith("acts: NaN or infinity in neuron encoder.layers.0:3, sentence 3")
    assert not (tmp_path / "probe").exists()
    write_store(tmp_path / "good", np.nan_to_num(array), sentences, SPACE)
    line = fails(capsys, tmp_path / "good", *arguments, *test)
    assert line.endswith("acts: NaN or infinity in neuron encoder.layers.0:3, sentence 3")
