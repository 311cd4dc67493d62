"""The report's sections: their numbers against the files that they come from."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from report_toy import (
    LABELS,
    MODEL,
    SPACE,
    write_everything,
    write_probe,
    write_ranking,
    write_store,
)

from fairseq_neuron_plugin.probing.grid import Cell, Grid
from fairseq_neuron_plugin.report.document import Figure, Section, Table
from fairseq_neuron_plugin.report.inputs import Inputs, find_inputs
from fairseq_neuron_plugin.report.model_section import ModelNames, model_section
from fairseq_neuron_plugin.report.probe_section import probe_section
from fairseq_neuron_plugin.report.property_section import focus_section, shared_section
from fairseq_neuron_plugin.report.ranking_section import ranking_section
from fairseq_neuron_plugin.report.sweep_section import sweep_section


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    return find_inputs([write_everything(tmp_path_factory.mktemp("sections") / "run")])


@pytest.fixture(scope="module")
def models(inputs) -> ModelNames:
    return ModelNames(inputs)


def tables(section: Section) -> dict[str, Table]:
    found = {part.caption: part for part in section.parts if isinstance(part, Table)}
    for part in section.parts:
        if isinstance(part, Figure) and part.numbers:
            found[part.caption] = part.numbers
    return found


def test_tables_are_whole(inputs, models) -> None:
    sections = (
        *(model_section(inputs, models), probe_section(inputs, models)),
        *(sweep_section(inputs, models), ranking_section(inputs, models)),
        *(focus_section(inputs, 0.25), shared_section(inputs, models, 0.25)),
    )
    for section in sections:
        for table in tables(section).values():
            assert all(len(row) == len(table.columns) for row in table.rows)


def test_models_and_stores(inputs, models) -> None:
    found = tables(model_section(inputs, models))
    assert found["Models"].rows == (("acts.pt", MODEL[:12], SPACE.describe()),)
    assert found["Activation stores"].rows[0][:5] == ("acts", "acts.pt", 60, 300, 12)


def test_a_model_has_the_layers_of_all_its_stores(inputs, tmp_path) -> None:
    acts = write_store(tmp_path / "deeper", 3)
    manifest = json.loads((acts.path / "manifest.json").read_text("utf-8"))
    manifest["layers"] = [{"name": "decoder.layers.0", "width": SPACE.size}]
    (acts.path / "manifest.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    both = find_inputs([inputs.stores[0].path, tmp_path])
    ((_, _, layers),) = tables(model_section(both, ModelNames(both)))["Models"].rows
    assert layers == f"{SPACE.describe()}, decoder.layers.0 (12)"


def test_accuracies_and_ablation(inputs, models) -> None:
    found = tables(probe_section(inputs, models))
    row = found["Probes, in %"].rows[0]
    assert row == ("probe", "acts.pt", 3, 33, 0.9, 0.8, 0.6, 0.3, 0.95, 0.5)
    assert found["Accuracy with few neurons, in %"].rows == (
        ("probe", "mask", "top", 0.3, 0.9),
        ("probe", "mask", "bottom", 0.3, 0.9),
        ("probe", "retrain", "top", 0.625, 0.9),
        ("probe", "retrain", "bottom", 0.25, 0.9),
    )
    assert [row[0] for row in found["Each label, in %"].rows] == list(LABELS)


def test_a_probe_without_measurements(inputs, tmp_path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(inputs.probes[0].path, folder)
    content = json.loads((folder / "result.json").read_text("utf-8"))
    kept = {key: content[key] for key in ("format", "layers", "model", "signature")}
    (folder / "result.json").write_text(json.dumps(kept, indent=1), "utf-8")
    bare = find_inputs([folder])
    found = tables(probe_section(bare, ModelNames(bare)))
    assert found["Probes, in %"].rows[0][3:] == (None,) * 7
    assert "Accuracy with few neurons, in %" not in found


def test_a_probe_below_its_baseline_is_named(inputs, models, tmp_path) -> None:
    assert not any("Below MAJ" in text for text in probe_section(inputs, models).text)
    folder = tmp_path / "worse"
    shutil.copytree(inputs.probes[0].path, folder)
    content = json.loads((folder / "result.json").read_text("utf-8"))
    content["majority_baseline"] = content["test"]["accuracy"] + 0.01
    (folder / "result.json").write_text(json.dumps(content, indent=1), "utf-8")
    found = find_inputs([folder, inputs.probes[0].path])
    (text,) = [t for t in probe_section(found, ModelNames(found)).text if "Below MAJ" in t]
    assert text.startswith("Below MAJ: worse. ")


def test_grid_of_penalties(inputs, tmp_path) -> None:
    folder = tmp_path / "grid"
    shutil.copytree(inputs.probes[0].path, folder)
    numbers = {"nonzero": 3, "passes": 1, "objective": 1.0, "kkt_residual": 0.0}
    cells = tuple(
        Cell(l1, l2, 0.5 + l1 + l2, 0.6, 0.2, **numbers, converged=True, seconds=1.0)
        for l1 in (0.0, 0.1)
        for l2 in (0.0, 0.2)
    )
    content = json.loads((folder / "result.json").read_text("utf-8"))
    content["grid"] = Grid(cells, "20%", 2, 90, 4.0).to_json()
    (folder / "result.json").write_text(json.dumps(content, indent=1), "utf-8")
    found = find_inputs([folder])
    section = probe_section(found, ModelNames(found))
    (figure,) = [part for part in section.parts if isinstance(part, Figure)]
    assert figure.numbers.rows[-1] == ("0.1", "0.2", pytest.approx(0.8), 0.6, 0.2)
    assert "<svg" in figure.svg


def test_curves(inputs, models) -> None:
    section = sweep_section(inputs, models)
    first = section.parts[0]
    rows = json.loads((inputs.sweeps[0].path / "sweep.json").read_text("utf-8"))["rows"]
    assert len(first.numbers.rows) == len(rows)
    for shown, row in zip(first.numbers.rows, rows, strict=True):
        assert shown[:5] == (
            *(row[k] for k in ("ranking", "order", "ablated", "share")),
            row["score"],
        )
    assert first.svg.count('class="mark"') == len(rows)
    assert f"from {rows[0]['score']:.4g} at 0.0% ablated" in first.alternative


def test_focus_counts_neurons(inputs) -> None:
    (figure,) = focus_section(inputs, 0.25).parts
    weight = np.abs(inputs.probes[0].content.weight)
    for row in figure.numbers.rows:
        size = np.sort(weight[LABELS.index(row[0])])[::-1]
        assert row[2] == int((np.cumsum(size) < 0.25 * size.sum()).sum()) + 1


def test_probes_of_the_same_labels_stand_side_by_side(tmp_path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_probe(tmp_path / name, seed)
    (figure,) = focus_section(find_inputs([tmp_path]), 0.25).parts
    assert [column.title for column in figure.numbers.columns[2::2]] == ["one", "two"]


def test_shared_neurons(inputs, models) -> None:
    found = tables(shared_section(inputs, models, 0.9))
    weight = inputs.probes[0].content.weight
    caption = next(caption for caption in found if "salient for several labels" in caption)
    for name, count, which in found[caption].rows:
        assert count == len(which.split(", "))
        assert SPACE.parse(name)[0] < weight.shape[1]
    assert int(caption.split(": ")[1].split()[0]) >= len(found[caption].rows)


def test_labels_of_several_properties_that_share(tmp_path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_probe(tmp_path / name, seed)
    found = find_inputs([tmp_path])
    table = shared_section(found, ModelNames(found), 0.5).parts[0]
    for neuron, count, which in table.rows:
        expected = {}
        for probe in found.probes:
            for label, row in zip(LABELS, np.abs(probe.content.weight), strict=True):
                order = np.argsort(-row)
                needed = int((np.cumsum(row[order]) < 0.5 * row.sum()).sum()) + 1
                if SPACE.parse(neuron)[0] in order[:needed]:
                    expected.setdefault(probe.name, []).append(label)
        assert which == "; ".join(f"{name}: {', '.join(of)}" for name, of in expected.items())
        assert count == sum(map(len, expected.values()))


def test_pairs_stand_by_what_they_share(inputs, models) -> None:
    figure = shared_section(inputs, models, 0.9).parts[1]
    gains = [row[2] - row[3] for row in figure.numbers.rows]
    assert gains == sorted(gains, reverse=True)
    assert figure.numbers.caption == "acts.pt: pairs of labels, those furthest above chance first"


def test_many_labels_have_a_table_in_place_of_a_heatmap(inputs, models, monkeypatch) -> None:
    monkeypatch.setattr("fairseq_neuron_plugin.report.property_section._LABELS", 2)
    pairs = shared_section(inputs, models, 0.9).parts[1]
    assert len(pairs.rows) == 2
    assert pairs.caption.endswith("furthest above chance first (the first 2 of 3)")


def test_rankings_and_their_overlap(inputs, models, tmp_path) -> None:
    found = tables(ranking_section(inputs, models))
    rows = {row[0]: row for row in found["Rankings"].rows}
    for ranking in inputs.rankings:
        first = [SPACE.name_of(int(neuron)) for neuron in ranking.content.neurons[:5]]
        assert rows[ranking.name][1:] == ("toy", "acts.pt", 12, 3, ", ".join(first))
    (overlap,) = [table for caption, table in found.items() if caption != "Rankings"]
    tops = [int(ranking.content.neurons[0]) for ranking in inputs.rankings]
    assert overlap.rows[0][2] == int(tops[0] == tops[1])
    write_ranking(tmp_path / "alone.json")
    alone = find_inputs([tmp_path])
    assert len(ranking_section(alone, ModelNames(alone)).parts) == 1


def test_what_is_not_there_has_no_section(tmp_path) -> None:
    write_ranking(tmp_path / "alone.json")
    alone = find_inputs([tmp_path])
    names = ModelNames(alone)
    assert probe_section(alone, names) is None
    assert sweep_section(alone, names) is None
    assert focus_section(alone, 0.25) is None
    assert shared_section(alone, names, 0.25) is None


def test_sweeps_alone(inputs) -> None:
    alone = find_inputs([inputs.sweeps[0].path])
    assert model_section(alone, ModelNames(alone)) is None
    assert sweep_section(alone, ModelNames(alone)) is not None
