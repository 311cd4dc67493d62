"""The points of a sweep: which neurons are clamped at each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..neurons import Layer, parse_amount
from ..ranking import ORDERS, Ranking
from ..specs import ranking_space

SWEEP_ORDERS = (*ORDERS, "random")
MOST_POINTS = 1000  # of one range


@dataclass(frozen=True)
class Point:
    """One intervention of a sweep.

    Attributes:
        ranking: name of the ranking.
        order: ``top`` or ``bottom``: from which end neurons are taken; or ``random``.
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
    seed: int = 0,
) -> list[Point]:
    """The points of a sweep, in the order in which its table has them.

    Args:
        rankings: by name.
        amounts: comma-separated numbers or shares of neurons, e.g. ``0,10,50,5%``, and ranges of
            one or the other with first, last and step, e.g. ``1%:20%:1%``.
        orders: of `SWEEP_ORDERS`. ``random`` takes neurons at random; the same ones for rankings
            of as many neurons, and more of them at each point.
        layers: every layer of the model.
        seed: of the order at random.

    Raises:
        UserError: an amount or an order that cannot be read, a negative seed, or a ranking of
            another model.
    """
    unknown = [order for order in orders if order not in SWEEP_ORDERS]
    if unknown or not orders:
        known = ", ".join(SWEEP_ORDERS)
        raise UserError(f"unknown order {', '.join(unknown)!r}; there are: {known}")
    if seed < 0:
        raise UserError(f"the seed must be 0 or more, not {seed}")
    return list(_points(rankings, amounts, orders, layers, seed))


def parse_points(text: str, neurons: int) -> list[int]:
    """Numbers of neurons, ascending, each once.

    >>> parse_points("0,50%,2:6:2", 10)
    [0, 2, 4, 5, 6]

    Raises:
        UserError: none, or one that cannot be read, is out of range or of too many points.
    """
    counts: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        counts.update(parse_amount(amount, neurons) for amount in _expanded(part))
    if not counts:
        raise UserError("--ablate names no point; write for example 0,10,50,5% or 0:20%:1%")
    return sorted(counts)


def _expanded(part: str) -> Iterator[str]:
    """The amounts of ``first:last:step``, last included; anything else as it is."""
    ends = part.split(":")
    if len(ends) == 1:
        yield part
        return
    unit = "%" if "%" in part else ""
    # A bare 0 is a share, too.
    if len(ends) != 3 or any(unit and end != "0" and not end.endswith("%") for end in ends):
        raise UserError(f"cannot read the range {part!r}; write 0:100:10 or 1%:20%:1%")
    try:
        first, last, step = (Decimal(end.removesuffix("%")) for end in ends)
    except InvalidOperation as error:
        raise UserError(f"cannot read the range {part!r}: {error}") from error
    finite = all(end.is_finite() for end in (first, last, step))
    if not (finite and step > 0 and first <= last):
        raise UserError(f"the range {part!r} must rise, by a step above 0")
    points = int((last - first) / step) + 1
    if points > MOST_POINTS:
        raise UserError(f"the range {part!r} has {points} points; {MOST_POINTS} are the most")
    for number in range(points):
        yield f"{first + number * step:f}{unit}"


def _points(
    rankings: Mapping[str, Ranking],
    amounts: str,
    orders: Sequence[str],
    layers: Sequence[Layer],
    seed: int,
) -> Iterator[Point]:
    for name, ranking in rankings.items():
        space = ranking_space(ranking, layers, name)
        counts = parse_points(amounts, space.size)
        for order in dict.fromkeys(orders):
            neurons = _ordered(ranking, order, seed)
            for count in counts:
                chosen = space.by_layer(int(neuron) for neuron in neurons[:count])
                yield Point(name, order, count, count / space.size, chosen)


def _ordered(ranking: Ranking, order: str, seed: int) -> npt.NDArray[np.int64]:
    if order != "random":
        return ranking.order(order)
    return np.random.default_rng(seed).permutation(len(ranking.neurons)).astype(np.int64)
