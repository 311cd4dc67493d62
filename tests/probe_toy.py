"""Toy problems for probes, and what their optimum must fulfil: written from the equations."""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe


def problem(tokens: int, neurons: int, labels: int, correlated: bool = False, seed: int = 0):
    """Activations and label codes that a linear probe explains in part."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(tokens, neurons))
    if correlated:
        X = X @ rng.normal(size=(neurons, neurons)) / np.sqrt(neurons) + rng.normal(
            size=(tokens, 1)
        )
    weight = rng.normal(size=(labels, neurons)) * (rng.random((labels, neurons)) < 0.4)
    y = (X @ weight.T + 1.5 * rng.gumbel(size=(tokens, labels))).argmax(axis=1)
    return X, y


def with_rare_labels(tokens: int, neurons: int, labels: int, seed: int = 0):
    """The same with label frequencies by Zipf; the rarest few are seen a handful of times."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, labels + 1) ** 1.5
    y = rng.choice(labels, tokens, p=share / share.sum())
    y[:labels] = np.arange(labels)
    X = 0.8 * rng.normal(size=(labels, neurons))[y] + rng.normal(size=(tokens, neurons))
    return X, y


def probabilities(weight, intercept, X):
    logits = X.astype(np.float64) @ weight.T + intercept
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    return logits / logits.sum(axis=1, keepdims=True)


def value(weight, intercept, X, y, l1: float, l2: float) -> float:
    """The objective, in float64 on the data as given."""
    logits = X.astype(np.float64) @ weight.T + intercept
    top = logits.max(axis=1, keepdims=True)
    norm = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    entropy = (norm - logits[np.arange(len(y)), y]).mean()
    return entropy + l1 * np.abs(weight).sum() + l2 * (weight**2).sum()


def slopes(weight, intercept, X, y, centred: bool):
    """Gradient of the mean cross-entropy: for the weights and for the intercept."""
    error = probabilities(weight, intercept, X)
    error[np.arange(len(y)), y] -= 1
    X = X.astype(np.float64)
    return error.T @ (X - X.mean(axis=0) if centred else X) / len(y), error.mean(axis=0)


def kkt_residual(probe, X, y, centred: bool = True) -> float:
    """Largest entry of the smallest subgradient, entry by entry from its definition."""
    gradient, free = slopes(probe.coef_, probe.intercept_, X, y, centred)
    gradient = gradient + 2 * probe.l2 * probe.coef_
    worst = np.abs(free).max()
    for slope, weight in zip(gradient.ravel(), probe.coef_.ravel(), strict=True):
        if weight == 0:
            worst = max(worst, abs(slope) - probe.l1)
        else:
            worst = max(worst, abs(slope + probe.l1 * np.sign(weight)))
    return float(worst)


def duality_gap(probe, X, y) -> float:
    """How far the objective is from the optimum at most, by weak duality; needs ``l2 > 0``.

    For any ``p_i`` in the simplex with ``mean_i p_i`` the labels' frequencies, the optimum is at
    least ``mean_i H(p_i) - sum_jk max(|G_jk| - l1, 0)² / (4 l2)``, ``G = mean_i (p_i - y_i) x_i``
    (the conjugates of the cross-entropy and of the penalty). ``p`` are the probe's probabilities,
    mixed with as much of one constant as makes their mean right.
    """
    chances = probabilities(probe.coef_, probe.intercept_, X)
    frequency = np.bincount(y, minlength=chances.shape[1]) / len(y)
    excess = chances.mean(axis=0) - frequency
    mixed = max(0.0, float((excess / (excess + frequency)).max()))
    if mixed:
        constant = (frequency - (1 - mixed) * chances.mean(axis=0)) / mixed
        chances = (1 - mixed) * chances + mixed * np.maximum(constant, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(chances > 0, chances * np.log(chances), 0).sum(axis=1).mean()
    chances[np.arange(len(y)), y] -= 1
    X = X.astype(np.float64)
    over = np.maximum(np.abs(chances.T @ (X - X.mean(axis=0)) / len(y)) - probe.l1, 0)
    bound = entropy - (over**2).sum() / (4 * probe.l2)
    return value(probe.coef_, probe.intercept_, X, y, probe.l1, probe.l2) - float(bound)


def saga(X, y, l1: float, l2: float, max_iter: int = 5000):
    """scikit-learn's optimum as weights ``[labels, neurons]`` and intercepts ``[labels]``.

    Its objective is ``C sum CE + ratio |w|_1 + (1 - ratio)/2 |w|²``. With two labels it has one
    row ``w``; the optimum with two rows is ``∓w/2``, whose penalty is ``l1 |w|_1 + l2/2 |w|²``.
    """
    two = len(np.unique(y)) == 2
    ridge = l2 if two else 2 * l2
    release = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    kind = {} if release >= (1, 8) else {"penalty": "elasticnet"}
    model = LogisticRegression(
        C=1 / (len(y) * (l1 + ridge)),
        l1_ratio=l1 / (l1 + ridge),
        solver="saga",
        tol=1e-10,
        max_iter=max_iter,
        random_state=0,
        **kind,
    ).fit(X, y)
    if not two:
        return model.coef_, model.intercept_
    halves = np.array([[-0.5], [0.5]])
    return halves * model.coef_, (halves * model.intercept_)[:, 0]


FLOATS = (np.float16, np.float32, np.float64)


def fitted(X, y, l1: float = 1e-3, l2: float = 1e-3, **settings) -> ElasticNetProbe:
    return ElasticNetProbe(l1, l2, **settings).fit(X, y)


def large(tokens: int = 1700, neurons: int = 320, labels: int = 6):
    """Activations in float16, and more of them than the solver works on in float64."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, labels, tokens)
    centres = 0.5 * rng.normal(size=(labels, neurons)) * (rng.random((labels, neurons)) < 0.2)
    X = np.tanh(centres[y] + 0.8 * rng.normal(size=(tokens, neurons)))
    return X.astype(np.float16), y
