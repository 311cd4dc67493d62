"""The commands that sweep, by workers, shards and ranks, and killed: the same files each time."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from fresh import start_fresh
from sweep_toy import content
from tiny_models import ROOT, call

from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

GENERATE, EVAL_LM = "fairseq-neuron-generate", "fairseq-neuron-eval-lm"
POINTS = ("--ablate", "6,25%,96", "--order", "top,bottom")
COUNTS = "6 distinct interventions of 6 points and the unablated"


def ranking(path: Path, stack: str) -> str:
    space = NeuronSpace(tuple(Layer(f"{stack}.layers.{number}", 48) for number in (0, 1)))
    order = np.random.default_rng(0).permutation(96)
    Ranking("random", order, np.arange(96.0)[::-1], space=space).save(path / "one.json")
    return str(path / "one.json")


@pytest.fixture(scope="module")
def translation(tiny, tmp_path_factory) -> list[str]:
    """The command but for the folder, and how it is run."""
    rankings = ranking(tmp_path_factory.mktemp("rankings"), "encoder")
    flags = ("--cpu", "--beam", "2", "--max-len-a", "1", "--max-len-b", "5")
    flags = (*flags, "--metrics", "bleu", "--bootstrap", "50")
    given = (GENERATE, tiny.data, "--path", tiny.stock, "--ranking", rankings, *POINTS, *flags)
    return [str(part) for part in given]


@pytest.fixture(scope="module")
def whole(translation, tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("whole") / "s"
    done = call(*translation, "--workers", "1", "--points-together", "1", "--output-dir", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"1 worker, 1 point at a time, {COUNTS}\nranking ")
    assert (folder / "sweep.png").stat().st_size > 5000
    return content(folder)


def test_workers(translation, whole, tmp_path) -> None:
    pictures = ("--format", "png,svg")
    done = call(*translation, "--workers", "2", *pictures, "--output-dir", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 workers, ")
    for kind in ("png", "svg"):
        assert f"picture: {tmp_path / 's' / f'sweep.{kind}'}\n" in done.stdout
        assert (tmp_path / "s" / f"sweep.{kind}").stat().st_size > 5000
    assert content(tmp_path / "s") == whole
    table = done.stdout.splitlines()[1:-2]
    assert table[0].split() == [
        *("ranking", "order", "ablated", "bleu", "p", "length", "empty", "runaway", "seconds")
    ]
    assert [line.split()[0] for line in table[1:]] == ["unablated", *["one"] * 6]
    assert max(map(len, table)) < 120


def test_shards(translation, whole, tmp_path) -> None:
    folder = tmp_path / "s"
    for shard, points in (("1/2", 3), ("0/2", 3)):  # the first has the unablated model, too
        done = call(*translation, "--output-dir", folder, "--shard", shard)
        assert done.returncode == 0, done.stderr
        assert done.stdout == (
            f"shard {shard} is done: its {points} of 6 points are in {folder}; once all shards "
            "are, the same command without --shard writes the table\n"
        )
        assert not (folder / "sweep.json").exists()
    merged = call(*translation, "--output-dir", folder)
    assert merged.returncode == 0, merged.stderr
    assert merged.stderr == ""  # nothing was left to do
    assert content(folder) == whole
    again = call(*translation, "--output-dir", folder, "--shard", "1/3")
    assert again.stdout == f"shard 1/3: the sweep in {folder} is complete already\n"


@pytest.mark.parametrize(("workers", "moment"), [("1", 1), ("2", 3)])
def test_killed_and_continued(translation, whole, tmp_path, workers, moment) -> None:
    folder = tmp_path / "s"
    command = [*translation, "--workers", workers, "--points-together", "1"]
    command += ["--output-dir", str(folder)]
    process = start_fresh("fairseq_neuron_plugin.cli.generate", "main", command, tmp_path, ROOT, {})
    while process.is_alive() and len(list(folder.glob("hypotheses/*.txt"))) < moment:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "err").read_text()
    assert not (folder / "sweep.json").exists()
    assert call(*command).returncode == 0
    assert content(folder) == whole


def test_ranks(translation, whole, tmp_path) -> None:
    """As torchrun starts them, which says no more than these variables."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    processes = []
    for rank in ("0", "1"):
        (tmp_path / rank).mkdir()
        environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(
            start_fresh(
                *("fairseq_neuron_plugin.cli.generate", "main"),
                [*translation, "--points-together", "1", "--output-dir", str(tmp_path / "s")],
                *(tmp_path / rank, ROOT, environment),
            )
        )
    for rank, process in enumerate(processes):
        process.join()
        assert process.exitcode == 0, (tmp_path / str(rank) / "err").read_text()
    assert content(tmp_path / "s") == whole
    printed = (tmp_path / "0" / "out").read_text()
    assert printed.startswith(f"2 processes of 1 worker, 1 point at a time, {COUNTS}\n")
    assert (tmp_path / "1" / "out").read_text() == ""


def test_language_model(zoo, tmp_path) -> None:
    command = (EVAL_LM, zoo.data("text"), "--path", zoo.checkpoint("lstm_lm"), "--cpu", *POINTS)
    command = (*command, "--ranking", ranking(tmp_path, "decoder"), "--tokens-per-sample", "64")
    runs = {"one": ("--workers", "1"), "two": ("--workers", "2"), "shard": ("--shard", "1/2")}
    for name, how in runs.items():
        done = call(*command, *how, "--output-dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert call(*command, "--output-dir", tmp_path / "shard").returncode == 0
    found = content(tmp_path / "one")
    assert content(tmp_path / "two") == content(tmp_path / "shard") == found
    assert len(found["sweep.csv"]) == 1 + 6


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--workers", "0"), "argument --workers: must be a number, at least 1, not 0"),
        (("--points-together", "many"), "argument --points-together: must be a number"),
        (("--shard", "2/2"), "argument --shard: cannot read --shard 2/2; the first of four is 0/4"),
        (("--device", "tpu"), "--device is cpu, cuda or cuda:N, not tpu"),
        (("--device", "cuda"), "--device cuda contradicts --cpu"),
    ],
)
def test_refusals(translation, tmp_path, flags, message) -> None:
    refused = call(*translation, *flags, "--output-dir", tmp_path / "s")
    assert refused.returncode == 2
    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_shard_under_torchrun(translation, tmp_path, monkeypatch) -> None:
    given = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    refused = call(*translation, "--shard", "0/2", "--output-dir", tmp_path / "s")
    assert refused.returncode == 2
    assert "torchrun deals out the points itself; leave out --shard" in refused.stderr
