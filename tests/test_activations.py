"""The activation store: whole or absent, continued after a kill, readable with numpy alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import Activations, StoreWriter, write_store
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace

SPACE = NeuronSpace((Layer("encoder.layers.0", 3), Layer("encoder.layers.1", 2)))
SENTENCES = [["a", "b"], [], ["c"], ["d", "e", "f"], ["g"], [], []]
ROWS = np.arange(35, dtype=np.float32).reshape(7, 5)


@pytest.mark.parametrize("rows_per_shard", [1, 2, 3, 100])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_round_trip(tmp_path, rows_per_shard: int, dtype: str) -> None:
    acts = write_store(
        tmp_path / "acts", ROWS.astype(dtype), SENTENCES, SPACE, rows_per_shard=rows_per_shard
    )
    assert acts.array.shape == (7, 5)
    assert acts.array.dtype == dtype
    assert acts.sentences == SENTENCES
    assert acts.words() == list("abcdefg")
    assert acts.offsets.tolist() == [0, 2, 2, 3, 6, 7, 7, 7]
    assert acts.layers == SPACE
    for start in range(8):
        for stop in range(start, 8):
            assert np.array_equal(acts.array[start:stop], ROWS[start:stop])
    assert np.array_equal(np.asarray(acts.array), ROWS)
    files = sorted((tmp_path / "acts").glob("activations-*.npy"))
    assert np.array_equal(np.concatenate([np.load(f, mmap_mode="r") for f in files]), ROWS)
    lines = (tmp_path / "acts" / "tokens.txt").read_text()
    assert lines == "a b\n\nc\nd e f\ng\n\n\n"


def snapshot(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_killed_run_is_continued_to_the_same_bytes(tmp_path) -> None:
    write_store(tmp_path / "whole", ROWS, SENTENCES, SPACE, rows_per_shard=2)
    settings = {"model": None, "signature": "source:array"}
    for written in range(4):
        folder = tmp_path / f"killed{written}"
        writer = StoreWriter(folder, SENTENCES, SPACE, "float32", settings, 2)
        for shard, first, last in list(writer.missing())[:written]:
            writer.write(shard, ROWS[writer.offsets[first] : writer.offsets[last]])
        with pytest.raises(UserError, match="unfinished"):
            Activations(folder)
        again = StoreWriter(folder, SENTENCES, SPACE, "float32", settings, 2)
        todo = list(again.missing())
        assert len(todo) == len(again.shards) - written
        for shard, first, last in todo:
            again.write(shard, ROWS[again.offsets[first] : again.offsets[last]])
        again.finish()
        assert snapshot(folder) == snapshot(tmp_path / "whole")


def test_complete_store_is_left_alone_by_the_same_run(tmp_path) -> None:
    write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE)
    before = snapshot(tmp_path / "acts")
    write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE)
    assert snapshot(tmp_path / "acts") == before


@pytest.mark.parametrize(
    ("sentences", "settings", "message"),
    [
        ([["x", "b"], *SENTENCES[1:]], {}, "its tokens_sha256 is"),
        (SENTENCES, {"model": {"sha256": "1"}}, "its model is None, this one's is"),
    ],
)
def test_folder_with_another_run_is_refused(tmp_path, sentences, settings, message) -> None:
    write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE)
    before = snapshot(tmp_path / "acts")
    with pytest.raises(UserError, match=f"holds another run: {message}"):
        write_store(tmp_path / "acts", ROWS, sentences, SPACE, settings)
    assert snapshot(tmp_path / "acts") == before


def test_foreign_folder_is_refused(tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="no activation store"):
        write_store(tmp_path, ROWS, SENTENCES, SPACE)
    with pytest.raises(UserError, match=r"no manifest\.json"):
        Activations(tmp_path)
    with pytest.raises(UserError, match="not found"):
        Activations(tmp_path / "none")


def test_float16_overflow_is_an_error(tmp_path) -> None:
    writer = StoreWriter(tmp_path / "acts", SENTENCES, SPACE, "float16", {})
    with pytest.raises(UserError, match="too large for float16"):
        writer.write(0, ROWS * 1e5)


def test_empty_input(tmp_path) -> None:
    with pytest.raises(UserError, match="empty"):
        write_store(tmp_path / "acts", ROWS[:0], [[], []], SPACE)
    assert not (tmp_path / "acts").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokens.txt", b"a b\n"),
        ("offsets.npy", None),
        ("activations-00000.npy", None),
        ("activations-00000.npy", b"cut"),
        ("manifest.json", b'{"format": "fairseq-neuron-activations/1"}'),
    ],
)
def test_damaged_store(tmp_path, name, content) -> None:
    write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE)
    (tmp_path / "acts" / name).unlink()
    if content is not None:
        (tmp_path / "acts" / name).write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        Activations(tmp_path / "acts")


def test_files_of_another_store_are_refused(tmp_path) -> None:
    for name, rows in (("acts", ROWS), ("other", ROWS + 1)):
        write_store(tmp_path / name, rows, SENTENCES, SPACE)
    shard = "activations-00000.npy"
    (tmp_path / "acts" / shard).write_bytes((tmp_path / "other" / shard).read_bytes())
    with pytest.raises(UserError, match=f"damaged \\({shard}: its content has changed"):
        Activations(tmp_path / "acts")


def test_a_lost_byte_in_a_word_is_found(tmp_path) -> None:
    store = write_store(tmp_path / "acts", ROWS, [["aa", "b"], ["c"]], SPACE).path
    (store / "tokens.txt").write_bytes(b"a b\nc\n")
    with pytest.raises(UserError, match=r"damaged \(tokens.txt: its content has changed"):
        Activations(store)


def test_verify_reads_every_byte(tmp_path) -> None:
    rows = np.zeros((100_000, SPACE.size), dtype=np.float32)
    store = write_store(tmp_path / "acts", rows, [["w"] * len(rows)], SPACE).path
    shard = store / "activations-00000.npy"
    content = bytearray(shard.read_bytes())
    missed = 0
    for position in range(128, len(content), 9973):
        content[position] ^= 1
        shard.write_bytes(content)
        with pytest.raises(UserError, match="its content has changed"):
            Activations(store, verify=True)
        try:
            Activations(store)
            missed += 1
        except UserError:
            pass
        content[position] ^= 1
    assert missed  # a sample is a sample
    shard.write_bytes(content)
    Activations(store, verify=True)


def test_stores_of_before_there_were_hashes_of_shards(tmp_path) -> None:
    store = write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE).path
    manifest = json.loads((store / "manifest.json").read_text())
    del manifest["shards"]
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert np.array_equal(Activations(store, verify=True).array, ROWS)


def test_temporary_files_of_a_killed_run_are_removed(tmp_path) -> None:
    (tmp_path / "acts").mkdir()
    (tmp_path / "acts" / ".partial.json.partial123").write_text("{")
    acts = write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE)
    assert not list(acts.path.glob(".*"))
    (acts.path / ".tokens.txt.partial7").touch()
    (acts.path / ".my.partial.txt").touch()
    (acts.path / ".x.partial1").mkdir()
    write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE)
    assert {path.name for path in acts.path.glob(".*")} == {".my.partial.txt", ".x.partial1"}


def test_nothing_is_removed_from_a_foreign_folder(tmp_path) -> None:
    (tmp_path / ".tokens.txt.partial7").touch()
    with pytest.raises(UserError, match="no activation store"):
        write_store(tmp_path, ROWS, SENTENCES, SPACE)
    assert (tmp_path / ".tokens.txt.partial7").exists()


@pytest.mark.parametrize("existed", [False, True])
def test_a_run_without_a_shard_leaves_nothing(tmp_path, existed: bool) -> None:
    folder = tmp_path / "acts"
    if existed:
        folder.mkdir()
    StoreWriter(folder, SENTENCES, SPACE, "float16", {}, 2).discard_empty()
    assert folder.exists() == existed
    writer = StoreWriter(folder, SENTENCES, SPACE, "float32", {}, 2)
    writer.write(0, ROWS[:2])
    writer.discard_empty()
    assert len(list(writer.missing())) == len(writer.shards) - 1
    assert (folder / "partial.json").exists()


MASK = ROWS[:, 1] % 2 == 0
KEYS = [
    *(0, -1, np.int64(6), (slice(None), 1), ([0, 6],), [0, 1], [], (3, 2), (-2, [1, 4])),
    *(slice(None, None, 2), slice(None, None, -1), slice(6, 1, -2), slice(5, 5), (slice(5, 5), 1)),
    *(MASK, MASK.tolist(), (MASK, 2), (MASK, slice(1, 3)), np.array([[0, 6], [3, -1]])),
    *(([0, 5], [1, 2]), (slice(1, 6), [0, 3]), (slice(1, 6, 3), -1), ..., (..., 1), ROWS > 9),
    *(None, (slice(None), None), (slice(2, 4), slice(0, 0))),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("rows_per_shard", [2, 100])
def test_rows_are_indexed_as_numpy_does(tmp_path, key, rows_per_shard: int) -> None:
    acts = write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE, rows_per_shard=rows_per_shard)
    found = acts.array[key]
    assert np.shape(found) == np.shape(ROWS[key])
    assert np.array_equal(found, ROWS[key])


@pytest.mark.parametrize("key", [7, -8, [0, 7], 1.5, [0.5], (0, 5), (slice(None), 5), "a"])
def test_what_numpy_refuses_is_refused(tmp_path, key) -> None:
    acts = write_store(tmp_path / "acts", ROWS, SENTENCES, SPACE, rows_per_shard=2)
    with pytest.raises(IndexError):
        acts.array[key]
