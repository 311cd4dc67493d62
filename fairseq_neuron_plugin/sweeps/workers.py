"""Evaluate chunks of interventions, one after the other or in worker processes.

On a CPU one thread for each of several decodes is far better than several threads for one: a
step's matrices are small.

Workers are forked once the model is loaded, as the workers of torch's DataLoader are, so the model
is in memory once and nothing of it is pickled. What makes forking unsafe is threads: a child has
none of its parent's, and waits for ever if it asks OpenMP's or MKL's pool to share in its work. So
each worker is held to one thread, with which torch asks no pool, again as in DataLoader. A CUDA
context does not survive a fork at all: on GPUs, processes are started by torchrun, one a GPU.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import UserError
from ..evaluation.evaluator import Evaluation, Evaluator, Intervention, Progress

_POLL = 0.2  # seconds


@dataclass(frozen=True)
class Evaluated:
    """A chunk's results.

    Attributes:
        chunk: which of the chunks.
        evaluations: one for each of its interventions.
        seconds: for all of them.
    """

    chunk: int
    evaluations: Sequence[Evaluation]
    seconds: float


def choose_workers(asked: int | None, cuda: bool) -> int:
    """How many worker processes to use.

    Args:
        asked: None means as many as torch would use threads, and one on a GPU.
        cuda: whether the model is on a GPU.

    Raises:
        UserError: fewer than one; or several on a GPU, or where processes cannot be forked.
    """
    forking = "fork" in multiprocessing.get_all_start_methods()
    if asked is None:
        return 1 if cuda or not forking else torch.get_num_threads()
    if asked < 1:
        raise UserError(f"--workers must be at least 1, not {asked}")
    if asked > 1 and cuda:
        raise UserError(
            "--workers is for the CPU; for several GPUs start the command by torchrun "
            "--nproc-per-node, and on one leave it out"
        )
    if asked > 1 and not forking:
        raise UserError("--workers needs processes that can be forked; leave it out on this system")
    return asked


def evaluate_chunks(
    evaluator: Evaluator,
    chunks: Sequence[Sequence[Intervention]],
    workers: int,
    progress: Progress = lambda steps: None,
) -> Generator[Evaluated, None, None]:
    """Evaluate each chunk; results come as they are ready, in any order.

    With one worker the work is done here, with more in processes of their own; on one thread in
    either case: sums of many numbers are rounded otherwise by several threads, and no result is to
    depend on how it was come by. However this ends, no worker is left behind; they also end by
    themselves soon after this process was killed.

    Args:
        evaluator: what each worker inherits.
        chunks: interventions that are evaluated together.
        workers: how many, see `choose_workers`.
        progress: called in this process with the steps done since the last call.

    Raises:
        UserError: as from the evaluator; or a worker was killed, for want of memory, say.
    """
    workers = min(workers, len(chunks))
    with _one_thread():
        if workers > 1:
            yield from _evaluate_forked(evaluator, chunks, workers, progress)
            return
        for number, chunk in enumerate(chunks):
            yield _evaluate(evaluator, number, chunk, progress)


@contextmanager
def _one_thread() -> Generator[None, None, None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _evaluate(
    evaluator: Evaluator, number: int, chunk: Sequence[Intervention], progress: Progress
) -> Evaluated:
    start = time.perf_counter()
    evaluations = evaluator.evaluate_together(chunk, progress)
    return Evaluated(number, evaluations, time.perf_counter() - start)


@dataclass(frozen=True)
class _Inherited:
    """What a worker has from its parent by the fork, unpickled.

    Attributes:
        done: steps of each chunk, in shared memory. A chunk has one writer, so there is no lock,
            which a worker that is killed could keep for ever.
        stop: in shared memory, too: set when workers have to end at once.
        parent: its process id.
    """

    evaluator: Evaluator
    chunks: Sequence[Sequence[Intervention]]
    done: Any
    stop: Any
    parent: int


_inherited: _Inherited | None = None  # in a worker
_at_work = threading.Event()  # in a worker: it evaluates, and does not send results
_sending = threading.Lock()  # held to change that


def _evaluate_forked(
    evaluator: Evaluator,
    chunks: Sequence[Sequence[Intervention]],
    workers: int,
    progress: Progress,
) -> Generator[Evaluated, None, None]:
    context = multiprocessing.get_context("fork")
    done = context.RawArray("q", len(chunks))
    stop = context.RawValue("b", 0)
    inherited = _Inherited(evaluator, chunks, done, stop, os.getpid())
    pool = ProcessPoolExecutor(workers, context, _begin_worker, (inherited,))
    try:
        waiting: set[Future[Evaluated]] = {
            pool.submit(_evaluate_inherited, number) for number in range(len(chunks))
        }
        reported = 0
        while waiting:
            ready, waiting = wait(waiting, _POLL, FIRST_COMPLETED)
            reported, before = sum(done), reported
            if reported > before:
                progress(reported - before)
            # Those that ended well first: they are kept, whatever became of the others.
            for future in sorted(ready, key=lambda future: future.exception() is not None):
                yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, perhaps for want of memory; every point finished so far "
            f"is kept: run the same command again, with fewer --workers than {workers}"
        ) from error
    except BaseException:  # also Ctrl-C, and a caller that wants no more
        stop.value = 1
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker(inherited: _Inherited) -> None:
    global _inherited
    _inherited = inherited
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    threading.Thread(target=_end_with_parent, args=(inherited,), daemon=True).start()


def _end_with_parent(inherited: _Inherited) -> None:
    """End this worker when it has to.

    An idle one, too, would wait for work for ever if its parent was killed. A living parent would
    wait for ever for the rest of a result that was sent by half.
    """
    while os.getppid() == inherited.parent:
        if inherited.stop.value:
            with _sending:
                if _at_work.is_set():
                    os._exit(1)
        time.sleep(_POLL)
    os._exit(1)


def _evaluate_inherited(number: int) -> Evaluated:
    assert _inherited is not None
    done = _inherited.done

    def progress(steps: int) -> None:
        done[number] += steps

    _at_work.set()
    try:
        return _evaluate(_inherited.evaluator, number, _inherited.chunks[number], progress)
    finally:
        with _sending:
            _at_work.clear()
