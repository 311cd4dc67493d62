"""Peak memory of a probe's fit, and of the whole command, in processes of their own.

As a program it is such a process: `bench_probe_memory.py STEPS [ACTS CODES]`; without a store it
only imports what the fit imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.01


@dataclass(frozen=True)
class Peak:
    """Largest memory of a process in MiB, from Linux's /proc, looked up every 10 ms.

    ``resident`` counts the pages of the memory-mapped store too, which the kernel may drop at any
    time; ``anonymous`` is what the process itself has asked for. (`ru_maxrss` will not do: it
    begins with the memory of the process that starts the other.)
    """

    resident: float
    anonymous: float
    wall: float
    cpu: float
    output: str


def run_sampled(command: list[str]) -> Peak:
    """Run a command to its end and watch its memory."""
    if not Path("/proc/self/status").exists():
        sys.exit("memory is measured on Linux only")
    start, resident, anonymous = time.perf_counter(), 0, 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        found = memory_kib(process.pid)
        resident = max(resident, found.get("VmHWM", 0))
        anonymous = max(anonymous, found.get("RssAnon", 0))
        time.sleep(SAMPLE_SECONDS)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    output, errors = (stream.read().decode() for stream in (process.stdout, process.stderr))
    if process.returncode:
        sys.exit(f"ended with {process.returncode}: {' '.join(command)}\n{errors}")
    cpu = usage.ru_utime + usage.ru_stime
    return Peak(resident / 2**10, anonymous / 2**10, wall, cpu, output)


def memory_kib(pid: int) -> dict[str, int]:
    """``VmHWM``, ``RssAnon`` and the like of a running process; nothing if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith(("Vm", "Rss")))
    return {field[0].rstrip(":"): int(field[1]) for field in fields}


def fit_command(steps: int, acts: Path | None = None, codes: Path | None = None) -> list[str]:
    """A process that fits a probe to a store and label codes (.npy), or only imports."""
    store = [str(acts), str(codes)] if acts and codes else []
    return [sys.executable, __file__, str(steps), *store]


def whole_command(steps: int, acts: Path, labels: Path, folder: Path) -> list[str]:
    """`fairseq-neuron-probe` on a store, with few steps."""
    return [
        *(sys.executable, "-m", "fairseq_neuron_plugin.cli.probe", str(acts)),
        *("--labels", str(labels), "--max-iter", str(steps), "--save-dir", str(folder)),
    ]


def main() -> None:
    import numpy as np

    from fairseq_neuron_plugin.activations import Activations
    from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe

    if len(sys.argv) == 2:
        return
    warnings.simplefilter("ignore")
    probe = ElasticNetProbe(max_iter=int(sys.argv[1]))
    probe.fit(Activations(sys.argv[2]).array, np.load(sys.argv[3]))
    print(f"{probe.n_iter_} steps, {probe.n_passes_} passes, objective {probe.objective_:.4f}")


if __name__ == "__main__":
    main()
