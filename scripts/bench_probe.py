#!/usr/bin/env python3
"""How fast and how lean the probe's fit is, side by side with what else there is, in one run.

  scripts/bench_probe.py --parts saga,adam,grid,memory --output probe.json
  scripts/bench_probe.py --parts neurox --acts ACTS --labels LABELS

Parts:
  neurox  NeuroX's probe with its defaults (batch 32, 10 epochs of Adam), and the time in which the
          fit here has an objective as low as NeuroX ends with. In turns, --runs times.
  saga    scikit-learn's saga and the fit here, each to within 1% of the optimum, on a part of the
          data: the 20 most frequent labels, their first 20,000 tokens, the first 500 neurons.
          saga's time is that of the fewest epochs that get there.
  adam    the authors' protocol (solver="adam") and the fit here, to its end.
  grid    a 7 x 7 grid of strengths with its measurements, against a single fit.
  memory  peak memory of a fit of few steps and of the whole command, for two numbers of tokens.

The data is synthetic (50,000 tokens x 1,000 neurons x 40 labels in float16, see
bench_probe_data.py), and a real activation store if one is given. All times are those of whole
calls, from the data on disk (here) or in memory as float32 (the others). The number of threads is
the same for all; one is what costs the others the least CPU time.

NeuroX is what scripts/setup.sh installs, without the versions of many years ago that it pins.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from bench_probe_data import Problem, open_problem, synthetic
from bench_probe_memory import fit_command, run_sampled, whole_command
from bench_probe_rivals import NeuroX, saga_to
from bench_probe_timing import Clock, fit_to, fit_whole, medians

from fairseq_neuron_plugin.cli.common import format_table
from fairseq_neuron_plugin.files import write_json
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.grid import GridPlan, measure_grid
from fairseq_neuron_plugin.probing.labelled import split_by_sentence

L1 = L2 = 1e-5  # the probe's defaults
SAGA_MARGIN = 1.01
Rows = list[dict[str, Any]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="of: %(default)s")
    parser.add_argument("--acts", type=Path, help="a real activation store")
    parser.add_argument("--labels", type=Path, help="its labels")
    parser.add_argument("--min-count", type=int, default=1, help="least count of a label there")
    parser.add_argument("--real-only", action="store_true", help="no synthetic data")
    parser.add_argument("--shape", default="50000,1000,40", help="tokens, neurons, labels")
    parser.add_argument("--saga-shape", default="20000,500,20", help="of the part that saga fits")
    parser.add_argument("--runs", type=int, default=1, help="repetitions of neurox, saga, adam (1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of everything (1)")
    parser.add_argument("--neurox", type=Path, help="folder in which neurox is, if not installed")
    parser.add_argument("--memory-tokens", default="50000,500000")
    parser.add_argument("--memory-steps", type=int, default=3, help="steps of a fit (3)")
    parser.add_argument("--scratch", type=Path, help="where the synthetic stores go")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    args = parser.parse_args()
    args.parts = args.parts.split(",")
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    if (args.acts is None) != (args.labels is None):
        parser.error("--acts and --labels go together")
    if args.real_only and args.acts is None:
        parser.error("--real-only needs --acts")
    for name in ("shape", "saga_shape"):
        setattr(args, name, tuple(int(number) for number in getattr(args, name).split(",")))
    return args


def neurox(args: argparse.Namespace, problem: Problem, scratch: Path) -> Rows:
    rival = NeuroX(args.neurox)
    theirs: list[Clock] = []
    ours: list[Clock] = []
    for run in range(args.runs):
        theirs.append(rival.fit(problem, L1, L2, seed=run))
        ours.append(fit_to(problem, L1, L2, theirs[-1].objective))
    whole = fit_whole(problem, L1, L2)
    rows = [medians("NeuroX", theirs), medians("here, to its objective", ours)]
    return [*_ratios(rows), whole.row("here, to the optimum")]


def saga(args: argparse.Namespace, problem: Problem, scratch: Path) -> Rows:
    part = problem.part(*args.saga_shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimum = fit_whole(part, L1, L2, tol=1e-8)
        goal = SAGA_MARGIN * optimum.objective
        theirs, ours = [], []
        for _ in range(args.runs):
            theirs.append(saga_to(part, L1, L2, goal))
            ours.append(fit_to(part, L1, L2, goal))
    rows = [medians("scikit-learn, saga", theirs), medians("here", ours)]
    return [*_ratios(rows), optimum.row("here, tol=1e-8")]


def adam(args: argparse.Namespace, problem: Problem, scratch: Path) -> Rows:
    theirs, ours, same = [], [], []
    for run in range(args.runs):
        theirs.append(fit_whole(problem, L1, L2, solver="adam", random_state=run))
        same.append(fit_to(problem, L1, L2, theirs[-1].objective))
        ours.append(fit_whole(problem, L1, L2))
    names = ("authors' protocol (adam)", "here, to its objective", "here, to the optimum")
    return _ratios([medians(*pair) for pair in zip(names, (theirs, same, ours), strict=True)])


def grid(args: argparse.Namespace, problem: Problem, scratch: Path) -> Rows:
    train, held_out = split_by_sentence(problem.tokens, 0.1)
    clock = Clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probe = ElasticNetProbe(L1, L2).fit(train.activations, train.labels)
        single = clock.stop(probe.objective_, f"{probe.n_passes_} passes")
        clock = Clock()
        measured = measure_grid(train, held_out, GridPlan())
    cells = measured.cells
    passes = sum(cell.passes for cell in cells)
    failed = sum(not cell.converged for cell in cells)
    at = next(cell.objective for cell in cells if (cell.l1, cell.l2) == (L1, L2))
    note = f"{passes} passes, {len(cells)} cells, {failed} not converged"
    rows = [single.row("single fit"), clock.stop(at, note).row("grid")]
    return _ratios(rows)


def memory(args: argparse.Namespace, problem: Problem, scratch: Path) -> Rows:
    steps = args.memory_steps
    rows = []

    def measure(what: str, command: list[str]) -> None:
        peak = run_sampled(command)
        note = peak.output.strip().splitlines()[-1:] if "fit" in what else []
        rows.append(
            {
                "what": what,
                "cpu": peak.cpu,
                "wall": peak.wall,
                "resident MiB": peak.resident,
                "anonymous MiB": peak.anonymous,
                "note": "".join(note),
            }
        )

    measure("imports alone", fit_command(steps))
    for tokens in (int(number) for number in args.memory_tokens.split(",")):
        part = synthetic(scratch / "memory", tokens, *args.shape[1:])
        np.save(codes := scratch / f"codes{tokens}.npy", part.codes)
        measure(f"fit, {tokens} tokens", fit_command(steps, part.acts, codes))
        folder = scratch / f"probe{tokens}"
        measure(f"command, {tokens} tokens", whole_command(steps, part.acts, part.labels, folder))
    return rows


PARTS: dict[str, Callable[[argparse.Namespace, Problem, Path], Rows]] = {
    "neurox": neurox,
    "saga": saga,
    "adam": adam,
    "grid": grid,
    "memory": memory,
}


def _ratios(rows: Rows) -> Rows:
    """Each row's CPU time as a share of the first one's."""
    for row in rows:
        row["ratio of CPU"] = row["cpu"] / rows[0]["cpu"] if row["cpu"] is not None else None
    return rows


def show(title: str, rows: Rows) -> None:
    header = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "note"]
    table = [[_cell(key, row.get(key)) for key in header] + [row.get("note", "")] for row in rows]
    print(f"\n{title}\n{format_table(['', *header[1:], ''], table)}", flush=True)


def _cell(key: str, value: Any) -> Any:
    if not isinstance(value, float) or "MiB" in key:
        return value
    return f"{value:.6f}" if key == "objective" else f"{value:.3f}"


def machine(threads: int) -> dict[str, Any]:
    model = platform.processor()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    versions = {"numpy": np.__version__, "sklearn": sklearn.__version__, "torch": torch.__version__}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "threads": threads, **versions}


def main() -> None:
    args = parse_arguments()
    if os.environ.get("OMP_NUM_THREADS") != str(args.threads):
        # The BLAS libraries read it when they are loaded, which they are by now.
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(args.threads)
    described = machine(args.threads)
    print(", ".join(f"{key} {value}" for key, value in described.items()))
    result: dict[str, Any] = {"command": shlex.join(sys.argv), "machine": described, "parts": []}
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        scratch = Path(folder)
        problems = [] if args.real_only else [synthetic(scratch / "speed", *args.shape)]
        if args.acts:
            problems.append(open_problem("real", args.acts, args.labels, args.min_count))
        for part in args.parts:
            for problem in problems[:1] if part == "memory" else problems:
                rows = PARTS[part](args, problem, scratch)
                title = "memory, synthetic" if part == "memory" else f"{part}, {problem}"
                show(title, rows)
                result["parts"].append({"part": part, "data": title, "rows": rows})
                if args.output:
                    write_json(args.output, result)  # after each part: a run takes long


if __name__ == "__main__":
    main()
