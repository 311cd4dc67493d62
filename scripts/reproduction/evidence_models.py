"""What the run's files say of one kind of model: probes, curves, neurons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from word_kinds import compare_by_kind, predict, read_vocabulary

from reproduction.analyses import linguistic_tasks
from reproduction.corpora import read_json
from reproduction.evidence_neurons import (
    RARE,
    heatmap,
    overlap,
    position_places,
    shared,
    top_words,
)
from reproduction.label_words import label_words
from reproduction.layout import FIRST, SPLITS, Layout, Model

Evidence = dict[str, Any]
_CELL = ("l1", "l2", "accuracy", "top", "bottom", "top_minus_bottom", "converged")
_ROW = ("ranking", "order", "ablated", "share")
_METRICS = ("bleu", "chrf", "loss", "perplexity")


def model_evidence(layout: Layout, model: Model) -> Evidence:
    """All of it; what is asked of model A alone is of model A."""
    tasks = list(layout.tasks(model.language))
    shown = ("cross-model", linguistic_tasks(layout, model)[-2])
    probes = _probes(layout, model)
    found: Evidence = {
        "language": model.language,
        "is_lm": model.is_lm,
        "neurons": _count_neurons(layout, model),
        "tasks": tasks,
        "probes": probes,
        "word_kinds": {task: list(_word_kinds(layout, model, task)) for task in tasks},
        "sweeps": {part: _sweep(layout, model, part) for part in layout.config.part_names},
        "overlap": overlap(layout, model),
        "shared": shared(layout, model),
        "position": position_places(layout, model),
        "heatmap": heatmap(layout.folder / f"analyses/neuron.{model.name}/analysis.json"),
        "top_words": {
            name: top_words(layout.folder / f"analyses/top-words.{model.name}.{name}")
            for name in shown
        },
        "label_words": {
            task: label_words(layout, model, task, _frequent(probes[task])) for task in tasks
        },
    }
    grid = layout.folder / model.probe(f"{tasks[0]}.grid") / "grid.json"
    if grid.exists():
        cells = read_json(grid)["cells"]
        found["grid"] = {"cells": [{key: cell[key] for key in _CELL} for cell in cells]}
    return found


def _count_neurons(layout: Layout, model: Model) -> int:
    layers = read_json(layout.folder / model.ranking(FIRST, "variance"))["layers"]
    return sum(layer["width"] for layer in layers)


def _probes(layout: Layout, model: Model) -> Evidence:
    tasks = layout.tasks(model.language)
    names = [name for task in tasks for name in (task, f"{task}.gold")] + ["position"]
    months = read_json(layout.folder / model.probe("months") / "result.json")
    if "test" in months:  # else the text has hardly any
        names.append("months")
    return {name: _probe(layout, model, name) for name in names}


def _sweep(layout: Layout, model: Model, part: str) -> Evidence:
    sweep = read_json(layout.folder / model.sweep(part) / "sweep.json")
    rows = [
        {
            key: value
            for key, value in row.items()
            if key in _ROW or key == "length_ratio" or key.startswith(_METRICS)
        }
        for row in sweep["rows"]
    ]
    return {"signature": sweep["signature"], "rows": rows}


def _probe(layout: Layout, model: Model, name: str) -> Evidence:
    result = read_json(layout.folder / model.probe(name) / "result.json")
    wanted = ("ablation", "control", "majority_baseline", "left_out")
    return {
        "signature": result["signature"],
        "accuracy": result["test"]["accuracy"],
        "converged": result["solver"].get("converged"),
        "tokens": {split: result[split]["tokens"] for split in ("train", "test")},
        "labels": {
            row["label"]: {"f1": row["f1"], "support": row["support"]}
            for row in result["test"]["labels"]
        },
        **{key: result[key] for key in wanted if key in result},
    }


def _frequent(probe: Evidence) -> list[str]:
    """Labels of a probe that are not rare, the most frequent ones first."""
    counts = {label: row["support"] for label, row in probe["labels"].items()}
    return sorted((one for one in counts if counts[one] >= RARE), key=lambda one: -counts[one])


def _word_kinds(layout: Layout, model: Model, task: str) -> Iterator[Evidence]:
    """Classifier and baseline where context decides, where the word does, where it is unknown."""
    source, target = model.direction.source, model.direction.target
    vocabulary = read_vocabulary(layout.folder / f"dict/{source}-{target}/dict.{source}.txt")
    predicted = predict(
        layout.folder / model.probe(task), layout.folder / model.acts(FIRST, "auto.test")
    )
    training, test = (
        (
            (layout.folder / layout.words(source, "auto", split)).read_text("utf-8").split(),
            (layout.folder / layout.tags(source, "auto", task, split)).read_text("utf-8").split(),
        )
        for split in SPLITS
    )
    for kind, words, majority, accuracy in compare_by_kind(training, test, predicted, vocabulary):
        if words:
            yield {"kind": kind, "words": words, "majority": majority, "accuracy": accuracy}
