"""A sweep without a model: numbers that follow from the neurons alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fairseq_neuron_plugin.evaluation.evaluator import Evaluation, Evaluator, Intervention, Progress
from fairseq_neuron_plugin.sweeps.held import HeldAt
from fairseq_neuron_plugin.sweeps.points import Point
from fairseq_neuron_plugin.sweeps.run import SweepPlan

RESAMPLES = 40


class ToyEvaluator(Evaluator):
    """Three lines and one metric.

    Args:
        folder: for what has to be hashed.
        trouble: called with the number of neurons before each evaluation.
    """

    columns = ("score", "score_low", "score_high", "sentences")
    metrics = ("score",)
    references = ("eins", "zwei", "drei")

    def __init__(self, folder: Path, trouble: Callable[[int], object] = lambda neurons: None):
        (folder / "model").write_text("toy")
        self.session = SimpleNamespace(paths=[str(folder / "model")], cuda=False)
        self.trouble = trouble
        self.chunks: list[int] = []  # sizes, of those evaluated in this process

    def __len__(self) -> int:
        return 3

    def evaluate(self, intervention: Intervention, progress: Progress) -> Evaluation:
        ids = [i for chosen in intervention.neurons.values() for i in chosen]
        self.trouble(len(ids))
        for _ in range(3):
            time.sleep(0.001)
            progress(1)
        scores = 50 - 3 * len(ids) + np.random.default_rng(sum(ids)).normal(size=RESAMPLES)
        numbers = {"score": 50.0 - 3 * len(ids), "score_low": scores.min(), "sentences": 3}
        numbers["score_high"] = scores.max()
        return Evaluation(numbers, [f"{n} {sorted(ids)}" for n in range(3)], {"score": scores})

    def evaluate_together(
        self, interventions: Sequence[Intervention], progress: Progress
    ) -> list[Evaluation]:
        self.chunks.append(len(interventions))
        return super().evaluate_together(interventions, progress)

    def data_hash(self) -> str:
        return "data"

    def settings(self) -> dict[str, object]:
        return {"toy": 1}


def make_plan(counts: Sequence[int] = (0, 2, 5, 8), neurons: int = 8) -> SweepPlan:
    """Points from both ends of one ranking: the first and the last of the counts are twins."""
    points = []
    for order in ("top", "bottom"):
        ids = range(neurons) if order == "top" else range(neurons)[::-1]
        for count in counts:
            chosen = {"layer": sorted(ids[:count])} if count else {}
            points.append(Point("r", order, count, count / neurons, chosen))
    return SweepPlan(points, HeldAt(0.0), "recurrent", "test", {})


def content(folder: Path) -> dict[str, object]:
    """Everything in a sweep's folder but the seconds; pictures left out."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name == "sweep.json":
            table = json.loads(path.read_text())
            rows = [table["baseline"], *table["rows"]]
            found[name] = {**table, "rows": [{**row, "seconds": 0} for row in rows]}
            found[name].pop("baseline")
        elif name == "sweep.csv":
            lines = path.read_text().splitlines()
            assert lines[0].endswith(",seconds")
            found[name] = [line.rpartition(",")[0] for line in lines]
        elif path.is_file() and name not in ("sweep.png", "sweep.svg"):
            found[name] = path.read_bytes()
    return found


def children() -> set[int]:
    """Ids of this process's own children that still run."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == os.getpid() and state != "Z":
                found.add(int(folder.name))
    return found
