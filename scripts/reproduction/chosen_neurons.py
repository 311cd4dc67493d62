"""Analyses of neurons that are known only once a ranking of the run is there."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from fairseq_neuron_plugin import Ranking
from reproduction.layout import Layout
from reproduction.runner import BIN, StepError


def draw_first_neuron(layout: Layout, ranking: str, store: str, folder: str) -> None:
    """The picture of a ranking's first neuron, over sentences."""
    first = str(Ranking.load(layout.folder / ranking).neurons[0])
    _analyse(layout, ["neuron", first, "--acts", store], folder)


def write_label_words(layout: Layout, ranking: str, store: str, folder: str) -> None:
    """The top words of each label's first neuron."""
    orders = Ranking.load(layout.folder / ranking).per_label.values()
    neurons = ",".join(map(str, sorted({int(order[0]) for order in orders})))
    _analyse(layout, ["top-words", store, "--neurons", neurons], folder)


def _analyse(layout: Layout, arguments: Sequence[str], folder: str) -> None:
    command = [str(BIN / "fairseq-neuron-analyze"), *arguments, "--output-dir", folder]
    log = layout.folder / "logs" / f"{folder.replace('/', '.')}.log"
    with open(log, "w", encoding="utf-8") as stream:
        done = subprocess.run(command, cwd=layout.folder, stdout=stream, stderr=subprocess.STDOUT)
    if done.returncode:
        raise StepError(f"{folder} ended with {done.returncode}; see {log}")
