"""What the run's analyses say of neurons: sharing, position, words, sentences, focus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from fairseq_neuron_plugin import Activations
from reproduction.corpora import read_json
from reproduction.layout import FIRST, SINGLE, Layout, Model

Evidence = dict[str, Any]
# The two models whose focus is compared.
KINDS = ("NMT", "LM")
# A label with fewer words cannot weigh many neurons; it says nothing about its class.
RARE = 10
THIRDS = 3  # labels of the position
# Words of a sentence that fits a picture.
LONGEST = 16


def overlap(layout: Layout, model: Model) -> Evidence:
    """Share of the first tenth that each ranking has in common with the cross-model one."""
    found = read_json(layout.folder / f"analyses/overlap.{model.name}/analysis.json")
    names = [ranking["name"] for ranking in found["rankings"]]
    point = found["points"][0]
    return {
        "k": point["k"],
        "chance": point["chance"],
        "names": names,
        "share": point["share"],
    }


def shared(layout: Layout, model: Model) -> Evidence:
    found = read_json(layout.folder / f"analyses/shared.{model.name}/analysis.json")
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


def position_places(layout: Layout, model: Model) -> list[Evidence]:
    """Where the neurons that know most of the position stand in the other rankings.

    Known most: by the F statistic of each neuron alone, over first, middle and last thirds.
    """
    by_f = read_json(layout.folder / model.ranking(FIRST, "position-F"))
    words = len(Activations(layout.folder / model.acts(FIRST, "auto.train")).array)
    places: list[Evidence] = [
        {"neuron": neuron, "explained": explained(score, THIRDS, words)}
        for neuron, score in list(zip(by_f["neurons"], by_f["scores"], strict=True))[:5]
    ]
    for name in ("cross-model", *SINGLE):
        order = read_json(layout.folder / model.ranking(FIRST, name))["neurons"]
        place = {neuron: number + 1 for number, neuron in enumerate(order)}
        for entry in places:
            entry[name] = place[entry["neuron"]]
    return places


def explained(f: float, groups: int, words: int) -> float:
    """Share of a neuron's variance that a grouping of the words explains, from its F statistic."""
    between = f * (groups - 1)
    return between / (between + words - groups)


def heatmap(path: Path) -> Evidence:
    """Sentences with a neuron's highest and lowest activations, each once."""
    card = read_json(path)["card"]
    found = {tuple(one["words"]): one["values"] for one in (*card["highest"], *card["lowest"])}
    sentences = [
        {"words": list(words), "values": [round(value, 3) for value in values]}
        for words, values in found.items()
        if len(words) <= LONGEST
    ]
    return {"neuron": card["name"], "sentences": sentences}


def top_words(folder: Path) -> list[Evidence]:
    """Neurons, and the words that drive them highest and lowest."""
    return [
        {
            "neuron": one["name"],
            "explained": one["explained"],
            **{side: [word["word"] for word in one[side][:8]] for side in ("highest", "lowest")},
        }
        for one in read_json(folder / "analysis.json")["neurons"]
    ]


def focus(layout: Layout) -> Iterator[tuple[str, Evidence]]:
    """Neurons for a quarter of each label's weight, in the translation and the language model."""
    for language in dict.fromkeys(model.language for model in layout.models):
        for name, task in layout.tasks(language).items():
            found = read_json(layout.folder / f"analyses/focus.{language}.{name}/analysis.json")
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
