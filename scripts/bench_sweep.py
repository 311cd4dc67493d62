#!/usr/bin/env python
"""What a whole sweep costs, beside one run of stock fairseq for each of its interventions.

    scripts/bench_sweep.py data-bin --path checkpoint_best.pt --ranking cross-model.json \\
        -s en -t de --tokenizer moses --reference test.raw.de --folder runs/bench \\
        --output sweep-speed.md

Without this package one runs fairseq-generate once for each intervention. A few such runs are
measured, before, between and after the sweeps, and their median is multiplied: stock with as many
threads as it takes by itself, and stock as several processes of one thread at once. Stock is
`--task translation` (`--task language_modeling`) and fairseq's own model class, with nothing
ablated; --user-dir user_dir is given to it for the one shim without which torch 2.6 and later load
no checkpoint. Flags that are
not known here go to both translators. Every measurement is kept in FOLDER: the same command goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sweep_measurements import Measurements
from sweep_runs import (
    USER_DIR,
    Done,
    at_once,
    generate_flags,
    read_nbest,
    run,
    stock_class_flags,
)
from sweep_schedules import schedule_table
from tatoeba_probes import table

from fairseq_neuron_plugin.files import read_json, read_lines, write_text


@dataclass(frozen=True)
class Subject:
    """A model: one run of stock, and the sweeps that stand for many of them.

    Attributes:
        name: of the section.
        stock: the command.
        sweeps: commands by what they are called, each without its folder.
        compare: takes what stock printed and a sweep's folder; says whether the unablated model
            does the same in both.
    """

    name: str
    stock: Sequence[object]
    sweeps: Mapping[str, Sequence[object]]
    compare: Callable[[str, Path], str]


def main() -> None:
    args, flags = parser().parse_known_args()
    if args.lm_data and not (args.lm and args.lm_ranking):
        sys.exit("--lm-data goes with --lm and --lm-ranking")
    subjects = [translation(args, flags), *([language_model(args)] if args.lm_data else [])]
    bench = Measurements(args.folder, sum(steps(args, subject) for subject in subjects))
    for subject in subjects:
        measure(bench, args, subject)
    lines = [
        *head(bench),
        *(line for subject in subjects for line in section(bench, args, subject)),
    ]
    if args.schedules:
        lines += schedule_table(bench, args, flags)
    page = "\n".join(lines) + "\n"
    print(page)
    if args.output:
        write_text(args.output, page)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", type=Path, help="binarised data folder with a split test")
    made.add_argument("--path", type=Path, required=True, help="checkpoint")
    made.add_argument("--ranking", type=Path, required=True, help="a ranking of its neurons")
    made.add_argument("--reference", type=Path, help="raw reference of the test split")
    made.add_argument("--lm-data", type=Path, help="binarised data folder of a language model")
    made.add_argument("--lm", type=Path, help="its checkpoint")
    made.add_argument("--lm-ranking", type=Path, help="a ranking of its neurons")
    made.add_argument("--points", default="0:20%:1%", help="of the sweeps (0:20%%:1%%)")
    made.add_argument("--order", default="top,bottom", help="of the sweeps (top,bottom)")
    made.add_argument("--beam", type=int, default=5, help="beam size (5)")
    made.add_argument("--stock-runs", type=int, default=3, help="runs of stock to measure (3)")
    made.add_argument(
        "--at-once", type=int, default=2, help="stock processes of one thread side by side (2)"
    )
    made.add_argument("--bleu-alone", action="store_true", help="also a sweep of one metric")
    made.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    made.add_argument("--schedules", action="store_true", help="also compare schedules")
    made.add_argument("--schedule-sentences", type=int, default=500, help="of the split (500)")
    made.add_argument("--schedule-tokens", default="12000,500", help="--max-tokens (12000,500)")
    made.add_argument("--schedule-workers", default="1,2", help="--workers (1,2)")
    made.add_argument("--schedule-together", default="1,2,4", help="--points-together (1,2,4)")
    made.add_argument("--folder", type=Path, required=True, help="for measurements and sweeps")
    made.add_argument("--output", type=Path, help="a markdown file for the tables")
    return made


def translation(args: argparse.Namespace, flags: Sequence[str]) -> Subject:
    common = ["--gen-subset", "test", *generate_flags(args.beam), *flags]
    stock = ["fairseq-generate", args.data, "--task", "translation", *common]
    sweep = ["fairseq-neuron-generate", args.data, *common, "--path", args.path]
    sweep += ["--ranking", args.ranking, "--ablate", args.points, "--order", args.order]
    if args.reference:
        sweep += ["--reference", args.reference]
    if args.cpu:
        stock, sweep = [*stock, "--cpu"], [*sweep, "--device", "cpu"]
    sweeps = {"sweep, usual metrics": sweep}
    if args.bleu_alone:
        sweeps["sweep, BLEU alone"] = [*sweep, "--metrics", "bleu"]
    return Subject(
        "Translation",
        [*stock, "--user-dir", USER_DIR, "--path", args.path, *stock_class_flags(args.path)],
        sweeps,
        compare_hypotheses,
    )


def language_model(args: argparse.Namespace) -> Subject:
    common = ["--gen-subset", "test", "--sample-break-mode", "eos"]
    stock = ["fairseq-eval-lm", args.lm_data, "--task", "language_modeling", *common]
    sweep = ["fairseq-neuron-eval-lm", args.lm_data, *common, "--path", args.lm]
    sweep += ["--ranking", args.lm_ranking, "--ablate", args.points, "--order", args.order]
    if args.cpu:
        stock, sweep = [*stock, "--cpu"], [*sweep, "--device", "cpu"]
    return Subject(
        "Language model",
        [*stock, "--user-dir", USER_DIR, "--path", args.lm, *stock_class_flags(args.lm)],
        {"sweep": sweep},
        compare_losses,
    )


def steps(args: argparse.Namespace, subject: Subject) -> int:
    return args.stock_runs * (1 + (args.at_once > 1)) + len(subject.sweeps)


def measure(bench: Measurements, args: argparse.Namespace, subject: Subject) -> None:
    """Stock before, between and after the sweeps."""
    sweeps = list(subject.sweeps.items())
    for number in range(max(args.stock_runs, len(sweeps))):
        if number < args.stock_runs:
            printed = bench.folder / f"{subject.name}.txt"
            name = f"{subject.name}: stock, run {number + 1}"
            bench.measure(name, lambda to=printed: once(subject.stock, to))
            if args.at_once > 1:
                name = f"{subject.name}: stock, {args.at_once} at once, run {number + 1}"
                bench.measure(name, lambda: at_once(subject.stock, args.at_once))
        if number < len(sweeps):
            bench.sweep(f"{subject.name}: {sweeps[number][0]}", sweeps[number][1])


def once(command: Sequence[object], printed: Path) -> Done:
    """A run, and what it printed in a file."""
    done = run(command)
    write_text(printed, done.output + done.errors)
    return done


def head(bench: Measurements) -> Iterator[str]:
    yield "# Speed of sweeps, beside stock fairseq\n"
    held = read_json(bench.path, "benchmark")
    shown = ", ".join(
        f"{key} {value}" for key, value in held.items() if key not in ("command", "measured")
    )
    yield f"Made by `{bench.command}`. Versions and machine: {shown}.\n"
    yield (
        "Whole commands, their start included. A run of stock is one intervention; those measured "
        "stand for all others: the median times their number (nothing is ablated in them). Memory: "
        "of the largest process."
    )


def section(bench: Measurements, args: argparse.Namespace, subject: Subject) -> Iterator[str]:
    """The table of one model."""
    folders = {name: bench.sweep_folder(f"{subject.name}: {name}") for name in subject.sweeps}
    rows = read_json(next(iter(folders.values())) / "sweep.json", "sweep")["rows"]
    count = interventions(rows)
    stock = {f"stock, median of {args.stock_runs}": ("stock", 1)}
    if args.at_once > 1:
        name = f"stock, {args.at_once} at once"
        stock[f"{name}, median of {args.stock_runs}"] = (name, args.at_once)
    header = ["", "wall s", "lowest to highest", "CPU s", "MiB", f"{count} interventions, s"]
    header += [f"times {name}" for name, _ in stock.values()]
    lines, whole = [], []
    for shown, (name, side_by_side) in stock.items():
        found = [
            bench.found[f"{subject.name}: {name}, run {number + 1}"]
            for number in range(args.stock_runs)
        ]
        walls, cpu = [each["wall"] for each in found], median(each["cpu"] for each in found)
        whole.append(median(walls) * count / side_by_side)
        spread = f"{min(walls):.1f} to {max(walls):.1f}"
        peak = max(each["peak"] for each in found)
        lines.append(cells(shown, median(walls), spread, cpu, peak, whole[-1], ["", ""]))
    for name in subject.sweeps:
        found = bench.found[f"{subject.name}: {name}"]
        wall, ratios = found["wall"], [f"{found['wall'] / total:.3f}" for total in whole]
        lines.append(cells(name, wall, "", found["cpu"], found["peak"], wall, ratios))
    yield f"\n## {subject.name}\n"
    yield table(header, [line[: len(header)] for line in lines])
    printed = (bench.folder / f"{subject.name}.txt").read_text(encoding="utf-8")
    for name, folder in folders.items():
        yield f"\n{name}: {subject.compare(printed, folder)}"


def cells(
    name: str,
    wall: float,
    spread: str,
    cpu: float,
    peak: float,
    whole: float,
    ratios: Sequence[str],
) -> list[str]:
    numbers = [f"{wall:.1f}", spread, f"{cpu:.1f}", f"{peak:.0f}", f"{whole:.0f}"]
    return [name, *numbers, *ratios]


def interventions(rows: Sequence[Mapping[str, object]]) -> int:
    """How many different ones a sweep has: one is to ablate nothing, one may be everything."""
    partial = {
        (row["ranking"], row["order"], row["ablated"]) for row in rows if 0 < row["share"] < 1
    }
    return len(partial) + 1 + any(row["share"] == 1 for row in rows)


def compare_hypotheses(printed: str, folder: Path) -> str:
    rows = read_json(folder / "sweep.json", "sweep")["rows"]
    name = next((row["name"] for row in rows if row["ablated"] == 0), None)
    if name is None:
        return "no point of it is the unablated model."
    ours = read_lines(folder / "hypotheses" / f"{name}.txt", "hypotheses")
    theirs = [nbest[0][1] for nbest in read_nbest(printed)]
    differ = sum(one != other for one, other in zip(ours, theirs, strict=True))
    return f"{differ} of {len(ours):,} hypotheses of the unablated model differ from stock's."


def compare_losses(printed: str, folder: Path) -> str:
    rows = read_json(folder / "sweep.json", "sweep")["rows"]
    ours = next((f"{row['loss']:.4f}" for row in rows if row["ablated"] == 0), "not evaluated")
    theirs = re.findall(r"Loss \(base 2\): ([\d.]+)", printed)[-1]
    return f"loss of the unablated model {ours}, stock's {theirs} (bits for each token)."


if __name__ == "__main__":
    main()
