"""The other ways to fit a probe that bench_probe.py measures: NeuroX, and scikit-learn's saga."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from pathlib import Path

import numpy as np
import sklearn
import torch
from bench_probe_data import Problem, objective
from bench_probe_timing import Clock
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

MOST_EPOCHS = 4096
HALVINGS = 3  # of the interval that the number of epochs is known to be in

HOW = (
    "NeuroX is not here. scripts/setup.sh installs it where it can; it pins versions of many years "
    "ago, so without them: pip install --no-deps neurox imbalanced-learn sklearn-compat (for a "
    "folder of its own add --target DIR, and give --neurox DIR)"
)


class NeuroX:
    """NeuroX's logistic regression probe, with its defaults.

    Args:
        folder: where it is installed; None: where Python looks anyway.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            sys.path.append(str(folder))  # at the end: nothing in it hides what is installed
        try:
            self.module = importlib.import_module("neurox.interpretation.linear_probe")
        except ImportError as error:
            sys.exit(f"{HOW} ({error})")

    def fit(self, problem: Problem, l1: float, l2: float, seed: int) -> Clock:
        """A whole training; the objective is the probe's here, not NeuroX's own.

        (NeuroX penalises ``l2 |W|_F``, without the square.)
        """
        X = np.asarray(problem.X[:], dtype=np.float32)
        torch.manual_seed(seed)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            clock = Clock()
            model = self.module.train_logistic_regression_probe(
                X, problem.codes, lambda_l1=l1, lambda_l2=l2
            )
            clock.stop()
        weight = model.linear.weight.detach().cpu().numpy().astype(np.float64)
        intercept = model.linear.bias.detach().cpu().numpy().astype(np.float64)
        clock.objective = objective(weight, intercept, problem, l1, l2)
        clock.note = "10 epochs of batches of 32"
        return clock


def saga_to(problem: Problem, l1: float, l2: float, goal: float) -> Clock:
    """saga with the fewest epochs that reach an objective: doubled, then narrowed down.

    It cannot be watched, so each try is a fit of its own, and only the last is timed.
    """
    X = np.asarray(problem.X[:], dtype=np.float32)
    epochs, clock = 1, _saga(problem, X, l1, l2, 1)
    while clock.objective > goal:
        if epochs >= MOST_EPOCHS:
            clock.cpu = clock.wall = None
            clock.note = f"not there after {epochs} epochs"
            return clock
        epochs *= 2
        clock = _saga(problem, X, l1, l2, epochs)
    low, high = epochs // 2, epochs
    for _ in range(HALVINGS):
        middle = (low + high) // 2
        if middle in (low, high):
            break
        tried = _saga(problem, X, l1, l2, middle)
        if tried.objective <= goal:
            high, clock = middle, tried
        else:
            low = middle
    return clock


def _saga(problem: Problem, X: np.ndarray, l1: float, l2: float, epochs: int) -> Clock:
    """scikit-learn minimises ``C sum CE + ratio |w|_1 + (1 - ratio)/2 |w|²``.

    Divided by ``C n`` that is the probe's objective with ``1 / (C n) = l1 + 2 l2`` and
    ``ratio = l1 / (l1 + 2 l2)``.
    """
    # From 1.8 on l1_ratio says which penalty it is, and the parameter `penalty` is deprecated.
    old = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 8)
    kind = {"penalty": "elasticnet"} if old else {}
    model = LogisticRegression(
        C=1 / (len(X) * (l1 + 2 * l2)),
        l1_ratio=l1 / (l1 + 2 * l2),
        solver="saga",
        tol=0.0,
        max_iter=epochs,
        random_state=0,
        **kind,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clock = Clock()
        model.fit(X, problem.codes)
        clock.stop()
    clock.objective = objective(
        model.coef_.astype(np.float64), model.intercept_.astype(np.float64), problem, l1, l2
    )
    clock.note = f"{epochs} epochs"
    return clock
