"""``fairseq-neuron-analyze overlap``, ``focus`` and ``shared`` from the command line."""

from __future__ import annotations

import csv
import json
import shlex
from functools import partial

import numpy as np
import pytest
from commands import end, refusal

from fairseq_neuron_plugin.cli import analyze, analyze_common
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.probe_folder import save_probe
from fairseq_neuron_plugin.ranking import Ranking

SPACE = NeuronSpace((Layer("encoder.layers.0", 4), Layer("encoder.layers.1", 2)))
OTHER = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 3)))
POS = {
    "ADJ": [0, 0, 0, 0, 0, 0],
    "DET": [0, 0, 0, 0, 0, -9],
    "NOUN": [1, 1, 1, 1, 1, 1],
    "VERB": [4, 0, 0, 3, 0, 3],
}
SEM = {"NEG": [0, 2, 0, 0, 0, 7], "NOUN": [0, 0, 8, 1, 0, 0], "PST": [0, 5, 0, 0, 0, 0]}
BINARY = {"no": [0, 0, 0, 0, 2, -6], "yes": [0, 0, 0, 0, -2, 6]}

run = partial(end, analyze.main)
fails = partial(refusal, analyze.main)


def write_probe(path, weights, space=SPACE, model="sha-a"):
    probe = ElasticNetProbe()
    probe.classes_ = np.array(list(weights))
    probe.coef_ = np.array(list(weights.values()), dtype=float)
    probe.intercept_ = np.zeros(len(weights))
    tokens = [{"label": label, "support": 10 + row} for row, label in enumerate(weights)]
    result = {"signature": f"probe:{path.name}", "test": {"labels": tokens}}
    save_probe(path, probe, result, space, model)


def write_ranking(path, neurons, space=SPACE, model="sha-a", **labels):
    ids = np.array(neurons)
    own = {label: np.array(order) for label, order in labels.items()}
    scores = np.arange(len(ids), dtype=float)
    Ranking("planted", ids, scores, own, f"ranking:{path.stem}", space, model).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analyze")
    write_probe(folder / "pos", POS)
    write_probe(folder / "sem", SEM)
    write_probe(folder / "binary", BINARY)
    write_probe(folder / "pos.b", POS, model="sha-b")
    write_probe(folder / "bare", POS, space=None, model=None)
    write_probe(folder / "other", POS, space=OTHER, model=None)
    write_ranking(folder / "r.json", [5, 1, 0, 2, 3, 4])
    labels = {"NOUN": [1, 5, 2, 0, 4, 3], "VERB": [4, 3, 5, 0, 2, 1]}
    write_ranking(folder / "labels.json", [1, 5, 2, 0, 4, 3], **labels)
    write_ranking(folder / "bare.json", [4, 3, 2, 0, 1, 5], space=None, model=None)
    write_ranking(folder / "layers.json", range(6), space=OTHER)
    write_ranking(folder / "model.json", range(6), model="sha-b")
    write_ranking(folder / "short.json", range(5), space=None)
    write_ranking(folder / "long.json", range(200), space=None)
    write_ranking(folder / "long2.json", range(199, -1, -1), space=None)
    write_ranking(folder / "sub" / "r.json", [0, 1, 2, 3, 4, 5])
    return folder


@pytest.fixture
def command(folder, tmp_path, capsys):
    """Run a command line with ``{d}`` for the inputs; what it printed and wrote."""

    def call(line):
        output = tmp_path / "out"
        arguments = shlex.split(line.format(d=folder))
        assert run(*arguments, "--output-dir", output) == 0
        printed = capsys.readouterr()
        assert not printed.err
        document = json.loads((output / "analysis.json").read_text(encoding="utf-8"))
        assert document["analysis"] == arguments[0]
        assert printed.out.splitlines()[-1] == f"{output}: {document['signature']}"
        return printed.out, document, output

    return call


def rows(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def cells(text):
    """The printed lines, split at spaces."""
    return [line.split() for line in text.splitlines() if line.strip()]


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 2000


def test_overlap(command):
    printed, document, output = command(
        "overlap {d}/r.json {d}/labels.json {d}/bare.json --k 2,50%"
    )
    assert printed.splitlines()[:5] == [
        "first 2 of 6 neurons, % in common; chance 33.33",
        "ranking       r  labels  bare",
        "r             -  100.00  0.00",
        "labels   100.00       -  0.00",
        "bare       0.00    0.00     -",
    ]
    assert "first 3 (50%) of 6 neurons, % in common; chance 50.00" in printed
    table = rows(output / "overlap.csv")
    assert [(row["k"], row["ranking"], row["other"], row["common"]) for row in table] == [
        ("2", "r", "labels", "2"),
        ("2", "r", "bare", "0"),
        ("2", "labels", "bare", "0"),
        ("3", "r", "labels", "2"),
        ("3", "r", "bare", "0"),
        ("3", "labels", "bare", "1"),
    ]
    assert float(table[0]["p"]) == pytest.approx(1 / 15)
    assert float(table[3]["share"]) == pytest.approx(2 / 3)
    assert {row["chance"] for row in table[3:]} == {"0.5"}
    assert [(point["amount"], point["k"]) for point in document["points"]] == [("2", 2), ("50%", 3)]
    assert document["points"][0]["share"] == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert document["points"][1]["p"][0][1] == pytest.approx(float(table[3]["p"]))
    assert (document["layers"], document["model"]) == (SPACE.to_json(), "sha-a")
    assert document["rankings"][1]["signature"] == "ranking:labels"
    assert is_picture(output / "overlap.png")
    names = {path.name for path in output.iterdir()}
    assert names == {"analysis.json", "overlap.csv", "overlap.png"}


@pytest.mark.parametrize(
    ("line", "header", "first_row"),
    [
        ("{d}/r.json {d}/sub/r.json --k 2", ["/r", "sub/r"], "50.00"),
        ("{d}/r.json {d}/labels.json:label=VERB --k 3", ["r", "labels:VERB"], "33.33"),
        ("{d}/labels.json:label=NOUN {d}/labels.json:label=VERB --k 4", None, "50.00"),
        ("{d}/labels.json {d}/labels.json:label=VERB --k 1 --order bottom", None, "0.00"),
        ("{d}/labels.json {d}/labels.json:label=NOUN --label VERB --k 4", None, "50.00"),
        ("{d}/r.json {d}/bare.json --k 1 --order bottom", ["r", "bare"], "0.00"),
    ],
)
def test_overlap_of_orders(folder, capsys, line, header, first_row):
    assert run("overlap", *line.format(d=folder).split()) == 0
    title, names, first, *_ = capsys.readouterr().out.splitlines()
    assert title.startswith("last" if "bottom" in line else "first")
    assert first.split()[-1] == first_row
    if header:
        found = names.split()[1:]
        assert all(name.endswith(end) for name, end in zip(found, header, strict=True))


@pytest.mark.parametrize(
    ("names", "k"), [(("r", "labels"), [1]), (("long", "long2"), [10, 50, 100, 20])]
)
def test_overlap_at_the_default_numbers(folder, capsys, names, k):
    """10, 50, 100 and 10%, as far as there are so many."""
    assert run("overlap", *(folder / f"{name}.json" for name in names)) == 0
    titles = [line for line in cells(capsys.readouterr().out) if line[0] == "first"]
    assert [int(title[1]) for title in titles] == k


def test_two_ways_to_write_a_number_count_once(folder, capsys):
    assert run("overlap", folder / "r.json", folder / "labels.json", "--k", "3, 50%,,3") == 0
    assert capsys.readouterr().out.count("first") == 1


def test_focus(command):
    printed, document, output = command(
        "focus --probe {d}/pos --groups open=NOUN,VERB closed=DET none=ADJ"
    )
    assert printed.startswith("neurons that hold 25% of the label's weight mass\n")
    assert cells(printed)[1:6] == [
        ["label", "group", "neurons", "%", "effective", "test", "tokens"],
        ["DET", "closed", "1", "16.67", "1.00", "11"],
        ["VERB", "open", "1", "16.67", "2.97", "13"],
        ["NOUN", "open", "2", "33.33", "6.00", "12"],
        ["ADJ", "none", "-", "-", "-", "10"],
    ]
    assert "-: the probe gives the label no weight" in printed
    assert ["open", "pos", "2", "1.50", "1", "2"] in cells(printed)
    assert ["none", "pos", "0", "-", "-", "-"] in cells(printed)
    # 5 of DET, 0 and 1 of NOUN, 0 of VERB.
    assert ["pos", "6", "6", "3"] in cells(printed)
    table = rows(output / "focus.csv")
    assert [(row["label"], row["neurons"]) for row in table] == [
        *(("DET", "1"), ("VERB", "1"), ("NOUN", "2"), ("ADJ", ""))
    ]
    assert float(table[2]["share"]) == pytest.approx(1 / 3)
    assert float(table[2]["effective"]) == pytest.approx(6)
    groups = rows(output / "groups.csv")
    assert [(row["group"], row["mean"]) for row in groups] == [
        *(("open", "1.5"), ("closed", "1.0"), ("none", ""))
    ]
    assert [row["label"] for row in document["labels"]] == [row["label"] for row in table]
    assert document["labels"][2]["neurons"] == {"pos": 2}
    assert document["groups"][0]["mean"] == 1.5
    assert document["probes"][0]["salient"] == 3
    assert document["probes"][0]["signature"] == "probe:pos"
    assert document["mass"] == 0.25
    assert is_picture(output / "focus.png")


def test_focus_of_two_probes(command):
    printed, document, output = command(
        "focus --probe {d}/pos {d}/sem --labels NOUN,VERB --mass 50"
    )
    assert cells(printed)[1:4] == [
        ["label", "pos", "sem", "mean", "mean", "%", "test", "tokens"],
        ["NOUN", "3", "1", "2.00", "33.33", "12"],
        ["VERB", "2", "-", "2.00", "33.33", "13"],
    ]
    assert len(rows(output / "focus.csv")) == 4
    assert not (output / "groups.csv").exists()
    assert document["labels"][1]["neurons"] == {"pos": 2, "sem": None}


def test_shared_of_probes(command):
    # 25%: DET 5; NOUN 0 and 1; VERB 0; NEG 5; NOUN 2; PST 1.
    printed, document, output = command("shared --probe {d}/pos {d}/sem")
    lines = printed.splitlines()
    assert lines[0] == "3 neurons are salient for several labels; the first 3"
    assert lines[3].split() == [
        *("encoder.layers.1:1", "5", "2", "2", "pos:DET", "#1", "-9.00,", "sem:NEG", "#1", "+7.00")
    ]
    assert lines[4].split()[:4] == ["encoder.layers.0:0", "0", "2", "1"]
    assert "labels without any weight, left out: ADJ" in printed
    table = rows(output / "neurons.csv")
    assert [(row["id"], row["labels"], row["properties"], row["which"]) for row in table] == [
        ("1", "2", "2", "sem:PST pos:NOUN"),
        ("5", "2", "2", "pos:DET sem:NEG"),
        ("0", "2", "1", "pos:NOUN pos:VERB"),
        ("2", "1", "1", "sem:NOUN"),
    ]
    salient = rows(output / "salient.csv")
    assert [row["id"] for row in salient] == ["5", "0", "1", "0", "5", "2", "1"]
    assert salient[4] == {
        **{"property": "sem", "label": "NEG", "rank": "1", "id": "5"},
        **{"neuron": "encoder.layers.1:1", "weight": "7.0"},
    }
    pairs = rows(output / "pairs.csv")
    assert len(pairs) == 15
    assert (pairs[0]["label"], pairs[0]["other_label"], pairs[0]["common"]) == ("DET", "NEG", "1")
    assert float(pairs[0]["chance"]) == pytest.approx(1 / 6)
    assert document["without_weight"] == [["pos", "ADJ"]]
    assert document["neurons_by_number_of_labels"] == [2, 1, 3, 0, 0, 0, 0]
    assert sum(document["the_same_by_chance"]) == pytest.approx(6)
    assert document["common_of_properties"] == [[3, 2], [2, 3]]
    assert document["labels"][1] == {"property": "pos", "label": "NOUN", "neurons": [0, 1]}
    assert [row["id"] for row in document["shared"]] == [1, 5, 0, 2]
    assert ["pos", "3", "2", "(2)"] in cells(printed)
    assert is_picture(output / "shared.png")


def test_shared_of_rankings(command):
    printed, document, output = command("shared --ranking {d}/labels.json --top 3")
    assert printed.startswith("1 neurons are salient for several labels")
    assert cells(printed)[2] == [
        *("encoder.layers.1:1", "5", "2", "1", "NOUN", "#2,", "VERB", "#3")
    ]
    assert document["salient"] == "first 3"
    assert [one["neurons"] for one in document["labels"]] == [[1, 5, 2], [4, 3, 5]]
    assert {row["weight"] for row in rows(output / "salient.csv")} == {""}
    pair = rows(output / "pairs.csv")[0]
    assert (pair["common"], pair["chance"]) == ("1", "1.5")


def test_shared_of_chosen_labels(command):
    printed, document, _ = command("shared --probe {d}/pos {d}/binary --labels DET,no/yes")
    assert [one["label"] for one in document["labels"]] == ["DET", "no/yes"]
    assert "binary:no/yes #1 +6.00" in printed


def test_shared_by_none(folder, capsys):
    assert run("shared", "--ranking", folder / "labels.json", "--top", "1") == 0
    assert capsys.readouterr().out.startswith("no neuron is salient for several labels\n")


@pytest.mark.parametrize(
    ("first", "changes"),
    [
        (
            "overlap {d}/r.json {d}/labels.json",
            ["--k 3", "--k 2,3", "--order bottom", "{d}/bare.json", "{d}/labels.json:label=NOUN"],
        ),
        ("overlap {d}/labels.json:label=NOUN {d}/labels.json", ["--label VERB", "{d}/r.json"]),
        (
            "focus --probe {d}/pos",
            ["{d}/sem", "--mass 26", "--labels NOUN", "--groups a=NOUN", "--groups b=NOUN"],
        ),
        ("shared --probe {d}/pos", ["{d}/sem", "--mass 26", "--labels NOUN,VERB"]),
        ("shared --ranking {d}/labels.json --top 2", ["--top 3", "--labels NOUN,VERB"]),
    ],
)
def test_signature_tells_settings_apart(folder, first, changes):
    def signature(line):
        args = analyze.build_parser().parse_args(line.format(d=folder).split())
        return analyze.ANALYSES[args.analysis].run(args).document["signature"]

    found = [signature(first), *(signature(f"{first} {change}") for change in changes)]
    assert len(set(found)) == len(found)
    assert signature(first) == found[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "ANALYSIS"),
        ("magic", "invalid choice"),
        ("overlap", "RANKING"),
        ("overlap {d}/r.json", "an overlap needs two rankings"),
        ("overlap {d}/r.json {d}/r.json", "r.json is given twice"),
        ("overlap {d}/r.json {d}/sub/../r.json", "r.json is given twice"),
        ("overlap {d}/labels.json {d}/labels.json:label=VERB --label VERB", "VERB, is given twice"),
        ("overlap {d}/r.json {d}/none.json", "ranking not found"),
        ("overlap {d}/r.json {d}/labels", "write RANKING.json or RANKING.json:label=VERB"),
        ("overlap {d}/r.json {d}/labels.json:top:5", "cannot read ranking"),
        ("overlap {d}/r.json {d}/labels.json:label=X", "no label 'X'; it has: NOUN, VERB"),
        ("overlap {d}/r.json {d}/labels.json --label NOUN", "no label 'NOUN'; it has: none"),
        ("overlap {d}/r.json {d}/layers.json", "of different layers"),
        ("overlap {d}/r.json {d}/bare.json {d}/model.json", "of different checkpoints"),
        ("overlap {d}/r.json {d}/short.json --k 10%", "of different numbers of neurons"),
        ("overlap {d}/r.json {d}/bare.json --k 7", "7 is more than the 6 neurons"),
        ("overlap {d}/r.json {d}/bare.json --k 0", "k must be between 1 and"),
        ("overlap {d}/r.json {d}/bare.json --k 200%", "200% is more than the 6"),
        ("overlap {d}/r.json {d}/bare.json --k -1", "not a number of neurons: '-1'"),
        ("overlap {d}/r.json {d}/bare.json --k ten", "not a number of neurons: 'ten'"),
        ("overlap {d}/r.json {d}/bare.json --k ,", "--k names no number"),
        ("overlap {d}/r.json {d}/bare.json --order middle", "invalid choice: 'middle'"),
        ("focus", "--probe"),
        ("focus --probe {d}/none", "probe folder not found"),
        ("focus --probe {d}/sub", "probe result not found"),
        ("focus --probe {d}/pos {d}/pos", "pos is given twice"),
        (
            "focus --probe {d}/pos --mass 0.25",
            "--mass must be 1 to 100 percent, not 0.25: 25 is a quarter",
        ),
        ("focus --probe {d}/pos --mass 100.5", "1 to 100 percent, not 100.5"),
        ("focus --probe {d}/pos --mass nan", "not nan"),
        ("focus --probe {d}/pos --mass much", "--mass is a number of percent, not 'much'"),
        ("focus --probe {d}/pos --labels NOUN,X", "--labels: no label 'X'; there are: ADJ, DET"),
        ("focus --probe {d}/pos --labels ,", "--labels names no label"),
        ("focus --probe {d}/pos --groups NOUN", "cannot read group 'NOUN'; write NAME=LABEL"),
        ("focus --probe {d}/pos --groups =NOUN", "cannot read group '=NOUN'"),
        ("focus --probe {d}/pos --groups open=", "--groups open names no label"),
        ("focus --probe {d}/pos --groups open=X", "--groups open: no label 'X'"),
        ("focus --probe {d}/pos --labels VERB --groups open=NOUN", "no label 'NOUN'; there are: V"),
        ("focus --probe {d}/pos --groups a=NOUN a=VERB", "group a is given twice"),
        ("focus --probe {d}/pos --groups a=NOUN b=VERB,NOUN", "NOUN is in two groups, a and b"),
        ("shared", "one of the arguments --probe --ranking is required"),
        ("shared --probe {d}/pos --ranking {d}/r.json", "not allowed with"),
        ("shared --probe {d}/pos --top 3", "--top applies to --ranking"),
        ("shared --ranking {d}/labels.json --top 3 --mass 25", "--mass applies to --probe"),
        ("shared --ranking {d}/labels.json", "--ranking needs --top"),
        ("shared --ranking {d}/labels.json --top 0", "the first 1 to all can be taken, not 0"),
        ("shared --ranking {d}/labels.json --top 7", "of the 6 neurons of ranking labels"),
        ("shared --ranking {d}/r.json --top 2", "ranking r has no labels of its own"),
        ("shared --probe {d}/pos --mass 101", "--mass must be"),
        ("shared --probe {d}/pos --labels X", "--labels: no label 'X'"),
        ("shared --probe {d}/pos --labels NOUN", "two labels or more; there are 1"),
        ("shared --probe {d}/binary", "two labels or more; there are 1"),
        ("shared --probe {d}/sem {d}/pos.b", "probes sem and pos.b are of different checkpoints"),
        ("shared --probe {d}/sem {d}/bare {d}/other", "sem and other are of different layers"),
    ],
)
def test_refusals(folder, tmp_path, capsys, line, message):
    output = tmp_path / "out"
    arguments = shlex.split(line.format(d=folder))
    more = ("--output-dir", output) if len(arguments) > 1 else ()
    assert message in fails(capsys, *arguments, *more)
    assert not any(tmp_path.iterdir())


LINES = (
    "overlap {d}/r.json {d}/bare.json --k 2",
    "focus --probe {d}/sem",
    "shared --probe {d}/sem",
)


@pytest.mark.parametrize("line", LINES)
def test_a_folder_that_holds_something_is_kept(folder, tmp_path, capsys, line):
    output = tmp_path / "out"
    output.mkdir()
    (output / "precious").write_text("x")
    arguments = line.format(d=folder).split()
    assert "holds another run" in fails(capsys, *arguments, "--output-dir", output)
    # It is refused before the work, of which the first thing is to read what is not there.
    missing = [str(tmp_path / "none.json") if "/" in part else part for part in arguments]
    assert "holds another run" in fails(capsys, *missing, "--output-dir", output)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "precious"]


@pytest.mark.parametrize("line", LINES)
def test_a_picture_that_fails_leaves_nothing(folder, tmp_path, monkeypatch, line):
    def broken(*_, **__):
        raise RuntimeError("no ink")

    name = line.split()[0]
    monkeypatch.setattr(f"fairseq_neuron_plugin.cli.analyze_{name}.plot_{name}", broken)
    arguments = [*line.format(d=folder).split(), "--output-dir", str(tmp_path / "out")]
    with pytest.raises(RuntimeError, match="no ink"):
        analyze.main(arguments)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("line", LINES)
def test_without_matplotlib_the_tables_are_written(folder, tmp_path, capsys, monkeypatch, line):
    monkeypatch.setattr(analyze_common, "find_spec", lambda name: None)
    output = tmp_path / "out"
    assert run(*line.format(d=folder).split(), "--output-dir", output) == 0
    printed = capsys.readouterr()
    assert printed.err == (
        "fairseq-neuron-analyze: no picture without matplotlib; get it with: "
        "pip install fairseq_neuron_plugin[plot]\n"
    )
    assert printed.out
    suffixes = {path.suffix for path in output.iterdir()}
    assert suffixes == {".csv", ".json"}


@pytest.mark.parametrize("line", LINES)
def test_formats(folder, tmp_path, capsys, line):
    """Both at once, one picture each; the tables are the same."""
    name = line.split()[0]
    for number, formats in enumerate(("png,svg", "SVG, svg", "png")):
        output = tmp_path / str(number)
        assert run(*line.format(d=folder).split(), "--output-dir", output, "--format", formats) == 0
        found = {path.name for path in output.iterdir() if path.suffix in (".png", ".svg")}
        assert found == {f"{name}.{kind.strip().lower()}" for kind in formats.split(",")}
    for kind, number in (("png", 2), ("svg", 1)):
        one, two = (tmp_path / folder / f"{name}.{kind}" for folder in ("0", str(number)))
        assert one.read_bytes() == two.read_bytes()
    assert (tmp_path / "0/analysis.json").read_bytes() == (
        tmp_path / "2/analysis.json"
    ).read_bytes()
    capsys.readouterr()
    arguments = line.format(d=folder).split()
    refused = fails(capsys, *arguments, "--format", "svg")
    assert "--format does not apply without --output-dir" in refused
    refused = fails(capsys, *arguments, "--output-dir", tmp_path / "x", "--format", "png,pdf")
    assert "must be png or svg, not 'pdf'" in refused
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("line", LINES)
def test_without_a_folder_nothing_is_written(folder, tmp_path, capsys, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    assert run(*line.format(d=folder).split()) == 0
    bare = capsys.readouterr().out
    assert not any(tmp_path.iterdir())
    assert run(*line.format(d=folder).split(), "--output-dir", "out") == 0
    assert capsys.readouterr().out.startswith(f"{bare}\nout: analysis:")


@pytest.mark.parametrize("name", ["overlap", "focus", "shared"])
def test_help_has_an_example(capsys, name):
    for arguments in (["--help"], [name, "--help"]):
        assert run(*arguments) == 0
        printed = capsys.readouterr().out
        for line in analyze.ANALYSES[name].example.splitlines():
            assert f"\n  fairseq-neuron-analyze {line}" in printed
            analyze.build_parser().parse_args(line.split())
