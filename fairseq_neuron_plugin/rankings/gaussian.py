"""Neurons chosen one after the other by what they add to a normal model of each label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..coded import Coded
from ..errors import UserError
from ..ranking import Ranking
from ..signature import format_signature, versions
from .blocks import Places, Progress
from .held_out_tokens import HeldOutTokens
from .label_normals import LabelNormals
from .moments import RowSource, check_matrix
from .registry import ranking_method
from .scored import read_labels_of

Float64 = npt.NDArray[np.float64]

TIE = 1e-6  # bits: what float32 cannot tell


@ranking_method("gaussian", inputs="labels")
def gaussian(
    X: RowSource,
    y: Coded | Iterable[object],
    *,
    steps: int = 50,
    criterion: Literal["log-likelihood", "accuracy"] = "log-likelihood",
    estimate: Literal["mean", "mode"] = "mean",
    tokens: int = 10_000,
    held_out: float = 0.2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranking:
    """By what it adds to one normal per label, greedily (Torroba Hennigen et al. 2020).

    Each label's activations are taken for one multivariate normal ("Intrinsic Probing through
    Dimension Selection"). The normal of any set of neurons is a marginal of it, so every set's
    classifier is known without training. In each step that neuron is chosen with which the labels
    of held-out tokens are most probable. The mutual information of labels and neurons is the
    labels' entropy plus this log-likelihood, so it gives the same order.

    The prior is theirs: inverse Wishart of ``d + 2`` degrees of freedom with a diagonal scale, and
    the label's own mean. With ``S`` the label's scatter over its ``n`` tokens, they take the mode
    ``(S + D) / (n + 2d + 4)``, with ``d`` all neurons and ``D`` the label's own variances. That
    narrows the labels of few tokens so much that several neurons may predict worse than the labels'
    frequencies. Hence the default is the mean of the posterior, ``(S + D) / (n + 1)``, with ``D``
    the variances within the labels, pooled.

    A neuron that the chosen ones determine within the labels, such as a copy, adds nothing and is
    not chosen; nor is one without variance. Those not chosen follow by what each would have added
    in the last step, neurons without variance last.

    Args:
        X: ``[tokens, neurons]``; read about ``steps + 2`` times, block by block.
        y: one label a token.
        steps: neurons that are chosen greedily.
        criterion: what a chosen neuron must raise most; ties in accuracy go by log-likelihood.
        estimate: of the covariances: mean of the posterior, or its mode as the authors have it.
        tokens: most tokens to hold out.
        held_out: share of the tokens to hold out, drawn at random; no label is held out whole.
        seed: of the tokens that are held out.
        progress: called with steps done and steps in all.

    Returns:
        The ranking. A score is what the neuron added to the criterion when it was chosen, or would
        have added in the last step (bits a token, or share of the tokens); it may be negative, and
        need not fall. ``details["greedy"]`` has the log-likelihood before any neuron, and
        log-likelihood, its gain and accuracy after each step.

    Raises:
        UserError: labels that do not fit, only one label, nothing to hold out, options out of
            range, NaN or infinity.
    """
    check_matrix(X, "activations")
    if steps < 1:
        raise UserError(f"gaussian takes 1 step or more, not {steps}")
    labels = read_labels_of(y, X.shape[0])
    labels = labels.select(np.arange(len(labels)))
    rows = _hold_out(labels, held_out, tokens, seed)
    normals = LabelNormals(X, labels, rows, estimate)
    search = _Search(HeldOutTokens(X, rows, labels.codes[rows], normals), criterion)
    search.run(min(steps, int(normals.varies.sum())), progress)
    order, scores = search.order()
    return Ranking(
        method="gaussian",
        neurons=order,
        scores=scores,
        signature=format_signature(
            {
                "method": "gaussian",
                "steps": steps,
                "criterion": criterion,
                "estimate": estimate,
                "tokens": X.shape[0],
                "held_out": len(rows),
                "seed": seed,
                "labels": len(labels.names),
                **versions("numpy"),
            }
        ),
        details={"greedy": {"held_out_tokens": len(rows), **search.report()}},
    )


def _hold_out(labels: Coded, share: float, most: int, seed: int) -> Places:
    """Ascending numbers of the held-out tokens; no label is held out whole."""
    if not 0 < share < 1 or most < 1 or seed < 0:
        raise UserError(
            f"cannot hold out {share:g} of the tokens, at most {most}, with seed {seed}: "
            "a share between 0 and 1, 1 token or more, seed 0 or more"
        )
    count = min(most, int(share * len(labels)))
    drawn = np.random.default_rng(seed).choice(len(labels), count, replace=False)
    held = np.zeros(len(labels), dtype=bool)
    held[drawn] = True
    left = np.bincount(labels.codes[~held], minlength=len(labels.names))
    held &= left[labels.codes] > 0
    if not held.any():
        raise UserError(
            f"{len(labels)} tokens of {len(labels.names)} labels leave none to hold out"
        )
    return np.flatnonzero(held)


@dataclass
class _Search:
    """The greedy choice."""

    tokens: HeldOutTokens
    criterion: str
    log_likelihoods: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    scores: Float64 = field(default_factory=lambda: np.zeros(0))

    def run(self, steps: int, progress: Progress | None) -> None:
        """Choose so many neurons, or fewer where the chosen ones determine the rest."""
        normals = self.tokens.normals
        self.scores = np.zeros(len(normals.varies))
        self._note()
        for step in range(steps):
            candidates = np.flatnonzero(self._open())
            if not len(candidates):
                break
            neuron = self._best(candidates)
            self.tokens.choose(neuron)
            self._note()
            self.scores[neuron] = self._of_steps[-1] - self._of_steps[-2]
            if progress is not None:
                progress(step + 1, steps)
        left = normals.spanned
        left[normals.chosen] = False
        self.scores[left] = 0.0

    def order(self) -> tuple[npt.NDArray[np.int64], Float64]:
        """All neurons, most important first, and their scores."""
        normals = self.tokens.normals
        scores = self.scores.copy()
        scores[~normals.varies] = min(0.0, scores.min())
        place = np.full(len(scores), len(scores))
        place[normals.chosen] = np.arange(len(normals.chosen))
        order = np.lexsort((-scores, ~normals.varies, place))
        return order.astype(np.int64), scores[order]

    def report(self) -> dict[str, object]:
        """What each step did."""
        return {
            "log_likelihood_before": self.log_likelihoods[0],
            "log_likelihood": self.log_likelihoods[1:],
            "gain": np.diff(self.log_likelihoods).tolist(),
            "accuracy": self.accuracies[1:],
        }

    @property
    def _of_steps(self) -> list[float]:
        """The criterion before and after each step."""
        return self.accuracies if self.criterion == "accuracy" else self.log_likelihoods

    def _open(self) -> npt.NDArray[np.bool_]:
        """What can be chosen."""
        normals = self.tokens.normals
        found: npt.NDArray[np.bool_] = normals.varies & ~normals.spanned
        found[normals.chosen] = False
        return found

    def _best(self, candidates: Places) -> int:
        """Try all, note what each adds, and choose; ties go by the id."""
        bits, accuracy = self.tokens.try_all(candidates)
        best = np.arange(len(candidates))
        found = bits
        if self.criterion == "accuracy":
            best = np.flatnonzero(accuracy == accuracy.max())
            found = accuracy
        self.scores[candidates] = found - self._of_steps[-1]
        highest = bits[best].max()
        ties = bits[best] >= highest - TIE * max(1.0, abs(highest))
        return int(candidates[best][ties][0])

    def _note(self) -> None:
        self.log_likelihoods.append(self.tokens.log_likelihood())
        self.accuracies.append(self.tokens.accuracy())
