"""The first step of each kind on a cut of the data, and what it says about the whole run."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Sequence

from reproduction.config import Config
from reproduction.runner import Journal, Step

# Of a cut: enough for every command to have something to do.
PAIRS, TEST_PAIRS, SENTENCES, TAGGED = 500, 40, 200, 400
POINTS = "0,10%"


def cut(config: Config) -> Config:
    """The same models and commands with few sentences, one epoch and two points."""
    small = copy.deepcopy(config)
    small.parts = 2
    for corpus in small.corpora.values():
        corpus.pairs = min(corpus.pairs, PAIRS)
        corpus.threshold = 1  # else next to no word of so few sentences is known
        corpus.valid_pairs = min(corpus.valid_pairs, TEST_PAIRS)
        corpus.test_pairs = min(corpus.test_pairs, TEST_PAIRS)
    training, classifier = small.training, small.classifier
    training.translation += " --max-epoch 1"
    training.language_model += " --max-epoch 1"
    small.tagger.epochs = 1
    small.tagger.train_sentences = min(small.tagger.train_sentences, TAGGED)
    for name in ("train", "test", "gold_train", "gold_test"):
        field = f"{name}_sentences"
        setattr(classifier, field, min(getattr(classifier, field), SENTENCES))
    classifier.grid_sentences = min(classifier.grid_sentences, SENTENCES)
    small.sweeps.points = POINTS
    return small


def first_of_each_kind(steps: Sequence[Step]) -> list[Step]:
    """The first step of each kind, with all that it needs; the report last is left out."""
    maker = {step.result: step for step in steps}
    wanted: dict[str, Step] = {}

    def want(step: Step) -> None:
        if step.name not in wanted:
            for need in step.needs:
                if need in maker:
                    want(maker[need])
            wanted[step.name] = step

    kinds: set[str] = set()
    for step in steps:
        if step.kind not in kinds and step.kind != "report":
            kinds.add(step.kind)
            want(step)
    return [step for step in steps if step.name in wanted]


def scale(kind: str, config: Config, small: Config) -> float:
    """How much more a step of this kind has to do in the whole run."""

    def ratio(name: str) -> float:
        corpora = zip(config.corpora.values(), small.corpora.values(), strict=True)
        return max(getattr(whole, name) / getattr(part, name) for whole, part in corpora)

    whole, part = config.classifier, small.classifier
    if kind.startswith("train ") and kind != "train tagger":
        training = config.training
        flags = training.language_model if "language" in kind else training.translation
        epochs = re.findall(r"--max-epoch[ =](\d+)", flags)
        return ratio("pairs") * (int(epochs[-1]) if epochs else 1)
    if kind == "train tagger":
        # The treebanks here have up to 12,500 sentences.
        sentences = min(config.tagger.train_sentences, 12_500) / small.tagger.train_sentences
        return sentences * config.tagger.epochs
    if kind in ("extract", "probe", "rank", "analyse"):
        return whole.train_sentences / part.train_sentences
    if kind == "gold probe":
        return whole.gold_train_sentences / part.gold_train_sentences
    if kind == "grid":
        return whole.grid_sentences / part.grid_sentences
    if kind in ("translate", "score"):
        points = config.sweeps.points.count(",") / small.sweeps.points.count(",")
        return ratio("test_pairs") * points
    return ratio("pairs")


def estimate(
    steps: Sequence[Step], journal: Journal, config: Config, small: Config
) -> list[tuple[str, int, float, float]]:
    """Kind, number of steps, seconds of the first on the cut, and hours of all in the whole run.

    Rough: start-up is counted as if it grew with the data, which is too much for short steps, and a
    cut has fewer words than the whole, so that training is too little. One after another, on the
    machine of the trial.
    """
    found = []
    for kind, count in Counter(step.kind for step in steps).items():
        taken = [e["seconds"] for e in journal.entries.values() if e["kind"] == kind]
        if taken:
            mean = sum(taken) / len(taken)
            found.append((kind, count, mean, count * mean * scale(kind, config, small) / 3600))
    return found
