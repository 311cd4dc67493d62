"""The folder of a sweep: shards side by side, merged, continued, or refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.sweeps.folder import SweepFolder
from fairseq_neuron_plugin.sweeps.shards import Shard

SETTINGS = {"beam": 5, "points": "a,b,c"}
LINES = ["ein Satz", "noch\u2028einer"]


def opened(path, shard: str = "", **changed) -> SweepFolder:
    which = Shard(*map(int, shard.split("/"))) if shard else None
    return SweepFolder(path, {**SETTINGS, **changed}, ("bleu",), ["eins", "zwei"], which)


def row(name: str, bleu: float = 1.5) -> dict[str, object]:
    identity = {"name": name, "ranking": "r", "order": "top", "ablated": 3, "share": 0.1}
    return {**identity, "per_layer": {}, "bleu": bleu, "seconds": 1.0}


def add(folder: SweepFolder, *names: str) -> None:
    folder.add([row(name) for name in names], LINES, np.arange(6.0).reshape(1, 6))


def names(path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_files_of_a_point(tmp_path) -> None:
    folder = opened(tmp_path / "s")
    add(folder, "a", "b")
    assert names(tmp_path / "s") == [
        *("bootstrap/a.npy", "bootstrap/b.npy", "hypotheses/a.txt", "hypotheses/b.txt"),
        *("partial.json", "reference.txt"),
    ]
    again = opened(tmp_path / "s")
    assert again.rows == {"a": row("a"), "b": row("b")}
    assert not again.complete
    assert again.hypotheses("b") == LINES
    assert again.resampled("a").dtype == np.float64
    assert again.resampled("a").tolist() == [[0, 1, 2, 3, 4, 5]]
    with pytest.raises(UserError, match=r"cannot read .*c\.npy"):
        again.resampled("c")
    assert (tmp_path / "s" / "reference.txt").read_text() == "eins\nzwei\n"


def test_shards_are_merged_whatever_their_number(tmp_path) -> None:
    path = tmp_path / "s"
    first, second = opened(path, "0/2"), opened(path, "1/2")  # at the same time
    add(second, "b")
    add(first, "a")
    assert list(first.rows) == ["a"]  # no eye for what the other has done since
    third = opened(path, "2/3")
    assert sorted(third.rows) == ["a", "b"]
    add(third, "c")
    assert [list(f.added) for f in (first, second, third)] == [["a"], ["b"], ["c"]]
    partial = json.loads((path / "partial.2-of-3.json").read_text())
    assert [found["name"] for found in partial["rows"]] == ["c"]

    merged = opened(path)
    assert sorted(merged.rows) == ["a", "b", "c"]
    rows = [merged.rows[name] for name in "cab"]
    merged.finish(rows, merged.rows["a"], {"signature": "x"})
    assert merged.complete
    assert [name for name in names(path) if "/" not in name] == [
        *("reference.txt", "sweep.csv", "sweep.json"),
    ]
    result = json.loads((path / "sweep.json").read_text())
    assert list(result) == ["format", "signature", "settings", "baseline", "rows"]
    assert result["rows"] == rows
    assert result["baseline"] == row("a")
    table = list(csv.DictReader((path / "sweep.csv").open()))
    assert list(table[0]) == ["ranking", "order", "ablated", "share", "bleu", "seconds"]
    assert len(table) == 3
    for shard in ("", "0/2", "1/5"):
        again = opened(path, shard)
        assert again.complete
        assert again.baseline == row("a")
        assert sorted(again.rows) == ["a", "b", "c"]


def test_only_the_first_shard_and_the_whole_run_write_the_reference(tmp_path) -> None:
    for shard, written in (("1/2", False), ("0/2", True)):
        opened(tmp_path / "s", shard)
        assert (tmp_path / "s" / "reference.txt").exists() == written
    opened(tmp_path / "t", "1/2")
    opened(tmp_path / "t")
    assert (tmp_path / "t" / "reference.txt").exists()


def test_what_others_may_be_writing_stays_until_the_end(tmp_path) -> None:
    path = tmp_path / "s"
    path.mkdir()
    unwritten = path / ".partial.1-of-2.json.partial123"  # of a shard that has just begun
    unwritten.write_text("{")
    first = opened(path, "0/2")
    add(first, "a")
    hypotheses = path / "hypotheses" / ".b.txt.partial123"
    hypotheses.write_text("half")
    plain = opened(path)
    assert unwritten.exists()
    assert hypotheses.exists()
    plain.finish([row("a")], row("a"), {})
    assert not unwritten.exists()
    assert not hypotheses.exists()
    (path / ".sweep.png.partial99").write_text("half")
    (path / "partial.1-of-2.json").write_text("{}")  # of a shard that went on after the end
    opened(path, "0/2")
    assert (path / "partial.1-of-2.json").exists()
    opened(path)
    assert [name for name in names(path) if "partial" in name] == []


@pytest.mark.parametrize("before", ["", "0/2"])
@pytest.mark.parametrize("now", ["", "1/2"])
@pytest.mark.parametrize("finished", [False, True])
def test_other_settings_are_refused(tmp_path, before, now, finished) -> None:
    folder = opened(tmp_path / "s", before)
    add(folder, "a")
    if finished:
        opened(tmp_path / "s").finish([row("a")], row("a"), {})
    had = names(tmp_path / "s")
    with pytest.raises(UserError, match="another run: its beam is 5, this one's is 4; choose"):
        opened(tmp_path / "s", now, beam=4)
    with pytest.raises(UserError, match="its lenpen is None, this one's is 2"):
        opened(tmp_path / "s", now, lenpen=2)
    assert names(tmp_path / "s") == had


def test_foreign_folders(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no folder"):
        opened(tmp_path / "file")
    with pytest.raises(UserError, match="exists and holds no sweep"):
        opened(tmp_path, "0/2")
    assert names(tmp_path) == ["file"]
