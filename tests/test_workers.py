"""Chunks in worker processes: the same numbers, one clear error, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sweep_toy import ToyEvaluator, children

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.evaluator import Evaluation, Intervention
from fairseq_neuron_plugin.sweeps.workers import choose_workers, evaluate_chunks


def interventions(*sizes: int) -> list[list[Intervention]]:
    """Chunks of such sizes; the k-th intervention of all clamps k neurons."""
    chunks, number = [], 0
    for size in sizes:
        ids = [range(number + k) for k in range(size)]
        chunks.append([Intervention({"layer": list(chosen)}, 0.0, "recurrent") for chosen in ids])
        number += size
    return chunks


def results(evaluator, chunks, workers, progress=lambda steps: None) -> list:
    found = sorted(evaluate_chunks(evaluator, chunks, workers, progress), key=lambda e: e.chunk)
    assert [e.chunk for e in found] == list(range(len(chunks)))
    return [
        (each.numbers, each.lines, each.resampled["score"].tolist())
        for e in found
        for each in e.evaluations
    ]


@pytest.fixture
def workers_alive() -> Callable[[], set[int]]:
    """Ids of the processes that the test has started and that still run."""
    before = children()
    return lambda: children() - before


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (3, 2), (2,), ()])
@pytest.mark.parametrize("workers", [2, 4])
def test_the_same_numbers(tmp_path, sizes, workers, workers_alive) -> None:
    evaluator, chunks = ToyEvaluator(tmp_path), interventions(*sizes)
    expected = results(evaluator, chunks, 1)
    assert len(expected) == sum(sizes)
    assert evaluator.chunks == list(sizes)
    evaluator.chunks.clear()
    steps: list[int] = []
    assert results(evaluator, chunks, workers, steps.append) == expected
    assert sum(steps) == 3 * sum(sizes)
    assert evaluator.chunks == (list(sizes) if len(sizes) < 2 else [])  # in other processes
    assert not workers_alive()


class Torch(ToyEvaluator):
    """Where and how it was evaluated; the sum is another one on two threads."""

    def evaluate(self, intervention, progress) -> Evaluation:
        generator = torch.Generator().manual_seed(sum(intervention.neurons["layer"]))
        matrix = torch.randn(400, 400, generator=generator)
        lstm = torch.nn.LSTM(16, 16, 2).requires_grad_(False)
        assert lstm(matrix.view(100, 100, 16))[0].isfinite().all()
        total = float((matrix @ matrix @ matrix).sum() + torch.softmax(matrix, -1).sum())
        return Evaluation({"total": total, "threads": torch.get_num_threads(), "id": os.getpid()})


def test_workers_of_a_process_that_has_used_two_threads(tmp_path) -> None:
    """OpenMP's pool does not survive a fork; workers that asked it to share would hang."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        evaluator = Torch(tmp_path)
        for _ in range(3):
            evaluator.evaluate(interventions(2)[0][1], lambda steps: None)
        found = {}
        for workers in (1, 2):
            evaluated = evaluate_chunks(evaluator, interventions(1, 1, 1), workers)
            rows = [(e.chunk, e.evaluations[0].numbers) for e in evaluated]
            assert {numbers["threads"] for _, numbers in rows} == {1}
            assert ({numbers["id"] for _, numbers in rows} == {os.getpid()}) == (workers == 1)
            found[workers] = {chunk: numbers["total"] for chunk, numbers in rows}
        assert found[1] == found[2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def die(neurons: int) -> None:
    if neurons == 2:
        time.sleep(0.5)  # some others are done by then
        os.kill(os.getpid(), signal.SIGKILL)


def fail(neurons: int) -> None:
    if neurons == 2:
        time.sleep(0.5)
        raise UserError("the ablation was never reached")
    if neurons > 2:
        time.sleep(60)


def kept_until(error: str, evaluator, workers: int) -> list[int]:
    """Chunks that were there when the error came."""
    kept = []

    def evaluate() -> None:
        for done in evaluate_chunks(evaluator, interventions(*[1] * 5), workers):
            kept.append(done.chunk)

    with pytest.raises(UserError, match=error):
        evaluate()
    return sorted(kept)


def test_a_worker_is_killed(tmp_path, workers_alive) -> None:
    error = "a worker process was killed, perhaps for want of memory.*with fewer --workers than 2"
    kept = kept_until(error, ToyEvaluator(tmp_path, die), 2)
    assert {0, 1} <= set(kept)
    assert 2 not in kept
    assert not workers_alive()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_ends_all_at_once(tmp_path, workers, workers_alive) -> None:
    start = time.monotonic()
    evaluator = ToyEvaluator(tmp_path, fail)
    assert kept_until("^the ablation was never reached$", evaluator, workers) == [0, 1]
    assert time.monotonic() - start < 20
    assert not workers_alive()


def test_what_ends_the_sweep_ends_the_workers(tmp_path, workers_alive) -> None:
    """Ctrl-C, which arrives anywhere; and a caller that looks no further."""

    def interrupt(steps: int) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    evaluator = ToyEvaluator(tmp_path, lambda neurons: neurons < 1 or time.sleep(60))
    with pytest.raises(KeyboardInterrupt):
        results(evaluator, interventions(1, 1, 1), 2, interrupt)
    assert not workers_alive()
    evaluated = evaluate_chunks(evaluator, interventions(1, 1, 1), 2)
    assert next(evaluated).chunk == 0
    assert workers_alive()
    evaluated.close()
    assert not workers_alive()
    assert time.monotonic() - start < 20


def hang_with_workers(folder: Path) -> None:
    """One worker is at work and says nothing, the other has nothing to do."""
    evaluator = ToyEvaluator(folder, lambda neurons: neurons < 1 or time.sleep(60))
    for _ in evaluate_chunks(evaluator, interventions(1, 1), 2):
        (folder / "unwritten").write_text(" ".join(map(str, children())))
        (folder / "unwritten").rename(folder / "children")


def test_workers_end_soon_after_their_parent_was_killed(tmp_path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=hang_with_workers, args=(tmp_path,)
    )
    process.start()
    wait_until((tmp_path / "children").exists, 20)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    workers = (tmp_path / "children").read_text().split()
    assert len(workers) == 2
    wait_until(lambda: not any(alive(worker) for worker in workers), 10)


def alive(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("asked", "cuda", "expected"), [(3, False, 3), (1, True, 1), (None, True, 1), (None, False, 5)]
)
def test_number_of_workers(monkeypatch, asked, cuda, expected) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    assert choose_workers(asked, cuda) == expected


@pytest.mark.parametrize(
    ("asked", "cuda", "message"),
    [(0, False, "at least 1, not 0"), (2, True, "start the command by torchrun")],
)
def test_numbers_of_workers_refused(asked, cuda, message) -> None:
    with pytest.raises(UserError, match=message):
        choose_workers(asked, cuda)
