"""What clamped neurons are held at: a number, or each neuron's mean over an activation store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .activations import Activations
from .errors import UserError
from .files import StrPath
from .neurons import Layer

MEAN = "mean"
BLOCK_ROWS = 8192


def parse_value(text: str | float) -> float | None:
    """The number that is meant; None for ``mean``.

    Raises:
        UserError: neither ``mean`` nor a finite number.
    """
    if isinstance(text, str) and text.strip() == MEAN:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= torch.finfo(torch.float32).max:
        raise UserError(
            f"neurons can be held at finite values only: a number, or mean; not {text!r}"
        )
    return value


def number_or_store(text: str | float, acts: StrPath | None) -> float | Activations:
    """What ``--ablate-value`` and ``--ablate-acts`` say: a number, or the store of the means.

    Raises:
        UserError: no finite number, a store without need, or one that is missing.
    """
    number = parse_value(text)
    if number is None:
        if acts is None:
            raise UserError("--ablate-value mean needs --ablate-acts ACTS: the mean over what?")
        return Activations(acts)
    if acts is not None:
        raise UserError("--ablate-acts is for --ablate-value mean")
    return number


def mean_values(
    acts: Activations, neurons: Mapping[str, Sequence[int]], available: Sequence[Layer]
) -> dict[str, Tensor]:
    """Mean of chosen neurons over all rows of a store, read block by block.

    Args:
        acts: the store.
        neurons: layer name to indices within the layer.
        available: every layer of the model that is to be clamped.

    Returns:
        Layer name to float32 ``[indices]``.

    Raises:
        UserError: the store lacks a layer, has it in another width, or holds NaN or infinity.
    """
    columns: list[int] = []
    for name, indices in neurons.items():
        _check_layer(acts, name, available)
        columns.extend(acts.layers.offsets[name] + index for index in indices)
    total = np.zeros(len(columns))
    for start in range(0, len(acts), BLOCK_ROWS):
        block = acts.array[start : start + BLOCK_ROWS]
        total += block[:, columns].sum(axis=0, dtype=np.float64)
    means = total / len(acts)
    if not np.isfinite(means).all():
        wrong = acts.layers.name_of(columns[int(np.argmin(np.isfinite(means)))])
        raise UserError(f"activation store {acts.path} holds NaN or infinity: neuron {wrong}")
    parts = torch.from_numpy(means).float().split([len(ids) for ids in neurons.values()])
    return dict(zip(neurons, parts, strict=True))


def _check_layer(acts: Activations, name: str, available: Sequence[Layer]) -> None:
    if name not in acts.layers.offsets:
        raise UserError(
            f"activation store {acts.path} does not hold {name}, of which the mean is asked; "
            f"it holds {acts.layers.describe()}"
        )
    width = next(layer.width for layer in available if layer.name == name)
    if acts.layers.width_of(name) != width:
        raise UserError(
            f"activation store {acts.path} is of another kind of model: its {name} has "
            f"{acts.layers.width_of(name)} neurons, this model's has {width}"
        )
