"""Activations in which known neurons carry known labels."""

from __future__ import annotations

import numpy as np

LABELS = ("noun", "verb", "adj")
# 0 to 2 carry a label each, 3 is low for verbs, 4 separates adjectives perfectly, 5 and 7 are
# noise, 6 is dead.
CARRIES = {"noun": {0}, "verb": {1, 3}, "adj": {2, 4}}
PERFECT, DEAD, NOISE = 4, 6, (5, 7)


def planted(tokens=600, seed=0):
    """``[tokens, 8]`` in float32 and the labels' codes."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, tokens, p=[0.5, 0.3, 0.2])
    X = 0.6 * rng.normal(size=(tokens, 8))
    for label in range(3):
        X[:, label] += 2 * (codes == label) - 1
    X[:, 3] -= 2 * (codes == 1) - 1
    X[:, PERFECT] = np.where(codes == 2, 0.5, -0.5)
    X[:, DEAD] = 0.1
    return X.astype(np.float32), codes


def named(codes):
    return [LABELS[code] for code in codes]


def scores_by_id(ranking):
    """The scores in the order of the flat ids."""
    return ranking.scores[np.argsort(ranking.neurons)]
