"""--device, --cpu and torchrun's ranks."""

from __future__ import annotations

import pytest
import torch

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.sweeps.devices import choose_device
from fairseq_neuron_plugin.sweeps.shards import Rank, Shard

SECOND = Rank(Shard(5, 8), 1)


@pytest.fixture
def gpus(monkeypatch) -> list[int]:
    """Two GPUs, and the calls that choose one of them."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize(
    ("asked", "flags", "rank", "added", "gpu"),
    [
        (None, [], None, [], None),
        (None, [], SECOND, [], 1),
        (None, ["--cpu"], SECOND, [], None),
        ("cpu", [], SECOND, ["--cpu"], None),
        ("cpu", ["--cpu"], None, [], None),
        ("cuda", [], None, [], None),
        ("cuda", [], SECOND, [], 1),
        ("cuda:1", [], None, [], 1),
    ],
)
def test_devices(gpus, asked, flags, rank, added, gpu) -> None:
    assert choose_device(asked, flags, rank) == added
    assert gpus == ([] if gpu is None else [gpu])


@pytest.mark.parametrize(
    ("asked", "flags", "rank", "message"),
    [
        ("gpu", [], None, "--device is cpu, cuda or cuda:N, not gpu"),
        ("cuda:x", [], None, "--device is cpu, cuda or cuda:N, not cuda:x"),
        ("cuda:1", ["--cpu"], None, "--device cuda:1 contradicts --cpu"),
        ("cuda:2", [], None, "--device cuda:2: this machine has 2 GPUs"),
        ("cuda:0", [], SECOND, "torchrun gives each process its own GPU; --device cuda, not"),
        (None, [], Rank(Shard(2, 3), 2), "process 2 of this machine has no GPU .*-per-node 2, or"),
    ],
)
def test_devices_refused(gpus, asked, flags, rank, message) -> None:
    with pytest.raises(UserError, match=message):
        choose_device(asked, flags, rank)
    assert gpus == []


def test_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(None, [], None) == ["--cpu"]
    with pytest.raises(UserError, match="--device cuda:0: torch finds no GPU on this machine"):
        choose_device("cuda:0", [], None)
