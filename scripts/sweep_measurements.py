"""Measurements of a benchmark, each on disk as soon as it is made."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep_runs import Done, machine, run

from fairseq_neuron_plugin.files import read_json, write_json


class Measurements:
    """Measurements by name.

    Args:
        folder: of this very command, or free.
        steps: how many there will be.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps
        self.command = shlex.join(sys.argv)
        self.found: dict[str, dict[str, float]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "bench.json"
        if self.path.exists():
            held = read_json(self.path, "benchmark")
            if held["command"] != self.command:
                sys.exit(f"{folder} holds another command's measurements; choose another --folder")
            self.found = held["measured"]
        self.done = 0

    def measure(self, name: str, make: Callable[[], Done]) -> None:
        """Make a measurement, unless it is there."""
        self.done += 1
        if name not in self.found:
            clock = time.strftime("%H:%M:%S")
            print(f"{clock} {self.done} of {self.steps}: {name}", file=sys.stderr, flush=True)
            made = make()
            self.found[name] = {"wall": made.wall, "cpu": made.cpu, "peak": made.peak}
            content = {"command": self.command, **machine(), "measured": self.found}
            write_json(self.path, content)
        found = self.found[name]
        print(f"{name}: {found['wall']:.1f} s, CPU {found['cpu']:.1f} s", flush=True)

    def sweep(self, name: str, command: Sequence[object], threads: int | None = None) -> None:
        """Measure a sweep into a folder of its name."""
        folder = self.sweep_folder(name)

        def make() -> Done:
            shutil.rmtree(folder, ignore_errors=True)  # of a measurement that was stopped
            return run([*command, "--output-dir", folder], threads, live=True)

        self.measure(name, make)

    def sweep_folder(self, name: str) -> Path:
        return self.folder / re.sub(r"\W+", "-", name)
