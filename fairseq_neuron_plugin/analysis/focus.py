"""How many neurons a label needs: focused or distributed (Dalvi et al. 2019, figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..rankings.salience import salient


@dataclass(frozen=True)
class Focus:
    """How many neurons each label of a probe needs.

    Attributes:
        labels: their names.
        counts: int64 ``[labels]``, the fewest neurons that hold the share of the label's weight
            mass; 0 for a label without weight.
        effective: float64 ``[labels]``, the exponential of the entropy of the label's mass over
            the neurons: ``n`` for equal weights on ``n`` neurons; 0 for a label without weight.
        neurons: number of all neurons.
        used: neurons with a weight for any label.
        salient: neurons that are among any label's fewest.
    """

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    effective: npt.NDArray[np.float64]
    neurons: int
    used: int
    salient: int

    @property
    def needs(self) -> dict[str, int]:
        """Number of neurons by label, of the labels that have weight."""
        found = zip(self.labels, self.counts.tolist(), strict=True)
        return {label: count for label, count in found if count}


@dataclass(frozen=True)
class GroupFocus:
    """The labels of a group: how many have weight, and how many neurons those need.

    Attributes:
        labels: number of labels with weight.
        mean: neurons a label, None without labels; so are smallest and largest.
    """

    labels: int
    mean: float | None
    smallest: int | None
    largest: int | None


def focus(weight: npt.ArrayLike, labels: Sequence[str], mass: float = 0.25) -> Focus:
    """Count the neurons that each label needs to reach a share of its weight mass.

    Args:
        weight: ``[labels, neurons]``, the probe's weights.
        labels: names of the rows.
        mass: the share, above 0, at most 1; the paper's figure 6 takes 0.25.

    Raises:
        UserError: weights that are no finite matrix, names that do not fit, or a share out of
            range.
    """
    size = np.abs(np.asarray(weight, dtype=np.float64))
    if size.ndim != 2 or len(labels) != len(size):
        raise UserError(f"weights of shape {size.shape} do not fit {len(labels)} labels")
    if not 0 < mass <= 1:
        raise UserError(f"the share of the mass must be above 0 and at most 1, not {mass:g}")
    chosen = [salient(row, mass) for row in size]
    return Focus(
        labels=tuple(labels),
        counts=np.asarray([len(ids) for ids in chosen], dtype=np.int64),
        effective=np.asarray([_effective(row) for row in size]),
        neurons=size.shape[1],
        used=int((size > 0).any(axis=0).sum()),
        salient=len({int(neuron) for ids in chosen for neuron in ids}),
    )


def group_focus(needs: Mapping[str, int], labels: Sequence[str]) -> GroupFocus:
    """What the labels of one group need; those without weight, or absent, do not count."""
    counts = [needs[label] for label in labels if needs.get(label)]
    if not counts:
        return GroupFocus(0, None, None, None)
    return GroupFocus(len(counts), sum(counts) / len(counts), min(counts), max(counts))


def _effective(size: npt.NDArray[np.float64]) -> float:
    mass = size.sum()
    if mass == 0:
        return 0.0
    share = size[size > 0] / mass
    return float(np.exp(-(share * np.log(share)).sum()))
