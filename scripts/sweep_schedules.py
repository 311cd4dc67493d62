"""The schedules of a sweep beside each other: workers, and interventions in one batch."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import product

from sweep_measurements import Measurements
from sweep_runs import generate_flags, small_split
from tatoeba_probes import table

POINTS, INTERVENTIONS = "0:7%:1%", 8  # a multiple of every number that is compared


def schedule_table(
    bench: Measurements, args: argparse.Namespace, flags: Sequence[str]
) -> Iterator[str]:
    """Measure every schedule on the first sentences of the split, and tabulate.

    Args:
        bench: where measurements are kept.
        args: of bench_sweep.py.
        flags: fairseq's further flags.
    """
    folder = bench.folder / "small"
    small = folder / "bin"
    if not small.exists():
        small_split(args.data, "test", args.schedule_sentences, folder)
    sizes, workers, together = (
        given.split(",")
        for given in (args.schedule_tokens, args.schedule_workers, args.schedule_together)
    )
    device = ["--device", "cpu"] if args.cpu else []
    bench.done, bench.steps = 0, len(sizes) * len(workers) * len(together)
    command = [
        *("fairseq-neuron-generate", small, *generate_flags(args.beam), *flags, *device),
        *("--path", args.path, "--ranking", args.ranking, "--ablate", POINTS, "--order", "top"),
        *("--metrics", "bleu", "--bootstrap", "0"),
    ]
    names = {}
    for size, number, side_by_side in product(sizes, workers, together):
        schedule = ("--max-tokens", size, "--workers", number, "--points-together", side_by_side)
        names[size, number, side_by_side] = " ".join(schedule)
        bench.sweep(names[size, number, side_by_side], [*command, *schedule])
    yield "\n## Schedules\n"
    yield (
        f"Wall seconds of a sweep of {INTERVENTIONS} interventions over the first "
        f"{args.schedule_sentences} sentences, BLEU without resampling, the start included. A "
        "worker has one thread; the sweep in one process has as many as torch takes.\n"
    )
    header = ["--max-tokens", "--workers", *(f"--points-together {each}" for each in together)]
    rows = [
        (size, number, *(bench.found[names[size, number, each]]["wall"] for each in together))
        for size, number in product(sizes, workers)
    ]
    yield table(header, rows)
