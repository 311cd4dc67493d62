"""``--verify`` finds a damaged byte that no sample reaches, before anything is computed from it."""

from __future__ import annotations

import numpy as np
import pytest
from commands import end

from fairseq_neuron_plugin.activations import Activations, write_store
from fairseq_neuron_plugin.cli import analyze, probe, rank
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A store with one byte changed where opening it does not look, and labels of its words."""
    folder = tmp_path_factory.mktemp("store")
    rows = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32)
    words = [["a", "b"]] * 10_000
    path = write_store(folder / "acts", rows, words, NeuronSpace((Layer("l", 8),))).path
    (folder / "tags").write_text("A B\n" * 10_000)
    shard = path / "activations-00000.npy"
    content = bytearray(shard.read_bytes())
    for position in range(len(content) // 3, len(content), 5000):
        content[position] ^= 1
        shard.write_bytes(content)
        try:
            Activations(path)
        except UserError:
            content[position] ^= 1
            continue
        return folder
    raise AssertionError("the sample is everything")


@pytest.mark.parametrize(
    ("main", "command"),
    [
        (probe.main, "{acts} --labels {tags} --save-dir {out}"),
        (rank.main, "variance {acts} --output {out}.json"),
        (rank.main, "probeless {acts} --labels {tags} --output {out}.json"),
        (rank.main, "cross-model {acts} {acts} --output {out}.json"),
        (analyze.main, "top-words {acts} --neurons 1 --output-dir {out}"),
        (analyze.main, "neuron 1 --acts {acts} --output-dir {out}"),
    ],
)
def test_every_byte_is_read(damaged, tmp_path, capsys, main, command) -> None:
    out = tmp_path / "out"
    text = command.format(acts=damaged / "acts", tags=damaged / "tags", out=out)
    assert end(main, *text.split(), "--verify") == 2
    line = capsys.readouterr().err
    assert "is damaged (activations-00000.npy: its content has changed); extract it again" in line
    assert not list(tmp_path.glob("out*"))
