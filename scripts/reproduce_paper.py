#!/usr/bin/env python
r"""The paper, reproduced: from parallel text and treebanks to a page of its tables and figures.

    scripts/reproduce_paper.py --config small --data DATA --output runs/paper

Trains translation and language models on disjoint parts of the data, tags their text, and looks
into their neurons, every step by a command of fairseq or of this package. What is done is not done
again: the same command goes on where a stopped run was. Ends in OUTPUT/paper.md, with pictures
beside it, and OUTPUT/report.html.

  small   Tatoeba, English and German, cut to size: two cores, about an hour
  paper   Europarl and Tatoeba, models of the paper's size: a GPU
  FILE    your own corpora: copy scripts/reproduction/configs/small.yaml

DATA is the folder that the paths of the configuration start from. To see whether a second run gives
the same figures, with the models of the first:

    scripts/reproduce_paper.py --config small --data DATA --output runs/again \
        --models runs/paper --compare runs/paper
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path

from reproduction import trial
from reproduction.analyses import analysis_steps
from reproduction.annotation import annotation_steps
from reproduction.config import ConfigError, load_config
from reproduction.corpora import write_lines
from reproduction.curves import report_step, sweep_steps
from reproduction.evidence import Evidence, collect, count_numbers, differences
from reproduction.folder import (
    check_settings,
    evidence_of,
    hold_settings,
    input_files,
    lock,
    take_models,
)
from reproduction.layout import Layout
from reproduction.markdown import table
from reproduction.page import write_page
from reproduction.preparation import preparation_steps
from reproduction.runner import Runner, Step, StepError
from reproduction.training import training_steps

from fairseq_neuron_plugin.cli.common import run_command


def plan(layout: Layout) -> list[Step]:
    """All steps of a run, in the order in which they are begun if nothing else matters."""
    steps = [
        *preparation_steps(layout),
        *training_steps(layout),
        *annotation_steps(layout),
        *analysis_steps(layout),
        *sweep_steps(layout),
    ]
    return [*steps, report_step(layout, tuple(step.result for step in steps))]


def finish(layout: Layout, runner: Runner, page: Path, command: str) -> Evidence:
    """The evidence and the page."""
    evidence = collect(layout, runner.journal.entries)
    write_lines(layout.folder / "evidence.json", [json.dumps(evidence, indent=1)])
    write_page(evidence, layout.config.notes, layout.folder, page, command)
    print(page)
    return evidence


def shown_command(args: argparse.Namespace) -> str:
    """What a reader would type; where this machine keeps its data is of no use to them."""
    words = ["scripts/reproduce_paper.py", "--config", args.config, "--data", "DATA"]
    return shlex.join([*words, "--output", str(args.output)])


def compare(evidence: Evidence, text: str, other: Path) -> bool:
    """Say how many figures differ from those of another run."""
    # Through JSON and back, as the other one went.
    found = list(differences(json.loads(json.dumps(evidence)), json.loads(text)))
    print(f"{len(found)} of {count_numbers(evidence)} figures differ from those of {other}")
    for line in found[:20]:
        print(f"  {line}")
    return not found


def try_out(args: argparse.Namespace) -> None:
    """The first step of each kind on a cut, and the estimate for the whole run."""
    config = load_config(args.config)
    small = trial.cut(config)
    layout = Layout(small, args.data.resolve(), (args.output / "trial").resolve())
    runner = Runner(layout.folder, args.jobs, [lock(layout.folder)])
    hold_settings(layout)
    steps = plan(layout)
    runner.run(trial.first_of_each_kind(steps))
    whole = plan(Layout(config, layout.data, args.output))
    found = trial.estimate(whole, runner.journal, config, small)
    rows = [[kind, count, seconds, hours] for kind, count, seconds, hours in found]
    print(table(["kind", "steps", "s each on the cut", "hours of all, about"], rows))
    print(f"in all about {sum(hours for *_, hours in found):.0f} hours, a step at a time")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--config", required=True, help="small, paper, or a YAML file")
    made.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    made.add_argument("--jobs", type=int, help="steps at a time (one a core; with a GPU one)")
    made.add_argument("--page", type=Path, help="Markdown page to write (OUTPUT/paper.md)")
    made.add_argument("--models", type=Path, help="run whose texts and models are taken")
    made.add_argument("--compare", type=Path, help="run whose figures should be the same")
    made.add_argument(
        "--trial",
        action="store_true",
        help="run the first step of each kind on a cut of the data, in OUTPUT/trial, and estimate",
    )
    made.add_argument("--plan", action="store_true", help="say what would be done, and end")
    return made


def reproduce(args: argparse.Namespace, page: Path) -> None:
    """The whole run, or what is left of it."""
    layout = Layout(load_config(args.config), args.data.resolve(), args.output.resolve())
    input_files(layout)
    other = evidence_of(args.compare, args.output) if args.compare else None
    steps = plan(layout)
    if args.plan:
        check_settings(layout)
        for step in announce(Runner(layout.folder, args.jobs), steps):
            print(f"  {step.seconds:5.0f} s  {step.name}")
        return
    runner = Runner(layout.folder, args.jobs, [lock(layout.folder)])
    hold_settings(layout)
    if args.models:
        take_models(args.models, layout, runner.journal, steps)
    announce(runner, steps)
    runner.run(steps)
    evidence = finish(layout, runner, page, shown_command(args))
    if other is not None and not compare(evidence, other, args.compare):
        sys.exit(1)


def announce(runner: Runner, steps: list[Step]) -> list[Step]:
    """Say how much there is to do, and return it."""
    left = runner.left(steps)
    minutes = sum(step.seconds for step in left) / runner.jobs / 60
    print(f"{len(left)} of {len(steps)} steps to do: about {minutes:.0f} min", flush=True)
    return left


def default_jobs() -> int:
    """A step a core, or one for the GPU."""
    import torch

    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def main() -> None:
    args = parser().parse_args()
    args.jobs = default_jobs() if args.jobs is None else args.jobs
    # Ended by a batch system or with the terminal: the steps at work are ended, too.
    for kind in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda *_: sys.exit(143))
    run_command("reproduce_paper.py", lambda: work(args))


def work(args: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    page = args.page or args.output / "paper.md"
    if page.suffix != ".md":
        raise ConfigError(f"--page {page}: the name must end in .md")
    if args.plan and args.models:
        raise ConfigError("--plan does not look into --models: give one of them")
    if args.jobs < 1:
        raise ConfigError(f"--jobs {args.jobs}: give 1 or more")
    try:
        if args.trial:
            try_out(args)
        else:
            reproduce(args, page)
    except StepError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
