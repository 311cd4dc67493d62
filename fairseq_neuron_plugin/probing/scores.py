"""Accuracy, and precision, recall and F1 of each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_fscore_support


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label; ``support`` is how many tokens have it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """How predictions fare.

    Attributes:
        accuracy: share of tokens whose label is right, 0 to 1. Tokens whose label training did
            not know are counted, as wrong.
        tokens: how many there are.
        labels: a score for each label that occurs or is predicted, in sorted order.
        unseen: labels that training did not know, with the number of their tokens.
    """

    accuracy: float
    tokens: int
    labels: tuple[LabelScore, ...]
    unseen: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The scores as they stand in result files."""
        return asdict(self)


def score_labels(gold: Sequence[str], predicted: Sequence[str], known: Collection[str]) -> Scores:
    """Compare parallel lists of labels.

    Args:
        gold: the right labels.
        predicted: what was predicted.
        known: the labels of the training data.

    Raises:
        ValueError: nothing to score, or lengths that differ.
    """
    if len(gold) != len(predicted) or not len(gold):
        raise ValueError(f"cannot score {len(predicted)} predictions of {len(gold)} labels")
    right, guess = np.asarray(gold), np.asarray(predicted)
    names = np.unique(np.concatenate([right, guess]))
    columns = precision_recall_fscore_support(right, guess, labels=names, zero_division=0.0)
    rows = zip(names.tolist(), *(column.tolist() for column in columns), strict=True)
    unseen = Counter(label for label in right.tolist() if label not in known)
    return Scores(
        accuracy=float((right == guess).mean()),
        tokens=len(right),
        labels=tuple(LabelScore(*row) for row in rows),
        unseen=dict(sorted(unseen.items())),
    )
