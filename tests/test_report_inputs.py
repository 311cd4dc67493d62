"""Finding stores, probes, rankings and sweeps by what they say they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from report_toy import MODEL, write_everything, write_ranking, write_store

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.report.inputs import find_inputs
from fairseq_neuron_plugin.report.model_section import ModelNames


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return write_everything(tmp_path_factory.mktemp("report") / "run")


def names(inputs) -> dict[str, list[str]]:
    kinds = ("stores", "probes", "rankings", "sweeps")
    return {kind: [found.name for found in getattr(inputs, kind)] for kind in kinds}


def test_a_folder_is_searched(everything) -> None:
    found = find_inputs([everything.parent])
    assert len(found) == 5
    assert names(found)["stores"] == ["acts"]
    assert names(found)["sweeps"] == ["sweep"]
    assert names(found)["probes"] == ["probe"]
    assert len(found.rankings) == 2
    assert found.notes == ()


def test_what_is_given_twice_is_there_once(everything) -> None:
    alone = find_inputs([everything / "acts", everything / "two.json", everything])
    assert len(alone) == 5
    assert len(find_inputs([everything, everything / "acts"])) == 5


def test_one_place_by_two_names_is_one(everything, tmp_path, monkeypatch) -> None:
    (tmp_path / "link").symlink_to(everything)
    monkeypatch.chdir(everything.parent)
    found = find_inputs([everything.name, everything, tmp_path / "link"])
    assert len(found) == 5
    assert found.sweeps[0].path == Path(everything.name) / "sweep"  # the first name


@pytest.mark.parametrize("name", ["manifest.json", "sweep.json", "result.json", "data.json"])
def test_files_of_others_are_no_input(everything, tmp_path, name: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_text('{"name": "a web page"}')
    with pytest.raises(UserError, match="holds no activation store, probe, ranking or sweep"):
        find_inputs([tmp_path / "other"])
    assert len(find_inputs([everything, tmp_path / "other"][:1])) == 5


def test_unfinished_work_is_noted(everything, tmp_path) -> None:
    shutil.copytree(everything / "acts", tmp_path / "acts")
    (tmp_path / "acts" / "manifest.json").rename(tmp_path / "acts" / "partial.json")
    shutil.copy(everything / "two.json", tmp_path)
    found = find_inputs([tmp_path])
    assert names(found) == {"stores": [], "probes": [], "rankings": ["two"], "sweeps": []}
    assert found.notes == (f"{tmp_path / 'acts'} is not finished and left out",)


def test_hidden_folders_are_not_entered(everything, tmp_path) -> None:
    shutil.copytree(everything / "acts", tmp_path / ".acts.partial123")
    with pytest.raises(UserError, match="holds no"):
        find_inputs([tmp_path])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "two.json").write_text(
                '{"format": "fairseq-neuron-ranking/1"'
            ),
            "JSON",
        ),
        (lambda folder: (folder / "acts" / "offsets.npy").unlink(), "damaged"),
        (lambda folder: (folder / "probe" / "probe.npz").write_bytes(b"PK"), "cannot read"),
        (
            lambda folder: (folder / "sweep" / "sweep.json").write_text(
                '{"format": "fairseq-neuron-sweep/1", "rows": [{}]}'
            ),
            "is damaged",
        ),
    ],
)
def test_damaged_input(everything, tmp_path, spoil, message: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(everything, folder)
    spoil(folder)
    with pytest.raises(UserError, match=message):
        find_inputs([folder])


def test_a_path_that_is_not_there(tmp_path) -> None:
    with pytest.raises(UserError, match="nowhere not found"):
        find_inputs([tmp_path / "nowhere"])


def test_names_are_as_long_as_they_must_be(tmp_path) -> None:
    for model, sha256 in (("a", MODEL), ("b", "cd" * 32)):
        (tmp_path / model).mkdir()
        write_store(tmp_path / model / "acts", 5, sha256)
        write_ranking(tmp_path / model / "pos.json", model=sha256)
    found = find_inputs([tmp_path])
    assert names(found)["stores"] == ["a/acts", "b/acts"]
    assert names(found)["rankings"] == ["a/pos", "b/pos"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (
            ("run/model.A/checkpoint_best.pt", "run/model.B/checkpoint_best.pt"),
            ["model.A", "model.B"],
        ),
        (("x/a.pt", "x/b.pt"), ["a.pt", "b.pt"]),
        (
            ("1/m/checkpoint_last.pt", "2/m/checkpoint_last.pt"),
            ["1/m/checkpoint_last.pt", "2/m/checkpoint_last.pt"],
        ),
        (("same.pt", "same.pt"), ["abababababab", "cdcdcdcdcdcd"]),
    ],
)
def test_names_of_models(tmp_path, paths, expected) -> None:
    for number, sha256 in enumerate(("ab" * 32, "cd" * 32)):
        write_store(tmp_path / f"acts{number}", 3, sha256)
    inputs = find_inputs([tmp_path])
    for store, path in zip(inputs.stores, paths, strict=True):
        store.content.manifest["model"]["path"] = path
    assert list(ModelNames(inputs).all.values()) == expected
