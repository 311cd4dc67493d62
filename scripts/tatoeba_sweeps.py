#!/usr/bin/env python
"""The paper's figures 4, 5, 7 and 8 on the Tatoeba models, with 95% bands.

    scripts/tatoeba_sweeps.py --run runs/tatoeba --models MODELS --lm LM [--output runs/sweeps]

RUN is a folder of run_tatoeba.py in which tatoeba_neurons.py has ranked the neurons; MODELS holds
its checkpoints a.pt, b.pt, c.pt. LM holds language models of the source language: bin.{a,b,c}/ (the
dictionary and a binarised split test) and ck.{a,b,c}/checkpoint_best.pt. Every step is one of the
package's commands; its output goes to OUTPUT/logs, a step that is done is not done again, and a
sweep that was stopped goes on where it was. About half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from steps import BIN, Steps
from sweep_figures import write_page
from tatoeba_probes import MODELS

TASKS = ("sem", "pos")
# One sweep of a model holds all its curves, so that shared points are decoded once.
RANKINGS = {
    "a": ("cross-model", "variance", "mean-distance", "gradient-activation", *TASKS),
    "b": ("cross-model",),
    "c": ("cross-model",),
}
LM_RANKINGS = {"a": ("cross-model", "variance", *TASKS), "b": RANKINGS["b"], "c": RANKINGS["c"]}
# Seconds on two cores: of an intervention, and of a step. For the time left alone.
TRANSLATED, SCORED, EXTRACTED, PROBED, RANKED = 14, 2, 20, 90, 8


class Sweeps(Steps):
    """The steps, and what they need.

    Args:
        args: of `parser`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args.output)
        self.args = args
        self.commands: list[str] = []
        self._hold_settings()

    def plan(self) -> list[tuple[float, Callable[[], None]]]:
        """What is to be done in turn, each with about how many seconds it takes."""
        steps: list[tuple[float, Callable[[], None]]] = [
            (EXTRACTED, self.extract),
            (PROBED, self.probe),
            (RANKED, self.rank),
        ]
        points = 2 * self.args.points.count(",")  # the 0 is shared, the others have two orders
        for models, seconds, sweep in (
            (RANKINGS, TRANSLATED, self.translate),
            (LM_RANKINGS, SCORED, self.score),
        ):
            for model, names in models.items():
                count = points * len(names) + 1
                steps.append((count * seconds, lambda s=sweep, m=model: s(m)))
        return steps

    def extract(self) -> None:
        """Activations of the language models on the texts that the translation models read."""
        corpora = [(model, "sem") for model in MODELS] + [("a", "pos")]
        self.side_by_side(
            (
                f"acts.{model}.{task}/manifest.json",
                f"fairseq-neuron-extract {self.args.lm}/bin.{model} --path {self.lm(model)} "
                f"--input {self.args.run}/{task}.train.en --output-dir {self.acts(model, task)}",
            )
            for model, task in corpora
        )

    def probe(self) -> None:
        self.side_by_side(
            (
                f"probe.a.{task}",
                f"fairseq-neuron-probe {self.acts('a', task)} --labels "
                f"{self.args.run}/{task}.train.tags --save-dir {self.out}/probe.a.{task}",
            )
            for task in TASKS
        )

    def rank(self) -> None:
        """Rankings of the language models."""
        commands = []
        for model, names in LM_RANKINGS.items():
            others = " ".join(self.acts(other, "sem") for other in MODELS if other != model)
            given = {
                "cross-model": f"cross-model {self.acts(model, 'sem')} {others}",
                "variance": f"variance {self.acts(model, 'sem')}",
                **{task: f"linguistic --probe {self.out}/probe.{model}.{task}" for task in TASKS},
            }
            for name in names:
                result = f"rankings.{model}/{name}.json"
                commands.append(
                    (result, f"fairseq-neuron-rank {given[name]} --output {self.out}/{result}")
                )
        self.side_by_side(commands)

    def translate(self, model: str) -> None:
        """The curves of a translation model."""
        run, args = self.args.run, self.args
        rankings = " ".join(f"{run}/rankings.{model}/{name}.json" for name in RANKINGS[model])
        self.sweep(
            f"sweep.{model}",
            f"fairseq-neuron-generate {run}/bin --path {args.models}/{model}.pt -s en -t de "
            f"--beam {args.beam} --max-len-a 1.5 --max-len-b 10 --tokenizer moses "
            f"--reference {run}/test.raw.de --metrics {args.metrics} --ranking {rankings}",
        )

    def score(self, model: str) -> None:
        """The curves of a language model."""
        names = LM_RANKINGS[model]
        rankings = " ".join(f"{self.out}/rankings.{model}/{name}.json" for name in names)
        self.sweep(
            f"lm.{model}",
            f"fairseq-neuron-eval-lm {self.args.lm}/bin.{model} --path {self.lm(model)} "
            f"--sample-break-mode eos --ranking {rankings}",
        )

    def sweep(self, name: str, command: str) -> None:
        """A sweep, whose progress is shown and whose command is named on the page."""
        whole = (
            f"{command} --ablate {self.args.points} --order top,bottom "
            f"--workers {self.args.jobs} --output-dir {self.out}/{name}"
        )
        self.commands.append(whole)
        result = f"{name}/sweep.json"
        with progress_of(self.out / "logs" / f"{result.replace('/', '.')}.log"):
            self.step(result, whole)

    def side_by_side(self, commands: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> None:
        """Run steps, as many at a time as there are jobs; the first failure ends everything."""
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(lambda step: self.step(*step), commands))

    def acts(self, model: str, task: str) -> str:
        return f"{self.out}/acts.{model}.{task}"

    def lm(self, model: str) -> Path:
        return Path(self.args.lm) / f"ck.{model}" / "checkpoint_best.pt"

    def _hold_settings(self) -> None:
        """Steps are known by their results, so a folder is for one set of settings."""
        names = ("run", "models", "lm", "points", "beam", "metrics")
        settings = {name: str(getattr(self.args, name)) for name in names}
        path = self.out / "settings.json"
        if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
            sys.exit(f"{self.out} holds a run with other settings; choose another --output")
        path.write_text(json.dumps(settings, indent=1), encoding="utf-8")


@contextmanager
def progress_of(log: Path) -> Iterator[None]:
    """Show the last line of a log, a progress bar, every ten seconds."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(10):
            if log.exists():
                last = re.split(r"[\r\n]", log.read_text(encoding="utf-8").rstrip())[-1]
                print(f"    {last}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--run", type=Path, default=Path("runs/tatoeba"), help="of run_tatoeba.py")
    made.add_argument("--models", type=Path, required=True, help="folder with a.pt, b.pt, c.pt")
    made.add_argument("--lm", type=Path, required=True, help="folder of the language models")
    made.add_argument(
        "--output", type=Path, default=Path("runs/sweeps"), help="default: runs/sweeps"
    )
    made.add_argument("--page", type=Path, default=Path("docs/results/tatoeba-sweeps.md"))
    made.add_argument("--points", default="0,1%,2%,5%,10%,20%,30%,50%", help="0 among them")
    made.add_argument("--beam", type=int, default=5, help="beam size (5)")
    made.add_argument("--metrics", default="bleu,chrf", help="of the translations (bleu,chrf)")
    made.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (one a core)")
    return made


def main() -> None:
    made = parser()
    args = made.parse_args()
    needed = [args.run / f"rankings.{m}/{n}.json" for m, names in RANKINGS.items() for n in names]
    needed += [args.run / "bin", *(args.lm / f"ck.{m}" / "checkpoint_best.pt" for m in MODELS)]
    for path in needed:
        if not path.exists():
            made.error(f"not there: {path}")
    if not (BIN / "fairseq-neuron-generate").exists():
        made.error("run scripts/setup.sh first, then use .venv/bin/python")
    run = Sweeps(args)
    plan = run.plan()
    begin, left, over = time.time(), sum(seconds for seconds, _ in plan), 0.0
    for seconds, do in plan:
        begun = time.time()
        do()
        left -= seconds
        if time.time() - begun < 1:  # it had been done
            continue
        over += seconds
        minutes = left * (time.time() - begin) / over / 60
        print(f"about {minutes:.0f} min left", flush=True)
    write_page(run.out, args.page, shlex.join(sys.argv), run.commands)
    print(args.page)


if __name__ == "__main__":
    main()
