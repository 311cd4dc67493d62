"""The points of a sweep: which neurons are clamped at each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UserError
from ..neurons import Layer, parse_amount
from ..ranking import ORDERS, Ranking
from ..specs import ranking_space


@dataclass(frozen=True)
class Point:
    """One intervention of a sweep.

    Attributes:
        ranking: name of the ranking.
        order: ``top`` or ``bottom``: from which end neurons are taken.
        ablated: how many neurons are clamped.
        share: the same as a share of the ranking's neurons, 0 to 1.
        neurons: layer name to indices within the layer.
    """

    ranking: str
    order: str
    ablated: int
    share: float
    neurons: Mapping[str, Sequence[int]]

    @property
    def name(self) -> str:
        """A file name without its ending."""
        return f"{self.ranking}.{self.order}.{self.ablated:05d}"

    @property
    def key(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Equal for points that clamp the same neurons."""
        return tuple(sorted((name, tuple(sorted(ids))) for name, ids in self.neurons.items()))


def plan_points(
    rankings: Mapping[str, Ranking],
    amounts: str,
    orders: Sequence[str],
    layers: Sequence[Layer],
) -> list[Point]:
    """The points of a sweep, in the order in which its table has them.

    Args:
        rankings: by name.
        amounts: comma-separated numbers or shares of neurons, e.g. ``0,10,50,5%``.
        orders: of ``top`` and ``bottom``.
        layers: every layer of the model.

    Raises:
        UserError: an amount or an order that cannot be read, or a ranking of another model.
    """
    unknown = [order for order in orders if order not in ORDERS]
    if unknown or not orders:
        raise UserError(f"unknown order {', '.join(unknown)!r}; there are: {', '.join(ORDERS)}")
    return list(_points(rankings, amounts, orders, layers))


def _points(
    rankings: Mapping[str, Ranking], amounts: str, orders: Sequence[str], layers: Sequence[Layer]
) -> Iterator[Point]:
    for name, ranking in rankings.items():
        space = ranking_space(ranking, layers, name)
        given = [part for part in amounts.split(",") if part.strip()]
        if not given:
            raise UserError("--ablate names no point; write for example 0,10,50,5%")
        counts = sorted({parse_amount(part, space.size) for part in given})
        for order in dict.fromkeys(orders):
            neurons = ranking.order(order)
            for count in counts:
                chosen = space.by_layer(int(neuron) for neuron in neurons[:count])
                yield Point(name, order, count, count / space.size, chosen)
