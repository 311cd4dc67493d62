#!/usr/bin/env python
"""Three stock LSTM checkpoints, English to German, neuron by neuron.

    scripts/run_tatoeba.py --data DATA --models MODELS [--output runs/tatoeba] [--jobs 2]

DATA holds tatoeba_de_en/ (test.tok.en.gz, test.tok.de.gz, test.raw.de.gz), semtags_pmb4/
(en.{train,test}.semtag.tsv.gz) and ud_en_ewt/ (en_ewt-ud-{train,test}.conllu.gz); MODELS holds
a.pt, b.pt, c.pt, dict.en.txt and dict.de.txt. Every step is one of the package's commands, its
output is kept in OUTPUT/logs, and a step that is done is not done again. Ends in a page of figures:
see tatoeba_report.py.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from steps import BIN, Steps
from tatoeba_probes import MODELS, PROPERTIES, write_probe_page
from tatoeba_report import write_report


class Run(Steps):
    """Where everything lies, and how a step is run."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(Path(args.output))
        self.data, self.models = Path(args.data), Path(args.models)
        self.sentences = args.pos_sentences
        self.beam = args.beam
        self.points, self.other_points = args.points, args.other_points
        self.hold_settings(args)

    def hold_settings(self, args: argparse.Namespace) -> None:
        """Steps are known by their results, so a folder is for one set of settings."""
        names = ("data", "models", "beam", "points", "other_points", "pos_sentences")
        settings = {name: getattr(args, name) for name in names}
        path = self.out / "settings.json"
        if path.exists() and json.loads(path.read_text()) != settings:
            raise SystemExit(f"{self.out} holds a run with other settings; choose another --output")
        path.write_text(json.dumps(settings))

    def write(self, name: str, make: Callable[[], Iterator[str]]) -> None:
        """Write a text file of these lines, whole or not at all."""
        target = self.out / name
        if not target.exists():
            partial = target.with_suffix(".partial")
            partial.write_text("".join(f"{line}\n" for line in make()), encoding="utf-8")
            partial.replace(target)


def lines_of(path: Path) -> Iterator[str]:
    """Lines of a gzipped file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
        for line in stream:
            yield line.rstrip("\n")


def blocks_of(path: Path) -> Iterator[list[list[str]]]:
    """Blocks of tab-separated rows, comments left out."""
    block: list[list[str]] = []
    for line in lines_of(path):
        if line.strip() and not line.startswith("# "):
            block.append(line.split("\t"))
        elif not line.strip() and block:
            yield block
            block = []
    if block:
        yield block


def pmb(path: Path) -> Iterator[list[tuple[str, str]]]:
    """Words and semantic tags; a name of several words joined by ``~`` becomes several words."""
    for block in blocks_of(path):
        yield [(word, tag) for token, tag in block for word in token.split("~") if word]


def ewt(path: Path, sentences: int | None) -> Iterator[list[tuple[str, str]]]:
    """Words and universal parts of speech of the first sentences."""
    for number, block in enumerate(blocks_of(path)):
        if number == sentences:
            return
        # The model read tokens without spaces inside; a CoNLL-U form may hold one.
        yield [(row[1].replace(" ", ""), row[3]) for row in block if row[0].isdigit()]


def prepare(run: Run) -> None:
    """Texts, tag lines and the binarised test set."""
    for side in ("en", "de"):
        source = run.data / "tatoeba_de_en" / f"test.tok.{side}.gz"
        run.write(f"test.{side}", lambda source=source: lines_of(source))
    run.write("test.raw.de", lambda: lines_of(run.data / "tatoeba_de_en" / "test.raw.de.gz"))
    corpora = {}
    for split in ("train", "test"):
        tags = run.data / "semtags_pmb4" / f"en.{split}.semtag.tsv.gz"
        tree = run.data / "ud_en_ewt" / f"en_ewt-ud-{split}.conllu.gz"
        corpora[f"sem.{split}"] = lambda tags=tags: pmb(tags)
        limit = run.sentences if split == "train" else None
        corpora[f"pos.{split}"] = lambda tree=tree, limit=limit: ewt(tree, limit)
    for name, corpus in corpora.items():
        run.write(f"{name}.en", lambda c=corpus: (" ".join(w for w, _ in s) for s in c()))
        run.write(f"{name}.tags", lambda c=corpus: (" ".join(t for _, t in s) for s in c()))
    run.step(
        "bin",
        f"fairseq-preprocess -s en -t de --srcdict {run.models}/dict.en.txt --tgtdict "
        f"{run.models}/dict.de.txt --testpref {run.out}/test --destdir {run.out}/bin",
    )


def analyse(run: Run, model: str) -> None:
    """Activations and probes of one model."""
    out = run.out
    for corpus in ("sem.train", "sem.test", "pos.train", "pos.test"):
        run.step(
            f"acts.{model}.{corpus}/manifest.json",
            f"fairseq-neuron-extract {out}/bin --path {run.models}/{model}.pt "
            f"--input {out}/{corpus}.en --output-dir {out}/acts.{model}.{corpus}",
        )
    for task in ("sem", "pos"):
        run.step(
            f"probe.{model}.{task}",
            f"fairseq-neuron-probe {out}/acts.{model}.{task}.train "
            f"--labels {out}/{task}.train.tags "
            f"--test-acts {out}/acts.{model}.{task}.test --test-labels {out}/{task}.test.tags "
            f"--ablate 10,15,20 --control-tasks 1 --save-dir {out}/probe.{model}.{task}",
        )
        run.step(
            f"rankings.{model}/{task}.json",
            f"fairseq-neuron-rank linguistic --probe {out}/probe.{model}.{task} "
            f"--output {out}/rankings.{model}/{task}.json",
        )
    for name in PROPERTIES if model == MODELS[0] else ():
        run.step(
            f"probe.{model}.{name}",
            f"fairseq-neuron-probe {out}/acts.{model}.sem.train --property {name} "
            f"--test-acts {out}/acts.{model}.sem.test --ablate 10,15,20 --control-tasks 1 "
            f"--save-dir {out}/probe.{model}.{name}",
        )


def compare(run: Run, model: str) -> None:
    """Cross-model ranking and the curves of one model."""
    out = run.out
    others = " ".join(f"{out}/acts.{other}.sem.train" for other in MODELS if other != model)
    run.step(
        f"rankings.{model}/cross-model.json",
        f"fairseq-neuron-rank cross-model {out}/acts.{model}.sem.train {others} "
        f"--output {out}/rankings.{model}/cross-model.json",
    )
    first = model == MODELS[0]
    names = ("sem", "pos", "cross-model") if first else ("sem", "cross-model")
    rankings = " ".join(f"{out}/rankings.{model}/{name}.json" for name in names)
    run.step(
        f"sweep.{model}/sweep.png",
        f"fairseq-neuron-generate {out}/bin --path {run.models}/{model}.pt -s en -t de "
        f"--beam {run.beam} --tokenizer moses --reference {out}/test.raw.de --ranking {rankings} "
        f"--ablate {run.points if first else run.other_points} --order top,bottom "
        f"--output-dir {out}/sweep.{model}",
    )


def side_by_side(jobs: int, work: Callable[[str], None]) -> None:
    """Do the work for every model, ``jobs`` at a time; the first failure ends the run."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, MODELS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of the corpora")
    parser.add_argument("--models", required=True, help="folder of the checkpoints")
    parser.add_argument("--output", default="runs/tatoeba", help="default: runs/tatoeba")
    parser.add_argument("--report", default="docs/results/tatoeba.md", help="page to write")
    parser.add_argument("--jobs", type=int, default=2, help="commands side by side (default: 2)")
    parser.add_argument("--beam", type=int, default=5, help="of the curves (default: 5)")
    parser.add_argument("--points", default="0,5%,10%,20%,40%", help="of the first model's curves")
    parser.add_argument("--other-points", default="0,5%,10%,20%", help="of the others' curves")
    parser.add_argument(
        "--pos-sentences", type=int, default=5000, help="of UD EWT for training (default: 5000)"
    )
    parser.add_argument(
        "--only-probes", action="store_true", help="end with the probes and their page"
    )
    args = parser.parse_args()
    for folder in (args.data, args.models):
        if not Path(folder).is_dir():
            parser.error(f"no such folder: {folder}")
    if shutil.which("fairseq-neuron-generate", path=str(BIN)) is None:
        parser.error("run scripts/setup.sh first, then use .venv/bin/python")
    run = Run(args)
    prepare(run)
    side_by_side(args.jobs, lambda model: analyse(run, model))
    page, command = Path(args.report), shlex.join(sys.argv)
    probes = page.with_name(f"{page.stem}-probes.md")
    write_probe_page(run.out, probes, run.models / "dict.en.txt", command)
    print(probes)
    if args.only_probes:
        return
    side_by_side(args.jobs, lambda model: compare(run, model))
    write_report(run.out, page, command)
    print(page)


if __name__ == "__main__":
    main()
