#!/usr/bin/env python3
"""How fast rankings are, side by side with what else there is, in one run.

  scripts/bench_rank.py --output rank.json
  scripts/bench_rank.py --parts cross-model --shape 20000,500 --threads 2

Parts:
  algorithm-1  2,000 neurons x 100 labels: `rank.linguistic` and NeuroX's get_neuron_ordering on the
               same weights (once dense, once with nine in ten of them 0).
  cross-model  100,000 tokens read by three models of 2,000 neurons, in float16 stores on disk:
               `rank.cross_model` from the stores; the float32 matrix products alone, on blocks that
               are in memory as float32; and `numpy.corrcoef` of the same pairs of models, from
               arrays in memory.
  memory       the same ranking in a process of its own, for two numbers of tokens.

What is compared runs in turns, --runs times; ratios are of medians. The number of threads is the
same for all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from bench_probe_memory import run_sampled
from bench_probe_rivals import NeuroX
from threadpoolctl import threadpool_limits

from fairseq_neuron_plugin.activations import Activations, StoreWriter
from fairseq_neuron_plugin.cli.common import format_table
from fairseq_neuron_plugin.files import write_json
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.rankings import cross_model, linguistic

SENTENCE = 20  # words
BLOCK = 4096  # rows of the bare products
MODELS = 3
Rows = list[dict[str, Any]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="of: %(default)s")
    parser.add_argument("--shape", default="100000,2000", help="tokens, neurons of each model")
    parser.add_argument("--labels", type=int, default=100, help="of the weights (100)")
    parser.add_argument("--runs", type=int, default=3, help="turns (3)")
    parser.add_argument("--threads", type=int, default=2, help="of everything (2)")
    parser.add_argument("--memory-tokens", default="100000,300000")
    parser.add_argument("--neurox", type=Path, help="folder in which neurox is, if not installed")
    parser.add_argument("--scratch", type=Path, help="where the stores go (4 GB)")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    args = parser.parse_args()
    args.parts = args.parts.split(",")
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    args.tokens, args.neurons = (int(number) for number in args.shape.split(","))
    return args


def algorithm_1(args: argparse.Namespace, scratch: Path) -> Rows:
    rival = NeuroX(args.neurox).module
    rng = np.random.default_rng(0)
    dense = rng.laplace(size=(args.labels, args.neurons))
    sparse = np.where(rng.random(dense.shape) < 0.1, dense, 0.0)
    rows: Rows = []
    for kind, weight in (("dense", dense), ("sparse", sparse)):
        probe = SimpleNamespace(parameters=lambda w=weight: iter([torch.from_numpy(w)]))
        names = {str(label): label for label in range(args.labels)}

        def ask_rival(probe: Any = probe, names: Any = names) -> None:
            with contextlib.redirect_stderr(io.StringIO()):
                rival.get_neuron_ordering(probe, names)

        rows += compare(
            args.runs,
            {
                f"NeuroX, {kind}": ask_rival,
                f"here, {kind}": lambda w=weight: linguistic(w),
            },
        )
    return rows


def cross_models(args: argparse.Namespace, scratch: Path) -> Rows:
    stores = make_stores(scratch, args.tokens, args.neurons)
    X, *others = (Activations(store).array for store in stores)
    singles = [np.asarray(array[:BLOCK], dtype=np.float32) for array in (X, *others)]
    arrays = [np.asarray(array[:]) for array in (X, *others)]  # float16: what corrcoef is given

    def products() -> None:
        left, *rights = singles
        total = [np.zeros((args.neurons, args.neurons), np.float32) for _ in rights]
        out = np.empty_like(total[0])
        for start in range(0, args.tokens, BLOCK):
            rows = min(BLOCK, args.tokens - start)
            for right, sums in zip(rights, total, strict=True):
                sums += np.matmul(left[:rows].T, right[:rows], out=out)

    def corrcoef() -> None:
        for other in arrays[1:]:
            np.corrcoef(arrays[0], other, rowvar=False)

    return compare(
        args.runs,
        {
            "float32 products alone": products,
            "here, from the stores": lambda: cross_model(X, others),
            "numpy.corrcoef": corrcoef,
        },
    )


def memory(args: argparse.Namespace, scratch: Path) -> Rows:
    rows: Rows = []
    for tokens in (int(number) for number in args.memory_tokens.split(",")):
        stores = make_stores(scratch / str(tokens), tokens, args.neurons)
        output = scratch / f"{tokens}.json"
        command = [sys.executable, "-m", "fairseq_neuron_plugin.cli.rank", "cross-model"]
        peak = run_sampled([*command, *map(str, stores), "--output", str(output)])
        rows.append(
            {
                "what": f"fairseq-neuron-rank, {tokens} tokens",
                "wall": peak.wall,
                "cpu": peak.cpu,
                "resident MiB": peak.resident,
                "anonymous MiB": peak.anonymous,
            }
        )
    return rows


PARTS: dict[str, Callable[[argparse.Namespace, Path], Rows]] = {
    "algorithm-1": algorithm_1,
    "cross-model": cross_models,
    "memory": memory,
}


def make_stores(folder: Path, tokens: int, neurons: int) -> list[Path]:
    """Stores of models whose neurons share some factors, in float16."""
    words = ["w"] * SENTENCE
    sentences = [words] * (tokens // SENTENCE)
    space = NeuronSpace((Layer("encoder.layers.0", neurons),))
    paths = [folder / f"acts.{model}" for model in range(MODELS)]
    for model, path in enumerate(paths):
        rng = np.random.default_rng(model)
        mixing = rng.normal(size=(50, neurons)).astype(np.float32) / 10
        settings = {"model": {"sha256": f"synthetic-{model}"}, "signature": f"synthetic:{model}"}
        writer = StoreWriter(path, sentences, space, "float16", settings)
        for shard, first, last in writer.missing():
            rows = (last - first) * SENTENCE
            factors = np.random.default_rng([99, shard]).normal(size=(rows, 50))
            noise = rng.standard_normal((rows, neurons), dtype=np.float32)
            writer.write(shard, np.tanh(factors.astype(np.float32) @ mixing + noise / 2))
        writer.finish()
    return paths


def compare(runs: int, actions: dict[str, Callable[[], object]]) -> Rows:
    """Each action in turn, ``runs`` times; medians, and ratios to the first one."""
    wall: dict[str, list[float]] = {what: [] for what in actions}
    cpu: dict[str, list[float]] = {what: [] for what in actions}
    for _ in range(runs):
        for what, action in actions.items():
            started, used = time.perf_counter(), time.process_time()
            action()
            wall[what].append(time.perf_counter() - started)
            cpu[what].append(time.process_time() - used)
    rows: Rows = []
    for what in actions:
        row = {"what": what, "wall": statistics.median(wall[what])}
        row["cpu"] = statistics.median(cpu[what])
        row["lowest"], row["highest"] = min(wall[what]), max(wall[what])
        row["wall ratio"] = row["wall"] / (rows[0]["wall"] if rows else row["wall"])
        rows.append(row)
    return rows


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    header = list(rows[0])
    table = [[_cell(key, row[key]) for key in header] for row in rows]
    print(f"\n{title}\n{format_table(['', *header[1:]], table)}", flush=True)


def _cell(key: str, value: Any) -> Any:
    return f"{value:.3f}" if isinstance(value, float) and "MiB" not in key else value


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # of the processes to come
    found = {}
    with (
        threadpool_limits(args.threads),
        tempfile.TemporaryDirectory(dir=args.scratch) as scratch,
    ):
        print(f"numpy {np.__version__}, torch {torch.__version__}, {args.threads} threads")
        for part in args.parts:
            found[part] = PARTS[part](args, Path(scratch) / part)
            show(part, found[part])
    if args.output:
        write_json(args.output, {"threads": args.threads, "shape": args.shape, "parts": found})


if __name__ == "__main__":
    main()
