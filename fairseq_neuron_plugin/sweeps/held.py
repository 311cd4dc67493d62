"""What clamped neurons are held at, at every point of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..activations import Activations
from ..clamp_values import MEAN, mean_values, number_or_store
from ..evaluation.evaluator import Value
from ..files import StrPath
from ..neurons import Layer
from ..signature import short_hash


@dataclass(frozen=True)
class HeldAt:
    """A number, or each neuron's mean over an activation store.

    Attributes:
        number: None for the means.
        means: layer name to ``[width]``.
    """

    number: float | None = 0.0
    means: Mapping[str, Tensor] | None = None

    def at(self, neurons: Mapping[str, Sequence[int]]) -> Value:
        """What chosen neurons are held at, as `ablate` takes it."""
        if self.means is None:
            assert self.number is not None
            return self.number
        return {name: self.means[name][list(ids)] for name, ids in neurons.items()}

    def settings(self) -> dict[str, Any]:
        """For the signature."""
        if self.means is None:
            return {"value": self.number}
        values = {name: means.tolist() for name, means in self.means.items()}
        return {"value": MEAN, "means": short_hash(repr(values))}


def read_held(
    value: str | float, acts: StrPath | None, used: Sequence[str], layers: Sequence[Layer]
) -> HeldAt:
    """What ``--ablate-value`` and ``--ablate-acts`` say.

    Args:
        value: a number or ``mean``.
        acts: the activation store of ``mean``, read once, block by block.
        used: names of the layers whose neurons are clamped.
        layers: every layer of the model.

    Raises:
        UserError: no finite number, a store without need, or one that is missing or unfit.
    """
    held = number_or_store(value, acts)
    if not isinstance(held, Activations):
        return HeldAt(held)
    everything = {layer.name: range(layer.width) for layer in layers if layer.name in used}
    return HeldAt(None, mean_values(held, everything, layers))
