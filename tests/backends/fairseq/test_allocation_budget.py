"""A model far larger than the weights of its file is stopped before it is allocated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairseq_neuron_plugin.backends.fairseq.checkpoints.budget import (
    allocation_budget,
    set_budget,
)
from fairseq_neuron_plugin.errors import UserError

TERABYTES = 10**12

WEIGHTS = {"weight": torch.zeros(1000, 1000)}


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(TERABYTES),
        lambda: torch.zeros(10**6, 10**6),
        lambda: torch.full((TERABYTES,), 0.5),
        lambda: torch.arange(TERABYTES),
        lambda: torch.eye(10**6),
        lambda: torch.zeros(2).new_empty(TERABYTES),
        lambda: torch.zeros(10**6, 1) * torch.zeros(1, 10**6),
        lambda: torch.zeros(1).expand(TERABYTES).clone(),
        lambda: torch.zeros(1).repeat(TERABYTES),
        lambda: nn.Linear(10**6, 10**6),
        lambda: nn.LSTM(10, 10**6),
        lambda: nn.Embedding(10**9, 10**3),
        lambda: [nn.Linear(2, 2) for _ in range(10**6)],
        lambda: [torch.zeros(10**6) for _ in range(10**6)],
    ],
)
def test_stopped(make) -> None:
    def bounded() -> None:
        with allocation_budget():
            set_budget(WEIGHTS, "larger")
            make()

    with pytest.raises(UserError, match="larger"):
        bounded()


def test_the_model_of_the_weights_fits() -> None:
    with allocation_budget():
        set_budget(WEIGHTS, "larger")
        model = nn.Sequential(nn.Linear(1000, 1000), nn.LayerNorm(1000))
        model.load_state_dict(model.state_dict())
        torch.nn.init.xavier_uniform_(model[0].weight)


def test_nothing_is_bounded_outside() -> None:
    set_budget({}, "larger")
    with allocation_budget():
        torch.zeros(2**28)  # no budget set yet
    torch.zeros(2**28)
