"""Probe against majority baseline by kind of word: does context decide, or the word alone?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from fairseq_neuron_plugin import Activations
from fairseq_neuron_plugin.files import StrPath
from fairseq_neuron_plugin.probing.baselines import MajorityBaseline
from fairseq_neuron_plugin.probing.probe_folder import load_probe

AMBIGUOUS = 0.9  # a word is, if its most frequent label has less than this share in training
BLOCK = 8192  # words at a time


def read_vocabulary(dictionary: Path) -> set[str]:
    """Words of a ``dict.LANGUAGE.txt`` of fairseq."""
    return {line.split(" ")[0] for line in dictionary.open(encoding="utf-8")}


def predict(probe_folder: StrPath, store: StrPath) -> list[str]:
    """The probe's label of each word of an activation store."""
    classifier = load_probe(probe_folder).classifier()
    rows = Activations(store).array
    blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
    return [str(label) for block in blocks for label in classifier.predict(block)]


def compare_by_kind(
    training: tuple[Sequence[str], Sequence[str]],
    test: tuple[Sequence[str], Sequence[str]],
    predicted: Sequence[str],
    vocabulary: Collection[str],
) -> Iterator[tuple[str, int, float, float]]:
    """Kind of word, number of test words, MAJ and probe accuracy in percent.

    Args:
        training: words and their labels, of the same length.
        test: the same of the test set.
        predicted: the probe's labels of the test words.
        vocabulary: words that the model knows; others are ``<unk>`` to it.
    """
    words, gold = test
    baseline = MajorityBaseline().fit(*training)
    majority = np.asarray(baseline.predict(words)) == np.asarray(gold)
    correct = np.asarray(predicted) == np.asarray(gold)
    is_known = np.asarray([word in vocabulary for word in words])
    is_ambiguous = _ambiguous(*training, words)
    for kind, chosen in (
        ("ambiguous", is_known & is_ambiguous),
        ("not ambiguous", is_known & ~is_ambiguous),
        ("not in the model's dictionary", ~is_known),
    ):
        yield kind, int(chosen.sum()), _percent(majority[chosen]), _percent(correct[chosen])


def _percent(right: np.ndarray) -> float:
    return 100 * float(right.mean()) if len(right) else float("nan")


def _ambiguous(words: Sequence[str], labels: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, label in zip(words, labels, strict=True):
        counts[word][label] += 1
    share = {word: max(found.values()) / found.total() for word, found in counts.items()}
    return np.asarray([share.get(word, 1.0) < AMBIGUOUS for word in asked])
