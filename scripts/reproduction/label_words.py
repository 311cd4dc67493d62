"""Whether the words that drive a label's first neuron have the label (table 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from fairseq_neuron_plugin import Ranking
from fairseq_neuron_plugin.probing.baselines import MajorityBaseline
from fairseq_neuron_plugin.probing.probe_folder import load_probe
from reproduction.chosen_neurons import MIN_COUNT
from reproduction.corpora import read_json
from reproduction.layout import FIRST, Layout, Model

Evidence = dict[str, Any]


def label_words(layout: Layout, model: Model, task: str, labels: Sequence[str]) -> list[Evidence]:
    """Each label's first neuron, the words that drive it the way its weight points, and how many
    of these have the label.

    A word has the label that it has most often in the training text; of equally frequent ones the
    first in sorted order. ``of_all`` is how many of the ``candidates``, the words that are frequent
    enough to be shown, have the label, and ``probability`` that of drawing as many of them by
    chance, or more (hypergeometric).

    Args:
        labels: those that are asked for; a label without a neuron of its own is left out.
    """
    found = read_json(layout.folder / f"analyses/label-words.{model.name}.{task}/analysis.json")
    by_name = {one["name"]: one for one in found["neurons"]}
    order = Ranking.load(layout.folder / model.ranking(FIRST, task))
    assert order.space is not None
    probe = load_probe(layout.folder / model.probe(task))
    weight = dict(zip(map(str, probe.labels), probe.weight, strict=True))
    label_of = _labels_of_words(layout, model, task)
    count = Counter(label_of.values())
    entries = []
    for label in labels:
        if label not in order.per_label or not np.any(weight[label]):
            continue
        neuron = int(order.per_label[label][0])
        one = by_name[order.space.name_of(neuron)]
        side = "highest" if weight[label][neuron] > 0 else "lowest"
        words = [word["word"] for word in one[side]]
        of_label = sum(label_of[word] == label for word in words)
        chance = hypergeom(len(label_of), count[label], len(words)).sf(of_label - 1)
        entries.append(
            {
                "label": label,
                "neuron": one["name"],
                "side": side,
                "words": words,
                "of_label": of_label,
                "of_all": count[label],
                "candidates": len(label_of),
                "probability": float(chance),
            }
        )
    return entries


def _labels_of_words(layout: Layout, model: Model, task: str) -> dict[str, str]:
    """The most frequent label of each word that is frequent enough to be shown."""
    words, labels = (
        (layout.folder / name).read_text("utf-8").split()
        for name in (
            layout.words(model.language, "auto", "train"),
            layout.tags(model.language, "auto", task, "train"),
        )
    )
    by_word = MajorityBaseline().fit(words, labels).by_word_
    return {word: by_word[word] for word, times in Counter(words).items() if times >= MIN_COUNT}
