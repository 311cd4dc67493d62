"""How the activations of a neuron are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError

BINS = 40
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Distribution:
    """The activations of one neuron over all tokens.

    Attributes:
        mean, deviation, minimum, maximum: of the activations; the deviation divides by the tokens.
        positive: share of the tokens with an activation above 0.
        edges: where the bins, of equal width, begin and the last one ends; one more than bins. The
            last bin holds its end. Of a neuron without variance: one bin without width.
        counts: tokens in each bin.
    """

    mean: float
    deviation: float
    minimum: float
    maximum: float
    positive: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def distribution(values: npt.NDArray[Any], bins: int = BINS) -> Distribution:
    """Of the activations ``[tokens]`` of one neuron, finite and at least one.

    Raises:
        UserError: fewer than 1 bin.
    """
    if bins < 1:
        raise UserError(f"a histogram needs at least 1 bin, not {bins}")
    exact = np.asarray(values, dtype=np.float64)
    low, high = float(exact.min()), float(exact.max())
    if low == high:
        mean, deviation, counts = low, 0.0, np.array([len(exact)])
    else:
        mean, deviation = float(exact.mean()), float(exact.std())
        counts, _ = np.histogram(exact, bins=bins, range=(low, high))
    return Distribution(
        mean=mean,
        deviation=deviation,
        minimum=low,
        maximum=high,
        positive=float((exact > 0).mean()),
        edges=tuple(np.linspace(low, high, len(counts) + 1).tolist()),
        counts=tuple(counts.tolist()),
    )


def as_text(counts: Sequence[int]) -> str:
    """A histogram in one line: a block for each bin, a space for an empty one.

    >>> as_text([0, 1, 50, 100])
    ' ▁▄█'
    """
    most = max(counts)
    return "".join(_BARS[(8 * count - 1) // most] if count else " " for count in counts)
