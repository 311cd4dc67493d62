"""What several inputs of one analysis are called, and whether their neuron ids mean the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import StrPath
from ..neurons import NeuronSpace


@dataclass(frozen=True)
class Origin:
    """Whose neurons an input is about.

    Attributes:
        size: number of neurons.
        space: the layers that their flat ids count through, if known.
        model: SHA-256 of the checkpoint, if known.
    """

    size: int
    space: NeuronSpace | None
    model: str | None


def check_same_neurons(what: str, origins: Mapping[str, Origin]) -> None:
    """Make sure that one id means one neuron in all inputs; what is unknown fits anything.

    Args:
        what: how an error names an input, e.g. ``"ranking"``.
        origins: by the input's name.

    Raises:
        UserError: other layers, widths or checkpoints.
    """
    known: dict[str, tuple[str, object]] = {}
    for name, origin in origins.items():
        layers = origin.space.describe() if origin.space else None
        facts = {"neurons": origin.size, "layers": layers, "checkpoint": origin.model}
        for key, fact in facts.items():
            if fact is None:
                continue
            first, expected = known.setdefault(key, (name, fact))
            if fact != expected:
                raise UserError(
                    f"{what}s {first} and {name} are of different {_PLURAL[key]}, so their neuron "
                    f"ids mean different neurons: {_short(key, expected)} and {_short(key, fact)}"
                )


_PLURAL = {"neurons": "numbers of neurons", "layers": "layers", "checkpoint": "checkpoints"}


def _short(key: str, fact: object) -> str:
    return str(fact)[:12] if key == "checkpoint" else str(fact)


def unique_names(paths: Sequence[StrPath]) -> list[str]:
    """As much of the end of each path as tells it apart from the others, without ``.json``
    (unless that alone does).

    Raises:
        UserError: one path twice.

    >>> unique_names(["runs/a/pos.json", "runs/b/pos.json", "runs/a/sem.json"])
    ['a/pos', 'b/pos', 'sem']
    """
    whole = [os.path.abspath(path) for path in paths]
    for path, given in Counter(whole).items():
        if given > 1:
            raise UserError(f"{path} is given twice")
    bare = [path.removesuffix(".json") for path in whole]
    # Of "pos" and "pos.json" in one folder nothing but the ending is different.
    parts = [Path(path).parts for path in (bare if len(set(bare)) == len(bare) else whole)]
    taken = [1] * len(parts)
    while True:
        names = ["/".join(part[-count:]) for part, count in zip(parts, taken, strict=True)]
        times = Counter(names)
        short = [
            number
            for number, name in enumerate(names)
            if times[name] > 1 and taken[number] < len(parts[number])
        ]
        if not short:
            return names
        for number in short:
            taken[number] += 1
