"""Checkpoints that mean harm, each with what a reader has to make of it.

Whatever one of them can make a process do only ever touches its own `Trap`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hostile_opcodes import load_honest, save

REFUSED = "refused"  # one line, exit status 2
OPENS = "opens"  # as the honest file does, and nothing has run
EITHER = "either"  # the content is right or nobody's business; it may be refused in one line

TRANSLATION, LANGUAGE_MODEL = "lstm", "lstm_lm"
SECRET = "HOSTILE_SECRET"  # an environment variable whose value must not be shown
MODULE = "hostile_module_of_the_trap"  # may be imported while a file is tried; touches the canary


@dataclass(frozen=True)
class Trap:
    """A folder that shows whether a file did something.

    Attributes:
        folder: nobody has a reason to open anything in it.
    """

    folder: Path

    @property
    def canary(self) -> str:
        """Exists once code of the file has run."""
        return str(self.folder / "canary")

    @property
    def touch(self) -> str:
        """A shell command."""
        return f"touch {self.canary}"

    @property
    def expression(self) -> str:
        """A Python expression, true."""
        return f"(open({self.canary!r}, 'w').close() is None)"

    @property
    def fifo(self) -> str:
        """Whoever opens it waits for ever."""
        return str(self.folder / "fifo")

    @property
    def modules(self) -> Path:
        """Where Python finds a module that touches the canary; beside the folder."""
        return self.folder.with_name(f"{self.folder.name}.modules")

    def path(self, name: str) -> str:
        """Another file in the trap."""
        return str(self.folder / name)

    def sprung(self) -> bool:
        """Whether code of the file has run; the trap is set again."""
        found = Path(self.canary).exists()
        if found:
            os.remove(self.canary)
        return found

    @classmethod
    def set(cls, folder: Path) -> Trap:
        """Lay it out in a folder that does not exist yet."""
        trap = cls(folder)
        script = f"open({trap.canary!r}, 'w').close()\n"
        for package in (folder / "user_dir", trap.modules / MODULE):
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(script)
        (folder / "script.py").write_text(script)
        (folder / "hubconf.py").write_text(f"def entry():\n    {script}")
        (folder / "embeddings.txt").write_text("1 32\nthe " + " ".join(["0.5"] * 32) + "\n")
        os.mkfifo(trap.fifo)
        touching = np.array([_Touches(trap.touch)], object)
        np.save(folder / "array.npy", touching, allow_pickle=True)
        return trap


class _Touches:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


@dataclass
class Scene:
    """What a file is made from.

    Attributes:
        state: an honest checkpoint, to be changed.
        base: its architecture.
        trap: what the file may try to touch.
        honest: the honest checkpoint's file.
    """

    state: dict[str, Any]
    base: str
    trap: Trap
    honest: Path

    def settings(self, part: str = "model") -> dict[str, Any]:
        """A part of the configuration, whatever it is kept in."""
        found = self.state["cfg"][part]
        return found if isinstance(found, dict) else vars(found)

    def flatten(self) -> None:
        """Turn ``cfg`` into ``args``, as fairseq before 0.10.2 wrote it."""
        cfg = self.state["cfg"]
        flat = {}
        for part in cfg.values():
            if isinstance(part, dict):
                flat |= part
        flat |= self.settings()
        flat |= {"arch": self.settings()["_name"], "task": self.settings("task")["_name"]}
        flat |= {part: (cfg[part] or {}).get("_name") for part in ("criterion", "optimizer")}
        flat["lr_scheduler"] = cfg["lr_scheduler"]["_name"]
        del flat["_name"]
        self.state["args"] = argparse.Namespace(**flat)
        self.state["cfg"] = None


Write = Callable[[Scene, Path], None]


@dataclass(frozen=True)
class HostileFile:
    """One kind of harm.

    Attributes:
        name: ``kind/what``.
        outcome: `REFUSED`, `OPENS` or `EITHER`.
        write: makes the file of a scene.
        bases: the architectures of the honest checkpoints that it is made from: of a translation
            model and of a language model; None where it concerns only the other.
    """

    name: str
    outcome: str
    write: Write
    bases: tuple[str | None, str | None] = (TRANSLATION, LANGUAGE_MODEL)

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]

    @property
    def file_name(self) -> str:
        """The name as that of a file."""
        return "".join(c if c.isalnum() or c in "-_." else "_" for c in self.name) + ".pt"


def changed(change: Callable[[Scene], Any], legacy: bool = False) -> Write:
    """A file whose content is the honest one's after ``change``, or what that returns."""

    def write(scene: Scene, path: Path) -> None:
        content = change(scene)
        save(scene.state if content is None else content, path, legacy)

    return write


class Workshop:
    """Makes the files.

    Args:
        folder: for files and traps.
        honest: an honest checkpoint of an architecture.
    """

    def __init__(self, folder: Path, honest: Callable[[str], Path]) -> None:
        self.folder = folder
        self._honest = honest
        self._states: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def make(self, file: HostileFile, base: str) -> tuple[Path, Trap]:
        """Write a file once, and its trap."""
        path = self.folder / base / file.file_name
        trap = Trap(self.folder / "traps" / base / file.file_name)
        with self._lock:
            if not os.path.lexists(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(trap.folder, ignore_errors=True)
                shutil.rmtree(trap.modules, ignore_errors=True)
                Trap.set(trap.folder)
                scene = Scene(self._state(base), base, trap, self._honest(base))
                file.write(scene, path)
        return path, trap

    def _state(self, base: str) -> dict[str, Any]:
        """A copy of the honest content, without most of the optimizer's."""
        if base not in self._states:
            state = load_honest(self._honest(base))
            state["last_optimizer_state"] = {"state": {}, "param_groups": [{"lr": 0.005}]}
            meter = (10, "loss", "AverageMeter", {"val": 5.6, "sum": 9.0, "count": 3, "round": 3})
            state["extra_state"]["metrics"] = OrderedDict(valid=[meter])
            self._states[base] = state
        return _copied(self._states[base])


def _copied(value: Any) -> Any:
    """A copy whose containers can be changed; tensors are shared."""
    if isinstance(value, dict):
        copied = type(value)((key, _copied(entry)) for key, entry in value.items())
        if hasattr(value, "_metadata"):
            copied._metadata = value._metadata
        return copied
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    if isinstance(value, argparse.Namespace):
        return argparse.Namespace(**_copied(vars(value)))
    return value


@cache
def hostile_files() -> tuple[HostileFile, ...]:
    """All of them; names differ."""
    import hostile_archives
    import hostile_bombs
    import hostile_cycles
    import hostile_pickles
    import hostile_settings
    import hostile_sizes
    import hostile_streams
    import hostile_tensors

    modules = (
        *(hostile_pickles, hostile_tensors, hostile_settings, hostile_sizes),
        *(hostile_archives, hostile_streams, hostile_bombs, hostile_cycles),
    )
    files = (*_honest_files(), *(file for module in modules for file in module.files()))
    names = [file.file_name for file in files]
    assert len(set(names)) == len(names), sorted(n for n in set(names) if names.count(n) > 1)
    return files


def _honest_files() -> Iterator[HostileFile]:
    """Controls: what refuses these has gone too far."""
    both = {TRANSLATION: LANGUAGE_MODEL, "transformer": "transformer_lm"}
    for bases in both.items():
        for legacy in (False, True):
            form = "legacy" if legacy else "zip"
            label = f"honest/{bases[0]} {form}"
            yield HostileFile(label, OPENS, changed(lambda scene: None, legacy), bases)
            yield HostileFile(f"{label} args", OPENS, changed(Scene.flatten, legacy), bases)
