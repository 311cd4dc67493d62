"""What ranking methods are called with, read from the arguments of ``fairseq-neuron-rank``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..neurons import NeuronSpace


@dataclass(frozen=True)
class Given:
    """The inputs of a ranking method.

    Attributes:
        arguments: its positional arguments.
        space: the layers whose neurons are ranked.
        model: SHA-256 of the checkpoint, if known.
        origin: what the inputs are, for the signature.
        details: what else goes into the ranking file.
    """

    arguments: tuple[Any, ...]
    space: NeuronSpace | None
    model: str | None
    origin: Mapping[str, object] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InputReader:
    """Arguments of the command for one kind of inputs (a key of `registry.INPUTS`).

    Attributes:
        example: the arguments of an example.
        add_arguments: declares them on a parser.
        read: from the parsed arguments, and the flags that are left for fairseq, to the inputs.
        takes_fairseq_flags: whether such flags are allowed.
    """

    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    read: Callable[[argparse.Namespace, Sequence[str]], Given]
    takes_fairseq_flags: bool = False
