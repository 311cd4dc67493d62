"""New processes for commands, forked from one that has fairseq imported: that takes seconds."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("in", "out", "err")]
        files[0].write_text(text or "")
        process = context.Process(
            target=_run, args=(module, function, command, list(map(str, files)), str(cwd))
        )
        process.start()
        process.join()
        out, err = (path.read_text() for path in files[1:])
    return subprocess.CompletedProcess(command, process.exitcode, out, err)


def _run(module: str, function: str, command: list[str], files: list[str], cwd: str) -> None:
    """In the new process: as a script would, with files for the standard streams."""
    for number, path in enumerate(files):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing put another one there
    os.chdir(cwd)
    os.environ["OMP_NUM_THREADS"] = "1"
    importlib.import_module("torch").set_num_threads(1)  # it has read the environment already
    multiprocessing.set_start_method("fork", force=True)  # as in any other new process
    sys.argv = command
    sys.exit(getattr(importlib.import_module(module), function)())
