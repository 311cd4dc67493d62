"""Run a command on a file in a process of its own, watched: what it ran, said, took and cost."""

from __future__ import annotations

import atexit
import gc
import importlib
import logging
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

import hydra_memory
from fresh import PRELOADED
from hostile_files import MODULE, SECRET, Trap

SECONDS = 20.0  # of computing
PATIENCE = 60.0  # seconds by the clock: other work on this machine is not the file's fault
MEMORY = 2 * 2**30  # bytes beyond what every command needs
SECRET_VALUE = "nobody-shows-this-value"
SPRUNG = 97  # exit status of a process that went into the trap
_DEVICES = ("/dev/zero", "/dev/stdin", "/proc/self/mem")


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        module: of the command's entry.
        function: in it, without arguments.
        command: ``sys.argv``.
        folder: an empty one, for the standard streams.
        trap: of the file.
        text: standard input.
        stop_at: interrupt it, as its user would, once it has printed this.
    """

    module: str
    function: str
    command: Sequence[str]
    folder: Path
    trap: Trap
    text: str = ""
    stop_at: str = ""


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        status: exit status; negative: the signal.
        out: standard output.
        err: standard error.
        seconds: by the clock.
        computing: seconds of processors.
        memory: bytes at its peak, beyond the process that it was forked from.
        stopped: why it was killed, if it was.
        ran: what it did in the trap.
    """

    status: int
    out: str
    err: str
    seconds: float
    computing: float
    memory: int
    stopped: str = ""
    ran: list[str] = field(default_factory=list)


class Runner:
    """A process that has imported what the commands need, and is forked for each run.

    Args:
        environment: variables to set.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, environment or {}))
        self._process.start()
        other.close()

    def load(self, modules: Sequence[str]) -> None:
        """Import these before all runs to come."""
        self._connection.send(list(modules))
        self._connection.recv()

    def run(self, job: Job) -> Outcome:
        """Run one command, and wait for its end."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "in").write_text(job.text)
        self._connection.send(job)
        return self._connection.recv()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _serve(connection: Any, environment: dict[str, str]) -> None:
    """Import the modules of lists, run jobs."""
    os.environ |= {"OMP_NUM_THREADS": "1", SECRET: SECRET_VALUE, **environment}
    importlib.import_module("torch").set_num_threads(1)
    importlib.import_module("torch._dynamo")  # which any use of a dispatch mode imports
    _warm_up()
    while True:
        try:
            wanted = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        if isinstance(wanted, Job):
            connection.send(_watch(wanted))
            continue
        for module in wanted:
            importlib.import_module(module)
        logging.root.handlers.clear()  # which fairseq's own modules have set up on their import
        logging.root.setLevel(logging.WARNING)
        gc.collect()
        gc.freeze()
        connection.send(None)


def _warm_up() -> None:
    """Do once what takes every command most of its time, and concerns no file."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    hydra_memory.remember()
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parser in (options.get_interactive_generation_parser(), options.get_eval_lm_parser()):
            arguments = options.parse_args_and_arch(parser, ["data", "--path", "checkpoint.pt"])
            convert_namespace_to_omegaconf(arguments)
    logging.disable(logging.NOTSET)


def _watch(job: Job) -> Outcome:
    """Fork, look on, and put together what came of it."""
    base = _memory("self")
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(job)
    stopped, status, interrupted = "", None, False
    while status is None:
        done, code, usage = os.wait4(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
            break
        if not stopped:
            stopped = _too_much(pid, base, start)
            if stopped:
                os.killpg(pid, signal.SIGKILL)
        if job.stop_at and not interrupted and job.stop_at in _read(job, "out"):
            os.kill(pid, signal.SIGINT)
            interrupted = True
        time.sleep(0.01)
    peak = max(0, usage.ru_maxrss * 1024 - base)
    ran = _read(job, "ran").splitlines()
    if job.trap.sprung():
        ran.append("the canary was touched")
    return Outcome(
        status,
        _read(job, "out"),
        _read(job, "err"),
        time.monotonic() - start,
        usage.ru_utime + usage.ru_stime,
        peak,
        stopped or _spent(usage.ru_utime + usage.ru_stime, peak),
        ran,
    )


def _spent(computing: float, peak: int) -> str:
    """What a process that ended by itself has taken too much of between two looks."""
    if peak > MEMORY:
        return f"memory: {peak / 2**30:.1f} GB"
    return f"time: {computing:.0f} s" if computing > SECONDS else ""


def _too_much(pid: int, base: int, start: float) -> str:
    try:
        peak = _memory(str(pid), "VmHWM") - base
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    computing = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
    waited = time.monotonic() - start
    if waited > PATIENCE:
        return f"time: {waited:.0f} s by the clock, {computing:.0f} s of computing"
    return _spent(computing, peak)


def _memory(process: str, what: str = "VmRSS") -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(process)


def _read(job: Job, name: str) -> str:
    path = job.folder / name
    if not path.exists():
        return ""
    with open(path, errors="replace") as file:
        return file.read(2_000_000)


def _child(job: Job) -> NoReturn:
    """In the new process: as a script would run, with files for the standard streams."""
    status = 1
    try:
        os.setsid()  # to be killed with all that it starts
        for number, name in enumerate(("in", "out", "err")):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(job.folder / name, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing put another there
        # Beyond anything that is measured: a runaway may not take the machine's memory.
        limit = _memory("self", "VmSize") + 16 * 2**30
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os.chdir(job.folder)
        multiprocessing.set_start_method("fork", force=True)
        sys.argv = list(job.command)
        entry = getattr(importlib.import_module(job.module), job.function)
        sys.path.append(str(job.trap.modules))
        _set_off(job)
        status = _status(entry)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _status(entry: Any) -> int:
    """The exit status that the interpreter would end with."""
    try:
        entry()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _set_off(job: Job) -> None:
    """End the process as soon as it does anything in the trap."""
    needles = (f"{job.trap.folder}/", *_DEVICES)
    report = os.open(job.folder / "ran", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "compile" or event.startswith(("object.", "sys.", "builtins.", "gc.")):
            return  # a literal is compiled too, when it is read
        if event == "exec":
            found = isinstance(arguments[0], CodeType) and _holds(arguments[0], needles[0])
        elif event == "import":
            found = arguments[0] == MODULE
        else:
            shown = repr(arguments)
            found = any(needle in shown for needle in needles)
        if found:
            os.write(report, f"{event} {arguments!r}"[:300].replace("\n", " ").encode() + b"\n")
            os._exit(SPRUNG)

    sys.addaudithook(hook)


def _holds(code: CodeType, needle: str) -> bool:
    return any(
        needle in constant
        if isinstance(constant, str)
        else isinstance(constant, CodeType) and _holds(constant, needle)
        for constant in code.co_consts
    )
