"""Probe against majority baseline by kind of word, for the page of run_tatoeba.py."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fairseq_neuron_plugin import Activations
from fairseq_neuron_plugin.probing.baselines import MajorityBaseline
from fairseq_neuron_plugin.probing.probe_folder import load_probe

AMBIGUOUS = 0.9  # a word is, if its most frequent label has less than this share in training


def compare_by_kind(
    run: Path, model: str, task: str, dictionary: Path
) -> Iterator[tuple[str, int, float, float]]:
    """Kind of word, number of test words, MAJ and probe accuracy in percent."""
    words, labels = _flat(run, task, "train")
    test_words, gold = _flat(run, task, "test")
    baseline = MajorityBaseline().fit(words, labels)
    majority = np.asarray(baseline.predict(test_words)) == np.asarray(gold)
    probe = load_probe(run / f"probe.{model}.{task}")
    activations = Activations(run / f"acts.{model}.{task}.test").array[:]
    predicted = (activations @ probe.weight.T + probe.intercept).argmax(axis=1)
    correct = np.asarray(probe.labels)[predicted] == np.asarray(gold)

    vocabulary = {line.split(" ")[0] for line in dictionary.open(encoding="utf-8")}
    is_known = np.asarray([word in vocabulary for word in test_words])
    is_ambiguous = _ambiguous(words, labels, test_words)
    for kind, chosen in (
        ("ambiguous", is_known & is_ambiguous),
        ("not ambiguous", is_known & ~is_ambiguous),
        ("not in the model's dictionary", ~is_known),
    ):
        accuracies = (100 * float(right[chosen].mean()) for right in (majority, correct))
        yield (kind, int(chosen.sum()), *accuracies)


def _ambiguous(words: Sequence[str], labels: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, label in zip(words, labels, strict=True):
        counts[word][label] += 1
    share = {word: max(found.values()) / found.total() for word, found in counts.items()}
    return np.asarray([share.get(word, 1.0) < AMBIGUOUS for word in asked])


def _flat(run: Path, task: str, split: str) -> tuple[list[str], list[str]]:
    texts = (
        (run / f"{task}.{split}.{kind}").read_text(encoding="utf-8") for kind in ("en", "tags")
    )
    words, labels = (text.split() for text in texts)
    return words, labels
