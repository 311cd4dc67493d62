#!/usr/bin/env python
"""Rankings and analyses of three stock LSTM checkpoints, over a folder of run_tatoeba.py.

    scripts/tatoeba_neurons.py --run runs/tatoeba --models MODELS [--page docs/results/…-neurons.md]

Every step is one of the package's commands; its output goes to RUN/logs, a step that is done is not
done again, and the page shows each command with what it printed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from steps import Steps
from tatoeba_probes import MODELS

from fairseq_neuron_plugin.files import write_text

# Universal Dependencies' own division of its parts of speech.
OPEN = "ADJ,ADV,INTJ,NOUN,PROPN,VERB"
CLOSED = "ADP,AUX,CCONJ,DET,NUM,PART,PRON,SCONJ"
BY_LABELS = ("probeless", "f-statistic", "mutual-information", "average-precision", "gaussian")
PICTURES = ("overlap.a", "focus.pos")
PROGRESS = re.compile(r"\d+%\|")
UNSUPERVISED = ("cross-model", "variance", "mean-distance", "gradient-activation")


@dataclass(frozen=True)
class Section:
    """A part of the page: a command and what it printed."""

    title: str
    text: str
    printed: str
    command: str
    picture: str | None = None


class Analyses(Steps):
    """The steps, and the page's sections."""

    def __init__(self, run: Path, checkpoints: Path) -> None:
        super().__init__(run)
        self.checkpoints = checkpoints
        self.sections: list[Section] = []

    def rank(self, model: str) -> None:
        """Every ranking of one model; those that read labels by semantic tags."""
        acts = f"{self.out}/acts.{model}.sem.train"
        others = " ".join(f"{self.out}/acts.{m}.sem.train" for m in MODELS if m != model)
        inputs = {
            "cross-model": f"{acts} {others}",
            "gradient-activation": f"{self.out}/bin --path {self.checkpoints}/{model}.pt "
            "-s en -t de --gen-subset test",
        }
        labels = f"--labels {self.out}/sem.train.tags --min-count 20"
        for method in (*UNSUPERVISED, *BY_LABELS, "random"):
            given = inputs.get(method, f"{acts} {labels}" if method in BY_LABELS else acts)
            result = f"rankings.{model}/{method}.json"
            self.step(result, f"fairseq-neuron-rank {method} {given} --output {self.out}/{result}")

    def ablate(self, model: str) -> None:
        """BLEU without the first and the last tenth of each of some rankings."""
        result = f"tenths.{model}"
        rankings = self.rankings(model, *UNSUPERVISED, "sem", "random")
        command = (
            f"fairseq-neuron-generate {self.out}/bin --path {self.checkpoints}/{model}.pt -s en "
            f"-t de --beam 1 --tokenizer moses --reference {self.out}/test.raw.de "
            f"--ranking {rankings} --ablate 0,10% --order top,bottom"
        )
        self.step(f"{result}/sweep.png", f"{command} --output-dir {self.out}/{result}")
        text = (
            "Translation of the Tatoeba test set (greedy) while the first or the last 10% of each "
            "ranking are 0."
        )
        title = f"The model without a tenth of its neurons, model {model}"
        self.sections.append(Section(title, text, f"logs/{result}.sweep.png.log", command))

    def analyse(self, name: str, arguments: str, title: str, text: str) -> None:
        """One analysis, and its section of the page."""
        result = f"analysis.{name}"
        command = f"fairseq-neuron-analyze {arguments}"
        self.step(result, f"{command} --output-dir {self.out}/{result}")
        picture = f"tatoeba-{name}.png" if name in PICTURES else None
        self.sections.append(Section(title, text, f"logs/{result}.log", command, picture))

    def rankings(self, model: str, *names: str) -> str:
        """Paths of ranking files."""
        return " ".join(f"{self.out}/rankings.{model}/{name}.json" for name in names)

    def probes(self, *names: str) -> str:
        """Paths of probe folders."""
        return " ".join(f"{self.out}/probe.{name}" for name in names)


def analyse_all(run: Analyses) -> None:
    for model in MODELS:
        run.analyse(
            f"overlap.{model}",
            "overlap "
            + run.rankings(model, *UNSUPERVISED, "sem", "pos", *BY_LABELS, "random")
            + " --k 50",
            f"Overlap of rankings, model {model}",
            "Share of the first 50 of 512 neurons that two rankings have in common. The paper, "
            "section 5: the top of the cross-model ranking has less than 10% in common with those "
            "by variance and by distance from the mean.",
        )
    groups = f"--groups open={OPEN} closed={CLOSED}"
    run.analyse(
        "focus.pos",
        f"focus --probe {run.probes(*(f'{m}.pos' for m in MODELS))} {groups}",
        "Focused and distributed: parts of speech",
        "Neurons that make up 25% of a label's weight mass (the paper's figure 6). Open and closed "
        "classes as Universal Dependencies divides them.",
    )
    run.analyse(
        "focus.sem",
        f"focus --probe {run.probes(*(f'{m}.sem' for m in MODELS))}",
        "Focused and distributed: semantic tags",
        "As above, for the tags of the Parallel Meaning Bank.",
    )
    run.analyse(
        "shared.a",
        f"shared --probe {run.probes('a.pos', 'a.sem', 'a.position')}",
        "Neurons that several properties share, model a",
        "Salient (within 25% of the mass) for labels of several properties.",
    )
    rankings = run.rankings("a", "sem", "average-precision").split()
    for tag, what in (("MOY", "months"), ("NOT", "negation"), ("QUC", "numbers")):
        run.analyse(
            f"top-words.{tag}",
            f"top-words {run.out}/acts.a.sem.train --ranking "
            + " ".join(f"{ranking}:label={tag}:top:4" for ranking in rankings),
            f"Top words of the neurons of {what}, model a",
            f"The most salient neurons of the semantic tag {tag} by the probe's weights, and the "
            "best detectors of it by average precision (the paper's table 3).",
        )

    for model in MODELS:
        run.ablate(model)


def page(run: Analyses) -> Iterator[str]:
    yield "# Rankings and analyses of three stock LSTM checkpoints"
    yield ""
    yield f"Made by `{shlex.join(sys.argv)}`; under each title the command and what it printed."
    for section in run.sections:
        yield f"\n## {section.title}\n\n{section.text}\n"
        lines = (run.out / section.printed).read_text(encoding="utf-8").split("\n")
        printed = "\n".join(line for line in lines if not PROGRESS.search(line)).strip()
        yield f"```\n$ {section.command}\n{printed}\n```"
        if section.picture:
            yield f"\n![{section.title}]({section.picture})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/tatoeba"), help="of run_tatoeba.py")
    parser.add_argument("--models", type=Path, required=True, help="folder with a.pt, b.pt, c.pt")
    parser.add_argument("--page", type=Path, default=Path("docs/results/tatoeba-neurons.md"))
    parser.add_argument("--jobs", type=int, default=2, help="models ranked side by side (2)")
    args = parser.parse_args()
    if not (args.run / "acts.a.sem.train").is_dir():
        parser.error(f"no run of run_tatoeba.py: {args.run}")
    run = Analyses(args.run, args.models)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(run.rank, MODELS))
    analyse_all(run)
    for picture in PICTURES:
        for found in (args.run / f"analysis.{picture}").glob("*.png"):
            shutil.copy(found, args.page.with_name(f"tatoeba-{picture}.png"))
    write_text(args.page, "\n".join(page(run)) + "\n")
    print(args.page)


if __name__ == "__main__":
    main()
