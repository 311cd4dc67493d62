"""Neurons that are salient for several labels, of one property or of several.

Dalvi et al. 2019 read off a probe's weights which neurons its labels share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..ranking import Ranking
from ..rankings.salience import salient


@dataclass(frozen=True)
class SalientSet:
    """The neurons that are salient for one label.

    Attributes:
        property: what the label is a value of, e.g. the name of its probe.
        label: its name.
        neurons: int64, flat ids, most important first.
        weights: float64, the label's weight of each; None where there are none.
    """

    property: str
    label: str
    neurons: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Shared:
    """Which labels have which neurons.

    Attributes:
        sets: the labels with their neurons.
        neurons: number of all neurons.
    """

    sets: tuple[SalientSet, ...]
    neurons: int

    @cached_property
    def member(self) -> npt.NDArray[np.bool_]:
        """Whether a neuron is salient for a label, ``[labels, neurons]``."""
        table = np.zeros((len(self.sets), self.neurons), dtype=np.bool_)
        for row, found in enumerate(self.sets):
            table[row, found.neurons] = True
        return table

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """The properties, in the order of the labels."""
        return tuple(dict.fromkeys(found.property for found in self.sets))

    @cached_property
    def member_of_property(self) -> npt.NDArray[np.bool_]:
        """Whether a neuron is salient for any label of a property, ``[properties, neurons]``."""
        of = np.asarray([self.properties.index(found.property) for found in self.sets])
        rows = [self.member[of == row].any(axis=0) for row in range(len(self.properties))]
        return np.asarray(rows)

    @property
    def common(self) -> npt.NDArray[np.int64]:
        """Neurons that two labels share, int64 ``[labels, labels]``; the diagonal is their own."""
        return _together(self.member)

    @property
    def common_of_properties(self) -> npt.NDArray[np.int64]:
        """Neurons that two properties share, int64 ``[properties, properties]``."""
        return _together(self.member_of_property)

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """For how many labels each neuron is salient, int64 ``[neurons]``."""
        counts: npt.NDArray[np.int64] = self.member.sum(axis=0, dtype=np.int64)
        return counts

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Salient neurons: most labels first, then most properties, then by id."""
        times, properties = self.times, self.member_of_property.sum(axis=0)
        ranked = np.lexsort((np.arange(self.neurons), -properties, -times))
        return ranked[: int((times > 0).sum())].astype(np.int64)

    @property
    def found(self) -> npt.NDArray[np.int64]:
        """How many neurons are salient for exactly 0, 1, … labels, int64 ``[labels + 1]``."""
        return np.bincount(self.times, minlength=len(self.sets) + 1).astype(np.int64)

    @property
    def chance(self) -> npt.NDArray[np.float64]:
        """What `found` is on average where each label draws as many neurons at random."""
        spread = np.ones(1)
        for found in self.sets:
            p = len(found.neurons) / self.neurons
            spread = np.convolve(spread, [1 - p, p])
        return self.neurons * spread


def shared(sets: Sequence[SalientSet], neurons: int) -> Shared:
    """Put the neurons of several labels side by side.

    Args:
        sets: of at least two labels.
        neurons: number of all neurons.

    Raises:
        UserError: fewer than two labels, a label twice, or an id out of range.
    """
    if len(sets) < 2:
        raise UserError(f"neurons are shared by two labels or more; there are {len(sets)}")
    if len({(found.property, found.label) for found in sets}) < len(sets):
        raise UserError("one label is given twice")
    for found in sets:
        ids = found.neurons
        if len(np.unique(ids)) != len(ids) or (
            len(ids) and not 0 <= ids.min() <= ids.max() < neurons
        ):
            raise UserError(f"the neurons of label {found.label!r} are not some of {neurons} ids")
    return Shared(tuple(sets), neurons)


def sets_of_probe(
    property: str, weight: npt.ArrayLike, labels: Sequence[str], mass: float = 0.25
) -> list[SalientSet]:
    """The neurons that hold a share of each label's weight mass.

    The optimum of a probe with two labels has one direction, ``w`` and ``-w``: its labels would
    share every neuron, so they are one, called ``no/yes``.

    Args:
        property: what the probe predicts.
        weight: ``[labels, neurons]``.
        labels: names of the rows.
        mass: the share, 0 to 1.

    Raises:
        UserError: names that do not fit, a share out of range, weights that are not finite.
    """
    rows, names = np.asarray(weight, dtype=np.float64), list(labels)
    if rows.ndim != 2 or len(rows) != len(names):
        raise UserError(f"weights of shape {rows.shape} do not fit {len(names)} labels")
    if len(rows) == 2 and _largest(rows[0] + rows[1]) <= 1e-6 * _largest(rows):
        rows, names = rows[1:], ["/".join(names)]
    found = []
    for name, row in zip(names, rows, strict=True):
        ids = salient(row, mass)
        found.append(SalientSet(property, name, ids, row[ids]))
    return found


def sets_of_ranking(property: str, ranking: Ranking, top: int) -> list[SalientSet]:
    """The first neurons of each label's own order.

    Args:
        property: what the labels are values of.
        ranking: with ``per_label``.
        top: how many, 1 to all.

    Raises:
        UserError: the ranking has no labels, or not as many neurons.
    """
    if not ranking.per_label:
        raise UserError(f"the {ranking.method} ranking {property} has no labels of its own")
    if not 1 <= top <= len(ranking.neurons):
        raise UserError(
            f"of the {len(ranking.neurons)} neurons of ranking {property}, the first 1 to all can "
            f"be taken, not {top}"
        )
    return [SalientSet(property, name, ids[:top]) for name, ids in ranking.per_label.items()]


def _largest(values: npt.NDArray[np.float64]) -> float:
    return float(np.abs(values).max(initial=0.0))


def _together(member: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    counted = member.astype(np.int64)
    return counted @ counted.T
