"""Steps of a long run: each once, several side by side, with a journal to go on from.

A step is done when the journal says so and its result is still there; the journal also keeps how
long each took, from which the time left is estimated and the page's account is written.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
SCRIPTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Step:
    """Something to do once.

    Attributes:
        name: its own; also of its log.
        kind: what it costs is known by its kind, ``train tagger``, say.
        result: what is there afterwards, relative to the run's folder.
        do: a command, whose program is looked for beside this Python, or a function.
        needs: results of other steps; those that no step makes must be there already.
        seconds: what it is expected to take on one core.
        folder: what it writes, and nothing else does; it is emptied before the step begins.
        resumes: the command goes on from a folder that it was stopped in, which is then kept.
    """

    name: str
    kind: str
    result: str
    do: Sequence[str] | Callable[[], None]
    needs: tuple[str, ...] = ()
    seconds: float = field(default=1.0, compare=False)
    folder: str | None = None
    resumes: bool = False


def command_of(step: Step) -> list[str] | None:
    """Its command, if it is one."""
    return None if callable(step.do) else list(step.do)


class StepError(RuntimeError):
    """A step failed; the message names its log."""


class Journal:
    """``journal.jsonl``: a line a finished step, and a line for each time one was stopped.

    Attributes:
        entries: finished steps by name; their seconds include those of stopped attempts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        self._stopped: dict[str, float] = {}
        self._lock = threading.Lock()
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # a line that a kill cut short
                continue
            if entry.get("stopped"):
                self._stopped[entry["step"]] = entry["seconds"]
            else:
                self.entries[entry["step"]] = entry
        if text and not text.endswith("\n"):
            self._write("\n")

    def add(self, step: Step, seconds: float, *, stopped: bool = False) -> None:
        """Note that a step was finished, or stopped, after so long."""
        with self._lock:
            entry: dict[str, Any] = {
                "step": step.name,
                "kind": step.kind,
                "seconds": round(seconds + self._stopped.get(step.name, 0.0), 1),
                "expected": step.seconds,
                "command": command_of(step),
            }
            if stopped:
                entry["stopped"] = True
                self._stopped[step.name] = entry["seconds"]
            else:
                self.entries[step.name] = entry
            self._write(json.dumps(entry) + "\n")

    def take(self, entry: dict[str, Any]) -> None:
        """Note a step that another run has done; its time is not counted here."""
        self.entries[entry["step"]] = taken = {**entry, "seconds": 0.0, "taken": True}
        self._write(json.dumps(taken) + "\n")

    def _write(self, text: str) -> None:
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(text)


class Runner:
    """Runs steps in the order of what they need, ``jobs`` side by side.

    Args:
        folder: of the run; commands run in it.
        jobs: steps at a time; they share the cores.
        held: files that commands keep open, a lock, say.
    """

    def __init__(self, folder: Path, jobs: int, held: Sequence[int] = ()) -> None:
        self.folder, self.jobs, self.held = folder, jobs, held
        self.journal = Journal(folder / "journal.jsonl")
        self.env = {
            **os.environ,
            "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)),
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(SCRIPTS), os.environ.get("PYTHONPATH")))
            ),
        }
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def left(self, steps: Iterable[Step]) -> list[Step]:
        """The steps to do: never done, done by another command, or after one that is to be done."""
        steps = list(steps)
        maker = {step.result: step for step in steps}
        known: dict[str, bool] = {}

        def is_left(step: Step) -> bool:
            if step.name not in known:
                before = [maker[need] for need in step.needs if need in maker]
                known[step.name] = not self._is_done(step) or any(map(is_left, before))
            return known[step.name]

        return [step for step in steps if is_left(step)]

    def run(self, steps: Sequence[Step]) -> None:
        """Do what is left of these steps.

        Raises:
            StepError: one failed; those that ran beside it were ended.
        """
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        todo = self.left(steps)
        maker = {step.result: step.name for step in todo}
        by_name = {step.name: step for step in todo}
        if len(by_name) < len(todo):
            raise ValueError("two steps have the same name")
        order = {step.name: number for number, step in enumerate(todo)}
        graph = TopologicalSorter(
            {step.name: {maker[need] for need in step.needs if need in maker} for step in todo}
        )
        graph.prepare()
        clock = Clock(todo, self.jobs)
        ready: list[str] = []
        running: dict[Future[float], Step] = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while graph.is_active():
                    ready = sorted([*ready, *graph.get_ready()], key=order.__getitem__)
                    while ready and len(running) < self.jobs:
                        step = by_name[ready.pop(0)]
                        running[pool.submit(self._do, step)] = step
                    done, _ = wait(running, timeout=60, return_when=FIRST_COMPLETED)
                    # One that failed comes last: what ended well beside it is noted.
                    for future in sorted(done, key=lambda one: one.exception() is not None):
                        step = running.pop(future)
                        seconds = future.result()
                        self.journal.add(step, seconds)
                        graph.done(step.name)
                        clock.ended(step, seconds)
                    if not done:
                        clock.still([step.name for step in running.values()])
            except BaseException:
                self._stop()
                raise

    def _is_done(self, step: Step) -> bool:
        entry = self.journal.entries.get(step.name)
        return (
            entry is not None
            and entry["command"] == command_of(step)
            and (self.folder / step.result).exists()
        )

    def _do(self, step: Step) -> float:
        begin = time.time()
        try:
            # A folder that was finished once is of another command or of other input.
            if step.folder and not (step.resumes and step.name not in self.journal.entries):
                shutil.rmtree(self.folder / step.folder, ignore_errors=True)
            if callable(step.do):
                step.do()
            else:
                self._command(step.name, step.do)
            if not (self.folder / step.result).exists():
                raise StepError(f"{step.name}: {self.folder / step.result} was not written")
        except BaseException:
            self.journal.add(step, time.time() - begin, stopped=True)
            raise
        return time.time() - begin

    def _command(self, name: str, command: Sequence[str]) -> None:
        program, *arguments = command
        if (BIN / program).exists():
            program = str(BIN / program)
        log = self.folder / "logs" / f"{name}.log"
        with open(log, "w", encoding="utf-8") as stream:
            with self._lock:
                if self._stopped:
                    raise StepError(f"{name}: not begun")
                process = subprocess.Popen(
                    [program, *arguments],
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=self.env,
                    cwd=self.folder,
                    start_new_session=True,
                    pass_fds=self.held,
                )
                self._processes.add(process)
            code = process.wait()
        with self._lock:
            self._processes.discard(process)
        if code:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
            raise StepError(f"{name} ended with {code}; see {log}\n" + "\n".join(lines))

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)


class Clock:
    """Says what was done and about how long the rest will take."""

    def __init__(self, steps: Sequence[Step], jobs: int) -> None:
        self.jobs, self.count, self.number = jobs, len(steps), 0
        self.left = sum(step.seconds for step in steps)
        self.expected = self.taken = 0.0

    def ended(self, step: Step, seconds: float) -> None:
        self.number += 1
        self.left -= step.seconds
        self.expected += step.seconds
        self.taken += seconds
        print(
            f"[{self.number}/{self.count}] {step.name}: {seconds:.0f} s; {self.estimate()}",
            flush=True,
        )

    def still(self, names: Sequence[str]) -> None:
        print(f"    at work: {', '.join(names)}", flush=True)

    def estimate(self) -> str:
        # Costs were measured on one machine; what was done here says how this one compares. A
        # little done says little.
        pace = (self.taken + 60) / (self.expected + 60)
        return f"about {pace * self.left / self.jobs / 60:.0f} min left"
