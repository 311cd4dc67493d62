"""Steps of a long run: commands of the package, of which those that are done are not done again."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent


class Steps:
    """Runs commands and keeps their output in ``FOLDER/logs``.

    Args:
        folder: what the results' paths are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self.out = folder
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        # One thread each: two decodes side by side beat one on two threads.
        self.env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def step(self, result: str, command: str) -> None:
        """Run a command of the package unless its result is there; stop everything if it fails."""
        target = self.out / result
        if target.exists():
            return
        begin = time.time()
        program, *arguments = shlex.split(command)
        log = self.out / "logs" / f"{result.replace('/', '.')}.log"
        with open(log, "w", encoding="utf-8") as stream:
            done = subprocess.run(
                [BIN / program, *arguments], stdout=stream, stderr=subprocess.STDOUT, env=self.env
            )
        if done.returncode or not target.exists():
            tail = log.read_text(encoding="utf-8").splitlines()[-3:]
            raise SystemExit(
                f"{command}\nended with {done.returncode}; see {log}\n" + "\n".join(tail)
            )
        print(f"  {result}: {time.time() - begin:.0f} s", flush=True)
