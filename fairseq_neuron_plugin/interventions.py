"""Tap (read) and ablate (clamp) the neurons of any fairseq model that has an instrument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from operator import index
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from .errors import UserError
from .instruments import Clamp, find_instruments
from .instruments.base import SCOPES
from .neurons import Layer, choose_layers

Neurons = Mapping[str, Sequence[int]]


def list_layers(model: nn.Module) -> list[Layer]:
    """Every layer of the model that can be read and clamped, in model order."""
    return [layer for instrument in find_instruments(model) for layer in instrument.layers]


class tap(Mapping[str, Tensor]):
    """Read the layers of a model during its forward passes.

    After a forward pass it maps the name of each layer to its output in that pass,
    ``[batch, length, width]``, with padding where the input has it (padded positions are 0).
    Clamped neurons read as what they are clamped to. A layer that a pass does not reach (the
    decoder's, if the encoder alone runs) keeps what the last pass that reached it has put out.

    Usage::

        with tap(model, "encoder.layers.*") as layers:
            model(**net_input)
            layers["encoder.layers.0"]

    Args:
        model: any model with an instrument.
        layers: globs, comma-separated or a list; ``*`` stands for one part of a name between dots.
            None means ``encoder.layers.*`` or, without an encoder, ``decoder.layers.*``.

    Raises:
        UserError: no such layer.
    """

    def __init__(self, model: nn.Module, layers: str | Sequence[str] | None = None) -> None:
        globs = layers if isinstance(layers, str | None) else ",".join(layers)
        self.space = choose_layers(list_layers(model), globs)
        self._instruments = find_instruments(model)
        self._outputs: dict[str, Tensor] = {}
        self._entered: list[ExitStack] = []

    def __enter__(self) -> Self:
        names = [layer.name for layer in self.space.layers]
        with ExitStack() as stack:
            for instrument in self._instruments:
                wanted = [layer.name for layer in instrument.layers if layer.name in names]
                if wanted:
                    stack.callback(instrument.tap(wanted, self._outputs.__setitem__))
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *error: object) -> None:
        self._entered.pop().close()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._outputs and any(layer.name == name for layer in self.space.layers):
            raise KeyError(f"{name}: no forward pass has reached this layer yet")
        return self._outputs[name]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


class ablate:
    """Clamp neurons of a model; the model is as it was afterwards, also after an exception.

    Usage::

        with ablate(model, {"encoder.layers.0": [3, 17]}, value=0.0, scope="recurrent"):
            model(**net_input)

    Args:
        model: any model with an instrument.
        neurons: layer name to indices within the layer.
        value: what the neurons are held at: one number, or for each layer a tensor with one number
            per index.
        scope: ``recurrent``: inside the recurrence, from before the first step, and for all that
            reads the layer; ``full``: and the neurons' cell states are 0 too; ``output``: only as
            the next layer and attention see them. All the same for layers without recurrence.

    Attributes:
        counts: layer name to the number of clamped neurons.
        clamps: layer name to what clamps it.

    Raises:
        UserError: an unknown layer or scope, or an index out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        neurons: Neurons,
        value: float | Mapping[str, Tensor] = 0.0,
        scope: str = "recurrent",
    ) -> None:
        for name, indices in neurons.items():
            if not isinstance(indices, Iterable):
                raise UserError(f"layer {name} needs a list of neurons, not {indices!r}")
        indices_of = {name: [index(i) for i in indices] for name, indices in neurons.items()}
        if scope not in SCOPES:
            raise UserError(f"unknown scope {scope!r}; there are: {', '.join(SCOPES)}")
        self.scope = scope
        self._instruments = {
            layer.name: (instrument, layer)
            for instrument in find_instruments(model)
            for layer in instrument.layers
        }
        self.clamps = {
            name: self._make_clamp(name, indices, value)
            for name, indices in indices_of.items()
            if indices
        }
        self.counts = {name: len(clamp.indices) for name, clamp in self.clamps.items()}
        self._entered: list[ExitStack] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name, clamp in self.clamps.items():
                instrument, _ = self._instruments[name]
                stack.callback(instrument.clamp(name, clamp))
            self._entered.append(stack.pop_all())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._entered.pop().close()

    def describe(self) -> str:
        """How many neurons are clamped where, in one line."""
        total = sum(self._instruments[name][1].width for name in self.counts)
        where = ", ".join(f"{name}: {count}" for name, count in self.counts.items()) or "none"
        return f"{sum(self.counts.values())} of {total} neurons clamped ({where})"

    def check_fired(self) -> None:
        """`UserError` if a clamp has not been reached by any forward pass yet."""
        silent = [name for name, clamp in self.clamps.items() if not clamp.fired]
        if silent:
            raise UserError(f"the ablation never reached {', '.join(silent)}: nothing was clamped")

    def _make_clamp(
        self, name: str, indices: Sequence[int], value: float | Mapping[str, Tensor]
    ) -> Clamp:
        if name not in self._instruments:
            raise UserError(
                f"unknown layer {name!r}; the model has: {', '.join(self._instruments)}"
            )
        _, layer = self._instruments[name]
        wrong = [unit for unit in indices if not 0 <= unit < layer.width]
        if wrong:
            raise UserError(
                f"neuron {wrong[0]} is out of range: layer {name} has 0 to {layer.width - 1}"
            )
        if len(set(indices)) != len(indices):
            raise UserError(f"layer {name} has a neuron that is clamped twice")
        where = torch.as_tensor(list(indices), dtype=torch.int64)
        if isinstance(value, str):
            raise UserError(f"a value is a number or one tensor a layer, not {value!r}")
        # In double precision, so that they are exact in whatever precision the model has.
        if isinstance(value, Mapping):
            values = torch.as_tensor(value.get(name, ()), dtype=torch.float64)
            if values.shape != where.shape:
                raise UserError(f"layer {name} needs one value for each of {len(where)} neurons")
        else:
            values = torch.full((len(where),), float(value), dtype=torch.float64)
        if not values.isfinite().all():
            raise UserError(f"neurons can be held at finite values only, not {value}")
        return Clamp(where, values, self.scope)
