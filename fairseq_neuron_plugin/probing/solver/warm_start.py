"""Where the exact solver starts: a few hundred steps of preconditioned stochastic gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .design import CHUNK
from .objective import SoftmaxObjective
from .penalty import Penalty

# Found by trial on LSTM activations and on synthetic ones.
BATCH, MOMENTUM, RIDGE = 2048, 0.9, 0.05
FEWEST_ROWS = 8 * CHUNK
SHORT, LONG = (150, 1.5), (600, 1.0)  # steps and first rate of the two runs


def stochastic_gradients(
    objective: SoftmaxObjective,
    penalty: Penalty,
    gram: Tensor,
    start: Tensor,
    run: tuple[int, float],
    seed: int,
) -> Tensor:
    """Momentum SGD in the metric of the Gram matrix, the rate falling to 0.

    Whitening the neurons is what makes few steps enough: one step changes what the correlated
    neurons say together. A batch is made of chunks of neighbouring rows from all over the data.

    Args:
        objective: the data.
        penalty: entered by its subgradient, so no weight ends at exactly 0.
        gram: ``mean x xᵀ`` of the standardised neurons, ``[neurons, neurons]``.
        start: parameters to start from, ``[labels, neurons + 1]``.
        run: number of steps and the first rate.
        seed: of the order of the batches.

    Returns:
        Parameters ``[labels, neurons + 1]``.
    """
    design = objective.design
    device, dtype = design.device, design.dtype
    metric = gram.clone()
    metric.diagonal().add_(RIDGE)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(metric)).to(device)
    l1, l2 = penalty.l1.to(device, dtype), penalty.l2.to(device, dtype)
    parameters = start.to(device, dtype, copy=True)
    velocity = torch.zeros_like(parameters)
    generator = np.random.default_rng(seed)
    per_batch = min(BATCH // CHUNK, design.chunks() // 2)
    steps, first_rate = run
    order = np.empty(0, dtype=np.intp)
    for step in range(steps):
        if len(order) < per_batch:
            order = generator.permutation(design.chunks())
        chunks, order = order[:per_batch], order[per_batch:]
        block, rows = design.gather(chunks)
        codes = objective.codes[torch.from_numpy(rows).to(device), None]
        logits = (block @ parameters[:, :-1].to(design.coarse).T).to(dtype)
        chances = torch.softmax(logits + parameters[:, -1], dim=1)
        chances.scatter_add_(1, codes, chances.new_full((1, 1), -1.0).expand_as(codes))
        slope = (chances.T.to(design.coarse) @ block).to(dtype)
        slope = torch.cat([slope, chances.sum(dim=0)[:, None]], dim=1) / len(rows)
        slope += 2 * l2 * parameters + l1 * parameters.sign()
        velocity = MOMENTUM * velocity + slope
        rate = first_rate * (1 - step / steps)
        parameters[:, :-1] -= rate * (velocity[:, :-1] @ inverse)
        parameters[:, -1] -= rate * velocity[:, -1]
    design.passes += -(-steps * per_batch * CHUNK // design.rows)
    return parameters.double().cpu()
