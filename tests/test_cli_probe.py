"""``fairseq-neuron-probe`` on a store whose first neurons carry the labels."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.cli.probe import main
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.labelled import join_labels, split_by_sentence

SPACE = NeuronSpace((Layer("encoder.layers.0", 6), Layer("encoder.layers.1", 4)))
TAGS = ("DET", "NOUN", "VERB")
MILD = ("--l1", "1e-3", "--l2", "1e-3")  # fits of a moment


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


run = partial(end, main)
fails = partial(refusal, main)


def probe(folder, *arguments, name="probe"):
    """The result of a run on the store ``acts``."""
    assert run(folder / "acts", *arguments, "--save-dir", folder / name) == 0
    return json.loads((folder / name / "result.json").read_text())


@pytest.fixture
def given(tmp_path):
    train = make(tmp_path, 0, shards=50)
    test = make(tmp_path, 1, 20, "test")
    return tmp_path, train, test


def test_a_probe_below_the_majority_baseline_says_why(given, capsys):
    folder, (_, labels, _), _ = given
    texts = []
    for l1 in ("0.001", "10"):
        given_flags = ("--labels", labels, "--l1", l1, "--save-dir", folder / l1)
        assert run(folder / "acts", *given_flags) == 0
        texts.append(capsys.readouterr().out)
    assert ["below the majority baseline" in text for text in texts] == [False, True]


def test_whole_run_with_a_test_store(given, capsys):
    folder, (_, labels, _), (test, test_labels, tags) = given
    tags[0][0] = "X"
    test_labels.write_text("".join(" ".join(line) + "\n" for line in tags))
    code = run(
        *(folder / "acts", "--labels", labels, "--test-acts", folder / "test"),
        *("--test-labels", test_labels, "--ablate", "30,50%", "--save-dir", folder / "probe"),
        *(*MILD, "--control-tasks", 2, "--seed", 5),
    )
    output = capsys.readouterr()
    assert code == 0
    assert "majority baseline" in output.out
    assert "mean of 2 control tasks" in output.out
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
    control = result["control"]
    assert [task["seed"] for task in control["runs"]] == [5, 6]
    assert control["accuracy"] == np.mean([task["accuracy"] for task in control["runs"]])
    assert control["selectivity"] == result["test"]["accuracy"] - control["accuracy"]
    # Activations that hold the label alone know little of a random label for each word.
    assert control["selectivity"] > 0.2
    with (folder / "probe" / "ablation.csv").open() as stream:
        table = {(row["share"], row["order"]): row for row in csv.DictReader(stream)}
    assert table["30%", "top"]["kept"] == "3"
    assert float(table["30%", "top"]["retrain"]) > 0.9
    assert float(table["30%", "bottom"]["retrain"]) < 0.6
    assert {order for _, order in table} == {"all", "top", "bottom", "random"}
    rows = json.loads((folder / "probe" / "ablation.json").read_text())["rows"]
    assert rows == result["ablation"]
    shown = f"{100 * float(table['30%', 'top']['mask']):.2f}"
    line = next(line for line in output.out.splitlines() if line.startswith("mask, top"))
    assert shown in line.split()
    assert "30% (3)  50% (5)  all (10)" in output.out
    with (folder / "probe" / "labels.csv").open() as stream:
        assert [row["label"] for row in csv.DictReader(stream)] == [*TAGS, "X"]
    with np.load(folder / "probe" / "probe.npz", allow_pickle=False) as stored:
        assert stored["weight"].shape == (3, 10)
        assert stored["labels"].tolist() == list(TAGS)


def test_split_by_sentence_is_the_same_each_time(given):
    folder, (store, labels, _), _ = given
    results = []
    for name in ("one", "two"):
        assert run(folder / "acts", "--labels", labels, *MILD, "--save-dir", folder / name) == 0
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
    arguments = ("--property", "position", "--test-acts", folder / "test", *MILD)
    assert run(folder / "acts", *arguments, "--save-dir", folder / "probe") == 0
    result = json.loads((folder / "probe" / "result.json").read_text())
    assert {row["label"] for row in result["test"]["labels"]} == {"first", "middle", "last"}


def test_rare_labels_are_left_out_of_training(given):
    folder, (_, labels, tags), _ = given
    tags[3][0] = tags[9][1] = "RARE"
    labels.write_text("".join(" ".join(line) + "\n" for line in tags))
    arguments = ("--test-acts", folder / "test", "--test-labels", folder / "test.pos")
    arguments = ("--labels", labels, *arguments, *MILD, "--min-count", 3)
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
    assert not (folder / "probe").exists()
    (folder / "probe").mkdir()
    (folder / "probe" / "file").touch()
    assert "holds another run" in fails(capsys, *labelled, *save)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--solver", "adam", "--tol", "1e-3"), "--tol does not apply to --solver adam"),
        (("--solver", "adam", "--max-iter", "5"), "--max-iter does not apply to --solver adam"),
        (("--solver", "sgd"), "invalid choice: 'sgd'"),
        (("--grid", "auto", "--l1", "0"), "--l1 does not apply to --grid auto"),
        (("--grid", "0,1", "--grid-margin", "0"), "--grid-margin does not apply without"),
        (("--grid", "auto", "--grid-margin", "-1"), "--grid-margin must be a number of at least"),
        (("--grid", "0,x"), "'x'"),
        (("--device", "abacus"), "unknown --device 'abacus'"),
        (("--device", "cuda:99"), "torch finds no such GPU"),
        (("--balance", "0"), "--balance must be at least 1"),
        (("--balance", "many"), "--balance"),
        (("--control-tasks", "-1"), "--control-tasks must be at least 0"),
        (("--train-sentences", "0"), "--train-sentences must be at least 1"),
        (("--test-sentences", "0"), "--test-sentences must be at least 1"),
        (("--seed", "-1"), "--seed must be at least 0"),
        (("--train-sentences", "49"), "--train-sentences 49 is too many: there are 48"),
        (("--train-sentences", "1", "--grid", "0,1"), "one sentence cannot be split"),
    ],
)
def test_flags_out_of_range_or_without_effect(given, capsys, flags, message):
    folder, (_, labels, _), _ = given
    labelled = (folder / "acts", "--labels", labels, "--save-dir", folder / "probe")
    assert message in fails(capsys, *labelled, *flags)
    assert not (folder / "probe").exists()


def test_flags_of_label_files_do_not_apply_to_properties(given, capsys):
    arguments = (given[0] / "acts", "--property", "position", "--save-dir", given[0] / "probe")
    line = fails(capsys, *arguments, "--conllu-column", "xpos")
    assert "--conllu-column does not apply to --property" in line


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


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_number_names_neuron_and_sentence(tmp_path, capsys, dtype, value):
    array = np.random.default_rng(0).normal(size=(8, 10)).astype(dtype)
    good = array.copy()
    array[5, 3] = value
    sentences = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]
    write_store(tmp_path / "acts", array, sentences, SPACE)
    write_store(tmp_path / "good", good, sentences, SPACE)
    (tmp_path / "tags").write_text("A B\n" * 4)
    arguments = ("--labels", tmp_path / "tags", "--save-dir", tmp_path / "probe")
    test = ("--test-acts", tmp_path / "acts", "--test-labels", tmp_path / "tags")
    for store in ("acts", "good"):
        line = fails(capsys, tmp_path / store, *arguments, *test)
        assert line.endswith("acts: NaN or infinity in neuron encoder.layers.0:3, sentence 3")
    assert not (tmp_path / "probe").exists()
    # Sentences that are left out do no harm.
    arguments = (*arguments, *MILD, "--train-sentences", 2, "--test-sentences", 2)
    assert run(tmp_path / "acts", *arguments, *test) == 0


def test_chosen_number_of_sentences_and_balance(given):
    folder, (_, labels, tags), (_, test_labels, test_tags) = given
    result = probe(
        folder,
        *("--labels", labels, "--test-acts", folder / "test", "--test-labels", test_labels),
        *(*MILD, "--train-sentences", 30, "--test-sentences", 7, "--balance", 20),
    )
    assert 20 < result["train"]["sentences"] <= 30
    assert result["train"]["tokens"] == 60
    assert result["test"]["sentences"] == 7
    assert result["test"]["tokens"] == sum(map(len, test_tags[:7]))
    counts = Counter(tag for line in tags for tag in line)
    result = probe(folder, "--labels", labels, *MILD, "--balance", name="rarest")
    assert result["train"]["tokens"] % 3 == 0
    assert result["train"]["tokens"] <= 3 * min(counts.values())
    assert "balance:rarest" in result["signature"]


def test_format_of_the_grid(given, capsys):
    folder, (_, labels, _), _ = given
    grid = ("--labels", labels, *MILD, "--grid", "1e-2")

    def pictures(*formats):
        probe(folder, *grid, *formats)
        return {path.name for path in (folder / "probe").glob("grid.*g")}

    assert pictures("--format", "svg") == {"grid.svg"}
    drawn = (folder / "probe" / "grid.svg").read_bytes()
    result = (folder / "probe" / "result.json").read_bytes()
    assert pictures() == {"grid.svg"}
    # A finished probe gets what it lacks, and keeps the rest.
    assert pictures("--format", "png,svg") == {"grid.svg", "grid.png"}
    assert (folder / "probe" / "result.json").read_bytes() == result
    (folder / "probe" / "grid.svg").unlink()
    assert pictures("--format", "svg") == {"grid.svg", "grid.png"}
    assert (folder / "probe" / "grid.svg").read_bytes() == drawn
    line = fails(
        *(capsys, folder / "acts", "--labels", labels, "--save-dir", folder / "x"),
        *("--format", "svg"),
    )
    assert "--format does not apply without --grid" in line


def test_grid_alone_measures_and_auto_picks(given, capsys):
    folder, (store, labels, tags), _ = given
    grid = ("--grid", "0.1,1e-4:1e-3,1e-2")
    result = probe(folder, "--labels", labels, *MILD, *grid)
    assert [(c["l1"], c["l2"]) for c in result["grid"]["cells"]] == [
        *((1e-4, 1e-3), (1e-4, 1e-2)),
        *((0.1, 1e-3), (0.1, 1e-2)),
    ]
    assert (result["settings"]["l1"], result["settings"]["l2"]) == (1e-3, 1e-3)
    assert "l1:0.001|" in result["signature"]
    assert "not taken" in capsys.readouterr().out
    with (folder / "probe" / "grid.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4
    assert (folder / "probe" / "grid.png").stat().st_size > 1000
    assert json.loads((folder / "probe" / "grid.json").read_text())["cells"]
    result = probe(folder, "--labels", labels, "--grid", f"auto:{grid[1]}", name="auto")
    picked = result["grid"]["picked"]["l1"], result["grid"]["picked"]["l2"]
    assert (result["settings"]["l1"], result["settings"]["l2"]) == picked
    assert f"l1:{picked[0]:g}|l2:{picked[1]:g}" in result["signature"]
    assert "grid:auto" in result["signature"]
    assert "the probe has it" in capsys.readouterr().out
    # The probe is the one of these strengths on all training data,
    same = probe(folder, "--labels", labels, "--l1", picked[0], "--l2", picked[1], name="same")
    weights = [np.load(folder / name / "probe.npz")["weight"] for name in ("auto", "same")]
    np.testing.assert_array_equal(*weights)
    assert same["test"] == result["test"]
    # and a cell the one of a fifth of the training sentences held out.
    tokens = join_labels(store, tags)
    train, held_out = split_by_sentence(split_by_sentence(tokens, 0.2, 0)[0], 0.2, 0)
    alone = ElasticNetProbe(1e-4, 1e-2).fit(train.activations, train.labels)
    accuracy = (alone.predict(held_out.activations) == held_out.labels).mean()
    assert result["grid"]["cells"][1]["accuracy"] == pytest.approx(accuracy)


def test_adam(given, capsys):
    folder, (_, labels, _), _ = given
    result = probe(folder, "--labels", labels, "--solver", "adam")
    assert 10 <= result["solver"]["passes"] <= 11
    assert result["solver"]["objective"] > 0
    assert "solver:adam|device" in result["signature"]
    assert "not at the optimum" in capsys.readouterr().out


def test_fit_that_ends_early_is_named(given, capsys):
    folder, (_, labels, _), _ = given
    flags = ("--max-iter", 1, "--tol", 0, "--control-tasks", 1, "--ablate", "50")
    result = probe(folder, "--labels", labels, *flags)
    assert result["unconverged"][:2] == ["probe", "control task 0"]
    assert (
        "NOT CONVERGED to --tol 0 (raise it, or --max-iter): probe, control"
        in capsys.readouterr().out
    )


def test_same_command_again_shows_what_is_there(given, capsys):
    folder, (_, labels, _), _ = given
    command = (folder / "acts", "--labels", labels, "--ablate", "30", "--save-dir", folder / "p")
    for flags in (MILD, ("--grid", "auto:1e-2,1e-3")):
        shutil.rmtree(folder / "p", ignore_errors=True)
        assert run(*command, *flags) == 0
        first = capsys.readouterr().out
        before = {path.name: path.stat().st_mtime_ns for path in (folder / "p").iterdir()}
        assert run(*command, *flags) == 0
        assert capsys.readouterr().out == f"already there: {folder / 'p'}\n\n{first}"
        assert {p.name: p.stat().st_mtime_ns for p in (folder / "p").iterdir()} == before


def test_folder_of_another_run_is_left_alone(given, capsys):
    folder, (_, labels, _), _ = given
    command = (folder / "acts", "--labels", labels, "--save-dir", folder / "probe")
    assert run(*command, *MILD) == 0
    before = (folder / "probe" / "result.json").read_bytes()
    for flags, message in {
        ("--l2", "0.5"): "its l2 is 0.001, this one's is 0.5",
        ("--seed", "3"): "its seed is 0, this one's is 3",
        ("--ablate", "20"): "its ablate is none, this one's is 20%",
        ("--grid", "0,1"): "its grid is none, this one's is 0,1:0,1",
        ("--solver", "adam"): "its solver is exact, this one's is adam",
    }.items():
        assert message in fails(capsys, *command, *MILD, *flags)
    assert (folder / "probe" / "result.json").read_bytes() == before


KILLED = """
import os, signal, sys
from fairseq_neuron_plugin.cli import probe
from fairseq_neuron_plugin.probing import probe_folder, work
def kill(_, content, *others):
    if content != 0:  # not in the round that is told before the first step
        os.kill(os.getpid(), signal.SIGKILL)
{place} = kill
probe.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("place", "leaves_something"), [("work.Work.step", False), ("probe_folder.write_json", True)]
)
def test_killed_run_leaves_no_probe_and_the_same_command_completes(given, place, leaves_something):
    folder, (_, labels, _), _ = given
    (folder / "out").mkdir()
    arguments = (folder / "acts", "--labels", labels, *MILD, "--save-dir")
    command = [str(argument) for argument in (*arguments, folder / "out" / "probe")]
    code = KILLED.format(place=place)
    ended = subprocess.run([sys.executable, "-c", code, *command], check=False)
    assert ended.returncode == -signal.SIGKILL
    left = [path.name for path in (folder / "out").iterdir()]
    assert "probe" not in left
    assert bool(left) == leaves_something
    assert run(*command) == 0
    assert [path.name for path in (folder / "out").iterdir()] == ["probe"]
    assert run(*arguments, folder / "undisturbed") == 0
    one, two = (path / "probe.npz" for path in (folder / "out" / "probe", folder / "undisturbed"))
    assert one.read_bytes() == two.read_bytes()


def test_help_has_examples(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for flag in ("--control-tasks 3 --ablate 10,15,20", "--grid auto", "feats:Number", "regex:"):
        assert flag in shown
