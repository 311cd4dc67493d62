"""Tiny models trained by stock fairseq commands on the embedded grammar, shared by many tests."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fresh import run_fresh

from fairseq_neuron_plugin.backends.fairseq.checkpoints.stock import end_commands_cleanly
from fairseq_neuron_plugin.grammar import write_corpus

ROOT = Path(__file__).parent.parent
USER_DIR = str(ROOT / "user_dir")
SIZES = (
    *("--encoder-embed-dim", "32", "--encoder-hidden-size", "24", "--encoder-layers", "2"),
    *("--encoder-bidirectional", "--decoder-embed-dim", "32", "--decoder-hidden-size", "48"),
    *("--decoder-out-embed-dim", "32", "--decoder-layers", "2"),
)
WIDTH = 48  # neurons in each of the two encoder layers
MODULES = {"import": "import_checkpoint"}  # of commands that no module can be named after


@dataclass(frozen=True)
class TinyModels:
    """A binarised corpus and checkpoints.

    Attributes:
        folder: everything lies here; ``train.A.en``, ``probe-test.en.pos``, … in ``corpus``.
        data: the binarised folder.
        stock: a checkpoint of stock ``lstm``.
        neuron: a checkpoint of ``neuron_lstm``, trained through ``--user-dir``.
    """

    folder: Path
    data: Path
    stock: Path
    neuron: Path

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"


def run(
    *command: str | Path, check: bool = True, text: str | None = None
) -> subprocess.CompletedProcess:
    """Run a command in a process of its own, with ``text`` on its standard input if given."""
    given = list(map(str, command))
    if given[0].startswith("fairseq-"):
        result = run_fresh(*_entry(given[0]), given, text, ROOT)
    else:
        result = run_script(*given, text=text)
    if check and result.returncode:
        raise AssertionError(f"{command} ended with {result.returncode}:\n{result.stderr}")
    return result


def run_script(*command: str | Path, text: str | None = None) -> subprocess.CompletedProcess:
    """As `run` without its check, by the script of this environment and with all its imports."""
    program, *arguments = map(str, command)
    path = Path(sys.executable).parent / program
    return subprocess.run(
        [path if path.exists() else program, *arguments],
        capture_output=True,
        text=True,
        input=text,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        check=False,
    )


def _entry(program: str) -> tuple[str, str]:
    """Module and function of a command."""
    if program.startswith("fairseq-neuron-"):
        name = program.removeprefix("fairseq-neuron-").replace("-", "_")
        return f"fairseq_neuron_plugin.cli.{MODULES.get(name, name)}", "main"
    name = program.removeprefix("fairseq-").replace("-", "_")
    return f"fairseq_cli.{name}", "cli_main"


def call(program: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """As `run` without its check, inside this process: fairseq is imported once, not each time."""
    module, function = _entry(program)
    entry = getattr(importlib.import_module(module), function)
    if "fairseq_neuron_plugin.register" in sys.modules:
        end_commands_cleanly()  # as --user-dir would, had this process not imported it already
    command = [program, *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    before, code = sys.argv, 0
    try:
        sys.argv = command
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            _log_to(err) if module.startswith("fairseq_cli") else contextlib.nullcontext(),
        ):
            entry()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _log_to(stream: io.StringIO) -> Iterator[None]:
    """Let fairseq's log go to a stream, as it does in a process of its own; then undo that."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = [*handlers, logging.StreamHandler(stream)]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


def train(folder: Path) -> TinyModels:
    """Write the corpus, binarise it and train both models; under a minute. Once per folder."""
    made = TinyModels(
        folder,
        folder / "data-bin",
        folder / "lstm" / "checkpoint_best.pt",
        folder / "neuron_lstm" / "checkpoint_best.pt",
    )
    if made.neuron.exists() and made.stock.exists():
        return made
    write_corpus(
        folder / "corpus",
        sentences=6000,
        valid=40,
        test=101,
        annotated_train=300,
        annotated_test=100,
    )
    source = folder / "corpus"
    data = made.data
    run(
        *("fairseq-preprocess", "-s", "en", "-t", "de", "--trainpref", source / "train.A"),
        *("--validpref", source / "valid", "--testpref", source / "test", "--destdir", data),
    )
    common = (
        *("fairseq-train", data, "--user-dir", USER_DIR, "--optimizer", "adam", "--lr", "0.007"),
        *("--lr-scheduler", "inverse_sqrt", "--warmup-updates", "100", "--batch-size", "16"),
        *("--max-epoch", "8", "--clip-norm", "1.0", "--dropout", "0.1", "--no-progress-bar"),
        *("--no-epoch-checkpoints", "--num-workers", "0", *SIZES),
    )

    def train_one(name: str) -> None:
        run(*common, "--arch", name, "--save-dir", folder / name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train_one, ("lstm", "neuron_lstm")))
    return made
