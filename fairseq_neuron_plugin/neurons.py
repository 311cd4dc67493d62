"""Layer names and neuron ids.

A neuron is one coordinate of the vector that one layer puts out. It has a readable name,
``encoder.layers.1:532``, and, once layers are chosen, a flat id that counts through these layers
in model order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import accumulate

from .errors import UserError


@dataclass(frozen=True)
class Layer:
    """A named tensor of the model that can be read and clamped; ``width`` neurons."""

    name: str
    width: int


@dataclass(frozen=True)
class NeuronSpace:
    """The chosen layers of a model, and what the flat ids over them mean.

    >>> space = NeuronSpace((Layer("encoder.layers.0", 4), Layer("encoder.layers.1", 4)))
    >>> space.parse("encoder.layers.0:3;encoder.layers.1:0-1")
    [3, 4, 5]
    >>> space.name_of(5)
    'encoder.layers.1:1'
    """

    layers: tuple[Layer, ...]

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Flat id of the first neuron of each layer, by layer name."""
        starts = accumulate((layer.width for layer in self.layers), initial=0)
        return {layer.name: start for layer, start in zip(self.layers, starts, strict=False)}

    @property
    def size(self) -> int:
        """Number of neurons in all chosen layers."""
        return sum(layer.width for layer in self.layers)

    def locate(self, neuron: int) -> tuple[str, int]:
        """Layer name and index within the layer of a flat id."""
        self._check(neuron)
        for layer in reversed(self.layers):
            if neuron >= self.offsets[layer.name]:
                return layer.name, neuron - self.offsets[layer.name]
        raise AssertionError("unreachable: the id was checked")

    def name_of(self, neuron: int) -> str:
        """Readable name of a flat id, e.g. ``encoder.layers.1:532``."""
        name, index = self.locate(neuron)
        return f"{name}:{index}"

    def by_layer(self, neurons: Iterable[int]) -> dict[str, list[int]]:
        """Group flat ids: layer name to sorted indices within the layer, model order."""
        grouped: dict[str, list[int]] = {layer.name: [] for layer in self.layers}
        for neuron in sorted(set(neurons)):
            name, index = self.locate(neuron)
            grouped[name].append(index)
        return {name: indices for name, indices in grouped.items() if indices}

    def parse(self, text: str) -> list[int]:
        """Flat ids of a neuron list, sorted, without repetition.

        Args:
            text: flat ids or names, with ranges: ``3,17-25`` or
                ``encoder.layers.0:3,17-25;encoder.layers.1:7``. Empty means no neuron.

        Raises:
            UserError: a layer that was not chosen, an id out of range, or no neuron list at all.
        """
        neurons: set[int] = set()
        for group in filter(None, (part.strip() for part in text.split(";"))):
            name, colon, ids = group.rpartition(":")
            if colon and name not in self.offsets:
                known = ", ".join(layer.name for layer in self.layers)
                raise UserError(f"unknown layer {name!r} in {text!r}; there are: {known}")
            start = self.offsets[name] if colon else 0
            width = self.width_of(name) if colon else self.size
            where = f"layer {name} has" if colon else "the chosen layers have"
            for index in _parse_ranges(ids, text):
                if index >= width:
                    raise UserError(
                        f"neuron {index} in {text!r} is out of range: {where} 0 to {width - 1}"
                    )
                neurons.add(start + index)
        if text.strip() and not neurons:
            raise UserError(f"{text!r} names no neuron")
        return sorted(neurons)

    def width_of(self, name: str) -> int:
        """Number of neurons of one layer."""
        return next(layer.width for layer in self.layers if layer.name == name)

    def to_json(self) -> list[dict[str, object]]:
        """The layers as they stand in result files."""
        return [{"name": layer.name, "width": layer.width} for layer in self.layers]

    @classmethod
    def from_json(cls, value: Sequence[dict[str, object]]) -> NeuronSpace:
        """Read what `to_json` wrote."""
        return cls(tuple(Layer(str(entry["name"]), int(str(entry["width"]))) for entry in value))

    def describe(self) -> str:
        """Names and widths in one line, e.g. ``encoder.layers.0 (256), encoder.layers.1 (256)``."""
        return ", ".join(f"{layer.name} ({layer.width})" for layer in self.layers)

    def _check(self, neuron: int) -> None:
        if not 0 <= neuron < self.size:
            raise UserError(f"neuron {neuron} is out of range: there are 0 to {self.size - 1}")


def choose_layers(available: Sequence[Layer], globs: str | None) -> NeuronSpace:
    """The layers that comma-separated globs name, in model order.

    ``*`` stands for one dotted part or a piece of one, so ``encoder.layers.*`` names the blocks of
    the encoder and not ``encoder.layers.0.ffn``.

    Args:
        available: every layer of the model, in model order.
        globs: e.g. ``encoder.layers.*,decoder.attention``. None means the default:
            ``encoder.layers.*`` where there is an encoder (of each language pair that has its
            own), else ``decoder.layers.*``.

    Raises:
        UserError: a glob that matches nothing.
    """
    if globs is None:
        defaults = ("encoder.layers.*", "models.*.encoder.layers.*")
        present = (d for d in defaults if any(_matches(layer.name, d) for layer in available))
        globs = next(present, "decoder.layers.*")
    chosen: set[str] = set()
    for glob in filter(None, (part.strip() for part in globs.split(","))):
        names = {layer.name for layer in available if _matches(layer.name, glob)}
        if not names:
            known = ", ".join(layer.name for layer in available)
            raise UserError(f"no layer matches {glob!r}; the model has: {known}")
        chosen |= names
    if not chosen:
        raise UserError(f"no layer chosen by {globs!r}")
    return NeuronSpace(tuple(layer for layer in available if layer.name in chosen))


def parse_amount(text: str, total: int) -> int:
    """Turn ``50`` or ``10%`` into a number of neurons out of ``total``.

    A share is rounded to the nearest number, at least 1 unless it is 0%.

    Raises:
        UserError: not a number, negative, or more than there are.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text.strip())
    if not match:
        raise UserError(f"not a number of neurons: {text!r} (write 50 or 10%)")
    if match[1]:
        count = int(match[1])
    else:
        share = float(match[2])
        count = int(total * share / 100 + 0.5)
        count = max(count, 1) if share > 0 else 0
    if count > total:
        raise UserError(f"{text} is more than the {total} neurons there are")
    return count


def _matches(name: str, glob: str) -> bool:
    parts, patterns = name.split("."), glob.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _parse_ranges(ids: str, text: str) -> list[int]:
    found: list[int] = []
    for item in filter(None, (part.strip() for part in ids.split(","))):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", item)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UserError(f"not a neuron or a range of neurons: {item!r} in {text!r}")
        found.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found
