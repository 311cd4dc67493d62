#!/usr/bin/env python3
"""How fast extraction is, against the bare forward pass, and how much memory it needs.

    scripts/bench_extract.py checkpoint_best.pt data-bin --input train.en

The same batches go through the same model in turn, in one process: bare (no tap, no store, batches
collated beforehand) and as an extraction does it (collated, tapped, pooled, written to disk). Peak
memory is that of `fairseq-neuron-extract` itself, in a process for each length of the text.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from fairseq_neuron_plugin.checkpoint_task import task_flags
from fairseq_neuron_plugin.cli.common import format_table, quiet_fairseq
from fairseq_neuron_plugin.corpora import Batch, Corpus, read_text
from fairseq_neuron_plugin.corpora.corpus import Reader
from fairseq_neuron_plugin.extraction import ExtractionSettings, extract
from fairseq_neuron_plugin.forward import run_batch
from fairseq_neuron_plugin.loading import Session, open_session


@dataclass
class Recorder:
    """A reader that remembers its batches."""

    reader: Reader
    batches: list[Batch] = field(default_factory=list)

    @property
    def limited(self):
        return self.reader.limited

    def batch(self, numbers: Sequence[int], sentence_end: bool) -> Batch:
        self.batches.append(self.reader.batch(numbers, sentence_end))
        return self.batches[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("checkpoint")
    parser.add_argument("data")
    parser.add_argument("--input", required=True, help="text, a sentence a line")
    parser.add_argument("--target-input", help="its translation, for layers of the decoder")
    parser.add_argument("--layers")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--max-tokens", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=10000, help="of the text, for the speed")
    parser.add_argument("--lengths", default="5000,40000", help="in sentences, for the memory")
    args, flags = parser.parse_known_args()
    quiet_fairseq()
    with tempfile.TemporaryDirectory() as scratch:
        measure_speed(args, flags, Path(scratch))
        measure_memory(args, flags, Path(scratch))


def measure_speed(args: argparse.Namespace, flags: list[str], scratch: Path) -> None:
    session = open_session(
        [args.data, "--path", args.checkpoint, *flags, *task_flags(args.checkpoint, flags)]
    )
    texts = [
        cut(text, args.sentences, scratch / f"speed{n}")
        for n, text in enumerate(filter(None, (args.input, args.target_input)))
    ]
    settings = ExtractionSettings(args.layers, dtype=args.dtype, max_tokens=args.max_tokens)
    plain = read_text(session, *texts)
    recorder = Recorder(plain.reader)
    corpus = replace(plain, reader=recorder)
    _ = corpus.frame  # read once, before what is timed
    recorder.batches.clear()
    extract(session, corpus, scratch / "first", settings)
    batches = list(recorder.batches)
    symbols = int(corpus.costs.sum())
    bare, extracted = [], []
    for number in range(args.rounds):
        bare.append(timed(lambda: run_bare(session, batches, corpus)))
        folder = scratch / f"acts{number}"
        extracted.append(timed(lambda to=folder: extract(session, plain, to, settings)))
    rows = []
    for what, runs in (("bare forward", bare), ("extraction", extracted)):
        wall, cpu = (statistics.median(times) for times in zip(*runs, strict=True))
        rows.append([what, wall, cpu, symbols / wall])
    print(
        f"{symbols} symbols, {len(batches)} batches, medians of {args.rounds}, "
        f"{torch.get_num_threads()} threads"
    )
    for row in rows:
        row += [rows[0][1] / row[1], rows[0][2] / row[2]]
    header = ["", "seconds", "CPU s", "symbols/s", "ratio", "ratio of CPU"]
    print(format_table(header, rows))


def run_bare(session: Session, batches: Sequence[Batch], corpus: Corpus) -> None:
    with torch.no_grad():
        for batch in batches:
            run_batch(session, batch, corpus.side)


def measure_memory(args: argparse.Namespace, flags: list[str], scratch: Path) -> None:
    rows, peaks = [], []
    lengths = [int(length) for length in args.lengths.split(",")]
    for length in lengths:
        command = [
            *(sys.executable, "-m", "fairseq_neuron_plugin.cli.extract", args.data),
            *("--path", args.checkpoint, "--dtype", args.dtype, *flags),
            *("--max-tokens", str(args.max_tokens), "--output-dir", str(scratch / f"m{length}")),
            *("--input", str(cut(args.input, length, scratch / "text"))),
        ]
        if args.target_input:
            command += ["--target-input", str(cut(args.target_input, length, scratch / "target"))]
        if args.layers:
            command += ["--layers", args.layers]
        start = time.perf_counter()
        peaks.append(peak_memory(command))
        rows.append((f"{length} sentences", time.perf_counter() - start, peaks[-1] / 2**20))
    print(format_table(["whole command", "seconds", "peak MiB"], rows))
    if len(lengths) > 1:
        growth = (peaks[-1] - peaks[0]) / (lengths[-1] - lengths[0])
        print(f"{growth:.0f} bytes more a sentence")


def peak_memory(command: list[str]) -> int:
    """Peak resident bytes of a process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cut(text: str, sentences: int, path: Path) -> Path:
    """So many lines of a text, from its beginning again where it ends."""
    lines = Path(text).read_text(encoding="utf-8").split("\n")[:-1]
    path.write_text("\n".join(itertools.islice(itertools.cycle(lines), sentences)) + "\n")
    return path


def timed(action) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
