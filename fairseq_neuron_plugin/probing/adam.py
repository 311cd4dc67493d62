"""The authors' protocol: a linear layer trained by Adam for a fixed number of epochs.

It stops where it stops, not at the optimum: it is here for comparison with published numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..rows import NonFiniteError, Rows

EPOCHS = 10
EVALUATION_VALUES = 2**20  # activations in memory at a time when the objective is measured


@dataclass(frozen=True)
class AdamSolution:
    """Where the epochs ended.

    Attributes:
        weight: float64 ``[labels, neurons]``, for activations as given. No entry is exactly 0:
            a step along the sign of a weight jumps over 0 and does not stop there.
        intercept: float64 ``[labels]``.
        objective: ``mean CE + l1 |W|_1 + l2 |W|_F²`` on all rows, in float64.
        kkt_residual: largest entry of the subgradient of least size there, with respect to the
            weights (neurons taken as centred) and the intercept.
        passes: how often all rows were gone through.
    """

    weight: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    objective: float
    kkt_residual: float
    passes: int


def fit_adam(
    X: Rows,
    codes: npt.NDArray[np.integer],
    labels: int,
    l1: float,
    l2: float,
    *,
    epochs: int = EPOCHS,
    batch_size: int = 512,
    learning_rate: float = 1e-3,
    seed: int = 0,
    device: str = "cpu",
    report: Callable[[int, float], None] | None = None,
) -> AdamSolution:
    """Train a probe as the paper's authors did (paper, experimental settings).

    Each batch's loss is ``mean CE + l1 |W|_1 + l2 |W|_F²``. The activations are not standardised,
    the rows come in the order of the store in every epoch, and all is float32. (NeuroX, the
    authors' later toolkit, penalises ``l2 |W|_F`` without the square, with batches of 32.)

    Args:
        X: ``[tokens, neurons]``; one batch is read at a time.
        codes: ``[tokens]``, the number of each token's label, below ``labels``.
        labels: number of labels.
        l1, l2: strengths of the penalty; the intercept is not penalised.
        epochs, batch_size, learning_rate: the authors' by default; Adam's other settings are those
            of Kingma & Ba 2015: betas 0.9 and 0.999, epsilon 1e-8.
        seed: of the first weights, those of a `torch.nn.Linear`; torch's own generator is left
            alone.
        device: where torch computes.
        report: called after each epoch with the epochs done and the mean loss of its batches.

    Raises:
        NonFiniteError: NaN or infinity in ``X``, taken as float32.
    """
    parameters = _first_weights(labels, X.shape[1], seed, device)
    weight, intercept = parameters
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8)
    for epoch in range(1, epochs + 1):
        total = torch.zeros((), dtype=torch.float64, device=device)
        for rows, batch, targets in _batches(X, codes, batch_size, device):
            loss = cross_entropy(batch @ weight.T + intercept, targets)
            loss = loss + l1 * weight.abs().sum() + l2 * weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * (rows.stop - rows.start)
        if report is not None:
            report(epoch, float(total) / X.shape[0])
    found = [parameter.detach().double() for parameter in parameters]
    objective, residual = _evaluate(X, codes, found[0], found[1], l1, l2)
    return AdamSolution(
        weight=found[0].cpu().numpy(),
        intercept=found[1].cpu().numpy(),
        objective=objective,
        kkt_residual=residual,
        passes=epochs + 1,
    )


def _first_weights(labels: int, neurons: int, seed: int, device: str) -> list[Tensor]:
    """Weight ``[labels, neurons]`` and intercept ``[labels]``, as `torch.nn.Linear` draws them.

    They are drawn on the CPU, so that every device starts at the same point.
    """
    generator = torch.Generator().manual_seed(seed)
    bound = neurons**-0.5
    drawn = (
        torch.empty(shape).uniform_(-bound, bound, generator=generator)
        for shape in ((labels, neurons), (labels,))
    )
    return [value.to(device).requires_grad_() for value in drawn]


def _batches(
    X: Rows, codes: npt.NDArray[np.integer], size: int, device: str | torch.device
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows in order: their slice, float32 activations ``[rows, neurons]``, int64 codes."""
    for start in range(0, X.shape[0], size):
        rows = slice(start, min(start + size, X.shape[0]))
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, found below
            block = np.array(X[rows], dtype=np.float32)
        if not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise NonFiniteError(start + int(row), int(column))
        targets = torch.from_numpy(np.array(codes[rows], dtype=np.int64))
        yield rows, torch.from_numpy(block).to(device), targets.to(device)


def _evaluate(
    X: Rows,
    codes: npt.NDArray[np.integer],
    weight: Tensor,
    intercept: Tensor,
    l1: float,
    l2: float,
) -> tuple[float, float]:
    """Objective on all rows and KKT residual, in float64; one pass."""
    tokens, neurons = X.shape
    size = max(1, EVALUATION_VALUES // neurons)
    entropy, mean = 0.0, weight.new_zeros(neurons)
    slope, free = torch.zeros_like(weight), torch.zeros_like(intercept)
    for _, batch, targets in _batches(X, codes, size, weight.device):
        block = batch.double()
        logits = block @ weight.T + intercept
        entropy += float(cross_entropy(logits, targets, reduction="sum"))
        excess = logits.softmax(dim=1)
        excess[torch.arange(len(targets), device=weight.device), targets] -= 1
        slope += excess.T @ block
        free += excess.sum(dim=0)
        mean += block.sum(dim=0)
    penalty = l1 * weight.abs().sum() + l2 * weight.square().sum()
    # The gradient for centred neurons: shifting a neuron changes nothing but the intercept.
    gradient = (slope - torch.outer(free, mean / tokens)) / tokens + 2 * l2 * weight
    at_zero = (gradient.abs() - l1).clamp(min=0)
    elsewhere = (gradient + l1 * weight.sign()).abs()
    worst = torch.where(weight == 0, at_zero, elsewhere).max()
    return entropy / tokens + float(penalty), float(max(worst, free.abs().max() / tokens))
