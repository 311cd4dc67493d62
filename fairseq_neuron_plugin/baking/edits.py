"""Edits to the weights of a model that leave the model itself as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..instruments import Clamp


@dataclass(frozen=True)
class Target:
    """Neurons of one layer that are to be baked.

    Attributes:
        layer: its name, e.g. ``encoder.layers.0``.
        clamp: which neurons, their values and the scope.
    """

    layer: str
    clamp: Clamp

    @property
    def inside(self) -> bool:
        """Whether the recurrence sees the clamp too."""
        return self.clamp.scope != "output"

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """The neurons held at 0, the others, and the values of the others."""
        indices, values = self.clamp.indices, self.clamp.values
        return indices[values == 0], indices[values != 0], values[values != 0]

    def refuse(self, units: Tensor, reason: str) -> NoReturn:
        """Say which neurons cannot be baked exactly, and why.

        Raises:
            UserError: always.
        """
        at = self.clamp.values[torch.isin(self.clamp.indices, units)].unique().tolist()
        value = f"{at[0]:g}" if len(at) == 1 else "their values"
        raise UserError(
            f"cannot bake {self.layer}:{format_ranges(units.tolist())} at {value}, scope "
            f"{self.clamp.scope}: {reason}"
        )


class Edits:
    """Changed copies of a model's parameters.

    Args:
        model: a built model; its parameters are only read.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._names: dict[int, set[str]] = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            # One network may serve many language pairs: models.en-de.encoder, models.de-en.encoder
            name = re.sub(r"^models\.[^.]+\.", "", name)
            self._names.setdefault(id(parameter), set()).add(name)
        self._edited: dict[int, Tensor] = {}

    def is_shared(self, parameter: Tensor) -> bool:
        """Whether the parameter has a second place in the model."""
        return len(self._names[id(parameter)]) > 1

    def edit(self, parameter: Tensor) -> Tensor:
        """The float32 copy of a parameter, to be changed in place.

        Raises:
            UserError: the parameter also serves another part of the model.
        """
        if self.is_shared(parameter):
            names = " and ".join(sorted(self._names[id(parameter)]))
            raise UserError(f"cannot bake: {names} are one matrix, and only one use is ablated")
        if id(parameter) not in self._edited:
            self._edited[id(parameter)] = parameter.detach().float().clone()
        return self._edited[id(parameter)]

    def state_dict(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's state with the edits.

        Args:
            stored: the state in the checkpoint. What was not edited is taken from there; an edited
                tensor keeps its precision where that loses nothing, and is float32 otherwise.
        """
        state: dict[str, Tensor] = {}
        for name, value in self.model.state_dict(keep_vars=True).items():
            original = stored.get(name, value.detach())
            edited = self._edited.get(id(value))
            if edited is None:
                state[name] = original.clone()
            else:
                fitted = edited.to(original.dtype)
                state[name] = fitted if torch.equal(fitted.float(), edited) else edited.clone()
        return state


@dataclass(frozen=True)
class Reader:
    """A linear map that reads a layer's output.

    Attributes:
        weight: editable, ``[out, in]``.
        bias: editable, ``[out]``, or None.
        first: the column that reads neuron 0.
    """

    weight: Tensor
    bias: Tensor | None
    first: int = 0

    @classmethod
    def of(cls, edits: Edits, linear: nn.Module, first: int = 0) -> Reader:
        """That of an `nn.Linear`, or whatever else has ``weight`` and ``bias``."""
        bias = linear.bias
        weight: Tensor = linear.weight  # type: ignore[assignment]
        return cls(
            edits.edit(weight), edits.edit(bias) if isinstance(bias, Tensor) else None, first
        )

    def silence(self, units: Tensor) -> None:
        """Read the units as 0."""
        self.weight[:, self.first + units] = 0.0

    def feed(self, units: Tensor, values: Tensor) -> None:
        """Read the units as constants: what they add goes into the bias."""
        assert self.bias is not None
        self.bias.add_(self.weight[:, self.first + units] @ values)
        self.silence(units)

    def scale(self, units: Tensor, factors: Tensor) -> None:
        """Read the units as so many times what they are."""
        self.weight[:, self.first + units] *= factors


def feed_all(
    target: Target, readers: Sequence[Reader], zeros: Tensor, units: Tensor, values: Tensor
) -> None:
    """Let all readers of a layer see its neurons at their values.

    Raises:
        UserError: a value other than 0, and a reader without a bias.
    """
    if len(units) and any(reader.bias is None for reader in readers):
        target.refuse(units, "what reads them has no bias that could take a constant; 0 works")
    for reader in readers:
        reader.silence(zeros)
        if len(units):
            reader.feed(units, values)


def format_ranges(indices: Sequence[int]) -> str:
    """Sorted indices as they are written in a spec.

    >>> format_ranges([3, 17, 18, 19])
    '3,17-19'
    """
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
