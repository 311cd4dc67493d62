"""New processes for commands, forked from one that has fairseq imported: that takes seconds."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path

# What every command of fairseq loads. No fairseq_cli: each of these sets up the log in its own way.
# Nothing of the plugin, which must come by --user-dir or as the command itself.
PRELOADED = [
    *("fairseq", "fairseq.options", "fairseq.tasks", "fairseq.models", "fairseq.trainer"),
    *("fairseq.checkpoint_utils", "fairseq.binarizer", "fairseq.sequence_scorer"),
]


def run_fresh(
    module: str, function: str, command: list[str], text: str | None, cwd: Path
) -> subprocess.CompletedProcess:
    """Let ``function`` of ``module`` run in a process of its own with ``command`` as its argv."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").write_text(text or "")
        process = start_fresh(module, function, command, Path(folder), cwd, {})
        process.join()
        out, err = ((Path(folder) / name).read_text() for name in ("out", "err"))
    return subprocess.CompletedProcess(command, process.exitcode, out, err)


def start_fresh(
    module: str,
    function: str,
    command: list[str],
    folder: Path,
    cwd: Path,
    environment: dict[str, str],
) -> BaseProcess:
    """As `run_fresh`, not waited for: it reads ``in`` of the folder, writes ``out`` and ``err``."""
    (folder / "in").touch()
    files = [str(folder / name) for name in ("in", "out", "err")]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(
        target=_run, args=(module, function, command, files, str(cwd), environment)
    )
    process.start()
    return process


def _run(
    module: str,
    function: str,
    command: list[str],
    files: list[str],
    cwd: str,
    environment: dict[str, str],
) -> None:
    """In the new process: as a script would, with files for the standard streams."""
    for number, path in enumerate(files):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing put another one there
    os.chdir(cwd)
    os.environ |= {"OMP_NUM_THREADS": "1", **environment}
    importlib.import_module("torch").set_num_threads(1)  # it has read the environment already
    multiprocessing.set_start_method("fork", force=True)  # as in any other new process
    sys.argv = command
    sys.exit(getattr(importlib.import_module(module), function)())
