"""How many of their first neurons rankings have in common (Dalvi et al. 2019, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from ..errors import UserError
from ..ranking import Ranking
from .inputs import Origin, check_same_neurons


@dataclass(frozen=True)
class Overlap:
    """Overlap of the first ``k`` neurons, ranking by ranking.

    Attributes:
        names: of the rankings.
        k: how many neurons of each are compared.
        neurons: how many there are.
        common: int64 ``[rankings, rankings]``, neurons that both have among their first ``k``.
        order: the end at which the rankings begin, ``top`` or ``bottom``.
    """

    names: tuple[str, ...]
    k: int
    neurons: int
    common: npt.NDArray[np.int64]
    order: str = "top"

    @property
    def end(self) -> str:
        """How a title calls the end: ``first`` or ``last``."""
        return "first" if self.order == "top" else "last"

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """``common / k``, 0 to 1, ``[rankings, rankings]``."""
        return self.common / self.k

    @property
    def chance(self) -> float:
        """The share that two orders at random have in common on average, ``k / neurons``."""
        return self.k / self.neurons

    @property
    def p(self) -> npt.NDArray[np.float64]:
        """Probability that two orders at random share as many or more (hypergeometric)."""
        tail: npt.NDArray[np.float64] = hypergeom.sf(self.common - 1, self.neurons, self.k, self.k)
        return tail


def overlap(
    rankings: Mapping[str, Ranking],
    k: int,
    order: str = "top",
    labels: Mapping[str, str] | None = None,
) -> Overlap:
    """Compare the first ``k`` neurons of rankings over the same neurons, pair by pair.

    Args:
        rankings: by name, at least two.
        k: number of neurons, 1 to all.
        order: ``top`` or ``bottom``, the end at which each ranking begins.
        labels: for rankings of which one label's own order is meant: name of the ranking, label.

    Raises:
        UserError: fewer than two rankings, other layers or checkpoints, ``k`` out of range, an
            unknown order or label.
    """
    if len(rankings) < 2:
        raise UserError("an overlap needs two rankings")
    check_same_neurons("ranking", {name: origin(ranking) for name, ranking in rankings.items()})
    neurons = len(next(iter(rankings.values())).neurons)
    if not 1 <= k <= neurons:
        raise UserError(f"k must be between 1 and the {neurons} neurons there are, not {k}")
    first = np.zeros((len(rankings), neurons), dtype=np.int64)
    for row, (name, ranking) in enumerate(rankings.items()):
        first[row, ranking.order(order, (labels or {}).get(name))[:k]] = 1
    return Overlap(tuple(rankings), k, neurons, first @ first.T, order)


def origin(ranking: Ranking) -> Origin:
    """Whose neurons a ranking orders."""
    return Origin(len(ranking.neurons), ranking.space, ranking.model)
