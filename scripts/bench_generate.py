#!/usr/bin/env python3
"""How fast fairseq-generate is with this plugin, beside stock fairseq: the same command, in turns.

Stock is `fairseq-generate --task translation`, of a checkpoint of fairseq's own `lstm`. On torch
2.6 and later it cannot load any checkpoint by itself; --user-dir user_dir is given to it for that
one shim, and changes nothing else of it. The plugin is --task neuron_translation. Each repetition
runs all cases, one process at a time, so that a slow minute of the machine hits all of them.

  scripts/bench_generate.py data-bin --path checkpoint_best.pt --repeat 5 --output speed.md
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
STOCK, PLUGIN, ABLATED = "stock", "plugin", "plugin, 10% of the encoder ablated"


@dataclass(frozen=True)
class Run:
    """One process: its time in seconds, and what it has translated."""

    wall: float
    cpu: float
    hypotheses: dict[str, list[tuple[str, float]]]  # sentence to words and score


def main() -> int:
    args, generation = parser().parse_known_args()
    cases = {
        STOCK: ["--task", "translation"],
        PLUGIN: ["--task", "neuron_translation"],
        ABLATED: ["--task", "neuron_translation", *ablation(args)],
    }
    generation = generation or default_generation()
    runs: dict[str, list[Run]] = {case: [] for case in cases}
    for repetition in range(args.repeat):
        for case, flags in cases.items():
            run = generate(args, [*flags, *generation])
            runs[case].append(run)
            print(f"{repetition + 1}: {case}: {run.wall:.1f} s, CPU {run.cpu:.1f} s", flush=True)
    page = "\n".join(report(args, generation, runs)) + "\n"
    print(page)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(page, encoding="utf-8")
    words, _ = compare(runs[STOCK][0], runs[PLUGIN][0])
    return 1 if words else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", type=Path, help="binarised data folder")
    made.add_argument("--path", type=Path, required=True, help="checkpoint")
    made.add_argument("--repeat", type=int, default=3, help="how often each case runs (3)")
    made.add_argument("--threads", type=int, default=1, help="threads of each process (1)")
    made.add_argument("--output", type=Path, help="a markdown file for the table")
    made.add_argument(
        "--share", type=float, default=0.1, help="share of the encoder that is ablated (0.1)"
    )
    made.epilog = "All other flags go to fairseq-generate, in place of these: " + " ".join(
        default_generation()
    )
    return made


def default_generation() -> list[str]:
    return [
        *("--gen-subset", "test", "--beam", "5", "--required-batch-size-multiple", "1"),
        *("--max-len-a", "1.5", "--max-len-b", "10"),
    ]


def ablation(args: argparse.Namespace) -> list[str]:
    """Flags that clamp every n-th neuron of the encoder."""
    import fairseq_neuron_plugin as fnp
    from fairseq_neuron_plugin.interventions import list_layers

    model, _ = fnp.load_model(str(args.path), data=str(args.data))
    every = max(1, round(1 / args.share))
    specs = [
        f"{layer.name}:{','.join(map(str, range(0, layer.width, every)))}"
        for layer in list_layers(model)
        if layer.name.startswith("encoder.layers.") and layer.name.count(".") == 2
    ]
    return ["--ablate", ";".join(specs)]


def generate(args: argparse.Namespace, flags: Sequence[str]) -> Run:
    """Run the command, and read what it prints."""
    command = [
        *(Path(sysconfig.get_path("scripts")) / "fairseq-generate", args.data),
        *("--user-dir", ROOT / "user_dir", "--path", args.path, "--log-format", "none", *flags),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"error: fairseq-generate ended with status {done.returncode}:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, read_hypotheses(done.stdout))


def read_hypotheses(text: str) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for line in text.split("\n"):
        if line.startswith("H-"):
            sentence, score, words = line.split("\t")
            found.setdefault(sentence, []).append((words, float(score)))
    return found


def compare(one: Run, other: Run) -> tuple[int, float]:
    """How many hypotheses have other words, and by how much the scores of the rest differ."""
    if one.hypotheses.keys() != other.hypotheses.keys():
        return max(len(one.hypotheses), len(other.hypotheses)), math.inf
    pairs = [
        pair
        for sentence, hypotheses in one.hypotheses.items()
        for pair in zip(hypotheses, other.hypotheses[sentence], strict=True)
    ]
    differ = sum(ours[0] != theirs[0] for ours, theirs in pairs)
    scores = [abs(ours[1] - theirs[1]) for ours, theirs in pairs if ours[0] == theirs[0]]
    return differ, max(scores, default=0.0)


def report(
    args: argparse.Namespace, generation: Sequence[str], runs: dict[str, list[Run]]
) -> Iterator[str]:
    """The lines of the page."""
    import torch

    sentences = len(runs[STOCK][0].hypotheses)
    yield "# Speed of fairseq-generate\n"
    yield (
        f"`scripts/bench_generate.py {args.data.name} --path {args.path.name} --repeat "
        f"{args.repeat} --threads {args.threads} {' '.join(generation)}`: the whole command on "
        f"{sentences:,} sentences, {args.repeat} times each, in turns; medians, and ratios of "
        f"medians. torch {torch.__version__}, {args.threads} thread(s) of {os.cpu_count()} "
        f"processors ({platform.machine()}).\n"
    )
    yield "| case | wall s | CPU s | wall / stock | CPU / stock | wall, lowest to highest |"
    yield "|---|---:|---:|---:|---:|---:|"
    wall = {case: median(run.wall for run in done) for case, done in runs.items()}
    cpu = {case: median(run.cpu for run in done) for case, done in runs.items()}
    for case, done in runs.items():
        walls = [run.wall for run in done]
        yield (
            f"| {case} | {wall[case]:.1f} | {cpu[case]:.1f} | {wall[case] / wall[STOCK]:.2f} | "
            f"{cpu[case] / cpu[STOCK]:.2f} | {min(walls):.1f} to {max(walls):.1f} |"
        )
    words, scores = compare(runs[STOCK][0], runs[PLUGIN][0])
    count = sum(map(len, runs[STOCK][0].hypotheses.values()))
    yield (
        f"\nStock and plugin: {words} of {count:,} hypotheses differ; scores of the others by "
        f"{scores:.1e} at most."
    )


if __name__ == "__main__":
    sys.exit(main())
