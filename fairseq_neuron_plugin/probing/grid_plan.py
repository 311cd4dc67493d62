"""Which strengths of the penalty a λ grid tries, and how a command line names them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import UserError

DEFAULT = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class GridPlan:
    """Which strengths to try, every λ1 with every λ2.

    Attributes:
        l1, l2: the strengths, at least 0; they are put in ascending order, each once.
        auto: whether the probe is to be trained with the strengths that `Grid.pick` finds.

    Raises:
        UserError: no strength, or one that is negative or no finite number.
    """

    l1: tuple[float, ...] = DEFAULT
    l2: tuple[float, ...] = DEFAULT
    auto: bool = False

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            values = [float(value) for value in getattr(self, name)]
            wrong = [value for value in values if not 0 <= value < math.inf]
            if wrong or not values:
                found = f"not {wrong[0]:g}" if wrong else "and at least one"
                raise UserError(f"the {name} of a grid must be finite numbers from 0 on, {found}")
            # Adding 0 makes -0 a plain 0.
            object.__setattr__(self, name, tuple(sorted({value + 0.0 for value in values})))

    def __len__(self) -> int:
        return len(self.l1) * len(self.l2)

    def __str__(self) -> str:
        """The plan as `parse_grid` reads it, the same for equal plans."""
        lists = (",".join(f"{value:.15g}" for value in values) for values in (self.l1, self.l2))
        return "auto:" * self.auto + ":".join(lists)


def parse_grid(text: str) -> GridPlan:
    """Read ``V1,V2,...`` (both strengths), ``L1VALUES:L2VALUES``, ``auto`` or ``auto:`` and lists.

    Raises:
        UserError: a value that is negative or no number.

    >>> parse_grid("auto:0,1e-4:1e-5")
    GridPlan(l1=(0.0, 0.0001), l2=(1e-05,), auto=True)
    """
    head, colon, rest = text.strip().partition(":")
    auto = head.strip() == "auto"
    if auto and not colon:
        return GridPlan(auto=True)
    first, colon, second = (rest if auto else text).partition(":")
    l1 = _strengths(first, text)
    return GridPlan(l1, _strengths(second, text) if colon else l1, auto)


def _strengths(values: str, text: str) -> tuple[float, ...]:
    found = []
    for item in values.split(","):
        try:
            found.append(float(item))
        except ValueError:
            raise UserError(
                f"cannot read {item.strip()!r} in the grid {text!r}; write auto, 0,1e-5,1e-3 "
                "or 0,1e-5:0,1e-3 (l1 values, colon, l2 values)"
            ) from None
    return tuple(found)
