"""What the scripts about sweeps share: commands with their cost, small splits, hypotheses."""

from __future__ import annotations

import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from steps import BIN

from fairseq_neuron_plugin.cli.common import quiet_fairseq
from fairseq_neuron_plugin.signature import versions

ROOT = Path(__file__).resolve().parent.parent
USER_DIR = ROOT / "user_dir"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Done:
    """What a process took.

    Attributes:
        wall: seconds.
        cpu: seconds, those of its own processes included.
        peak: memory of the largest of its processes, MiB.
        output: what it wrote to stdout.
        errors: what it wrote to stderr.
    """

    wall: float
    cpu: float
    peak: float
    output: str = ""
    errors: str = ""


class Command:
    """A running command, in a process group of its own.

    Args:
        command: a program of this environment, and its arguments.
        threads: of each process; None: as many as torch takes by itself.
        live: let stderr through, for a progress bar.
    """

    def __init__(
        self, command: Sequence[object], threads: int | None = None, live: bool = False
    ) -> None:
        program, *arguments = map(str, command)
        self.words = [str(BIN / program), *arguments]
        environment = {name: value for name, value in os.environ.items() if name not in _THREADS}
        if threads:
            environment |= {name: str(threads) for name in _THREADS}
        # Open for as long as the process is.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._errors = None if live else tempfile.TemporaryFile()  # noqa: SIM115
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(
            self.words,
            stdout=self._output,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )

    def wait(self) -> Done:
        """Wait for its end; a failure ends this program."""
        try:
            # Not Popen.wait: only this gives the memory of this one process and its children.
            _, status, usage = os.wait4(self.process.pid, 0)
        except BaseException:
            self.kill()
            raise
        wall = time.perf_counter() - self.begin
        self.process.returncode = os.waitstatus_to_exitcode(status)
        output, errors = _read(self._output), _read(self._errors)
        if self.process.returncode:
            shown = " ".join(self.words)
            sys.exit(f"{shown}\nended with {self.process.returncode}\n{errors[-2000:]}")
        peak = usage.ru_maxrss / 1024  # KiB on Linux
        return Done(wall, usage.ru_utime + usage.ru_stime, peak, output, errors)

    def kill(self, workers: bool = True) -> None:
        """Send SIGKILL, so that nothing is tidied up; to its worker processes, too, or not."""
        with suppress(ProcessLookupError):
            (os.killpg if workers else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run(command: Sequence[object], threads: int | None = None, live: bool = False) -> Done:
    """Run a command to its end."""
    return Command(command, threads, live).wait()


def at_once(command: Sequence[object], count: int) -> Done:
    """The same several times side by side, one thread each, from first start to last end."""
    begin = time.perf_counter()
    done = [started.wait() for started in [Command(command, threads=1) for _ in range(count)]]
    wall = time.perf_counter() - begin
    return Done(wall, sum(each.cpu for each in done), max(each.peak for each in done))


def generate_flags(beam: int) -> list[str]:
    """Flags of the search that fairseq-generate and the sweep have in common."""
    return [
        *("--beam", str(beam), "--required-batch-size-multiple", "1"),
        *("--max-len-a", "1.5", "--max-len-b", "10"),
    ]


def stock_class_flags(path: Path) -> list[str]:
    """Flags with which a checkpoint of a model of this package loads into fairseq's own class."""
    quiet_fairseq()
    from fairseq_neuron_plugin.loading import check_checkpoint, saved_settings

    saved = saved_settings(check_checkpoint(path), "model")
    name = str(saved.get("_name") or saved.get("arch"))
    own = name.removeprefix("neuron_")
    return [] if own == name else ["--model-overrides", repr({"_name": own})]


def read_nbest(output: str) -> list[list[tuple[float, str]]]:
    """Scores (natural) and detokenised texts of each sentence, best first, from fairseq-generate.

    Returns:
        ``[sentences]`` in corpus order, of each as many as ``--nbest`` asked for.
    """
    found: dict[int, list[tuple[float, str]]] = {}
    for line in output.split("\n"):
        if line.startswith("D-"):
            number, score, text = line[2:].split("\t", 2)
            # It prints scores to base 2.
            found.setdefault(int(number), []).append((float(score) * math.log(2), text))
    if sorted(found) != list(range(len(found))):
        sys.exit("fairseq-generate has left out sentences")
    return [found[number] for number in range(len(found))]


def small_split(data: Path, split: str, sentences: int, folder: Path) -> Path:
    """The first sentences of a split as a data folder of their own, its split called ``test``.

    Dictionaries are the same. The text is read back from the binarised split.
    """
    quiet_fairseq()
    from fairseq.data import Dictionary, data_utils

    pair = next(iter(data.glob(f"{split}.*-*.*.idx")), None)
    if pair is None:
        sys.exit(f"{data} holds no binarised split {split} of two languages")
    languages = pair.name.split(".")[1]
    sides = languages.split("-")
    folder.mkdir(parents=True, exist_ok=True)
    for side in sides:
        dictionary = Dictionary.load(str(data / f"dict.{side}.txt"))
        lines = data_utils.load_indexed_dataset(
            str(data / f"{split}.{languages}.{side}"), dictionary
        )
        count = min(sentences, len(lines))
        text = "".join(f"{dictionary.string(lines[number])}\n" for number in range(count))
        (folder / f"text.{side}").write_text(text, encoding="utf-8")
    source, target = sides
    run(
        [
            *("fairseq-preprocess", "-s", source, "-t", target, "--testpref", folder / "text"),
            *("--srcdict", data / f"dict.{source}.txt", "--tgtdict", data / f"dict.{target}.txt"),
            *("--destdir", folder / "bin"),
        ]
    )
    return folder / "bin"


def machine() -> dict[str, Any]:
    """Versions and processor, for the record."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    found = {**versions("torch", "fairseq", "sacrebleu"), "python": platform.python_version()}
    return {**found, "cores": os.cpu_count(), "cpu": _processor(), "gpu": gpu}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.machine()


def _read(stream: IO[bytes] | None) -> str:
    if stream is None:
        return ""
    stream.seek(0)
    return stream.read().decode("utf-8", errors="replace")
