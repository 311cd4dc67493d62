"""Everything that the page is made of, read from the files of the run's steps.

The evidence is plain JSON (``evidence.json``), so that two runs can be compared number by number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

from word_kinds import compare_by_kind, predict, read_vocabulary

from fairseq_neuron_plugin.signature import versions
from reproduction.analyses import SINGLE, linguistic_tasks
from reproduction.layout import FIRST, SPLITS, Layout, Model

Evidence = dict[str, Any]
# What differs between runs of the same: how long it took, and where.
NOT_COMPARED = ("account", "commands")
# The two models whose focus is compared.
KINDS = ("NMT", "LM")
# A label with fewer words cannot weigh many neurons; it says nothing about its class.
RARE = 10
# Words of a sentence that fits a picture.
LONGEST = 16
_CELL = ("l1", "l2", "accuracy", "top", "bottom", "top_minus_bottom")
_ROW = ("ranking", "order", "ablated", "share")
_METRICS = ("bleu", "chrf", "perplexity")


def collect(layout: Layout, journal: dict[str, dict[str, Any]]) -> Evidence:
    """Read the results of a finished run."""
    return {
        "config": layout.config.title,
        "seed": layout.config.seed,
        "versions": {
            **versions("torch", "fairseq", "numpy", "sklearn", "sacrebleu"),
            "spacy": metadata.version("spacy"),
        },
        "taggers": _taggers(layout),
        "parts": layout.config.part_names,
        "texts": _texts(layout),
        "repeated": _repeated(layout),
        "annotated_seen": _annotated_seen(layout),
        "models": {model.name: _model(layout, model) for model in layout.models},
        "focus": dict(_focus(layout)),
        "account": _account(journal),
        "commands": {name: entry["command"] for name, entry in journal.items() if entry["command"]},
    }


def differences(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Places where two pieces of evidence differ, but for what is not compared."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if at or key not in NOT_COMPARED:
                yield from differences(one.get(key), other.get(key), f"{at}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{at}/{number}")
    elif one != other and not (one != one and other != other):  # two NaN are the same figure
        yield f"{at}: {one!r}, {other!r}"


def count_numbers(evidence: Any, at: str = "") -> int:
    """How many numbers are compared."""
    if isinstance(evidence, dict):
        return sum(
            count_numbers(value, key)
            for key, value in evidence.items()
            if at or key not in NOT_COMPARED
        )
    if isinstance(evidence, list):
        return sum(count_numbers(value, at or "list") for value in evidence)
    return int(isinstance(evidence, int | float))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _taggers(layout: Layout) -> Evidence:
    return {
        f"{language}.{task}": _json(layout.folder / f"taggers/{language}.{task}/accuracy.json")
        for language in dict.fromkeys(model.language for model in layout.models)
        for task in layout.tasks(language)
    }


def _texts(layout: Layout) -> Evidence:
    """Sentences and words of the parallel parts."""
    found: Evidence = {}
    for name, corpus in layout.config.corpora.items():
        for split in (*layout.config.part_names, "valid", "test"):
            for language in corpus.languages:
                lines = (layout.folder / layout.text(name, split, language)).read_text(
                    encoding="utf-8"
                )
                found.setdefault(name, {})[f"{split}.{language}"] = {
                    "sentences": lines.count("\n"),
                    "words": len(lines.split()),
                }
    return found


def _lines(layout: Layout, name: str) -> list[str]:
    return (layout.folder / name).read_text(encoding="utf-8").splitlines()


def _repeated(layout: Layout) -> Evidence:
    """Share of the distinct sentences of part A that also stand in another part, by language.

    Pairs are disjoint; a sentence with several translations may be in two parts.
    """
    found: Evidence = {}
    for name, corpus in layout.config.corpora.items():
        for language in corpus.languages:
            first, *others = (
                set(_lines(layout, layout.text(name, part, language)))
                for part in layout.config.part_names
            )
            share = len(first & set().union(*others)) / len(first)
            found[f"{name} {language}"] = share
    return found


def _annotated_seen(layout: Layout) -> Evidence:
    """How many hand-annotated test sentences model A was trained on, word for word."""
    found: Evidence = {}
    for direction in layout.config.directions:
        language = direction.source
        seen = set(_lines(layout, layout.text(direction.corpus, FIRST, language)))
        for task in layout.tasks(language):
            text = layout.gold_text(language, task)
            test = _lines(layout, layout.words(language, text, "test"))
            found[f"{language}.{task}"] = {
                "sentences": len(test),
                "seen": sum(sentence in seen for sentence in test),
            }
    return found


def _model(layout: Layout, model: Model) -> Evidence:
    tasks = linguistic_tasks(layout, model)
    found: Evidence = {
        "language": model.language,
        "is_lm": model.is_lm,
        "tasks": list(layout.tasks(model.language)),
        "probes": {},
        "word_kinds": {
            task: list(_word_kinds(layout, model, task)) for task in layout.tasks(model.language)
        },
        "sweeps": {},
        "overlap": _overlap(layout, model),
        "shared": _shared(layout, model),
        "position": _position_places(layout, model),
        "heatmap": _heatmap(layout.folder / f"analyses/neuron.{model.name}/analysis.json"),
        "top_words": {
            name: _top_words(layout.folder / f"analyses/top-words.{model.name}.{name}")
            for name in ("cross-model", tasks[-2])
        },
    }
    for task in layout.tasks(model.language):
        found["probes"][task] = _probe(layout, model, task)
        found["probes"][f"{task}.gold"] = _probe(layout, model, f"{task}.gold")
    found["probes"]["position"] = _probe(layout, model, "position")
    months = _json(layout.folder / model.probe("months") / "result.json")
    if "test" in months:  # else the text has hardly any
        found["probes"]["months"] = _probe(layout, model, "months")
    grid = layout.folder / model.probe(f"{next(iter(layout.tasks(model.language)))}.grid")
    if (grid / "grid.json").exists():
        cells = _json(grid / "grid.json")["cells"]
        found["grid"] = {"cells": [{key: cell[key] for key in _CELL} for cell in cells]}
    for part in layout.config.part_names:
        sweep = _json(layout.folder / model.sweep(part) / "sweep.json")
        found["sweeps"][part] = {
            "signature": sweep["signature"],
            "rows": [
                {
                    key: row[key]
                    for key in row
                    if key in _ROW or key == "length_ratio" or key.startswith(_METRICS)
                }
                for row in sweep["rows"]
            ],
        }
    found["neurons"] = sum(
        layer["width"]
        for layer in _json(layout.folder / model.ranking(FIRST, "variance"))["layers"]
    )
    return found


def _probe(layout: Layout, model: Model, name: str) -> Evidence:
    result = _json(layout.folder / model.probe(name) / "result.json")
    wanted = ("ablation", "control", "majority_baseline", "left_out")
    return {
        "signature": result["signature"],
        "accuracy": result["test"]["accuracy"],
        "tokens": {split: result[split]["tokens"] for split in ("train", "test")},
        "labels": {
            row["label"]: {"f1": row["f1"], "support": row["support"]}
            for row in result["test"]["labels"]
        },
        **{key: result[key] for key in wanted if key in result},
    }


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


def _overlap(layout: Layout, model: Model) -> Evidence:
    """Share of the first tenth that each ranking has in common with the cross-model one."""
    found = _json(layout.folder / f"analyses/overlap.{model.name}/analysis.json")
    names = [ranking["name"] for ranking in found["rankings"]]
    point = found["points"][0]
    return {
        "k": point["k"],
        "chance": point["chance"],
        "names": names,
        "share": point["share"],
    }


def _shared(layout: Layout, model: Model) -> Evidence:
    found = _json(layout.folder / f"analyses/shared.{model.name}/analysis.json")
    return {
        "properties": [Path(name).name.split(".")[-1] for name in found["properties"]],
        "common_of_properties": found["common_of_properties"],
        "neurons": found["neurons"],
        "by_number_of_labels": found["neurons_by_number_of_labels"],
        "by_chance": found["the_same_by_chance"],
        "first": [
            {
                "neuron": one["neuron"],
                "which": [f"{w['property'].split('.')[-1]}:{w['label']}" for w in one["which"]],
            }
            for one in found["shared"][:8]
        ],
    }


def _position_places(layout: Layout, model: Model) -> list[Evidence]:
    """Where the neurons that know most of the position stand in the other rankings.

    Known most: by the F statistic of each neuron alone, over first, middle and last thirds.
    """
    first = _json(layout.folder / model.ranking(FIRST, "position-F"))["neurons"][:5]
    places: list[Evidence] = [{"neuron": neuron} for neuron in first]
    for name in ("cross-model", *SINGLE):
        order = _json(layout.folder / model.ranking(FIRST, name))["neurons"]
        place = {neuron: number + 1 for number, neuron in enumerate(order)}
        for entry in places:
            entry[name] = place[entry["neuron"]]
    return places


def _heatmap(path: Path) -> Evidence:
    """Sentences with a neuron's highest and lowest activations, each once."""
    card = _json(path)["card"]
    found = {tuple(one["words"]): one["values"] for one in (*card["highest"], *card["lowest"])}
    sentences = [
        {"words": list(words), "values": [round(value, 3) for value in values]}
        for words, values in found.items()
        if len(words) <= LONGEST
    ]
    return {"neuron": card["name"], "sentences": sentences}


def _top_words(folder: Path) -> list[Evidence]:
    return [
        {
            "neuron": one["name"],
            "explained": one["explained"],
            **{side: [word["word"] for word in one[side][:8]] for side in ("highest", "lowest")},
        }
        for one in _json(folder / "analysis.json")["neurons"]
    ]


def _focus(layout: Layout) -> Iterator[tuple[str, Evidence]]:
    """Neurons for a quarter of each label's weight, in the translation and the language model."""
    for language in dict.fromkeys(model.language for model in layout.models):
        for name, task in layout.tasks(language).items():
            found = _json(layout.folder / f"analyses/focus.{language}.{name}/analysis.json")
            group_of = {
                label: group
                for group, labels in (("open", task.open), ("closed", task.closed))
                for label in labels
            }
            labels = [
                {
                    "label": one["label"],
                    "group": group_of.get(one["label"]),
                    "neurons": list(one["neurons"].values()),
                    "test_tokens": max(filter(None, one["test_tokens"].values()), default=0),
                }
                for one in found["labels"]
            ]
            yield f"{language}.{name}", {"labels": labels, "groups": list(_groups(labels))}


def _groups(labels: list[Evidence]) -> Iterator[Evidence]:
    """Means over the labels of a group that are not rare, for each kind of model."""
    for number, kind in enumerate(KINDS):
        for group in ("open", "closed"):
            counts = [
                one["neurons"][number]
                for one in labels
                if one["group"] == group and one["test_tokens"] >= RARE and all(one["neurons"])
            ]
            if counts:
                mean = fmean(counts)
                yield {"kind": kind, "group": group, "labels": len(counts), "mean": mean}


def _account(journal: dict[str, dict[str, Any]]) -> Evidence:
    """Steps and seconds of each kind."""
    found: Evidence = {}
    for entry in journal.values():
        if entry.get("taken"):  # of another run
            continue
        kind = found.setdefault(entry["kind"], {"steps": 0, "seconds": 0.0})
        kind["steps"] += 1
        kind["seconds"] = round(kind["seconds"] + entry["seconds"], 1)
    return found
