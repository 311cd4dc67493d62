"""A ranking: an ordering of all neurons of chosen layers, and the file that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .core.quoting import unquote
from .errors import UserError
from .files import StrPath, read_json, write_json
from .neurons import NeuronSpace, parse_amount

FORMAT = "fairseq-neuron-ranking/1"
ORDERS = ("top", "bottom")


@dataclass(frozen=True)
class Ranking:
    """Neurons by importance.

    Attributes:
        method: e.g. ``linguistic``.
        neurons: int64 ``[neurons]``, flat ids, most important first; each exactly once.
        scores: float64 ``[neurons]``; ``scores[i]`` belongs to ``neurons[i]``. What a score means
            is the method's.
        per_label: for each label its own ordering of all neurons, where the method has one.
        signature: one line with every setting that can change the order.
        space: the layers that the flat ids count through; None for plain arrays.
        model: SHA-256 of the checkpoint whose neurons these are, if known.
        details: what else the method reports, e.g. each neuron's best match.
    """

    method: str
    neurons: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    per_label: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    signature: str = ""
    space: NeuronSpace | None = None
    model: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self.neurons)
        if self.scores.shape != (size,) or (self.space and self.space.size != size):
            raise UserError(f"ranking of {size} neurons does not fit its scores or its layers")
        for label, neurons in {"": self.neurons, **self.per_label}.items():
            if not np.array_equal(np.sort(neurons), np.arange(size)):
                of = f" of label {label!r}" if label else ""
                raise UserError(f"the ranking{of} must hold each of its {size} neurons once")

    def order(self, order: str = "top", label: str | None = None) -> npt.NDArray[np.int64]:
        """All neurons, ``top`` (most important) or ``bottom`` (least important) first.

        Raises:
            UserError: an unknown order or label.
        """
        if order not in ORDERS:
            raise UserError(f"unknown order {order!r}; there are: {', '.join(ORDERS)}")
        if label is not None and label not in self.per_label:
            known = ", ".join(self.per_label) or "none"
            raise UserError(f"the {self.method} ranking has no label {label!r}; it has: {known}")
        neurons = self.neurons if label is None else self.per_label[label]
        return neurons if order == "top" else neurons[::-1]

    def select(self, selector: str) -> list[int]:
        """Flat ids, sorted, of ``top:50``, ``bottom:10%`` or ``label=VERB:top:20``."""
        return sorted(self.select_in_order(selector))

    def select_in_order(self, selector: str) -> list[int]:
        """As `select`, in the order of the ranking."""
        label, rest = None, selector
        if selector.startswith("label="):
            # The label itself may hold a colon, the last two parts never do.
            label, _, rest = selector.removeprefix("label=").rpartition(":")
            label, _, order = label.rpartition(":")
            label, rest = unquote(label), f"{order}:{rest}"
        order, colon, amount = rest.partition(":")
        if not colon or (label is not None and not order):
            raise UserError(
                f"cannot read {selector!r}; write top:50, bottom:10% or label=L:top:20 (a label "
                'that holds |, ; or a comma in double quotes: label="NN|VB":top:20)'
            )
        count = parse_amount(amount, len(self.neurons))
        return [int(neuron) for neuron in self.order(order, label)[:count]]

    def save(self, path: StrPath) -> None:
        """Write the ranking as JSON."""
        write_json(
            path,
            {
                "format": FORMAT,
                "method": self.method,
                "signature": self.signature,
                "layers": self.space.to_json() if self.space else None,
                "model": self.model,
                "neurons": self.neurons.tolist(),
                "scores": self.scores.tolist(),
                "per_label": {label: ids.tolist() for label, ids in self.per_label.items()},
                **self.details,
            },
        )

    @classmethod
    def load(cls, path: StrPath) -> Ranking:
        """Read a ranking file.

        Raises:
            UserError: missing, not a ranking, or not a permutation of its neurons.
        """
        whole, selection, _ = str(path).partition(".json:")
        if selection and not Path(path).exists():
            raise UserError(
                f"{path} selects from a ranking; the file alone is wanted: {whole}.json"
            )
        content = read_json(path, "ranking")
        if content.pop("format", None) != FORMAT:
            raise UserError(f"{path} is not a ranking file ({FORMAT})")
        try:
            layers = content.pop("layers")
            return cls(
                method=content.pop("method"),
                signature=content.pop("signature"),
                space=NeuronSpace.from_json(layers) if layers else None,
                model=content.pop("model"),
                neurons=np.asarray(content.pop("neurons"), dtype=np.int64),
                scores=np.asarray(content.pop("scores"), dtype=np.float64),
                per_label={
                    label: np.asarray(ids, dtype=np.int64)
                    for label, ids in content.pop("per_label", {}).items()
                },
                details=content,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"ranking {path} is damaged: {error}") from error
        except UserError as error:
            raise UserError(f"ranking {path}: {error}") from error
