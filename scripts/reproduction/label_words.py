"""Whether the words that drive a label's first neuron have the label (table 3)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from fairseq_neuron_plugin import Ranking
from fairseq_neuron_plugin.probing.probe_folder import load_probe
from reproduction.corpora import read_json
from reproduction.layout import FIRST, Layout, Model

Evidence = dict[str, Any]
WORDS = 8  # on either side of a neuron


def label_words(layout: Layout, model: Model, task: str, labels: Sequence[str]) -> list[Evidence]:
    """Each label's first neuron, the words on the side that its weight points to, and how many
    of them have the label more often than any other in the training text.

    Args:
        labels: those that are asked for; a label without a neuron of its own is left out.
    """
    found = read_json(layout.folder / f"analyses/label-words.{model.name}.{task}/analysis.json")
    by_name = {one["name"]: one for one in found["neurons"]}
    order = Ranking.load(layout.folder / model.ranking(FIRST, task))
    assert order.space is not None
    probe = load_probe(layout.folder / model.probe(task))
    weight = dict(zip(map(str, probe.labels), probe.weight, strict=True))
    label_of = _most_frequent(
        (layout.folder / layout.words(model.language, "auto", "train")).read_text("utf-8").split(),
        (layout.folder / layout.tags(model.language, "auto", task, "train"))
        .read_text("utf-8")
        .split(),
    )
    entries = []
    for label in labels:
        if label not in order.per_label or not np.any(weight[label]):
            continue
        neuron = int(order.per_label[label][0])
        one = by_name[order.space.name_of(neuron)]
        side = "highest" if weight[label][neuron] > 0 else "lowest"
        words = [word["word"] for word in one[side][:WORDS]]
        entries.append(
            {
                "label": label,
                "neuron": one["name"],
                "side": side,
                "words": words,
                "of_label": sum(label_of[word] == label for word in words),
                "chance": sum(other == label for other in label_of.values()) / len(label_of),
            }
        )
    return entries


def _most_frequent(words: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """The most frequent label of each word; of equally frequent ones the first that is met."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, label in zip(words, labels, strict=True):
        counts[word][label] += 1
    return {word: found.most_common(1)[0][0] for word, found in counts.items()}
