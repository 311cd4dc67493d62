#!/usr/bin/env python3
"""How long a report takes over a large store, and how large it and its memory are.

  scripts/bench_report.py --output report.json
  scripts/bench_report.py --parts cards --cards 60 --shape 100000,500 --dtype float32

The corpus is made: words by Zipf's law in sentences of about 20, activations that follow words and
places in the sentence in part, a probe, and three rankings.

Parts:
  cards   `neuron_cards` of --cards neurons, in a process of its own.
  report  the whole command `fairseq-neuron-report`, in a process of its own, and its page.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bench_probe_memory import Peak, run_sampled

from fairseq_neuron_plugin.activations import Activations, StoreWriter
from fairseq_neuron_plugin.analysis.neuron_card import neuron_cards
from fairseq_neuron_plugin.cli.common import format_table
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.files import write_json
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.probe_folder import load_probe, save_probe
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.rankings import linguistic

VOCABULARY = 40_000
FACTORS = 24  # of words, that neurons mix
SENTENCE = 20  # words in the mean
BLOCK = 8192  # rows that are made at a time
MODEL = {"path": "synthetic.pt", "sha256": "5" * 64}
Rows = list[dict[str, Any]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="of: %(default)s")
    parser.add_argument("--shape", default="1000000,1000", help="tokens, neurons (%(default)s)")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--labels", type=int, default=40, help="of the probe (40)")
    parser.add_argument("--cards", type=int, default=60, help="neurons of the part cards (60)")
    parser.add_argument("--flags", default="", help="more of fairseq-neuron-report's, in one word")
    parser.add_argument("--inputs", type=Path, help="keep what is made here, or take it from here")
    parser.add_argument("--page", type=Path, help="keep the page here")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    parser.add_argument("--only-cards", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.parts = args.parts.split(",")
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    args.tokens, args.neurons = (int(number) for number in args.shape.split(","))
    return args


def make_inputs(folder: Path, args: argparse.Namespace) -> None:
    """A store, a probe and three rankings of the same neurons; what is there is kept."""
    half = args.neurons // 2
    space = NeuronSpace(
        (Layer("encoder.layers.0", half), Layer("encoder.layers.1", args.neurons - half))
    )
    started = time.perf_counter()
    make_store(folder / "acts", space, args.tokens, args.dtype)
    if not (folder / "rankings").exists():
        make_probe_and_rankings(folder, space, args.labels)
    print(f"inputs in {folder}: {time.perf_counter() - started:.1f} s", flush=True)


def make_store(path: Path, space: NeuronSpace, tokens: int, dtype: str) -> None:
    """Neurons mix a few factors that words have, some noise and the place in the sentence."""
    rng = np.random.default_rng(0)
    chances = 1 / (np.arange(VOCABULARY) + 2.7)
    codes = rng.choice(VOCABULARY, tokens, p=chances / chances.sum())
    lengths = np.clip(rng.poisson(SENTENCE, 2 * tokens // SENTENCE), 3, 60)
    ends = np.cumsum(lengths)
    ends = np.append(ends[ends < tokens], tokens)
    words = np.array([_word(number) for number in range(VOCABULARY)], dtype=object)[codes].tolist()
    begins = [0, *ends[:-1].tolist()]
    sentences = [words[begin:end] for begin, end in zip(begins, ends.tolist(), strict=True)]
    place = np.arange(tokens) - np.repeat(begins, np.diff([0, *ends]))
    settings = {
        "model": MODEL,
        "corpus": {"text": "synthetic"},
        "pool": "last",
        "signature": f"source:synthetic|tokens:{tokens}|neurons:{space.size}",
    }
    factors = rng.standard_normal((VOCABULARY, FACTORS), dtype=np.float32)
    mixing = rng.standard_normal((FACTORS, space.size), dtype=np.float32) / FACTORS**0.5
    mixing *= rng.random((FACTORS, space.size)) < 0.3
    drift = 0.02 * rng.standard_normal(space.size, dtype=np.float32)
    writer = StoreWriter(path, sentences, space, dtype, settings)
    for shard, first, last in writer.missing():
        rows = slice(int(writer.offsets[first]), int(writer.offsets[last]))
        noise = np.random.default_rng([1, shard])
        writer.write_blocks(shard, _blocks(codes[rows], place[rows], factors, mixing, drift, noise))
    writer.finish()


def _blocks(
    codes: npt.NDArray[Any],
    place: npt.NDArray[Any],
    factors: npt.NDArray[Any],
    mixing: npt.NDArray[Any],
    drift: npt.NDArray[Any],
    rng: np.random.Generator,
) -> Any:
    for start in range(0, len(codes), BLOCK):
        rows = slice(start, start + BLOCK)
        values = factors[codes[rows]] @ mixing
        values += 0.5 * rng.standard_normal(values.shape, dtype=np.float32)
        values += np.outer(place[rows], drift).astype(np.float32)
        yield np.tanh(values)


def _word(number: int) -> str:
    """Short where it is frequent, as words are."""
    letters, text = "etaoinsrhldcumfpgwybvkxjqz", ""
    number += 1
    while number:
        number, letter = divmod(number, len(letters))
        text += letters[letter]
    return text


def make_probe_and_rankings(folder: Path, space: NeuronSpace, labels: int) -> None:
    rng = np.random.default_rng(2)
    names = [f"L{number:02d}" for number in range(labels)]
    probe = ElasticNetProbe()
    probe.coef_ = rng.laplace(size=(labels, space.size))
    probe.coef_ *= rng.random(probe.coef_.shape) < 0.2
    probe.intercept_, probe.classes_ = np.zeros(labels), np.array(names)
    scores = ("precision", "recall", "f1")
    rows = [{"label": name, **dict.fromkeys(scores, 0.5), "support": 100} for name in names]
    result = {
        "signature": "probe:synthetic",
        "settings": probe.get_params(),
        "test": {"sentences": 500, "accuracy": 0.5, "tokens": 100 * labels, "labels": rows},
        "majority_baseline": 0.4,
    }
    save_probe(folder / "probe", probe, result, space, MODEL["sha256"])
    found = linguistic(load_probe(folder / "probe").weight, names)
    rankings = {"linguistic": (found.neurons, found.scores, found.per_label, {})}
    for method in ("cross-model", "variance"):
        order, scores = rng.permutation(space.size), np.sort(rng.random(space.size))[::-1]
        details = {}
        if method == "cross-model":
            rho = np.empty(space.size)
            rho[order] = scores
            matches = [{"model": 0, "neuron": n, "rho": r} for n, r in enumerate(rho.tolist())]
            details["best_match"] = matches
        rankings[method] = (order, scores, {}, details)
    (folder / "rankings").mkdir()
    for method, (neurons, scores, per_label, details) in rankings.items():
        Ranking(
            method=method,
            neurons=neurons,
            scores=scores,
            per_label=per_label,
            signature=f"method:{method}",
            space=space,
            model=MODEL["sha256"],
            details=details,
        ).save(folder / "rankings" / f"{method}.json")


def time_cards(folder: Path, args: argparse.Namespace) -> Rows:
    command = [sys.executable, __file__, "--only-cards", str(folder), "--cards", str(args.cards)]
    return [row(f"{args.cards} cards", run_sampled(command))]


def only_cards(folder: Path, cards: int) -> None:
    """What the process of its own does."""
    store = Activations(folder / "acts")
    rankings = {path.stem: Ranking.load(path) for path in sorted(folder.glob("rankings/*.json"))}
    neurons = np.random.default_rng(3).permutation(store.layers.size)[:cards].tolist()
    neuron_cards(store, neurons, rankings, {"probe": load_probe(folder / "probe")})


def time_report(folder: Path, args: argparse.Namespace) -> Rows:
    page = args.page or folder / "report.html"
    command = [sys.executable, "-m", "fairseq_neuron_plugin.cli.report", str(folder)]
    command += ["--output", str(page), "--force", *args.flags.split()]
    peak = run_sampled(command)
    return [{**row("whole report", peak), "page MB": page.stat().st_size / 1e6}]


def row(what: str, peak: Peak) -> dict[str, Any]:
    return {
        "what": what,
        "wall s": peak.wall,
        "cpu s": peak.cpu,
        "resident MiB": peak.resident,
        "anonymous MiB": peak.anonymous,
    }


PARTS: dict[str, Callable[[Path, argparse.Namespace], Rows]] = {
    "cards": time_cards,
    "report": time_report,
}


def main() -> None:
    args = parse_arguments()
    if args.only_cards:
        only_cards(args.only_cards, args.cards)
        return
    scratch = args.inputs or Path(tempfile.mkdtemp(prefix="bench-report-"))
    try:
        make_inputs(scratch, args)
        found = {part: PARTS[part](scratch, args) for part in args.parts}
        for part, rows in found.items():
            header = list(rows[0])
            table = [
                [f"{cell:.1f}" if isinstance(cell, float) else cell for cell in each.values()]
                for each in rows
            ]
            print(f"\n{part}\n{format_table(['', *header[1:]], table)}", flush=True)
    finally:
        if not args.inputs:
            shutil.rmtree(scratch)
    if args.output:
        shape = {"shape": args.shape, "dtype": args.dtype, "labels": args.labels}
        write_json(args.output, {**shape, **found})


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"bench_report.py: {error}")
