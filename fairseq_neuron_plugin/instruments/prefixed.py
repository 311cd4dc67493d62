"""The layers of one of several models, under names of their own."""

from __future__ import annotations

from ..neurons import Layer
from .base import Clamp, Instrument, Perturbation, Remove, Sink


class PrefixedInstrument(Instrument):
    """The layers of another instrument, their names with a prefix.

    Args:
        inner: the other instrument.
        prefix: e.g. ``models.en-de.``.
    """

    def __init__(self, inner: Instrument, prefix: str) -> None:
        self.inner = inner
        self.prefix = prefix

    @property
    def layers(self) -> list[Layer]:
        """See `Instrument.layers`."""
        return [Layer(self.prefix + layer.name, layer.width) for layer in self.inner.layers]

    def tap(self, names: list[str], sink: Sink) -> Remove:
        """See `Instrument.tap`."""
        inner_names = [name.removeprefix(self.prefix) for name in names]
        return self.inner.tap(inner_names, lambda name, rows: sink(self.prefix + name, rows))

    def clamp(self, name: str, clamp: Clamp) -> Remove:
        """See `Instrument.clamp`."""
        return self.inner.clamp(name.removeprefix(self.prefix), clamp)

    def perturb(self, name: str, perturbation: Perturbation) -> Remove:
        """See `Instrument.perturb`."""
        return self.inner.perturb(name.removeprefix(self.prefix), perturbation)
